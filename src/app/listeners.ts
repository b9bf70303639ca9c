import type { Socket } from 'node:net';
import type { Settings } from '../config/config.ts';
import type { Logger } from '../log/logger.ts';
import { Listener, type ListenTarget } from '../net/listener.ts';

/** The listening sockets of the process. */
export class Listeners {
  readonly #logger: Logger;
  readonly #onAccept: (socket: Socket, unixPath: string | null) => void;
  #open: Listener[] = [];

  /** @param onAccept - gets each accepted socket, paused, and the path of its unix socket or null. */
  constructor(logger: Logger, onAccept: (socket: Socket, unixPath: string | null) => void) {
    this.#logger = logger;
    this.#onAccept = onAccept;
  }

  /**
   * Opens all sockets that the settings ask for. A single address that cannot be used is a warning.
   *
   * @throws when no TCP address can be used, when the unix socket cannot, or when there is none.
   */
  async open(settings: Settings): Promise<void> {
    let { listenPort } = settings;
    const failures: Error[] = [];
    for (const address of settings.listenAddr) {
      const hosts = address === '*' ? ['0.0.0.0', '::'] : [address];
      for (const host of hosts) {
        try {
          const listener = await this.#listen({ kind: 'tcp', host, port: listenPort }, settings);
          // With any free port asked for, all sockets share the one that was found first.
          listenPort = listener.port;
        } catch (error) {
          failures.push(asError(error));
          this.#logger.warn('listen_failed', { address: host, error: asError(error).message });
        }
      }
    }
    if (settings.listenAddr.length > 0 && this.#open.length === 0) {
      const list = settings.listenAddr.join(', ');
      throw new Error(`failed to listen on any address in listen_addr list: ${list}`, {
        cause: failures[0],
      });
    }
    if (settings.unixSocketDir !== '') {
      const file = `${settings.unixSocketDir}/.s.PGSQL.${String(listenPort)}`;
      const path = file.startsWith('@') ? `\0${file.slice(1)}` : file;
      await this.#listen({ kind: 'unix', path, mode: settings.unixSocketMode }, settings);
    }
    if (this.#open.length === 0) {
      throw new Error('nowhere to listen on');
    }
  }

  async #listen(target: ListenTarget, settings: Settings): Promise<Listener> {
    const unixPath = target.kind === 'unix' ? target.path : null;
    const listener = await Listener.open(target, {
      backlog: settings.listenBacklog,
      keepAlive: settings.tcpKeepalive,
      keepAliveInitialDelayMs: settings.tcpKeepidleMs,
      onAccept: (socket) => {
        this.#onAccept(socket, unixPath);
      },
      onAcceptError: (error) => {
        this.#logger.error('accept_failed', { error: error.message });
      },
    });
    this.#open.push(listener);
    if (target.kind === 'tcp') {
      this.#logger.info('listening', { address: target.host, port: listener.port });
    } else {
      this.#logger.info('listening', { unix: target.path });
    }
    return listener;
  }

  /** Closes the TCP sockets; unix sockets stay. */
  closeTcp(): void {
    for (const listener of this.#open.filter(({ target }) => target.kind === 'tcp')) {
      listener.close();
    }
    this.#open = this.#open.filter(({ target }) => target.kind !== 'tcp');
  }

  /** Closes all. */
  closeAll(): void {
    for (const listener of this.#open) {
      listener.close();
    }
    this.#open = [];
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
