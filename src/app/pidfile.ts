import {
  accessSync,
  constants,
  existsSync,
  readFileSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { systemErrorText } from '../base/system-error-text.ts';

/**
 * Makes sure that `file` names no process that runs, and removes it when it names one that is gone.
 *
 * @returns `true` when a stale file was removed.
 * @throws Error when another process runs, or when the file says nothing of the kind.
 */
export function checkPidfile(file: string): boolean {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      return false;
    }
    throw openFailure(file, error);
  }
  if (!isStale(text)) {
    throw new Error(`pidfile '${file}' exists, another instance running?`);
  }
  try {
    unlinkSync(file);
  } catch (error) {
    throw openFailure(file, error);
  }
  return true;
}

/**
 * Writes our process id to `file`, which must not exist.
 *
 * @throws Error when it exists, or cannot be written.
 */
export function writePidfile(file: string, pid: number): void {
  write(file, pid, 'wx');
}

/**
 * Makes sure that {@link replacePidfile} will be able to write `file`; changes nothing.
 *
 * @throws Error when it cannot be written.
 */
export function checkPidfileWritable(file: string): void {
  try {
    accessSync(existsSync(file) ? file : path.dirname(file), constants.W_OK);
  } catch (error) {
    throw openFailure(file, error);
  }
}

/**
 * Writes our process id to `file` in place of that of the process before us.
 *
 * @throws Error when it cannot be written.
 */
export function replacePidfile(file: string, pid: number): void {
  write(file, pid, 'w');
}

function write(file: string, pid: number, flag: 'w' | 'wx'): void {
  try {
    writeFileSync(file, `${String(pid)}\n`, { flag, mode: 0o644 });
  } catch (error) {
    throw openFailure(file, error);
  }
}

/** Writes our process id to `file` when that has gone. Never throws. */
export function restorePidfile(file: string, pid: number): void {
  try {
    if (!existsSync(file)) {
      writePidfile(file, pid);
    }
  } catch {
    // It is tried again.
  }
}

/** Removes the file at exit, unless it has gone or names another process. Never throws. */
export function removePidfile(file: string, pid: number): void {
  try {
    if (readFileSync(file, 'utf8') === `${String(pid)}\n`) {
      unlinkSync(file);
    }
  } catch {
    // Gone is what it shall be; what cannot be removed is found stale at the next start.
  }
}

function openFailure(file: string, error: unknown): Error {
  return new Error(`could not open pidfile '${file}': ${systemErrorText(error)}`, { cause: error });
}

function isStale(text: string): boolean {
  if (!/^\d+\n?$/.test(text)) {
    // Not ours to judge.
    return false;
  }
  const pid = Number(text);
  if (pid === process.pid) {
    // We have not written it yet: in a container, the process before us had the same number.
    return true;
  }
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
