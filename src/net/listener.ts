import { chmodSync, unlinkSync } from 'node:fs';
import net from 'node:net';

/** Where to listen. */
export type ListenTarget =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string; readonly mode: number };

/** How to listen. */
export interface ListenOptions {
  readonly backlog: number;
  readonly keepAlive: boolean;
  readonly keepAliveInitialDelayMs: number;
  /** Gets each accepted socket, paused: nothing has been read from it. */
  readonly onAccept: (socket: net.Socket) => void;
  /** A connection could not be accepted. */
  readonly onAcceptError: (error: Error) => void;
}

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
      await removeDeadSocket(target.path);
    }
    const server = net.createServer({
      pauseOnConnect: true,
      noDelay: true,
      keepAlive: options.keepAlive,
      keepAliveInitialDelay: options.keepAliveInitialDelayMs,
      allowHalfOpen: true,
    });
    server.on('connection', options.onAccept);
    const where =
      target.kind === 'unix'
        ? { path: target.path }
        : { host: target.host, port: target.port, ipv6Only: target.host.includes(':') };
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ ...where, backlog: options.backlog }, () => {
        server.off('error', reject);
        server.on('error', options.onAcceptError);
        resolve();
      });
    });
    if (target.kind === 'unix' && !target.path.startsWith('\0')) {
      chmodSync(target.path, target.mode);
    }
    return new Listener(target, server);
  }

  /** The port it listens on, also where any free one was asked for; 0 for a unix socket. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Stops accepting. Connections that stand are not touched. */
  close(): void {
    this.#server.close();
  }
}

/** Removes the file of a socket that nobody listens on any more. */
async function removeDeadSocket(path: string): Promise<void> {
  if (path.startsWith('\0')) {
    return;
  }
  const isAlive = await new Promise<boolean>((resolve) => {
    const probe = net.connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => {
      resolve(false);
    });
  });
  if (isAlive) {
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
