import { dropOldest } from '../base/drop-oldest.ts';

/** Limits of a {@link QuestionPace}. */
export interface QuestionPaceOptions {
  /** Turns that one key has at once, at least 1. */
  readonly burst: number;
  /** How long until a used turn is there again, in ms. */
  readonly intervalMs: number;
  /** Keys that are remembered; the one that took its last turn longest ago goes first. */
  readonly maxKeys: number;
  /** Monotonic time in ms. */
  readonly nowMs: () => number;
}

/**
 * Grants turns: to each key some at once, and then one in each interval. A key that is forgotten, as
 * one that is new, has all of them.
 */
export class QuestionPace {
  readonly #options: QuestionPaceOptions;
  /** When all turns of a key will be there again, in clock ms. */
  readonly #fullAtMs = new Map<string, number>();

  constructor(options: QuestionPaceOptions) {
    this.#options = options;
  }

  /** Takes a turn, if there is one. */
  take(key: string): boolean {
    const { burst, intervalMs, maxKeys } = this.#options;
    const nowMs = this.#options.nowMs();
    const fullAtMs = Math.max(this.#fullAtMs.get(key) ?? nowMs, nowMs);
    if (fullAtMs - nowMs > (burst - 1) * intervalMs) {
      return false;
    }
    this.#fullAtMs.delete(key);
    this.#fullAtMs.set(key, fullAtMs + intervalMs);
    dropOldest(this.#fullAtMs, maxKeys);
    return true;
  }

  /** Gives every key all its turns back. */
  clear(): void {
    this.#fullAtMs.clear();
  }
}
