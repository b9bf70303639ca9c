import net from 'node:net';
import { abstractToListenOn } from './abstract-socket.ts';
import type { NativeCalls } from './native-calls.ts';
import { descriptorOf } from './raw-handle.ts';
import { setDeferAccept } from './socket-options.ts';
import {
  grantAccess,
  isAbstract,
  removeDeadSocket,
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
    } & UnixAccess)
  | {
      /** A socket that listens already, passed on by the process that started this one. */
      readonly kind: 'inherited';
      readonly fd: number;
    };

/** How to listen. */
export interface ListenOptions {
  readonly backlog: number;
  /** Gets each accepted socket, paused: nothing has been read from it. */
  readonly onAccept: (socket: net.Socket) => void;
  /** A connection could not be accepted. */
  readonly onAcceptError: (error: Error) => void;
}

/** The options of `net.Server.listen`, with the one that only newer releases of Node.js know. */
type WhereToListen = net.ListenOptions & { readonly fd?: number; readonly reusePort?: boolean };

/** A socket that listens. */
export class Listener {
  readonly target: ListenTarget;
  readonly #server: net.Server;

  private constructor(target: ListenTarget, server: net.Server) {
    this.target = target;
    this.#server = server;
  }

  /**
   * Opens a listening socket.
   *
   * @throws the error of the system, for example EADDRINUSE.
   */
  static async open(target: ListenTarget, options: ListenOptions): Promise<Listener> {
    if (target.kind === 'unix') {
      await removeDeadSocket(target.path, target.port);
    }
    const server = net.createServer({
      pauseOnConnect: true,
      noDelay: true,
      allowHalfOpen: true,
    });
    server.on('connection', options.onAccept);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      const listen = (): void => {
        server.listen({ ...whereToListen(target), backlog: options.backlog }, () => {
          server.off('error', reject);
          server.on('error', options.onAcceptError);
          resolve();
        });
      };
      if (target.kind === 'unix') {
        // A path is bound before listen() returns.
        withClosedMode(target.path, listen);
      } else {
        listen();
      }
    });
    if (target.kind === 'unix') {
      try {
        grantAccess(target.path, target);
      } catch (error) {
        server.close();
        throw error;
      }
    }
    return new Listener(target, server);
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

  /** Stops accepting. Connections that stand are not touched. */
  close(): void {
    this.#server.close();
  }
}

function whereToListen(target: ListenTarget): WhereToListen {
  switch (target.kind) {
    case 'tcp': {
      const { host, port, reusePort } = target;
      const where = { host, port, ipv6Only: host.includes(':') };
      return reusePort ? { ...where, reusePort } : where;
    }
    case 'unix':
      return isAbstract(target.path) ? abstractToListenOn(target.path) : { path: target.path };
    case 'inherited':
      return { fd: target.fd };
  }
}
