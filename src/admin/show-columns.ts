import type { ColumnDescription } from '../protocol/backend-writer.ts';
import type { Control } from './control.ts';

/** Types of columns, by the names they have in the manual of PostgreSQL. */
export type ColumnType = 'text' | 'int4' | 'int8' | 'numeric' | 'oid' | 'bool' | 'bytea';

const TYPES: Readonly<Record<ColumnType, Pick<ColumnDescription, 'typeOid' | 'typeSize'>>> = {
  text: { typeOid: 25, typeSize: -1 },
  int4: { typeOid: 23, typeSize: 4 },
  int8: { typeOid: 20, typeSize: 8 },
  numeric: { typeOid: 1700, typeSize: -1 },
  oid: { typeOid: 26, typeSize: 4 },
  bool: { typeOid: 16, typeSize: 1 },
  bytea: { typeOid: 17, typeSize: -1 },
};

const NUMBER_OIDS: ReadonlySet<number> = new Set(
  [TYPES.int4, TYPES.int8, TYPES.numeric, TYPES.oid].map(({ typeOid }) => typeOid),
);

/** Tells whether a column's cells are numbers. */
export function isNumberType(typeOid: number): boolean {
  return NUMBER_OIDS.has(typeOid);
}

/** Describes a column for RowDescription. */
export function columnOf(name: string, type: ColumnType): ColumnDescription {
  return { name, ...TYPES[type] };
}

const INT4_MAX = 2 ** 31 - 1;

/** A value as a snapshot has it. `true` is shown as 1, so that exporters can read it as a number. */
export type Cell = string | number | boolean | null;

/** One column of a table and how its value is taken from a row. */
export interface ShowColumn<Row> {
  readonly name: string;
  readonly type: ColumnType;
  readonly value: (row: Row) => Cell;
}

/** A result set of the console. */
export interface ShowTable {
  readonly columns: readonly ColumnDescription[];
  /**
   * Takes a snapshot at once, and makes its rows as they go on the wire one by one, as they are
   * taken: all of them tell of the moment of the call.
   */
  readonly rows: (control: Control) => Iterable<readonly (string | null)[]>;
}

/** A whole number in decimal digits, never in exponent form; what is left of it is cut off. */
function integerText(value: number, type: ColumnType): string {
  // A rate over an empty window must not take the console down with it.
  const whole = Number.isFinite(value) ? Math.trunc(value) : 0;
  if (type === 'int4') {
    return String(Math.min(Math.max(whole, -INT4_MAX), INT4_MAX));
  }
  return BigInt(whole).toString();
}

function cellText(value: Cell, type: ColumnType): string | null {
  if (typeof value === 'number') {
    return integerText(value, type);
  }
  if (typeof value === 'boolean') {
    return value ? '1' : '0';
  }
  return value;
}

/**
 * Describes a column.
 *
 * @param value - takes the value from a row; numbers lose their fraction, and are limited to the
 * range of the type.
 */
export function column<Row>(
  name: string,
  type: ColumnType,
  value: (row: Row) => Cell,
): ShowColumn<Row> {
  return { name, type, value };
}

/**
 * Makes a table of columns and a source of rows.
 *
 * @param rows - takes the snapshot when it is called, and returns the rows in the order in which
 * they are shown; they may be made as they are taken.
 */
export function defineTable<Row>(
  columns: readonly ShowColumn<Row>[],
  rows: (control: Control) => Iterable<Row>,
): ShowTable {
  return {
    columns: columns.map(({ name, type }) => columnOf(name, type)),
    rows: (control) => textRows(columns, rows(control)),
  };
}

function* textRows<Row>(
  columns: readonly ShowColumn<Row>[],
  rows: Iterable<Row>,
): Generator<readonly (string | null)[]> {
  for (const row of rows) {
    yield columns.map(({ type, value }) => cellText(value(row), type));
  }
}

/** Sorts a copy of `rows` by one or more keys, by code unit as `strcmp` does, not by language. */
export function sortedBy<Row>(
  rows: readonly Row[],
  ...keys: readonly ((row: Row) => string)[]
): readonly Row[] {
  return rows.toSorted((a, b) => {
    for (const key of keys) {
      const [keyA, keyB] = [key(a), key(b)];
      if (keyA !== keyB) {
        return keyA < keyB ? -1 : 1;
      }
    }
    return 0;
  });
}
