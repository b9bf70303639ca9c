import type { ColumnDescription } from '../protocol/backend-writer.ts';
import { CONSOLE_DATABASES } from './console-welcome.ts';
import type { Actor, Control } from './control.ts';
import { isReservedWord } from './row-condition.ts';
import { isIgnoredParameter, sessionParameter } from './session-parameters.ts';
import { columnOf, type ColumnType } from './show-columns.ts';
import type { TokenReader } from './sql-lexer.ts';
import type { TransactionCommand } from './transaction-block.ts';

/** Most columns of a SELECT without FROM. */
const MAX_ITEMS = 20;

/** What the values of a SELECT without FROM are taken from. */
export interface ValueSource {
  readonly control: Control;
  readonly actor: Actor;
}

/** A column of a SELECT without FROM. */
export interface ConstantItem {
  readonly column: ColumnDescription;
  readonly value: (source: ValueSource) => string | null;
}

/** What drivers say of their own accord; none of it acts on the pooler. */
export type ChatterCommand =
  | { readonly kind: 'show_parameter'; readonly name: string; readonly value: string }
  | { readonly kind: 'set_ignored' }
  | { readonly kind: 'constants'; readonly items: readonly ConstantItem[] }
  | { readonly kind: 'no_rows'; readonly columns: readonly ColumnDescription[] }
  | { readonly kind: 'transaction'; readonly command: TransactionCommand }
  | {
      readonly kind: 'deallocate';
      /** `null` for all. */
      readonly name: string | null;
      readonly tag: string;
    }
  | { readonly kind: 'harmless'; readonly tag: string };

const MODE_WORDS = [
  ...['isolation', 'level', 'serializable', 'repeatable', 'read', 'committed', 'uncommitted'],
  ...['only', 'write', 'not', 'deferrable'],
];

interface ConstantFunction {
  readonly type: ColumnType;
  readonly value: ConstantItem['value'];
}

function fixed(type: ColumnType, text: string | null): ConstantFunction {
  return { type, value: () => text };
}

const USER: ConstantFunction = { type: 'text', value: ({ actor }) => actor.user };
const DATABASE = fixed('text', CONSOLE_DATABASES[0] ?? null);

/** Functions that drivers call, with empty parentheses. */
const FUNCTIONS: ReadonlyMap<string, ConstantFunction> = new Map<string, ConstantFunction>([
  ['version', { type: 'text', value: ({ control }) => control.version() }],
  ['current_schema', fixed('text', 'public')],
  ['current_database', DATABASE],
  ['pg_is_in_recovery', fixed('bool', 'f')],
  ['pg_advisory_unlock_all', fixed('text', '')],
]);

/** Words of SQL that are values without parentheses. */
const VALUE_WORDS: ReadonlyMap<string, ConstantFunction> = new Map<string, ConstantFunction>([
  ['current_user', USER],
  ['session_user', USER],
  ['user', USER],
  ['current_catalog', DATABASE],
  ['current_schema', fixed('text', 'public')],
  ['true', fixed('bool', 't')],
  ['false', fixed('bool', 'f')],
  ['null', fixed('text', null)],
]);

interface ConstantValue extends ConstantFunction {
  readonly name: string;
}

/** A small whole number is int4, other numbers are numeric, as in PostgreSQL. */
function numberValue(text: string): ConstantValue | null {
  if (!/^[0-9]{1,100}(?:\.[0-9]{1,100})?$/.test(text)) {
    return null;
  }
  const isWhole = !text.includes('.');
  const plain = isWhole ? BigInt(text).toString() : text;
  const type = isWhole && BigInt(text) < 2n ** 31n ? 'int4' : 'numeric';
  return { name: '?column?', ...fixed(type, plain) };
}

function takeFunction(reader: TokenReader): ConstantValue | null {
  if (reader.isSymbolAhead(1, '.') && !(reader.takeWords('pg_catalog') && reader.takeSymbol('.'))) {
    return null;
  }
  const hasParentheses = reader.isSymbolAhead(1, '(');
  const name = reader.takeKind('word')?.text ?? '';
  const found = hasParentheses ? FUNCTIONS.get(name) : VALUE_WORDS.get(name);
  const isCalled = !hasParentheses || (reader.takeSymbol('(') && reader.takeSymbol(')'));
  return found === undefined || !isCalled ? null : { name, ...found };
}

function takeConstant(reader: TokenReader): ConstantValue | null {
  const number = reader.takeKind('number');
  if (number !== null) {
    return numberValue(number.text);
  }
  const string = reader.takeKind('string');
  if (string !== null) {
    return { name: '?column?', ...fixed('text', string.text) };
  }
  return takeFunction(reader);
}

/** An alias behind AS, or a bare name. @returns `null` if AS has nothing behind it. */
function takeAlias(reader: TokenReader, otherwise: string): string | null {
  if (reader.takeWords('as')) {
    return reader.takeName();
  }
  const { kind, text } = reader.next;
  return kind === 'word' && isReservedWord(text) ? otherwise : (reader.takeName() ?? otherwise);
}

function parseConstants(reader: TokenReader): ChatterCommand | null {
  const items: ConstantItem[] = [];
  do {
    const constant = takeConstant(reader);
    const name = constant === null ? null : takeAlias(reader, constant.name);
    if (constant === null || name === null || items.length === MAX_ITEMS) {
      return null;
    }
    items.push({ column: columnOf(name, constant.type), value: constant.value });
  } while (reader.takeSymbol(','));
  return reader.isAtEnd ? { kind: 'constants', items } : null;
}

