import { nearestName } from '../config/nearest-name.ts';
import type { ColumnDescription } from '../protocol/backend-writer.ts';
import { SqlState } from '../protocol/sqlstate.ts';
import { ConsoleSqlState } from './console-sqlstate.ts';
import { compareDecimals, parseDecimal } from './decimal.ts';
import { likeMatcher, MAX_PATTERN_LENGTH } from './like-pattern.ts';
import { isNumberType } from './show-columns.ts';
import type { TokenReader } from './sql-lexer.ts';
import { SqlProblem } from './sql-problem.ts';

/** A row as it goes on the wire; `null` is SQL NULL. */
export type Row = readonly (string | null)[];

/** What is true of a row; `null` is SQL's unknown, which selects no row. */
export type Condition = (row: Row) => boolean | null;

/** Most comparisons in one condition: bounds the work for each row. */
const MAX_COMPARISONS = 100;
/** Deepest nesting of parentheses and NOT. */
export const MAX_DEPTH = 50;

/** A column or a constant. */
interface Operand {
  readonly kind: 'number' | 'text' | 'string';
  /** The constant; `null` for a column and for NULL. */
  readonly constant: string | null;
  readonly value: (row: Row) => string | null;
}

type Test = (order: number) => boolean;

const TESTS: ReadonlyMap<string, Test> = new Map<string, Test>([
  ['=', (order) => order === 0],
  ['<>', (order) => order !== 0],
  ['!=', (order) => order !== 0],
  ['<', (order) => order < 0],
  ['<=', (order) => order <= 0],
  ['>', (order) => order > 0],
  ['>=', (order) => order >= 0],
]);

/** Compares texts by code unit, as the tables are sorted. */
function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Compares numbers as numbers; what is none has no order. */
function compareNumbers(a: string, b: string): number | null {
  const [left, right] = [parseDecimal(a), parseDecimal(b)];
  return left === null || right === null ? null : compareDecimals(left, right);
}

/** Finds a column. @throws SqlProblem 42703, with the nearest name. */
export function findColumn(columns: readonly ColumnDescription[], name: string): number {
  const index = columns.findIndex((column) => column.name === name);
  if (index === -1) {
    const nearest = nearestName(
      name,
      columns.map((column) => column.name),
    );
    const hint = nearest === null ? '' : `, did you mean "${nearest}"?`;
    throw new SqlProblem(ConsoleSqlState.UndefinedColumn, `column "${name}" does not exist${hint}`);
  }
  return index;
}

/** Reads the condition behind WHERE, and makes a test of it. */
export class ConditionParser {
  readonly #reader: TokenReader;
  readonly #columns: readonly ColumnDescription[];
  #comparisons = 0;
  #depth = 0;

  constructor(reader: TokenReader, columns: readonly ColumnDescription[]) {
    this.#reader = reader;
    this.#columns = columns;
  }

  /** Reads `a OR b OR ...`. @throws SqlProblem */
  parse(): Condition {
    const parts = this.#list('or', () => this.#conjunction());
    return (row) => {
      let result: boolean | null = false;
      for (const part of parts) {
        const value = part(row);
        if (value === true) {
          return true;
        }
        result = value === null ? null : result;
      }
      return result;
    };
  }

