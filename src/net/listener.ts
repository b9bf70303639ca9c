import net from 'node:net';
import { abstractToListenOn } from './abstract-socket.ts';
import type { NativeCalls } from './native-calls.ts';
import { descriptorOf } from './raw-handle.ts';
import { acceptRaw, type AcceptedSocket } from './raw-socket.ts';
import { setDeferAccept } from './socket-options.ts';
import {
  grantAccess,
  isAbstract,
  nextSocketPath,
  removeDeadSocket,
  SocketFile,
  withClosedMode,
  type UnixAccess,
} from './unix-socket.ts';

/** Where to listen. */
export type ListenTarget =
  | {
      readonly kind: 'tcp';
      readonly host: string;
      readonly port: number;
      /** Whether other processes may listen on the same port; see canReusePort. */
      readonly reusePort: boolean;
    }
  | ({
      readonly kind: 'unix';
      readonly path: string;
      /** The port that the path is named after. */
      readonly port: number;
      /** Whether it takes the place of a socket that is in use; not for abstract names. */
      readonly replaces: boolean;
    } & UnixAccess)
  | {
      /** A socket that listens already, passed on by the process that started this one. */
      readonly kind: 'inherited';
      readonly fd: number;
    };

/** How to listen. */
export interface ListenOptions {
  readonly backlog: number;
  /** Gets each accepted socket: nothing has been read from it. */
  readonly onAccept: (socket: AcceptedSocket) => void;
  /** A connection could not be accepted. */
  readonly onAcceptError: (error: Error) => void;
}

/** The options of `net.Server.listen`, with the one that only newer releases of Node.js know. */
type WhereToListen = net.ListenOptions & { readonly fd?: number; readonly reusePort?: boolean };

function ignore(): void {
  // Who takes the connection over is told.
}

/** A socket that listens. */
export class Listener {
  readonly target: ListenTarget;
  readonly #server: net.Server;
  /** Null for what has none. */
  readonly #file: SocketFile | null;

  private constructor(target: ListenTarget, server: net.Server, file: SocketFile | null) {
    this.target = target;
    this.#server = server;
    this.#file = file;
  }

  /**
   * Opens a listening socket.
   *
   * @throws the error of the system, for example EADDRINUSE.
   */
  static async open(target: ListenTarget, options: ListenOptions): Promise<Listener> {
    const path = pathToBind(target);
    if (target.kind === 'unix') {
      await removeDeadSocket(path, target.port);
    }
    const server = net.createServer({
      pauseOnConnect: true,
      noDelay: true,
      allowHalfOpen: true,
    });
    server.on('connection', (socket) => {
      // Whatever breaks before somebody takes it over must not end the process.
      socket.on('error', ignore);
      options.onAccept(socket);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      const listen = (): void => {
        server.listen({ ...whereToListen(target, path), backlog: options.backlog }, () => {
          server.off('error', reject);
          acceptRaw(server, options.onAccept);
          server.on('error', options.onAcceptError);
          resolve();
        });
      };
      if (target.kind === 'unix') {
        // A path is bound before listen() returns.
        withClosedMode(path, listen);
      } else {
        listen();
      }
    });
    try {
      return new Listener(target, server, makeFile(target, path));
    } catch (error) {
      server.close();
      throw error;
    }
  }

  /** The port it listens on, also where any free one was asked for; 0 for a unix socket. */
  get port(): number {
    return this.address?.port ?? 0;
  }

  /** The TCP address it listens on; `null` for a unix socket. */
  get address(): net.AddressInfo | null {
    const address = this.#server.address();
    return typeof address === 'object' ? address : null;
  }

  /** File descriptor; -1 where there is none to tell. */
  get fd(): number {
    return descriptorOf(this.#server);
  }

  /** Sets whether a TCP connection is accepted at its first bytes only. @throws of the system. */
  setDeferAccept(isOn: boolean, calls: NativeCalls): void {
    if (this.address !== null) {
      setDeferAccept(this.#server, isOn, calls);
    }
  }

  /** Puts the file of a unix socket back that another process has removed; see SocketFile. */
  restoreFile(): void {
    this.#file?.restore();
  }

  /** Whether another process has put a unix socket of its own in the place of this one. */
  get isReplaced(): boolean {
    return this.#file?.isReplaced ?? false;
  }

  /**
   * Stops accepting. Connections that stand are not touched. A unix socket whose place another
   * process has taken just stays, out of reach.
   */
  close(): void {
    if (this.isReplaced) {
      // Node.js would remove the file by its name.
      this.#server.unref();
      return;
    }
    this.#server.close();
    this.#file?.remove();
  }
}

/** The path that a unix socket is bound to; empty for others. */
function pathToBind(target: ListenTarget): string {
  if (target.kind !== 'unix') {
    return '';
  }
  return target.replaces ? nextSocketPath(target.path, process.pid) : target.path;
}

/** Opens the file of a unix socket to those who may connect, in its final place. */
function makeFile(target: ListenTarget, path: string): SocketFile | null {
  if (target.kind !== 'unix') {
    return null;
  }
  grantAccess(path, target);
  if (isAbstract(path)) {
    return null;
  }
  return target.replaces ? SocketFile.replacing(target.path, path) : SocketFile.bound(path);
}

/** @param path - of a unix socket. */
function whereToListen(target: ListenTarget, path: string): WhereToListen {
  switch (target.kind) {
    case 'tcp': {
      const { host, port, reusePort } = target;
      const where = { host, port, ipv6Only: host.includes(':') };
      return reusePort ? { ...where, reusePort } : where;
    }
    case 'unix':
      return isAbstract(path) ? abstractToListenOn(path) : { path };
    case 'inherited':
      return { fd: target.fd };
  }
}
