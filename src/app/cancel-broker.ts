import { Tally } from '../base/tally.ts';
import type { ClientConnection } from '../client/client-connection.ts';
import { newCancelProgress } from '../client/client-host.ts';
import type { Settings } from '../config/config.ts';
import type { Logger } from '../log/logger.ts';
import type { OneShotTarget } from '../net/one-shot.ts';
import { writeCancelRequest } from '../protocol/startup-writer.ts';
import type { ServerConnection } from '../server/server-connection.ts';
import { CancelCarrier, type CarrierHost } from './cancel-carrier.ts';
import type { CancelKeys } from './cancel-keys.ts';
import type { RelayPool } from '../relay/ends.ts';

/** What the broker needs from around it. */
export interface CancelHost {
  readonly logger: Logger;
  readonly carriers: CarrierHost;
  nowMs(): number;
  /**
   * How to reach the server that `server` is connected to: the same one, not just the same name, and
   * through TLS if it is.
   */
  targetOf(server: ServerConnection): OneShotTarget;
  /** The server connection behind a link. */
  serverOf(client: ClientConnection): ServerConnection | null;
  /**
   * Passes on a request whose key is not one of ours.
   *
   * @returns why it is not passed on; null when it is.
   */
  forwardToPeer(requester: ClientConnection, processId: number, secret: Buffer): string | null;
  /**
   * The settings now: how long a cancel request may wait before it is sent, and how long a server may
   * take to accept and end one; 0 for ever.
   */
  settings(): Pick<Settings, 'cancelWaitTimeoutMs' | 'serverConnectTimeoutMs'>;
}

/** One request that a client waits for. */
interface Requester {
  readonly connection: ClientConnection;
  readonly target: ClientConnection;
  readonly pool: RelayPool;
  readonly arrivedMs: number;
}

/** Most cancel requests on their way per pool when its size is unlimited. */
const DEFAULT_CANCEL_CONNECTIONS = 20;

/** A request that is on its way to a server connection. */
interface Sending {
  /**
   * Requests that came while it was on its way. They become one more, since the first may have
   * reached the server before the query that they are meant for.
   */
  readonly followers: Requester[];
  readonly carrier: CancelCarrier;
}

/**
 * Forwards cancel requests. A request goes to the server connection that runs the query of the
 * client that owns the key, and that server connection is not used by anybody else before the
 * request is done. However many requests there are for one server connection, one is on its way.
 */
export class CancelBroker {
  readonly #keys: CancelKeys;
  readonly #host: CancelHost;
  readonly #inFlight = new Map<ServerConnection, Sending>();
  readonly #waiting: Requester[] = [];
  readonly #activeByPool = new Tally<RelayPool>();

  constructor(keys: CancelKeys, host: CancelHost) {
    this.#keys = keys;
    this.#host = host;
  }

  /** The connections that carry requests, oldest first. */
  get carriers(): CancelCarrier[] {
    return [...this.#inFlight.values()].map(({ carrier }) => carrier);
  }

  /** A client has sent a cancel request. The requester only ever sees its connection close. */
  onRequest(requester: ClientConnection, processId: number, secret: Buffer): void {
    const target = this.#keys.find(processId, secret);
    if (target === null) {
      const problem = this.#host.forwardToPeer(requester, processId, secret);
      if (problem !== null) {
        this.#finish(requester, problem);
      }
      return;
    }
    if (target.cancelConsole()) {
      this.#finish(requester, 'cancel request for console client');
      return;
    }
    if (target.cancelWait()) {
      this.#finish(requester, 'cancel request for waiting client');
      return;
    }
    const { pool } = target;
    if (pool === null) {
      this.#finish(requester, 'cancel request for idle client');
      return;
    }
    requester.cancelProgress = { ...newCancelProgress(), pool };
    this.#admit({ connection: requester, target, pool, arrivedMs: this.#host.nowMs() });
  }

  /** Forgets a request that has not been sent, since its connection is being closed. */
  withdraw(requester: ClientConnection): void {
    for (const entries of [
      this.#waiting,
      ...[...this.#inFlight.values()].map(({ followers }) => followers),
    ]) {
      const index = entries.findIndex(({ connection }) => connection === requester);
      const [entry] = index === -1 ? [] : entries.splice(index, 1);
      if (entry !== undefined) {
        entry.pool.waitingCancels--;
      }
    }
  }

  /** Sends a request, or lets it wait for its turn. */
  #admit(entry: Requester): void {
    const server = this.#findServer(entry);
    if (server === null) {
      return;
    }
    const sending = this.#inFlight.get(server);
    if (sending !== undefined) {
      sending.followers.push(entry);
      entry.pool.waitingCancels++;
    } else if (this.#isFull(entry.pool)) {
      this.#waiting.push(entry);
      entry.pool.waitingCancels++;
    } else {
      this.#send(server, [entry.connection]);
    }
  }

  /** Cancels what a server connection runs for a client that is gone. */
  cancelFor(server: ServerConnection): void {
    if (!this.#inFlight.has(server)) {
      this.#send(server, []);
    }
  }

  #isFull(pool: RelayPool): boolean {
    const size = pool.limits.poolSize;
    const limit = size > 0 ? size : DEFAULT_CANCEL_CONNECTIONS;
    return this.#activeByPool.of(pool) >= limit;
  }

