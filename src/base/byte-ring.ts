/**
 * HOT PATH: guarded by `npm run bench`.
 *
 * Queue of small numbers (0 to 255) in a typed array, growing by powers of two. A queue of codes in
 * a byte ring costs a third of one of objects, and nothing to collect.
 */
export class ByteRing {
  #bytes: Uint8Array;
  #head = 0;
  /** Queued numbers, count. */
  length = 0;

  /** @param capacity - initial capacity in bytes, a power of two. */
  constructor(capacity = 16) {
    this.#bytes = new Uint8Array(capacity);
  }

  /** Appends `value`, 0 to 255. */
  push(value: number): void {
    if (this.length === this.#bytes.length) {
      this.#grow();
    }
    this.#bytes[(this.#head + this.length) & (this.#bytes.length - 1)] = value;
    this.length++;
  }

  /** Returns the number at `index` from the head; `index` must be below `length`. */
  at(index: number): number {
    return this.#bytes[(this.#head + index) & (this.#bytes.length - 1)]!;
  }

  /** Replaces the number at `index` from the head; `index` must be below `length`. */
  set(index: number, value: number): void {
    this.#bytes[(this.#head + index) & (this.#bytes.length - 1)] = value;
  }

  /** Drops the head; the ring must not be empty. */
  shift(): void {
    this.#head = (this.#head + 1) & (this.#bytes.length - 1);
    this.length--;
  }

  /** Keeps the first `count` numbers and drops the rest. */
  truncate(count: number): void {
    this.length = count;
  }

  /** Drops everything and gives back memory that a long queue took. */
  clear(): void {
    this.#head = 0;
    this.length = 0;
    if (this.#bytes.length > 1024) {
      this.#bytes = new Uint8Array(16);
    }
  }

  #grow(): void {
    const old = this.#bytes;
    const bytes = new Uint8Array(old.length * 2);
    const tail = old.subarray(0, this.#head);
    bytes.set(old.subarray(this.#head), 0);
    bytes.set(tail, old.length - this.#head);
    this.#bytes = bytes;
    this.#head = 0;
  }
}
