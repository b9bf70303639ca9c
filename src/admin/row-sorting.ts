import type { ColumnDescription } from '../protocol/backend-writer.ts';
import { compareDecimals, type Decimal, parseDecimal } from './decimal.ts';
import type { Row } from './row-condition.ts';
import { isNumberType } from './show-columns.ts';

/** Rows that are sorted in one step; the sorted runs are merged row by row. */
const RUN_ROWS = 100;

/** A column to sort by. */
export interface SortKey {
  readonly column: ColumnDescription;
  /** Its index in the rows. */
  readonly index: number;
  readonly isDescending: boolean;
}

/** A cell read once, however often it is compared: `null` for NULL and for no number. */
type Value = Decimal | string | null;

interface Entry {
  readonly row: Row;
  readonly values: readonly Value[];
}

function readValue(row: Row, { column, index }: SortKey): Value {
  const cell = row[index] ?? null;
  return cell !== null && isNumberType(column.typeOid) ? parseDecimal(cell) : cell;
}

/** NULL counts as larger than all else, as in PostgreSQL. */
function compareValues(a: Value, b: Value): number {
  if (a === null || b === null) {
    return Number(a === null) - Number(b === null);
  }
  if (typeof a === 'object' && typeof b === 'object') {
    return compareDecimals(a, b);
  }
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Sorts rows bit by bit, so that whoever takes them may pause in between. Equal rows keep their order. */
export class RowSorter {
  readonly #keys: readonly SortKey[];
  /** Sorted runs, in the order in which their rows came. */
  readonly #runs: Entry[][] = [];
  #run: Entry[] = [];

  constructor(keys: readonly SortKey[]) {
    this.#keys = keys;
  }

  /** Takes a row. */
  add(row: Row): void {
    this.#run.push({ row, values: this.#keys.map((key) => readValue(row, key)) });
    if (this.#run.length === RUN_ROWS) {
      this.#endRun();
    }
  }

  #endRun(): void {
    this.#runs.push(this.#run.sort((a, b) => this.#compare(a, b)));
    this.#run = [];
  }

  #compare(a: Entry, b: Entry): number {
    for (const [index, { isDescending }] of this.#keys.entries()) {
      const order = compareValues(a.values[index] ?? null, b.values[index] ?? null);
      if (order !== 0) {
        return isDescending ? -order : order;
      }
    }
    return 0;
  }

  /** Yields all rows in their order. Nothing may be added any more. */
  *sorted(): Generator<Row, undefined> {
    this.#endRun();
    // A heap of the runs that have rows left, the one with the next row at its top.
    const heap: Cursor[] = this.#runs
      .map((entries, run) => ({ entries, run, offset: 0 }))
      .filter(({ entries }) => entries.length > 0);
    for (let at = Math.floor(heap.length / 2) - 1; at >= 0; at -= 1) {
      this.#sink(heap, at);
    }
    for (let top = heap[0]; top !== undefined; top = heap[0]) {
      const entry = top.entries[top.offset];
      top.offset += 1;
      const last = heap.at(-1);
      if (top.offset === top.entries.length && last !== undefined) {
        heap.pop();
        if (last !== top) {
          heap[0] = last;
        }
      }
      this.#sink(heap, 0);
      if (entry !== undefined) {
        yield entry.row;
      }
    }
  }

  #sink(heap: Cursor[], from: number): void {
    for (let at = from; ; ) {
      let first = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && this.#isBefore(heap[child], heap[first])) {
          first = child;
        }
      }
      const [here, there] = [heap[at], heap[first]];
      if (first === at || here === undefined || there === undefined) {
        return;
      }
      heap[at] = there;
      heap[first] = here;
      at = first;
    }
  }

  #isBefore(a: Cursor | undefined, b: Cursor | undefined): boolean {
    const [left, right] = [a?.entries[a.offset], b?.entries[b.offset]];
    if (a === undefined || b === undefined || left === undefined || right === undefined) {
      return false;
    }
    const order = this.#compare(left, right);
    return order === 0 ? a.run < b.run : order < 0;
  }
}

/** How far a run has been merged. */
interface Cursor {
  readonly entries: readonly Entry[];
  /** Its number, in the order of the rows. */
  readonly run: number;
  offset: number;
}
