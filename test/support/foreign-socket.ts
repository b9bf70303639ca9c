import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { bindCalls, type NativeCalls } from '../../src/net/native-calls.ts';
import { loadKoffi } from '../../src/net/native.ts';

/** Numbers of Linux, the same on all architectures. @source pidfd_open(2), pidfd_getfd(2) */
const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;

const INT_BYTES = 4;

/** Socket options that tests look at, as level and number. Linux. */
export const SocketOption = {
  SO_SNDBUF: [1, 7],
  SO_RCVBUF: [1, 8],
  SO_KEEPALIVE: [1, 9],
  TCP_KEEPIDLE: [6, 4],
  TCP_KEEPINTVL: [6, 5],
  TCP_KEEPCNT: [6, 6],
  TCP_DEFER_ACCEPT: [6, 9],
  TCP_USER_TIMEOUT: [6, 18],
} as const;

/** Which TCP socket of a process is meant, by its ports. */
export interface SocketPorts {
  readonly local: number;
  /** 0 for one that listens. */
  readonly remote: number;
}

/**
 * Reads options of a socket that another process has open, which must be a child of this one or run
 * as the same user. Linux.
 *
 * @throws Error when it has no such socket.
 */
export function readForeignOptions<Name extends keyof typeof SocketOption>(
  pid: number,
  ports: SocketPorts,
  names: readonly Name[],
): Record<Name, number> {
  const koffi = loadKoffi();
  const calls = bindCalls(koffi);
  const syscall = koffi.load(null).func('long syscall(long, long, long, long)');
  const open = (number: number, first: number, second: number): number => {
    const fd = Number(syscall(number, first, second, 0));
    if (fd < 0) {
      throw new Error(`system call ${String(number)} failed: ${String(koffi.errno())}`);
    }
    return fd;
  };
  const process = open(SYS_PIDFD_OPEN, pid, 0);
  try {
    const socket = open(SYS_PIDFD_GETFD, process, descriptorOf(pid, ports));
    try {
      return readAll(calls, socket, names);
    } finally {
      calls.close(socket);
    }
  } finally {
    calls.close(process);
  }
}

function readAll<Name extends keyof typeof SocketOption>(
  calls: NativeCalls,
  socket: number,
  names: readonly Name[],
): Record<Name, number> {
  const read = (name: Name): number => {
    const [level, option] = SocketOption[name];
    return calls.getOption(socket, level, option, INT_BYTES).readInt32LE();
  };
  return Object.fromEntries(names.map((name) => [name, read(name)])) as Record<Name, number>;
}

/** The descriptor by which a process has a TCP socket. */
function descriptorOf(pid: number, ports: SocketPorts): number {
  const link = `socket:[${inodeOf(pid, ports)}]`;
  const directory = `/proc/${String(pid)}/fd`;
  const found = readdirSync(directory).find((name) => linkOf(`${directory}/${name}`) === link);
  if (found === undefined) {
    throw new Error(`process ${String(pid)} has no ${link}`);
  }
  return Number(found);
}

function linkOf(file: string): string {
  try {
    return readlinkSync(file);
  } catch {
    // Closed meanwhile.
    return '';
  }
}

/** @source proc(5): /proc/net/tcp, whose addresses are hexadecimal and whose 10th column is it. */
function inodeOf(pid: number, { local, remote }: SocketPorts): string {
  const table = readFileSync(`/proc/${String(pid)}/net/tcp`, 'utf8');
  const columns = table.split('\n').map((line) => line.trim().split(/\s+/));
  const portOf = (address = ''): number => parseInt(address.split(':')[1] ?? '', 16);
  const row = columns.find(([, own, other]) => portOf(own) === local && portOf(other) === remote);
  const inode = row?.[9];
  if (inode === undefined) {
    throw new Error(`there is no socket between ports ${String(local)} and ${String(remote)}`);
  }
  return inode;
}
