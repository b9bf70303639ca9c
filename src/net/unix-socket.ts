import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
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

/**
 * The name that a socket is bound under before it takes the place of another one: in the same
 * directory, and never longer than the final name, which may be as long as the system allows.
 */
export function nextSocketPath(path: string, pid: number): string {
  return join(dirname(path), `.s.${String(pid)}`);
}

/**
 * The file of a socket that listens, by which others find it. Another process may put a socket of
 * its own in the same place, and that one is to be left alone.
 */
export class SocketFile {
  readonly #path: string;
  /** The path that the socket is bound to; Node.js removes it when the socket is closed. */
  readonly #boundPath: string;
  readonly #stamp: string | null;

  private constructor(path: string, boundPath: string) {
    this.#path = path;
    this.#boundPath = boundPath;
    this.#stamp = stampOf(path);
  }

  /** The file of a socket that was bound to `path`. */
  static bound(path: string): SocketFile {
    return new SocketFile(path, path);
  }

  /**
   * Gives the socket bound to `from` the name `path`, in place of the socket that has it: at no
   * moment is there none. @throws the error of the system.
   */
  static replacing(path: string, from: string): SocketFile {
    renameSync(from, path);
    return new SocketFile(path, from);
  }

  /**
   * Puts the file back when it has gone, for a socket that took the place of another one: from a
   * second name, which the first call gives it. Never throws.
   */
  restore(): void {
    try {
      if (existsSync(this.#path)) {
        if (!existsSync(this.#boundPath) && !this.isReplaced) {
          linkSync(this.#path, this.#boundPath);
        }
      } else if (existsSync(this.#boundPath)) {
        linkSync(this.#boundPath, this.#path);
      }
    } catch {
      // The next call tries again.
    }
  }

  /** Whether the file of another socket has come into this place. */
  get isReplaced(): boolean {
    const stamp = stampOf(this.#path);
    return stamp !== null && stamp !== this.#stamp;
  }

  /** Removes the file, unless it is that of another socket. Never throws. */
  remove(): void {
    if (this.isReplaced) {
      return;
    }
    try {
      rmSync(this.#path, { force: true });
    } catch {
      // The next start finds that nobody listens on it.
    }
  }
}

/** What tells a file from any other one while a socket is bound to it; null where there is none. */
function stampOf(path: string): string | null {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${String(dev)}:${String(ino)}`;
  } catch {
    return null;
  }
}
