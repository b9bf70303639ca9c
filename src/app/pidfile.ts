import { readFileSync, unlinkSync, writeFileSync } from 'node:fs';

/**
 * Writes our process id to `file`, which must not name a process that runs.
 *
 * @throws Error when another process runs, or when the file cannot be written.
 */
export function writePidfile(file: string, pid: number): void {
  let text: string | null = null;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw new Error(`could not open pidfile '${file}'`, { cause: error });
    }
  }
  if (text !== null && !isStale(text)) {
    throw new Error(`pidfile '${file}' exists, another instance running?`);
  }
  if (text !== null) {
    unlinkSync(file);
  }
  try {
    writeFileSync(file, `${String(pid)}\n`, { flag: 'wx', mode: 0o644 });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`could not open pidfile '${file}': ${why}`, { cause: error });
  }
}

function isStale(text: string): boolean {
  if (!/^\d+\n?$/.test(text)) {
    // Not ours to judge.
    return false;
  }
  try {
    process.kill(Number(text), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

/** Removes the file at exit; it may be gone already. */
export function removePidfile(file: string): void {
  try {
    unlinkSync(file);
  } catch {
    // Gone is what it shall be.
  }
}
