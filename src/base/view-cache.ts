/** Slots of a cache: small enough to be cheap for each connection, large enough to hit. */
const SLOTS = 64;

/**
 * HOT PATH: guarded by `npm run bench`.
 *
 * Views of the beginning of one buffer, remembered by length. Small replies and requests come in
 * few lengths, and making a view costs more than forwarding it.
 */
export class ViewCache {
  readonly #buffer: Buffer;
  readonly #views: (Buffer | undefined)[] = new Array<Buffer | undefined>(SLOTS).fill(undefined);

  /** @param buffer - what the views are of. */
  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  /** Returns a view of the first `end` bytes, `1 <= end <= buffer.length`. */
  view(end: number): Buffer {
    const slot = end & (SLOTS - 1);
    const known = this.#views[slot];
    if (known?.length === end) {
      return known;
    }
    const view = this.#buffer.subarray(0, end);
    this.#views[slot] = view;
    return view;
  }
}
