import { constants, fstatSync, openSync } from 'node:fs';
import { Socket } from 'node:net';

const STDERR = 2;

/** Keeps the handle that has made standard error non-blocking; closing it would close the descriptor. */
let held: Socket | null = null;

/**
 * Opens standard error for lines that must never wait for their reader: a pipe that nobody empties
 * would otherwise stop the whole process in its next write.
 *
 * A pipe or terminal is opened a second time, so that the flag is not shared with other processes.
 * What cannot be opened again (a socket, a pipe of another user) gets the flag itself. Files never
 * block and are left alone. Where the system has no /proc, standard error may block.
 *
 * @returns A descriptor for writing. Never throws.
 */
export function openStandardError(): number {
  try {
    const status = fstatSync(STDERR);
    if (!status.isFIFO() && !status.isSocket() && !status.isCharacterDevice()) {
      return STDERR;
    }
  } catch {
    // It is closed: every line will be counted as lost.
    return STDERR;
  }
  try {
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
    return openSync(`/proc/self/fd/${String(STDERR)}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    return makeNonBlocking();
  }
}

function makeNonBlocking(): number {
  try {
    held ??= new Socket({ fd: STDERR, readable: false, writable: true });
    held.on('error', ignore).unref();
  } catch {
    // Neither pipe nor socket: it stays as it is.
  }
  return STDERR;
}

/** Nothing is written through the handle, so it has nothing to say. */
function ignore(): void {
  // See above.
}
