const NO_BYTES = new Uint8Array(0);
const FIRST_CAPACITY = 16;
/** Memory beyond this is given back by {@link ByteRing.clear}, in bytes. */
const KEPT_CAPACITY = 1024;

/**
 * HOT PATH: guarded by `npm run bench`.
 *
 * Queue of small numbers (1 to 255), growing by powers of two. The head is a field, and only what
 * waits behind it lies in a typed array: nearly always one number is queued, and a typed array costs
 * several times what a field costs.
 */
export class ByteRing {
  /** The number at the head; 0 when there is none. */
  head = 0;
  /** Queued numbers, count. */
  length = 0;
  /** What is behind the head, from the index in `#start` on. */
  #bytes: Uint8Array = NO_BYTES;
  #start = 0;

  /** Appends `value`, 1 to 255. */
  push(value: number): void {
    if (this.length === 0) {
      this.head = value;
      this.length = 1;
      return;
    }
    if (this.length > this.#bytes.length) {
      this.#grow();
    }
    this.#bytes[(this.#start + this.length - 1) & (this.#bytes.length - 1)] = value;
    this.length++;
  }

  /** Returns the number at `index` from the head; `index` must be below `length`. */
  at(index: number): number {
    return index === 0
      ? this.head
      : this.#bytes[(this.#start + index - 1) & (this.#bytes.length - 1)]!;
  }

  /** Replaces the number at `index` from the head; `index` must be below `length`. */
  set(index: number, value: number): void {
    if (index === 0) {
      this.head = value;
    } else {
      this.#bytes[(this.#start + index - 1) & (this.#bytes.length - 1)] = value;
    }
  }

  /** Drops the head; the ring must not be empty. */
  shift(): void {
    this.length--;
    if (this.length === 0) {
      this.head = 0;
    } else {
      this.head = this.#bytes[this.#start]!;
      this.#start = (this.#start + 1) & (this.#bytes.length - 1);
    }
  }

  /** Keeps the first `count` numbers and drops the rest. */
  truncate(count: number): void {
    this.length = count;
    if (count === 0) {
      this.head = 0;
    }
  }

  /** Drops everything and gives back memory that a long queue took. */
  clear(): void {
    this.head = 0;
    this.length = 0;
    if (this.#bytes.length > KEPT_CAPACITY) {
      this.#bytes = NO_BYTES;
      this.#start = 0;
    }
  }

  #grow(): void {
    const old = this.#bytes;
    const bytes = new Uint8Array(old.length === 0 ? FIRST_CAPACITY : old.length * 2);
    bytes.set(old.subarray(this.#start), 0);
    bytes.set(old.subarray(0, this.#start), old.length - this.#start);
    this.#bytes = bytes;
    this.#start = 0;
  }
}
