import { dropOldest } from '../base/drop-oldest.ts';

/** How strict to be about failed logins. */
export interface BackoffLimits {
  /** Failures per window that are free; 0 turns the whole thing off. */
  readonly failureLimit: number;
  readonly windowMs: number;
  /** Longest time for which an address is turned away at a time. */
  readonly maxBackoffMs: number;
}

/** What becomes of an attempt to log in. */
export type BackoffVerdict =
  | { readonly kind: 'go' }
  /** Is to be answered later; nobody is locked out by that. */
  | { readonly kind: 'slow'; readonly delayMs: number }
  | { readonly kind: 'refuse' };

/** Why an attempt was refused, for the log. */
export const BACKOFF_REASON = 'too many failed logins from this address';

/** First time for which an address is turned away; each further failure doubles it. */
export const FIRST_BACKOFF_MS = 1_000;
/** Longest time for which an attempt is held that may be one of the real user. */
export const MAX_SLOW_MS = 3_000;
/** Entries of each table; the one touched longest ago goes first. */
export const MAX_BACKOFF_ENTRIES = 10_000;

const GO: BackoffVerdict = { kind: 'go' };

/** Failures of one address, or of one user. */
interface Failures {
  /** Failures that still count: each window takes `failureLimit` of them away. */
  level: number;
  /** Back-offs in a row. */
  backoffCount: number;
  lastMs: number;
  /** No attempt counts before that. */
  untilMs: number;
}

/**
 * Decides, from the failed logins of the past, what becomes of the next ones. No sockets and no
 * clock of its own.
 *
 * An address with too many failures is refused for a time that doubles with each further failure.
 * A user with too many failures, from wherever they come, is only slowed down: otherwise anybody
 * could lock anybody out. A user who has logged in from an address before is never refused there
 * and, on account of failures elsewhere, not even slowed down.
 *
 * All tables are bounded; what falls out of them is as if it had never happened.
 */
export class LoginBackoff {
  readonly #limits: () => BackoffLimits;
  readonly #nowMs: () => number;
  readonly #addresses = new Map<string, Failures>();
  readonly #users = new Map<string, Failures>();
  /** Pairs of address and user that have logged in. */
  readonly #known = new Set<string>();

  /** @param limits - asked each time, so that they may change. */
  constructor(limits: () => BackoffLimits, nowMs: () => number) {
    this.#limits = limits;
    this.#nowMs = nowMs;
  }

  /** Entries of the largest table, count. */
  get entryCount(): number {
    return Math.max(this.#addresses.size, this.#users.size, this.#known.size);
  }

  /** Judges an attempt before it begins. */
  judge(user: string, origin: string): BackoffVerdict {
    if (this.#limits().failureLimit === 0) {
      return GO;
    }
    const isKnown = this.#known.has(pairOf(user, origin));
    const addressMs = this.#remainingMs(this.#addresses.get(origin));
    if (addressMs > 0) {
      return isKnown
        ? { kind: 'slow', delayMs: Math.min(addressMs, MAX_SLOW_MS) }
        : { kind: 'refuse' };
    }
    const userMs = isKnown ? 0 : this.#remainingMs(this.#users.get(user));
    return userMs > 0 ? { kind: 'slow', delayMs: Math.min(userMs, MAX_SLOW_MS) } : GO;
  }

  /** An attempt has failed in its proof. Attempts that were refused by {@link judge} do not count. */
  onFailure(user: string, origin: string): void {
    if (this.#limits().failureLimit > 0) {
      this.#count(this.#addresses, origin);
      this.#count(this.#users, user);
    }
  }

  /** An attempt has succeeded. What the address has done with other users stays in memory. */
  onSuccess(user: string, origin: string): void {
    if (this.#limits().failureLimit === 0) {
      return;
    }
    const pair = pairOf(user, origin);
    this.#known.delete(pair);
    this.#known.add(pair);
    dropOldest(this.#known, MAX_BACKOFF_ENTRIES);
  }

  /** Forgets all failures, for an operator who has put something right. */
  forgetFailures(): void {
    this.#addresses.clear();
    this.#users.clear();
  }

  #remainingMs(failures: Failures | undefined): number {
    return failures === undefined ? 0 : Math.max(0, failures.untilMs - this.#nowMs());
  }

  #count(table: Map<string, Failures>, key: string): void {
    const { failureLimit, windowMs, maxBackoffMs } = this.#limits();
    const nowMs = this.#nowMs();
    const failures = table.get(key) ?? { level: 0, backoffCount: 0, lastMs: nowMs, untilMs: nowMs };
    // The time of a back-off heals nothing, or the next one would not be longer.
    const quietMs = Math.max(0, nowMs - Math.max(failures.lastMs, failures.untilMs));
    const level = Math.max(0, failures.level - (quietMs * failureLimit) / windowMs);
    if (level === 0) {
      failures.backoffCount = 0;
    }
    failures.level = level + 1;
    failures.lastMs = nowMs;
    // Rounded up: a limit of 3 is passed by 3 failures, however quickly the first ones fade.
    if (Math.ceil(failures.level) >= failureLimit) {
      const backoffMs = FIRST_BACKOFF_MS * 2 ** Math.min(failures.backoffCount, 30);
      failures.untilMs = Math.max(failures.untilMs, nowMs + Math.min(backoffMs, maxBackoffMs));
      failures.level = failureLimit;
      failures.backoffCount++;
    }
    table.delete(key);
    table.set(key, failures);
    dropOldest(table, MAX_BACKOFF_ENTRIES);
  }
}

/** User names hold no zero byte: the startup packet ends them with one. */
function pairOf(user: string, origin: string): string {
  return `${origin}\0${user}`;
}
