import { single, type MetricFamily } from './metric-family.ts';

/**
 * The metrics of the process, under the names that pgbouncer_exporter gives them.
 *
 * @source pgbouncer_exporter 0.12, `--pgBouncer.pid-file`
 */
export const PROCESS_FAMILIES: readonly MetricFamily[] = [
  single(
    'counter',
    'pgbouncer_process_cpu_seconds_total',
    'User and system time of the process.',
    ({ process }) => process.cpuSeconds,
  ),
  single(
    'gauge',
    'pgbouncer_process_open_fds',
    'Open file descriptors.',
    ({ process }) => process.openFds,
  ),
  single(
    'gauge',
    'pgbouncer_process_max_fds',
    'Most file descriptors the process may open.',
    ({ process }) => process.maxFds,
  ),
  single(
    'gauge',
    'pgbouncer_process_virtual_memory_bytes',
    'Size of the address space.',
    ({ process }) => process.virtualMemoryBytes,
  ),
  single(
    'gauge',
    'pgbouncer_process_virtual_memory_max_bytes',
    'Largest size the address space may have.',
    ({ process }) => process.virtualMemoryMaxBytes,
  ),
  single(
    'gauge',
    'pgbouncer_process_resident_memory_bytes',
    'Memory of the process that is in RAM.',
    ({ process }) => process.residentMemoryBytes,
  ),
  single(
    'gauge',
    'pgbouncer_process_start_time_seconds',
    'Start of the process in seconds since 1970 UTC.',
    ({ process }) => process.startTimeSeconds,
  ),
];

/** How busy the one thread is that moves all bytes: metrics that PgBouncer has no words for. */
export const EVENT_LOOP_FAMILIES: readonly MetricFamily[] = [
  single(
    'counter',
    'maitred_event_loop_active_seconds_total',
    'Time the event loop worked; its rate is the utilisation, 1 is saturated.',
    ({ eventLoop }) => eventLoop.activeSeconds,
  ),
  single(
    'counter',
    'maitred_event_loop_idle_seconds_total',
    'Time the event loop waited for something to do.',
    ({ eventLoop }) => eventLoop.idleSeconds,
  ),
  single(
    'gauge',
    'maitred_event_loop_lag_mean_seconds',
    'Mean lateness of timers since the scrape before.',
    ({ eventLoop }) => eventLoop.lag?.meanSeconds ?? null,
  ),
  single(
    'gauge',
    'maitred_event_loop_lag_p99_seconds',
    'Lateness that 99 of 100 timers stayed below since the scrape before.',
    ({ eventLoop }) => eventLoop.lag?.p99Seconds ?? null,
  ),
  single(
    'gauge',
    'maitred_event_loop_lag_max_seconds',
    'Largest lateness of a timer since the scrape before.',
    ({ eventLoop }) => eventLoop.lag?.maxSeconds ?? null,
  ),
];
