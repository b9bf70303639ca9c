import { assert } from './assert.ts';

/** Counts things by key. A key whose count is back at 0 takes no place. */
export class Tally<K> {
  readonly #counts = new Map<K, number>();

  /** The count of a key; 0 for one that is not there. */
  of(key: K): number {
    return this.#counts.get(key) ?? 0;
  }

  /** Counts one more. */
  add(key: K): void {
    this.#counts.set(key, this.of(key) + 1);
  }

  /** Counts one less. It must have been counted. */
  remove(key: K): void {
    const left = this.of(key) - 1;
    assert(left >= 0, 'only what was counted is taken back');
    if (left === 0) {
      this.#counts.delete(key);
    } else {
      this.#counts.set(key, left);
    }
  }

  /** The key with the highest count, the first of equals; null when there is none. */
  most(): K | null {
    let most: K | null = null;
    let highest = 0;
    for (const [key, count] of this.#counts) {
      if (count > highest) {
        most = key;
        highest = count;
      }
    }
    return most;
  }
}
