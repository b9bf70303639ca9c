import { nearestName } from '../config/nearest-name.ts';
import type { ColumnDescription } from '../protocol/backend-writer.ts';
import { SqlState } from '../protocol/sqlstate.ts';
import { notSupportedYet } from './console-errors.ts';
import { ConsoleSqlState } from './console-sqlstate.ts';
import type { CommandError, Control } from './control.ts';
import {
  type Condition,
  ConditionParser,
  findColumn,
  isReservedWord,
  type Row,
  unexpected,
} from './row-condition.ts';
import { RowSorter, type SortKey } from './row-sorting.ts';
import { columnOf } from './show-columns.ts';
import { SHOW_TABLES, type TableTopic } from './show-tables.ts';
import { type SqlToken, TokenReader } from './sql-lexer.ts';
import { SqlProblem } from './sql-problem.ts';
import { UNSUPPORTED_TOPICS } from './topics.ts';

/** Most columns that one query can name. */
const MAX_COLUMNS = 100;
const SCHEMAS: readonly string[] = ['pgbouncer', 'maitred'];
const TABLES: ReadonlyMap<string, TableTopic> = new Map(
  (Object.keys(SHOW_TABLES) as TableTopic[]).map((topic) => [topic, topic]),
);
const UNSUPPORTED_TABLES: ReadonlySet<string> = new Set(UNSUPPORTED_TOPICS);

/** A query that chooses among the rows of a table. */
export interface RowQuery {
  /** The table. */
  readonly topic: TableTopic;
  readonly columns: readonly ColumnDescription[];
  /** Takes a snapshot at once, and chooses among its rows one by one; null stands for no row. */
  readonly rows: (control: Control) => Iterable<Row | null>;
  /** The command tag for a number of rows. */
  readonly tag: (count: number) => string;
}

/** What {@link parseRowQuery} makes of a query. */
export type ParsedRowQuery =
  | { readonly kind: 'rows'; readonly query: RowQuery }
  | {
      readonly kind: 'unsupported';
      readonly role: 'admin' | 'stats';
      readonly refusal: CommandError;
    }
  | CommandError;

/** WHERE, ORDER BY, LIMIT and OFFSET. */
interface Choice {
  readonly where: Condition | null;
  readonly sortKeys: readonly SortKey[];
  readonly limit: number | null;
  readonly offset: number;
}

type Select = 'count' | 'all' | readonly SelectItem[];
interface SelectItem {
  readonly name: string;
  readonly alias: string | null;
}

/** Yields null for each row that is not chosen, so that whoever takes them may pause in between. */
function* choose(rows: Iterable<Row | null>, choice: Choice): Generator<Row | null> {
  const { where, sortKeys, limit, offset } = choice;
  const end = limit === null ? Number.POSITIVE_INFINITY : offset + limit;
  if (sortKeys.length > 0) {
    const sorter = new RowSorter(sortKeys, end);
    for (const row of rows) {
      if (row !== null && (where === null || where(row) === true)) {
        sorter.add(row);
      }
      yield null;
    }
    yield* choose(sorter.sorted(), { where: null, sortKeys: [], limit, offset });
    return;
  }
  let index = 0;
  for (const row of rows) {
    if (index >= end) {
      return;
    }
    const isFound = row !== null && (where === null || where(row) === true);
    yield isFound && index >= offset ? row : null;
    index += isFound ? 1 : 0;
  }
}

function* count(rows: Iterable<Row | null>): Generator<Row | null> {
  let total = 0;
  for (const row of rows) {
    total += row === null ? 0 : 1;
    yield null;
  }
  yield [String(total)];
}

function* projected(rows: Iterable<Row | null>, indexes: readonly number[]): Generator<Row | null> {
  for (const row of rows) {
    yield row === null ? null : indexes.map((index) => row[index] ?? null);
  }
}

function parseSortKeys(
  reader: TokenReader,
  columns: readonly ColumnDescription[],
): readonly SortKey[] {
  const keys: SortKey[] = [];
  do {
    const { kind, text } = reader.next;
    const name = kind === 'word' && isReservedWord(text) ? null : reader.takeName();
    if (name === null || keys.length === MAX_COLUMNS) {
      throw unexpected(reader);
    }
    const index = findColumn(columns, name);
    const isDescending = reader.takeOneOf('asc', 'desc') === 'desc';
    const column = columns[index];
    if (column !== undefined) {
      keys.push({ column, index, isDescending });
    }
  } while (reader.takeSymbol(','));
  return keys;
}

/** Whole numbers past 2^53 choose as well as 2^53 does. */
function takeCount(reader: TokenReader): number {
  const token = reader.next.kind === 'number' ? reader.next : null;
  if (token === null || !/^[0-9]+$/.test(token.text)) {
    throw unexpected(reader);
  }
  reader.take();
  return Math.min(Number(token.text), Number.MAX_SAFE_INTEGER);
}

function parseChoice(reader: TokenReader, columns: readonly ColumnDescription[]): Choice {
  const where = reader.takeWords('where') ? new ConditionParser(reader, columns).parse() : null;
  const sortKeys = reader.takeWords('order', 'by') ? parseSortKeys(reader, columns) : [];
  let limit: number | null = null;
  let offset: number | null = null;
  for (;;) {
    if (limit === null && reader.takeWords('limit')) {
      limit = reader.takeWords('all') ? Number.MAX_SAFE_INTEGER : takeCount(reader);
    } else if (offset === null && reader.takeWords('offset')) {
      offset = takeCount(reader);
    } else {
      break;
    }
  }
  reader.takeSymbol(';');
  if (!reader.isAtEnd) {
    throw unexpected(reader);
  }
  return { where, sortKeys, limit, offset: offset ?? 0 };
}