  #list(separator: string, parsePart: () => Condition): readonly Condition[] {
    const parts = [parsePart()];
    while (this.#reader.takeWords(separator)) {
      parts.push(parsePart());
    }
    return parts;
  }

  #conjunction(): Condition {
    const parts = this.#list('and', () => this.#negation());
    return (row) => {
      let result: boolean | null = true;
      for (const part of parts) {
        const value = part(row);
        if (value === false) {
          return false;
        }
        result = value === null ? null : result;
      }
      return result;
    };
  }

  #negation(): Condition {
    if (this.#reader.takeWords('not')) {
      return negate(this.#nested(() => this.#negation()));
    }
    if (this.#reader.takeSymbol('(')) {
      const condition = this.#nested(() => this.parse());
      this.#expectSymbol(')');
      return condition;
    }
    return this.#predicate();
  }

  #nested(parseInner: () => Condition): Condition {
    if (this.#depth === MAX_DEPTH) {
      throw new SqlProblem(ConsoleSqlState.StatementTooComplex, 'condition nested too deeply');
    }
    this.#depth += 1;
    const condition = parseInner();
    this.#depth -= 1;
    return condition;
  }

  #count(): void {
    this.#comparisons += 1;
    if (this.#comparisons > MAX_COMPARISONS) {
      throw new SqlProblem(ConsoleSqlState.StatementTooComplex, 'condition has too many parts');
    }
  }

  #predicate(): Condition {
    this.#count();
    const left = this.#operand();
    const reader = this.#reader;
    if (reader.takeWords('is')) {
      const isNegated = reader.takeWords('not');
      this.#expectWord('null');
      return (row) => (left.value(row) === null) !== isNegated;
    }
    const isNegated = reader.takeWords('not');
    const word = reader.takeOneOf('in', 'like', 'ilike');
    if (word !== null) {
      const condition = word === 'in' ? this.#membership(left) : this.#like(left, word);
      return isNegated ? negate(condition) : condition;
    }
    const test = isNegated ? undefined : TESTS.get(reader.next.text);
    if (test === undefined || reader.next.kind !== 'symbol') {
      throw unexpected(reader);
    }
    reader.take();
    return compare(left, this.#operand(), test);
  }

  #membership(left: Operand): Condition {
    const equals = TESTS.get('=') ?? (() => false);
    this.#expectSymbol('(');
    const members = [compare(left, this.#operand(), equals)];
    while (this.#reader.takeSymbol(',')) {
      this.#count();
      members.push(compare(left, this.#operand(), equals));
    }
    this.#expectSymbol(')');
    return (row) => {
      const results = members.map((member) => member(row));
      return results.includes(true) ? true : results.includes(null) ? null : false;
    };
  }

  #like(left: Operand, word: string): Condition {
    const pattern = this.#reader.takeKind('string');
    if (pattern === null) {
      throw unexpected(this.#reader);
    }
    if (pattern.text.length > MAX_PATTERN_LENGTH) {
      throw new SqlProblem(SqlState.ProgramLimitExceeded, 'LIKE pattern is too long');
    }
    const matches = likeMatcher(pattern.text, word === 'ilike');
    if (matches === null) {
      const text = 'LIKE pattern must not end with escape character';
      throw new SqlProblem(SqlState.SyntaxError, text);
    }
    return (row) => {
      const value = left.value(row);
      return value === null ? null : matches(value);
    };
  }

  #operand(): Operand {
    const reader = this.#reader;
    const string = reader.takeKind('string');
    if (string !== null) {
      return constantOperand('string', string.text);
    }
    if (reader.takeWords('null')) {
      return constantOperand('string', null);
    }
    const sign = reader.takeSymbol('-') ? '-' : reader.takeSymbol('+') ? '+' : '';
    const number = reader.takeKind('number');
    if (number !== null) {
      return constantOperand('number', sign + number.text);
    }
    const { kind, text } = reader.next;
    const isReserved = kind === 'word' && RESERVED.has(text);
    const name = sign === '' && !isReserved ? reader.takeName() : null;
    if (name === null) {
      throw unexpected(reader);
    }
    const index = findColumn(this.#columns, name);
    const isNumber = isNumberType(this.#columns[index]?.typeOid ?? 0);
    return {
      kind: isNumber ? 'number' : 'text',
      constant: null,
      value: (row) => row[index] ?? null,
    };
  }

  #expectSymbol(symbol: string): void {
    if (!this.#reader.takeSymbol(symbol)) {
      throw unexpected(this.#reader);
    }
  }

  #expectWord(word: string): void {
    if (!this.#reader.takeWords(word)) {
      throw unexpected(this.#reader);
    }
  }
}

/** Words that are no columns unless quoted. */
const RESERVED: ReadonlySet<string> = new Set(
  'and asc desc from in is like ilike limit not null offset or order select where'.split(' '),
);

/** Tells whether a word can only be a keyword. */
export function isReservedWord(word: string): boolean {
  return RESERVED.has(word);
}

/** The error of a parser that cannot go on. */
export function unexpected(reader: TokenReader): SqlProblem {
  const { kind, text } = reader.next;
  if (kind === 'parameter') {
    const problem = `there is no parameter ${text}: console commands take none`;
    return new SqlProblem(ConsoleSqlState.UndefinedParameter, problem);
  }
  const place = kind === 'end' ? 'at end of input' : `at or near "${text}"`;
  return new SqlProblem(SqlState.SyntaxError, `syntax error ${place}`);
}

function constantOperand(kind: 'number' | 'string', constant: string | null): Operand {
  return { kind, constant, value: () => constant };
}

function negate(condition: Condition): Condition {
  return (row) => {
    const value = condition(row);
    return value === null ? null : !value;
  };
}

/** A string beside a number must be one, as in PostgreSQL. @throws SqlProblem 22P02 */
function checkNumber(operand: Operand): void {
  const { kind, constant } = operand;
  if (kind !== 'text' && constant !== null && parseDecimal(constant) === null) {
    const problem = `invalid input syntax for type numeric: "${constant}"`;
    throw new SqlProblem(ConsoleSqlState.InvalidTextRepresentation, problem);
  }
}

function compare(left: Operand, right: Operand, test: Test): Condition {
  const isNumeric = left.kind === 'number' || right.kind === 'number';
  if (isNumeric) {
    checkNumber(left);
    checkNumber(right);
  }
  const order = isNumeric ? compareNumbers : compareTexts;
  return (row) => {
    const [a, b] = [left.value(row), right.value(row)];
    const result = a === null || b === null ? null : order(a, b);
    return result === null ? null : test(result);
  };
}
