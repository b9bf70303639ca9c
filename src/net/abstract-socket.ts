import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import type { NativeCalls } from './native-calls.ts';
import { systemNative } from './native.ts';

/** Numbers of Linux. @source socket(2) */
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;

const FAMILY_BYTES = 2;

/**
 * Lays out the address of a unix socket: the family, then the path; a name of the abstract
 * namespace begins with NUL and ends with the address.
 */
export function unixAddress(path: string): Buffer {
  const address = Buffer.alloc(FAMILY_BYTES + Buffer.byteLength(path));
  address.writeUInt16LE(AF_UNIX);
  address.write(path, FAMILY_BYTES);
  return address;
}

let isExactHere: boolean | null = null;

/**
 * Finds out whether this Node.js writes abstract names as they are. Older ones fill the address up
 * with NULs, which belong to the name then: nothing else finds such a socket.
 */
function areNamesExact(): boolean {
  if (isExactHere === null) {
    const name = `maitred-probe-${randomBytes(8).toString('hex')}`;
    const probe = net.createServer();
    probe.on('error', ignore);
    // A path is bound before listen() returns.
    probe.listen({ path: `\0${name}` });
    isExactHere = readUnixTable()
      .split('\n')
      .some((line) => line.endsWith(` @${name}`));
    probe.close();
  }
  return isExactHere;
}

function readUnixTable(): string {
  try {
    return readFileSync('/proc/net/unix', 'utf8');
  } catch {
    // No such names outside of Linux.
    return '';
  }
}

function ignore(): void {
  // What could not be bound is not in the table.
}

/** What the functions below go by; the defaults are what this process has. */
export interface AbstractMeans {
  /** Whether Node.js itself serves. */
  readonly areNamesExact: () => boolean;
  /** System calls; null where there are none. */
  readonly calls: () => NativeCalls | null;
}

const THIS_PROCESS: AbstractMeans = { areNamesExact, calls: () => systemNative().calls };

/**
 * Tells `net.Server.listen` how to listen on an abstract name.
 *
 * @param path - with NUL in front.
 * @throws the error of the system, or one that says what is missing.
 */
export function abstractToListenOn(
  path: string,
  means: AbstractMeans = THIS_PROCESS,
): { readonly path: string } | { readonly fd: number } {
  if (means.areNamesExact()) {
    return { path };
  }
  return {
    fd: withNewSocket(path, means, (calls, fd, address) => {
      calls.bind(fd, address);
    }),
  };
}

/** As `net.connect`, and for abstract names too. Never throws: the socket has the error. */
export function openSocket(
  target: net.NetConnectOpts,
  means: AbstractMeans = THIS_PROCESS,
): net.Socket {
  if (!('path' in target) || !target.path.startsWith('\0') || means.areNamesExact()) {
    return net.connect(target);
  }
  const { path, allowHalfOpen = false } = target;
  try {
    const fd = withNewSocket(path, means, (calls, descriptor, address) => {
      calls.connect(descriptor, address);
    });
    return announceConnected(new net.Socket({ fd, allowHalfOpen, manualStart: true } as object));
  } catch (error) {
    const socket = new net.Socket();
    process.nextTick(() => {
      socket.destroy(error as Error);
    });
    return socket;
  }
}

/** A socket that has been connected before Node.js knew of it. */
function announceConnected(socket: net.Socket): net.Socket {
  process.nextTick(() => {
    if (!socket.destroyed) {
      socket.emit('connect');
      // Reading starts here, unless whoever has been told reads in another way.
      if (!socket.isPaused()) {
        socket.read(0);
      }
    }
  });
  return socket;
}

/** @returns a new descriptor that `action` has done its work on. */
function withNewSocket(
  path: string,
  means: AbstractMeans,
  action: (calls: NativeCalls, fd: number, address: Buffer) => void,
): number {
  const calls = means.calls();
  if (calls === null) {
    throw new Error(
      'abstract Unix sockets need a newer Node.js, or the optional package koffi on Linux',
    );
  }
  const fd = calls.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
  try {
    action(calls, fd, unixAddress(path));
  } catch (error) {
    calls.close(fd);
    throw error;
  }
  return fd;
}
