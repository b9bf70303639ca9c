import type { PoolerError } from '../protocol/pooler-errors.ts';

/** Longest pause between attempts while PostgreSQL is starting up or full, in ms. */
const BUSY_SERVER_RETRY_MS = 1000;
/** SQLSTATEs of a login failure that will pass by itself: waiting clients are kept. */
const PASSING_LOGIN_FAILURES: ReadonlySet<string> = new Set(['57P03', '53300']);

/** Remembers how the last attempts to open a server connection went, and so when to try again. */
export class LaunchGate {
  #lastLaunchMs = Number.NEGATIVE_INFINITY;
  #retryAfterMs = 0;
  #hasLastFailed = false;
  #lastError: PoolerError | null = null;

  /** Why the last login failed; null once one has succeeded, or before the first. */
  get lastError(): PoolerError | null {
    return this.#lastError;
  }

  /** Whether the last failure is one that waiting would not mend. */
  get isFailing(): boolean {
    return this.#lastError !== null && !PASSING_LOGIN_FAILURES.has(this.#lastError.sqlstate);
  }

  /** Whether `server_login_retry`, or the shorter pause for a busy server, has passed. */
  mayTry(nowMs: number): boolean {
    return !this.#hasLastFailed || nowMs - this.#lastLaunchMs >= this.#retryAfterMs;
  }

  /** An attempt begins. */
  onLaunch(nowMs: number): void {
    this.#lastLaunchMs = nowMs;
  }

  /** An attempt has succeeded. */
  onSuccess(): void {
    this.#hasLastFailed = false;
    this.#lastError = null;
  }

  /**
   * An attempt has failed.
   *
   * @param serverLoginRetryMs - the setting, in ms.
   * @returns whether it will pass by itself.
   */
  onFailure(error: PoolerError, serverLoginRetryMs: number): boolean {
    this.#hasLastFailed = true;
    this.#lastError = error;
    const isPassing = PASSING_LOGIN_FAILURES.has(error.sqlstate);
    this.#retryAfterMs = isPassing
      ? Math.min(serverLoginRetryMs, BUSY_SERVER_RETRY_MS)
      : serverLoginRetryMs;
    return isPassing;
  }
}
