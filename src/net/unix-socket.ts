import { chmodSync, chownSync, existsSync, unlinkSync } from 'node:fs';
import { openSocket } from './abstract-socket.ts';

/** Who may connect through the file of a Unix socket. */
export interface UnixAccess {
  /** Mode of the file. */
  readonly mode: number;
  /** Group of the file, or `null` for that of the process. */
  readonly gid: number | null;
}

/** Whether a path is a name of the abstract namespace, which has no file. */
export function isAbstract(path: string): boolean {
  return path.startsWith('\0');
}

/** Tells whether somebody accepts connections on the Unix socket `path`. Never throws. */
export function isUnixSocketAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = openSocket({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => {
      resolve(false);
    });
  });
}

/**
 * Removes the file of a socket that nobody listens on any more.
 *
 * @throws Error when the socket is in use or reserved, or the file cannot be removed.
 */
export async function removeDeadSocket(path: string, port: number): Promise<void> {
  if (isAbstract(path)) {
    return;
  }
  if (existsSync(`${path}.lock`)) {
    // A PostgreSQL server writes it, and holds the name even while it does not listen yet.
    throw new Error(`unix port ${String(port)} is in use`);
  }
  if (await isUnixSocketAlive(path)) {
    throw new Error('unix socket is in use, cannot continue');
  }
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw error;
    }
  }
}

/**
 * Runs `bind` so that the file it makes lets nobody in: the mode is set only when the group is, and
 * in between no one may slip through.
 */
export function withClosedMode(path: string, bind: () => void): void {
  if (isAbstract(path)) {
    bind();
    return;
  }
  const before = process.umask(0o777);
  try {
    bind();
  } finally {
    process.umask(before);
  }
}

/** Opens the file of a socket to those who may connect. @throws the error of the system. */
export function grantAccess(path: string, { mode, gid }: UnixAccess): void {
  if (isAbstract(path)) {
    return;
  }
  if (gid !== null) {
    // The owner stays.
    chownSync(path, -1, gid);
  }
  chmodSync(path, mode);
}
