import type { AcceptedSocket } from '../net/raw-socket.ts';
import { ClientState } from '../pool/states.ts';
import { poolerError } from '../protocol/pooler-errors.ts';
import type { Pooler } from './pooler.ts';

/** A connection that was accepted by the system while nothing may come in. */
interface HeldSocket {
  readonly socket: AcceptedSocket;
  readonly unixPath: string | null;
}

/**
 * SUSPEND: first the clients, then the server connections stop at the end of a message with nothing
 * left to write; what comes later stays in the buffers of the system. After `suspend_timeout` the
 * rest is closed. Consoles go on.
 *
 * COMPAT: Node.js cannot stop accepting. Connections made meanwhile are accepted and held unread, up
 * to `max_client_conn`; to a client that is the same as PgBouncer's queue of the system.
 */
export class Suspension {
  readonly #pooler: Pooler;
  readonly #held: HeldSocket[] = [];
  #startMs = 0;
  /** Whether SUSPEND is in force, complete or not. */
  isOn = false;
  /** Whether everything has stopped. */
  isComplete = false;

  constructor(pooler: Pooler) {
    this.#pooler = pooler;
  }

  /** Stops whatever can stop now. */
  begin(): void {
    this.isOn = true;
    this.isComplete = false;
    this.#startMs = this.#pooler.nowMs();
    this.proceed();
  }

  /** Stops what has come to rest, and closes what is too late; once per tick while it is on. */
  proceed(): void {
    const { admissions, logger, settings } = this.#pooler;
    if (admissions.consoles.size === 0) {
      logger.info('suspend_abandoned', {});
      this.#pooler.modes.resume(null);
      return;
    }
    const { suspendTimeoutMs } = settings;
    const elapsedMs = this.#pooler.nowMs() - this.#startMs;
    const isForced = suspendTimeoutMs > 0 && elapsedMs > suspendTimeoutMs;
    this.isComplete = this.#stopClients(isForced) && this.#stopServers(isForced);
  }

  /** @returns whether none is left running. */
  #stopClients(isForced: boolean): boolean {
    let isDone = true;
    for (const client of [...this.#pooler.clients.values()]) {
      if (client.pool === null) {
        if (isForced && client.state === ClientState.Login) {
          client.disconnect(poolerError('suspendTimeout'));
        }
      } else if (!client.suspend()) {
        if (isForced) {
          client.disconnect(poolerError('suspendTimeout'));
        } else {
          isDone = false;
        }
      }
    }
    return isDone;
  }

  /** @returns whether none is left running; those that log in do not count. */
  #stopServers(isForced: boolean): boolean {
    let isDone = true;
    for (const pool of this.#pooler.registry.pools) {
      for (const server of [...pool.testedServers.toArray(), ...pool.usedServers.toArray()]) {
        server.disconnect('close unsafe file descriptors on suspend');
      }
      for (const server of this.#pooler.serversOf(pool)) {
        if (server.isLoggingIn || server.suspend()) {
          continue;
        }
        if (isForced) {
          server.disconnect('suspend_timeout');
        } else {
          isDone = false;
        }
      }
    }
    return isDone;
  }

  /** Keeps a connection for later. */
  hold(socket: AcceptedSocket, unixPath: string | null): void {
    if (this.#held.length >= this.#pooler.settings.maxClientConn) {
      socket.destroy();
      return;
    }
    this.#held.push({ socket, unixPath });
  }

  /** Lets everything go on. */
  end(): void {
    this.isOn = false;
    this.isComplete = false;
    for (const client of this.#pooler.clients.values()) {
      client.endSuspension();
    }
    for (const server of this.#pooler.registry.pools.flatMap((pool) =>
      this.#pooler.serversOf(pool),
    )) {
      server.endSuspension();
    }
    for (const { socket, unixPath } of this.#held.splice(0)) {
      if (!socket.destroyed) {
        this.#pooler.accept(socket, unixPath);
      }
    }
  }
}
