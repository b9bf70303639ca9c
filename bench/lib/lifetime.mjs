import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { guardChild } from '../../test/support/child-guard.mjs';

/** How long a process may take to end after SIGTERM before it gets SIGKILL, ms. */
const STOP_GRACE_MS = 3000;

/** @typedef {import('node:child_process').ChildProcess} ChildProcess */

/** @type {Set<ChildProcess>} */
const children = new Set();
/** @type {string | null} */
let runDirectory = null;
/** @type {Promise<void> | null} */
let stopping = null;
/** @type {Set<() => Promise<void>>} */
const closers = new Set();

/**
 * Starts a process that is ended with the benchmark, whatever way the benchmark ends.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {import('node:child_process').SpawnOptions} options
 * @returns {ChildProcess}
 * @throws {Error} when the benchmark is ending
 */
export function startChild(command, args, options) {
  throwIfStopping();
  const child = spawn(command, args, options);
  if (child.pid === undefined) {
    // The spawn failed: the caller hears of it by the 'error' event.
    return child;
  }
  children.add(child);
  const dismissGuard = guardChild(child.pid, 'TERM', openRunDirectory());
  child.once('exit', () => {
    children.delete(child);
    dismissGuard();
  });
  return child;
}

/**
 * Ends a process by its pid: SIGTERM, then SIGKILL after a grace period.
 *
 * @param {ChildProcess} child
 * @returns {Promise<void>} resolved when the process has exited
 */
export async function stopChild(child) {
  if (!children.has(child)) {
    return;
  }
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS);
  await exited;
  clearTimeout(timer);
}

/**
 * Makes a temporary directory that is removed with the benchmark.
 *
 * @param {string} purpose - part of the directory's name
 * @param {number} [mode] - access mode; the default lets only the owner in
 * @returns {string} its path
 */
export function makeTempDirectory(purpose, mode = 0o700) {
  const directory = mkdtempSync(path.join(openRunDirectory(), `${purpose}-`));
  chmodSync(directory, mode);
  return directory;
}

/**
 * Removes a directory made by `makeTempDirectory` before the benchmark ends.
 *
 * @param {string} directory
 * @returns {void}
 */
export function removeTempDirectory(directory) {
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
}

/**
 * Does nothing, unless a signal has told the benchmark to end.
 *
 * @returns {void}
 * @throws {Error} when the benchmark is ending: whatever fails now fails because of that
 */
export function throwIfStopping() {
  if (stopping !== null) {
    throw new Error('the benchmark is ending');
  }
}

/**
 * Registers what must be closed with the benchmark but is not a process started by `startChild`.
 *
 * @param {() => Promise<void>} close
 * @returns {void}
 */
export function onShutdown(close) {
  closers.add(close);
}

/** Ends every process still running and removes all temporary files. Never rejects. */
async function shutdown() {
  // Poolers first: a server that stops before its clients would make them log errors.
  await Promise.allSettled([...children].map(stopChild));
  await Promise.allSettled([...closers].map((close) => close()));
  closers.clear();
  removeRunDirectory();
}

/**
 * Runs the benchmark so that Ctrl-C, SIGTERM and errors end every process it started.
 *
 * @param {() => Promise<void>} main
 * @returns {Promise<void>} never resolves: ends the process
 */
export async function runGuarded(main) {
  process.once('exit', removeRunDirectory);
  for (const [signal, code] of /** @type {const} */ ([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ])) {
    process.on(signal, () => {
      if (stopping === null) {
        process.stderr.write(`\n${signal}: stopping\n`);
        process.exitCode = code;
        stopping = shutdown().then(() => process.exit());
      }
    });
  }
  try {
    await main();
  } catch (error) {
    if (stopping === null) {
      process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
      process.exitCode = 1;
    }
  }
  await (stopping ?? shutdown());
  process.exit();
}

/**
 * Waits until `probe` returns something other than null, asking again every `intervalMs`.
 *
 * @template T
 * @param {string} what - named in the error
 * @param {() => Promise<T | null>} probe
 * @param {{ timeoutMs: number, intervalMs: number }} limits
 * @returns {Promise<T>}
 * @throws {Error} when the time is up
 */
export async function waitFor(what, probe, { timeoutMs, intervalMs }) {
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    const answer = await probe();
    if (answer !== null) {
      return answer;
    }
    if (performance.now() >= endMs) {
      throw new Error(`${what}: not within ${String(timeoutMs)} ms`);
    }
    await delay(intervalMs);
  }
}

/**
 * Opens the one directory that holds all temporary files of this run.
 *
 * @returns {string} its path; other users may pass through it
 */
function openRunDirectory() {
  if (runDirectory === null) {
    runDirectory = mkdtempSync(path.join(tmpdir(), 'maitred-bench-'));
    chmodSync(runDirectory, 0o755);
  }
  return runDirectory;
}

function removeRunDirectory() {
  if (runDirectory !== null) {
    removeTempDirectory(runDirectory);
  }
}
