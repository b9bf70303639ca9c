import { runAfter } from '../base/clock.ts';

/**
 * Bulk data is read in fewer and larger pieces.
 *
 * A sender that fills the kernel's buffer in pieces of 8 kB wakes its reader for each of them, and
 * on a busy machine the switching costs more than the copying. A stream that has read much in a row
 * therefore rests for a moment after each read that emptied the kernel's buffer. At most that moment
 * is added to the end of a large result; small ones never come here.
 */

/** Bytes that must have come in large pieces, one after the other, before a stream rests. */
const REST_AFTER_BYTES = 1_000_000;
/** Smaller pieces are no bulk data, in bytes. */
const LARGE_PIECE_BYTES = 4096;
/** How long a stream rests at most, in ms: while the kernel's buffer, of some MB, cannot get full. */
const REST_MS = 1;

/** A stream that rests. */
export interface RestingStream {
  /** It may read again. Called once per {@link startRest}. */
  onRestOver(): void;
}

/**
 * HOT PATH: counts what has come in large pieces.
 *
 * @param total - what this returned for the last piece; 0 at first.
 * @param piece - bytes that have just come.
 * @param capacity - most bytes that could have come at a time.
 * @returns the new total, in bytes: 0 after a small piece; negative when the stream is to rest.
 */
export function countBulk(total: number, piece: number, capacity: number): number {
  if (piece < LARGE_PIECE_BYTES) {
    return 0;
  }
  const bytes = Math.min(Math.abs(total) + piece, REST_AFTER_BYTES);
  // A full buffer means that more is waiting.
  return bytes === REST_AFTER_BYTES && piece < capacity ? -bytes : bytes;
}

/** Streams that rest now; all of them wake together, since one timer serves them all. */
let resting: RestingStream[] = [];

/** Lets `stream` rest: it has stopped reading. */
export function startRest(stream: RestingStream): void {
  resting.push(stream);
  if (resting.length === 1) {
    runAfter(REST_MS, wakeAll);
  }
}

function wakeAll(): void {
  const rested = resting;
  resting = [];
  for (const stream of rested) {
    stream.onRestOver();
  }
}
