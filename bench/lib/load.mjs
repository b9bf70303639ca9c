import { fileURLToPath } from 'node:url';
import { startChild, stopChild } from './lifetime.mjs';

const WORKER = fileURLToPath(new URL('load-worker.mjs', import.meta.url));

/**
 * @typedef {object} PaceNumbers - of loads at a fixed rate
 * @property {number} count - of what was done
 * @property {number} p50Ms
 * @property {number} p99Ms
 *
 * @typedef {{ seconds: number, bytes: number } & Partial<PaceNumbers> | undefined} LoadResult - not set
 * for loads that just stay
 *
 * @typedef {object} Load
 * @property {() => Promise<LoadResult>} run - does the work; its clients stay connected
 * @property {() => Promise<void>} stop - ends the clients
 */

/**
 * Starts a load in a process of its own and waits until it is ready to run.
 *
 * @param {import('./load-worker.mjs').Job} job
 * @returns {Promise<Load>}
 */
export async function startLoad(job) {
  const child = startChild(process.execPath, [WORKER, JSON.stringify(job)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const stop = () => stopChild(child);
  try {
    await nextReport(child, 'ready');
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    run: () => {
      const done = nextReport(child, 'done');
      child.send('go');
      return done;
    },
    stop,
  };
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @param {'ready' | 'done'} expected
 * @returns {Promise<LoadResult>}
 */
function nextReport(child, expected) {
  return new Promise((resolve, reject) => {
    const onExit = () => {
      reject(new Error(`the load ended before it was ${expected}`));
    };
    child.once('exit', onExit);
    child.once('error', reject);
    child.once('message', (/** @type {any} */ report) => {
      child.off('exit', onExit);
      child.off('error', reject);
      if (report.state === expected) {
        resolve(report.result);
      } else {
        reject(new Error(`load: ${String(report.message ?? report.state)}`));
      }
    });
  });
}
