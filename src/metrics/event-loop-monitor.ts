import { monitorEventLoopDelay, performance } from 'node:perf_hooks';

/**
 * Time between two measurements of the lag in ms. A stall shorter than this may be missed; each
 * measurement wakes the process.
 */
const RESOLUTION_MS = 50;

const MS_PER_SECOND = 1e3;
const NS_PER_SECOND = 1e9;

/** How busy the event loop is. */
export interface EventLoopUsage {
  /** Time spent working since the start, in seconds. */
  readonly activeSeconds: number;
  /** Time spent waiting for something to do since the start, in seconds. */
  readonly idleSeconds: number;
  /** How late timers fired since the reading before, in seconds; `null` without a measurement. */
  readonly lag: {
    readonly meanSeconds: number;
    readonly p99Seconds: number;
    readonly maxSeconds: number;
  } | null;
}

/** Measures the event loop of this process from its creation on. */
export class EventLoopMonitor {
  readonly #histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  constructor() {
    this.#histogram.enable();
  }

  /** Reads the numbers and begins the next period of the lag. Never throws. */
  read(): EventLoopUsage {
    const { active, idle } = performance.eventLoopUtilization();
    const histogram = this.#histogram;
    const lag =
      histogram.count === 0
        ? null
        : {
            meanSeconds: lateness(histogram.mean),
            p99Seconds: lateness(histogram.percentile(99)),
            maxSeconds: lateness(histogram.max),
          };
    histogram.reset();
    return { activeSeconds: active / MS_PER_SECOND, idleSeconds: idle / MS_PER_SECOND, lag };
  }

  /** Stops measuring. */
  close(): void {
    this.#histogram.disable();
  }
}

/** The histogram has the time between two measurements: what is beyond the plan is lag. */
function lateness(intervalNs: number): number {
  return Math.max(0, intervalNs / NS_PER_SECOND - RESOLUTION_MS / MS_PER_SECOND);
}
