/**
 * Loaded into a maitred that is measured, by `--import`: tells its parent over IPC how long its
 * event loop was blocked at most.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';

const NS_PER_MS = 1e6;
const histogram = monitorEventLoopDelay({ resolution: 1 });
histogram.enable();

process.on('message', (message) => {
  if (message === 'reset') {
    histogram.reset();
  }
  process.send?.({ maxMs: Math.max(histogram.max / NS_PER_MS, 0) });
});
// Whether the parent listens must not keep the process alive.
process.channel?.unref();