  /** The server connection that runs a query of the target; without one the request is over. */
  #findServer({ connection, target }: Requester): ServerConnection | null {
    const server = this.#host.serverOf(target);
    const link = target.link;
    if (server === null || link === null) {
      this.#finish(connection, 'cancel request for idle client');
    } else if (link.ledger.isHeadSkipped) {
      this.#finish(connection, 'ignoring cancel request for server that is setting vars');
    } else if (link.ledger.isEmpty) {
      this.#finish(connection, 'not sending cancel request for client that is now idle');
    } else {
      return server;
    }
    return null;
  }

  #send(server: ServerConnection, requesters: readonly ClientConnection[]): void {
    const { cancelKey, pool } = server;
    if (cancelKey === null) {
      for (const requester of requesters) {
        this.#finish(requester, 'server sent no cancel key');
      }
      return;
    }
    server.cancelsInFlight++;
    pool.activeCancels++;
    this.#activeByPool.add(pool);
    const message = writeCancelRequest(cancelKey.processId, cancelKey.secret);
    const followers: Requester[] = [];
    const carrier = new CancelCarrier(this.#host.carriers, {
      target: this.#host.targetOf(server),
      place: server.place,
      message,
      pool,
      peerId: null,
      requesterId: requesters[0]?.id ?? null,
      onSent: () => {
        const progress = { state: 'active_cancel_req' as const, peerId: null, pool };
        for (const requester of requesters) {
          requester.cancelProgress = { ...progress, carrierId: carrier.id };
        }
      },
      onDone: (error) => {
        this.#onDone(server, requesters, followers, error);
      },
    });
    this.#inFlight.set(server, { followers, carrier });
  }

  #onDone(
    server: ServerConnection,
    requesters: readonly ClientConnection[],
    followers: readonly Requester[],
    error: Error | null,
  ): void {
    const { pool } = server;
    this.#inFlight.delete(server);
    pool.activeCancels--;
    this.#activeByPool.remove(pool);
    const fields = { server: server.id, process: server.processId, database: pool.database.name };
    if (error === null) {
      this.#host.logger.info('cancel_forwarded', fields);
    } else {
      this.#host.logger.warn('cancel_failed', { ...fields, error: error.message });
    }
    for (const requester of requesters) {
      this.#finish(requester, error === null ? 'successfully sent cancel request' : error.message);
    }
    pool.onCancelDone(server);
    this.#sendFollowers(followers);
    this.#sendWaiting();
  }

  #sendFollowers(followers: readonly Requester[]): void {
    for (const { pool } of followers) {
      pool.waitingCancels--;
    }
    const running = followers.filter((entry) => this.#findServer(entry) !== null);
    const [first] = running;
    const server = first === undefined ? null : this.#host.serverOf(first.target);
    if (server === null) {
      return;
    }
    // Their client may be on another server connection by now, and a request on its way to that.
    const sending = this.#inFlight.get(server);
    if (sending === undefined) {
      this.#send(
        server,
        running.map(({ connection }) => connection),
      );
    } else {
      sending.followers.push(...running);
      for (const { pool } of running) {
        pool.waitingCancels++;
      }
    }
  }

  #sendWaiting(): void {
    for (const entry of [...this.#waiting]) {
      if (!this.#isFull(entry.pool)) {
        this.#drop(entry);
        this.#admit(entry);
      }
    }
  }

  #drop(entry: Requester): void {
    this.#waiting.splice(this.#waiting.indexOf(entry), 1);
    entry.pool.waitingCancels--;
  }

  /** Once per tick: gives up requests that could not be sent in time. */
  onTick(): void {
    this.#expire(this.#waiting);
    for (const [server, sending] of this.#inFlight) {
      this.#expire(sending.followers);
      this.#watch(server, sending);
    }
  }

  /** A server that does not end a cancel request must not keep its server connection for ever. */
  #watch(server: ServerConnection, { carrier }: Sending): void {
    const limitMs = this.#host.settings().serverConnectTimeoutMs;
    if (limitMs > 0 && this.#host.nowMs() - carrier.connectedAtMs > limitMs) {
      // The request may still come to effect: on nobody, if the server connection is closed.
      server.isCloseNeeded ||= server.owner === null;
      carrier.giveUp();
    }
  }

  #expire(entries: Requester[]): void {
    const limitMs = this.#host.settings().cancelWaitTimeoutMs;
    const nowMs = this.#host.nowMs();
    // Oldest first.
    for (let entry = entries[0]; entry !== undefined; entry = entries[0]) {
      if (limitMs === 0 || nowMs - entry.arrivedMs <= limitMs) {
        return;
      }
      entries.shift();
      entry.pool.waitingCancels--;
      this.#finish(entry.connection, 'cancel_wait_timeout');
    }
  }

  #finish(requester: ClientConnection, reason: string): void {
    requester.close(reason);
  }
}
