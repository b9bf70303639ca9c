import { readFileSync, readlinkSync } from 'node:fs';

/** The first descriptor that a service manager passes on. */
const FIRST_FD = 3;

/** More than any service has; a larger number is a mistake. */
const FD_COUNT_MAX = 1024;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Lists the listening sockets that a service manager passed to this process.
 *
 * @param pid - Our process id: variables that were meant for another process are ignored.
 * @throws Error when LISTEN_FDS is no number.
 * @source sd_listen_fds(3)
 */
export function inheritedSockets(env: Environment, pid: number): number[] {
  const { LISTEN_PID: target, LISTEN_FDS: text } = env;
  if (text === undefined || target !== String(pid)) {
    return [];
  }
  const count = /^\d+$/.test(text) ? Number(text) : Infinity;
  if (count > FD_COUNT_MAX) {
    throw new Error(`LISTEN_FDS is not a number of sockets: ${text}`);
  }
  return Array.from({ length: count }, (_none, index) => FIRST_FD + index);
}

/**
 * Finds the path of a Unix socket that was passed on, for the log and for SHOW.
 *
 * @returns the path, in the abstract namespace with a NUL in front, or `''` when it cannot be told.
 * @source proc(5): /proc/net/unix
 */
export function inheritedSocketPath(fd: number): string {
  try {
    const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${String(fd)}`))?.[1];
    return inode === undefined ? '' : pathOfInode(readFileSync('/proc/net/unix', 'utf8'), inode);
  } catch {
    // Only Linux has these files.
    return '';
  }
}

/** Finds a socket in the text of /proc/net/unix, whose columns end with inode and path. */
export function pathOfInode(table: string, inode: string): string {
  for (const line of table.split('\n')) {
    const match = /^\S+: (?:\S+\s+){5}(\d+) (.+)$/.exec(line);
    if (match?.[1] === inode) {
      return (match[2] ?? '').replace(/^@/, '\0');
    }
  }
  return '';
}