function parseSelectItems(reader: TokenReader): Select | null {
  if (reader.takeSymbol('*')) {
    return 'all';
  }
  if (reader.takeWords('count')) {
    const isCount = reader.takeSymbol('(') && reader.takeSymbol('*') && reader.takeSymbol(')');
    return isCount ? 'count' : null;
  }
  const items: SelectItem[] = [];
  do {
    const name = reader.takeName();
    if (name === null || items.length === MAX_COLUMNS) {
      return null;
    }
    items.push({ name, alias: reader.takeWords('as') ? reader.takeName() : null });
  } while (reader.takeSymbol(','));
  return items;
}

/** A name of a schema and a table of it. @throws SqlProblem 42P01 */
function findTable(name: string, schema: string): TableTopic {
  const topic = TABLES.get(name);
  if (topic === undefined) {
    const nearest = nearestName(name, TABLES.keys());
    const hint = nearest === null ? '' : `, did you mean "${schema}.${nearest}"?`;
    const problem = `relation "${schema}.${name}" does not exist${hint}`;
    throw new SqlProblem(ConsoleSqlState.UndefinedTable, problem);
  }
  return topic;
}

function refuseTable(name: string): ParsedRowQuery {
  const refusal = notSupportedYet(`SHOW ${name.toUpperCase()}`);
  return { kind: 'unsupported', role: 'stats', refusal };
}

function project(topic: TableTopic, select: Select, choice: Choice): RowQuery {
  const table = SHOW_TABLES[topic];
  const chosen = (control: Control): Iterable<Row | null> => choose(table.rows(control), choice);
  const tag = (rows: number): string => `SELECT ${String(rows)}`;
  if (select === 'all') {
    return { topic, columns: table.columns, rows: chosen, tag };
  }
  if (select === 'count') {
    // LIMIT and OFFSET choose among the one row that the count is.
    const counted = (control: Control): Iterable<Row | null> => {
      const all = choose(table.rows(control), { ...choice, limit: null, offset: 0 });
      return choose(count(all), { ...choice, where: null, sortKeys: [] });
    };
    return { topic, columns: [columnOf('count', 'int8')], rows: counted, tag };
  }
  const indexes = select.map(({ name }) => findColumn(table.columns, name));
  const columns = select.flatMap(({ alias }, position) => {
    const column = table.columns[indexes[position] ?? -1];
    return column === undefined ? [] : [{ ...column, name: alias ?? column.name }];
  });
  const rows = (control: Control): Iterable<Row | null> => projected(chosen(control), indexes);
  return { topic, columns, rows, tag };
}

function parseSelect(reader: TokenReader): ParsedRowQuery | null {
  const select = parseSelectItems(reader);
  if (select === null || !reader.takeWords('from')) {
    return null;
  }
  const schema = reader.takeName();
  if (schema === null || !SCHEMAS.includes(schema) || !reader.takeSymbol('.')) {
    return null;
  }
  const name = reader.takeName();
  if (name === null) {
    throw unexpected(reader);
  }
  if (UNSUPPORTED_TABLES.has(name)) {
    return refuseTable(name);
  }
  const topic = findTable(name, schema);
  const choice = parseChoice(reader, SHOW_TABLES[topic].columns);
  if (select === 'count' && choice.sortKeys.length > 0) {
    throw new SqlProblem(SqlState.SyntaxError, 'count(*) cannot be combined with ORDER BY');
  }
  return { kind: 'rows', query: project(topic, select, choice) };
}

function parseShow(reader: TokenReader): ParsedRowQuery | null {
  const name = reader.takeName();
  const hasChoice = ['where', 'order', 'limit', 'offset'].some(
    (word) => reader.next.kind === 'word' && reader.next.text === word,
  );
  if (name === null || !hasChoice) {
    return null;
  }
  if (UNSUPPORTED_TABLES.has(name)) {
    return refuseTable(name);
  }
  const topic = TABLES.get(name);
  if (topic === undefined) {
    return null;
  }
  const { columns, rows } = SHOW_TABLES[topic];
  const choice = parseChoice(reader, columns);
  const query = {
    topic,
    columns,
    rows: (control: Control) => choose(rows(control), choice),
    tag: () => 'SHOW',
  };
  return { kind: 'rows', query };
}

/**
 * Reads `SHOW x [WHERE ...] [ORDER BY ...] [LIMIT n] [OFFSET m]` and
 * `SELECT ... FROM pgbouncer.x` with the same behind it.
 *
 * Works in time linear in the number of tokens; conditions have a limit of size and depth.
 *
 * @returns `null` if the query is of another kind.
 */
export function parseRowQuery(tokens: readonly SqlToken[]): ParsedRowQuery | null {
  const reader = new TokenReader(tokens);
  try {
    if (reader.takeWords('show')) {
      return parseShow(reader);
    }
    return reader.takeWords('select') ? parseSelect(reader) : null;
  } catch (error) {
    if (error instanceof SqlProblem) {
      return error.toCommandError();
    }
    throw error;
  }
}
