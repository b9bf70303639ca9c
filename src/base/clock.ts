import { performance } from 'node:perf_hooks';

/**
 * Source of time for everything below `app/`: policy and connections never read the clock
 * themselves, so tests can advance it by hand.
 */
export interface Clock {
  /** Monotonic milliseconds since an arbitrary origin, with a fraction. Never goes back. */
  readonly nowMs: () => number;
  /** Wall clock, milliseconds since the Unix epoch. For display only, never for timeouts. */
  readonly wallMs: () => number;
}

// Bound once: the global `performance` is a getter, which a call for each message would pay for.
const now = performance.now.bind(performance);

/** The real clock: `performance.now()` for intervals, `Date.now()` for display. Never throws. */
export const systemClock: Clock = {
  nowMs: now,
  wallMs: () => Date.now(),
};

/**
 * Runs `action` once, after `ms` milliseconds: for pauses too short for the tick. Timeouts of
 * connections and queries are decided in the tick.
 */
export function runAfter(ms: number, action: () => void): void {
  setTimeout(action, ms);
}
