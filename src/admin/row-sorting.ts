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

/**
 * A row that waits for its turn. Its cells are one string: ten thousand rows of twenty strings each
 * would keep the garbage collector busy for longer than anybody should wait.
 */
interface Entry {
  readonly packed: string;
  readonly values: readonly Value[];
}

/** Stands between cells: no text that comes over the wire has one. */
const SEPARATOR = '\0';
/** Stands in front of each cell that is not NULL. */
const CELL = '=';

function pack(row: Row): string {
  return row.map((cell) => (cell === null ? '' : CELL + cell)).join(SEPARATOR);
}

function unpack(packed: string): Row {
  return packed.split(SEPARATOR).map((cell) => (cell === '' ? null : cell.slice(CELL.length)));
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
  readonly #most: number;
  /** Sorted runs, in the order in which their rows came. */
  readonly #runs: Entry[][] = [];
  #run: Entry[] = [];

  /** @param most - how many of the sorted rows are wanted at most. */
  constructor(keys: readonly SortKey[], most: number) {
    this.#keys = keys;
    this.#most = most;
  }

  /** Takes a row. */
  add(row: Row): void {
    this.#run.push({ packed: pack(row), values: this.#keys.map((key) => readValue(row, key)) });
    if (this.#run.length === RUN_ROWS) {
      this.#endRun();
    }
  }

  #endRun(): void {
    this.#run.sort((a, b) => this.#compare(a, b));
    this.#runs.push(this.#run.slice(0, this.#most));
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

  /** Yields the rows in their order, as many as are wanted. Nothing may be added any more. */
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
        yield unpack(entry.packed);
      }
    }
  }

  #sink(heap: Cursor[], from: number): void {
    for (let at = from; ;) {
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
