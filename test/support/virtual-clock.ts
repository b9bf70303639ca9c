import type { Clock } from '../../src/base/clock.ts';

/** A clock that stands still until a test advances it. */
export class VirtualClock implements Clock {
  #nowMs: number;
  #wallMs: number;

  /**
   * @param nowMs - Start of the monotonic clock. Not 0 by default, so that code which takes 0 for
   *   "never" is found out.
   * @param wallMs - Start of the wall clock, milliseconds since the Unix epoch.
   */
  constructor(nowMs = 1_000_000, wallMs = Date.UTC(2024, 0, 1)) {
    this.#nowMs = nowMs;
    this.#wallMs = wallMs;
  }

  /** {@inheritDoc Clock.nowMs} */
  nowMs(): number {
    return this.#nowMs;
  }

  /** {@inheritDoc Clock.wallMs} */
  wallMs(): number {
    return this.#wallMs;
  }

  /**
   * Moves both clocks on.
   *
   * @param ms - Milliseconds, at least 0: the monotonic clock never goes back.
   */
  advance(ms: number): void {
    if (!(ms >= 0)) {
      throw new RangeError(`a clock cannot advance by ${String(ms)} ms`);
    }
    this.#nowMs += ms;
    this.#wallMs += ms;
  }

  /** Sets the wall clock alone, forward or back, as an operator or NTP would. */
  setWall(wallMs: number): void {
    this.#wallMs = wallMs;
  }
}
