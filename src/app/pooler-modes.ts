import type { ShutdownMode } from '../admin/control.ts';
import type { ClientConnection } from '../client/client-connection.ts';
import type { Database } from '../pool/database.ts';
import { poolerError } from '../protocol/pooler-errors.ts';
import type { RelayPool } from '../relay/ends.ts';
import { Drain } from './drain.ts';
import type { Pooler } from './pooler.ts';
import { Suspension } from './suspension.ts';

/** A command that is answered when something has come about. */
interface Waiter {
  isDone(): boolean;
  settle(): void;
}

/** The modes of the pooler that the console and signals switch: PAUSE, KILL, RECONNECT, SHUTDOWN. */
export class PoolerModes {
  readonly #pooler: Pooler;
  isPaused = false;
  /** Whether TCP connections are still accepted while a shutdown waits. */
  isAccepting = false;
  /** The shutdown under way; null in normal operation. */
  shutdown: ShutdownMode | null = null;
  /** Called when nothing is left that a shutdown waits for. */
  onDrained: () => void = () => undefined;
  /** Tells clients to leave while a shutdown waits. */
  readonly drain: Drain;
  readonly suspension: Suspension;
  /** The highest id of a connection when the shutdown began. */
  #lastIdBefore = 0;
  /** Another process has taken the place of the unix socket, so nobody finds this one any more. */
  #isUnixReplaced = false;
  readonly #waiters = new Set<Waiter>();
  #isChecking = false;

  constructor(pooler: Pooler) {
    this.#pooler = pooler;
    this.drain = new Drain(pooler);
    this.suspension = new Suspension(pooler);
  }

  /** The pools of one database, or all. */
  #pools(database: Database | null): readonly RelayPool[] {
    const { registry } = this.#pooler;
    return database === null ? [...registry.pools] : registry.poolsOf(database);
  }

  // ---- PAUSE, RESUME ----

  /** Pauses one database, or all: free server connections close now, busy ones when released. */
  pause(database: Database | null): void {
    if (database === null) {
      this.isPaused = true;
    } else {
      database.isPaused = true;
    }
    for (const pool of this.#pools(database)) {
      for (const list of [pool.idleServers, pool.usedServers, pool.loginServers]) {
        for (const server of list.toArray()) {
          server.disconnect('pause mode');
        }
      }
    }
  }

  /** Whether no server connection is open. */
  isQuiet(database: Database | null): boolean {
    return this.#pools(database).every((pool) => pool.serverCount === 0);
  }

  /** Whether PAUSE or SUSPEND of the whole pooler is in force. */
  get isHeld(): boolean {
    return this.isPaused || this.suspension.isOn;
  }

  /** Ends a pause, or a suspension if the whole pooler is meant. */
  resume(database: Database | null): void {
    if (database === null) {
      this.isPaused = false;
      if (this.suspension.isOn) {
        this.suspension.end();
      }
    } else {
      database.isPaused = false;
    }
    for (const pool of this.#pools(database)) {
      pool.pump();
    }
  }

  // ---- RECONNECT, WAIT_CLOSE ----

  /** Retires the server connections of one database, or of all. */
  reconnect(database: Database | null): void {
    for (const pool of this.#pools(database)) {
      pool.markDirty(false);
    }
  }

  /** Whether no retired server connection is open. */
  isRenewed(database: Database | null): boolean {
    return this.#pools(database).every((pool) =>
      pool.serverLists().every((list) => list.toArray().every((server) => !server.isCloseNeeded)),
    );
  }

  // ---- KILL ----

  /** Drops all connections of one database, or of all, and pauses what was hit. */
  kill(database: Database | null): void {
    const { registry } = this.#pooler;
    const hit =
      database === null ? new Set(registry.pools.map((pool) => pool.database)) : [database];
    for (const target of hit) {
      target.isPaused = true;
      this.#dropConnections(target);
      for (const pool of registry.poolsOf(target)) {
        registry.dropPool(pool);
      }
    }
  }

  /** Ends everything that belongs to a database that is no longer configured, and forgets it. */
  removeDatabase(database: Database): void {
    this.#dropConnections(database);
    this.#pooler.registry.dropDatabase(database);
  }

  #dropConnections(database: Database): void {
    for (const pool of this.#pooler.registry.poolsOf(database)) {
      const { waitingClients, welcomeClients, replicationClients, activeClients } = pool;
      for (const list of [waitingClients, welcomeClients, replicationClients, activeClients]) {
        for (const client of list.toArray()) {
          client.disconnect(poolerError('databaseRemoved'));
        }
      }
      for (const server of pool.serverLists().flatMap((list) => list.toArray())) {
        server.disconnect('database removed');
      }
    }
  }

  // ---- SHUTDOWN ----

  /**
   * Whether a client that has proved itself must go because of a shutdown. Who was accepted before
   * SHUTDOWN WAIT_FOR_CLIENTS may still come in, so that a restart behind `so_reuseport` refuses
   * nobody; afterwards only Unix sockets accept connections. Where another process has taken their
   * place, those that still come knocked before it did.
   */
  isRefusing(client: ClientConnection): boolean {
    const isLate =
      client.unixPath !== null && client.id > this.#lastIdBefore && !this.#isUnixReplaced;
    return this.shutdown === 'wait_for_servers' || (this.shutdown !== null && isLate);
  }

  /**
   * Begins, or changes, a shutdown that waits. The caller has closed the listeners it must.
   *
   * @param isUnixReplaced - whether another process has taken the place of the unix socket.
   */
  beginShutdown(mode: 'wait_for_servers' | 'wait_for_clients', isUnixReplaced: boolean): void {
    this.#isUnixReplaced = isUnixReplaced;
    if (this.suspension.isOn) {
      // Nothing that is frozen would ever leave.
      this.resume(null);
    }
    if (this.shutdown === null) {
      this.#lastIdBefore = this.#pooler.lastId;
    }
    this.shutdown = mode;
    if (mode === 'wait_for_servers') {
      this.pause(null);
      for (const pool of this.#pools(null)) {
        for (const client of pool.waitingClients.toArray()) {
          client.disconnect(poolerError('serverShuttingDown'));
        }
      }
    }
    this.drain.proceed();
    this.checkWaiting();
  }

  #isDrained(): boolean {
    if (this.shutdown === 'wait_for_servers') {
      return this.isQuiet(null);
    }
    const { clients, admissions } = this.#pooler;
    // A console that nobody leaves must not keep a rolling deploy waiting.
    const stayingCount = this.drain.isOver ? admissions.consoles.size : 0;
    return (
      this.shutdown === 'wait_for_clients' && !this.isAccepting && clients.size === stayingCount
    );
  }

  // ---- commands that wait ----

  /**
   * Calls `settle` once when `isDone` has become true.
   *
   * @returns a function that forgets it.
   */
  wait(isDone: () => boolean, settle: () => void): () => void {
    const waiter = { isDone, settle };
    this.#waiters.add(waiter);
    return () => {
      this.#waiters.delete(waiter);
    };
  }

  /** Answers what has come about; after each event that may matter, and once per tick. */
  checkWaiting(): void {
    if (this.#isChecking || (this.#waiters.size === 0 && this.shutdown === null)) {
      return;
    }
    this.#isChecking = true;
    for (const waiter of [...this.#waiters]) {
      if (waiter.isDone()) {
        this.#waiters.delete(waiter);
        waiter.settle();
      }
    }
    const isDrained = this.#isDrained();
    if (isDrained) {
      this.drain.finish();
    }
    this.#isChecking = false;
    if (isDrained) {
      this.onDrained();
    }
  }
}