function parseSet(reader: TokenReader): ChatterCommand | null {
  const isTransaction =
    reader.takeWords('session', 'characteristics', 'as', 'transaction') ||
    reader.takeWords('transaction');
  if (isTransaction) {
    return takeModes(reader) ? { kind: 'set_ignored' } : null;
  }
  reader.takeOneOf('session', 'local');
  if (reader.takeWords('time', 'zone') || reader.takeWords('names')) {
    return reader.isAtEnd ? null : { kind: 'set_ignored' };
  }
  const name = reader.takeName();
  const isAssigned = reader.takeSymbol('=') || reader.takeWords('to');
  const isKnown = name !== null && isIgnoredParameter(name.toLowerCase());
  return isKnown && isAssigned && !reader.isAtEnd ? { kind: 'set_ignored' } : null;
}

function takeModes(reader: TokenReader): boolean {
  while (reader.takeOneOf(...MODE_WORDS) !== null || reader.takeSymbol(',')) {
    // Each mode is as good as the other.
  }
  return reader.isAtEnd;
}

function parseShow(reader: TokenReader): ChatterCommand | null {
  const name = reader.takeWords('transaction', 'isolation', 'level')
    ? 'transaction_isolation'
    : reader.takeWords('time', 'zone')
      ? 'timezone'
      : (reader.takeKind('word')?.text ?? null);
  const value = name === null ? null : sessionParameter(name);
  return name === null || value === null || !reader.isAtEnd
    ? null
    : { kind: 'show_parameter', name, value };
}

function transaction(reader: TokenReader, command: TransactionCommand): ChatterCommand | null {
  return reader.isAtEnd ? { kind: 'transaction', command } : null;
}

function parseBegin(
  reader: TokenReader,
  tag: 'BEGIN' | 'START TRANSACTION',
): ChatterCommand | null {
  return takeModes(reader) ? transaction(reader, { kind: 'begin', tag }) : null;
}

function parseEnd(reader: TokenReader, kind: 'commit' | 'rollback'): ChatterCommand | null {
  reader.takeOneOf('work', 'transaction');
  if (kind === 'rollback' && reader.takeWords('to')) {
    return parseSavepoint(reader, 'rollback_to');
  }
  const isChained = reader.takeWords('and', 'chain');
  if (!isChained) {
    reader.takeWords('and', 'no', 'chain');
  }
  return transaction(reader, { kind, isChained });
}

function parseSavepoint(
  reader: TokenReader,
  kind: 'savepoint' | 'release' | 'rollback_to',
): ChatterCommand | null {
  if (kind !== 'savepoint' && !reader.isAtEnd) {
    reader.takeWords('savepoint');
  }
  const name = reader.takeName();
  return name === null ? null : transaction(reader, { kind, name });
}

function parseDeallocate(reader: TokenReader): ChatterCommand | null {
  reader.takeWords('prepare');
  const isAll = reader.takeWords('all');
  const name = isAll ? null : reader.takeName();
  if ((!isAll && name === null) || !reader.isAtEnd) {
    return null;
  }
  return { kind: 'deallocate', name, tag: isAll ? 'DEALLOCATE ALL' : 'DEALLOCATE' };
}

function parseDiscard(reader: TokenReader): ChatterCommand | null {
  const what = reader.takeOneOf('all', 'plans', 'sequences', 'temp', 'temporary');
  if (what === null || !reader.isAtEnd) {
    return null;
  }
  const tag = `DISCARD ${what === 'temporary' ? 'TEMP' : what.toUpperCase()}`;
  return what === 'all' ? { kind: 'deallocate', name: null, tag } : { kind: 'harmless', tag };
}

function parseReset(reader: TokenReader): ChatterCommand | null {
  const isKnown =
    reader.takeWords('all') ||
    reader.takeWords('session', 'authorization') ||
    reader.takeWords('role') ||
    isIgnoredParameter((reader.takeName() ?? '').toLowerCase());
  return isKnown && reader.isAtEnd ? { kind: 'harmless', tag: 'RESET' } : null;
}

function parseExactly(reader: TokenReader, isThere: boolean, tag: string): ChatterCommand | null {
  return isThere && reader.isAtEnd ? { kind: 'harmless', tag } : null;
}

const PARSERS: ReadonlyMap<string, (reader: TokenReader) => ChatterCommand | null> = new Map<
  string,
  (reader: TokenReader) => ChatterCommand | null
>([
  ['select', parseConstants],
  ['show', parseShow],
  ['set', parseSet],
  ['start', (r) => (r.takeWords('transaction') ? parseBegin(r, 'START TRANSACTION') : null)],
  [
    'begin',
    (reader) => {
      reader.takeOneOf('work', 'transaction');
      return parseBegin(reader, 'BEGIN');
    },
  ],
  ['commit', (reader) => parseEnd(reader, 'commit')],
  ['end', (reader) => parseEnd(reader, 'commit')],
  ['rollback', (reader) => parseEnd(reader, 'rollback')],
  ['abort', (reader) => parseEnd(reader, 'rollback')],
  ['savepoint', (reader) => parseSavepoint(reader, 'savepoint')],
  ['release', (reader) => parseSavepoint(reader, 'release')],
  ['deallocate', parseDeallocate],
  ['discard', parseDiscard],
  ['reset', parseReset],
  ['close', (reader) => parseExactly(reader, reader.takeWords('all'), 'CLOSE CURSOR ALL')],
  ['unlisten', (reader) => parseExactly(reader, reader.takeSymbol('*'), 'UNLISTEN')],
]);

/**
 * Reads one statement as something that drivers say of their own accord.
 *
 * @param reader - holds one statement, without its semicolon.
 * @returns `null` if it is nothing of the kind.
 */
export function parseChatter(reader: TokenReader): ChatterCommand | null {
  const word = reader.takeKind('word')?.text ?? '';
  return PARSERS.get(word)?.(reader) ?? null;
}
