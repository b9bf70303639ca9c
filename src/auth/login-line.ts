/** What a {@link LoginLine} needs from outside. */
export interface LoginLineOptions<K> {
  /** Most logins in flight, asked each time; 0 is no limit. */
  readonly limit: () => number;
  readonly nowMs: () => number;
  /** It is the turn of a login that had to wait. May call {@link LoginLine.leave}. */
  readonly onTurn: (login: K) => void;
}

/**
 * How long a login counts as being in flight. One that takes longer waits for its client, or for a
 * client that stalls on purpose: it may go on, but it keeps nobody waiting any more.
 */
export const LOGIN_LEASE_MS = 1_000;

/**
 * Lets a bounded number of logins go on at a time; the others wait, first come, first served. Also
 * holds those that are to be answered later. No sockets and no clock of its own.
 */
export class LoginLine<K> {
  readonly #options: LoginLineOptions<K>;
  /** Those in flight and since when, oldest first. */
  readonly #inFlight = new Map<K, number>();
  readonly #waiting = new Set<K>();
  /** Those to be answered later, with the time from which on they wait for their turn. */
  readonly #slowed = new Map<K, number>();
  #isPumping = false;

  constructor(options: LoginLineOptions<K>) {
    this.#options = options;
  }

  /** Logins in flight that keep others waiting, count. */
  get inFlightCount(): number {
    return this.#inFlight.size;
  }

  /** Logins that wait or are slowed down, count. */
  get waitingCount(): number {
    return this.#waiting.size + this.#slowed.size;
  }

  /**
   * A login wants to go on.
   *
   * @param delayMs - how long it must wait in any case.
   * @returns whether it may go on at once; otherwise `onTurn` follows, not before this returns.
   */
  join(login: K, delayMs = 0): boolean {
    const nowMs = this.#options.nowMs();
    if (delayMs > 0) {
      this.#slowed.set(login, nowMs + delayMs);
      return false;
    }
    this.#dropStalled(nowMs);
    if (this.#isFull() || this.#waiting.size > 0) {
      this.#waiting.add(login);
      return false;
    }
    this.#inFlight.set(login, nowMs);
    return true;
  }

  /** A login is over, one way or the other. Does nothing for one that is not here. */
  leave(login: K): void {
    this.#slowed.delete(login);
    this.#waiting.delete(login);
    if (this.#inFlight.delete(login)) {
      this.#pump();
    }
  }

  /** Time has passed. */
  onTick(): void {
    const nowMs = this.#options.nowMs();
    this.#dropStalled(nowMs);
    for (const [login, dueMs] of this.#slowed) {
      if (dueMs <= nowMs) {
        this.#slowed.delete(login);
        this.#waiting.add(login);
      }
    }
    this.#pump();
  }

  #isFull(): boolean {
    const limit = this.#options.limit();
    return limit > 0 && this.#inFlight.size >= limit;
  }

  #dropStalled(nowMs: number): void {
    for (const [login, sinceMs] of this.#inFlight) {
      if (nowMs - sinceMs < LOGIN_LEASE_MS) {
        return;
      }
      this.#inFlight.delete(login);
    }
  }

  /** One at a time, without recursion: a login may be over within its turn. */
  #pump(): void {
    if (this.#isPumping) {
      return;
    }
    this.#isPumping = true;
    try {
      for (const login of this.#waiting) {
        if (this.#isFull()) {
          return;
        }
        this.#waiting.delete(login);
        this.#inFlight.set(login, this.#options.nowMs());
        this.#options.onTurn(login);
      }
    } finally {
      this.#isPumping = false;
    }
  }
}
