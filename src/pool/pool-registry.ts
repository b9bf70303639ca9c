import type { LinkedList } from '../base/linked-list.ts';
import type { Config, DatabaseConfig } from '../config/config.ts';
import { Database, User } from './database.ts';
import type { PoolClient, PoolServer } from './members.ts';
import { Pool } from './pool.ts';
import type { PoolHost } from './pool-host.ts';

/** How long the head of a blocked queue waits before busy pools must give way, in ms. */
const GIVE_WAY_AFTER_MS = 1000;
/** Longest database or user name, in bytes (PostgreSQL's NAMEDATALEN is 64). */
export const MAX_NAME_BYTES = 63;

/** What a reload does to the pools of a database. */
export type DatabaseFate = 'kept' | 'recycled' | 'closed';

/** Name of the entry that stands for all databases that are not configured. */
const WILDCARD = '*';

/** All databases, users and pools of a process, by name. */
export class PoolRegistry<C extends PoolClient<C, S>, S extends PoolServer<C, S>> {
  readonly databases = new Map<string, Database>();
  readonly users = new Map<string, User>();
  readonly pools: Pool<C, S>[] = [];
  #config: Config;
  readonly #host: PoolHost<C, S>;
  readonly #poolsByDatabase = new Map<Database, Map<User, Pool<C, S>>>();
  /** Pools that run `auth_query`, by the user that they log in as. */
  readonly #authPools = new Map<Database, Map<string, Pool<C, S>>>();

  constructor(config: Config, host: PoolHost<C, S>) {
    this.#config = config;
    this.#host = host;
    for (const [name, entry] of config.databases) {
      if (name !== WILDCARD) {
        this.databases.set(name, new Database(name, entry, false, host.nowMs()));
      }
    }
    for (const [name, entry] of config.users) {
      this.users.set(name, new User(name, entry));
    }
    this.#makeForcedPools();
  }

  /** Finds a database, or makes one from `*`; null when there is neither. */
  findDatabase(name: string): Database | null {
    const known = this.databases.get(name);
    if (known !== undefined) {
      return known;
    }
    const template = this.#config.databases.get(WILDCARD);
    const isName = name !== '' && name !== WILDCARD && Buffer.byteLength(name) <= MAX_NAME_BYTES;
    if (template === undefined || !isName) {
      return null;
    }
    const database = new Database(name, fromTemplate(template, name), true, this.#host.nowMs());
    this.databases.set(name, database);
    return database;
  }

  /** Finds a user, or registers the name. */
  user(name: string): User {
    let user = this.users.get(name);
    if (user === undefined) {
      user = new User(name, this.#config.users.get(name) ?? null);
      this.users.set(name, user);
    }
    return user;
  }

  /** Forgets a user that was registered for a login that failed. */
  forgetUser(user: User): void {
    const isPoolUser = user.poolCount > 0;
    // The name may have been forgotten and registered again since.
    const isCurrent = this.users.get(user.name) === user;
    if (isCurrent && user.config === null && user.clientCount === 0 && !isPoolUser) {
      this.users.delete(user.name);
    }
  }

  /** Finds or makes the pool of `database` for clients that logged in as `user`. */
  pool(database: Database, user: User): Pool<C, S> {
    const forced = database.config.user;
    const poolUser = forced === null ? user : this.user(forced);
    let byUser = this.#poolsByDatabase.get(database);
    if (byUser === undefined) {
      byUser = new Map();
      this.#poolsByDatabase.set(database, byUser);
    }
    let pool = byUser.get(poolUser);
    if (pool === undefined) {
      pool = new Pool(this.#host, database, poolUser);
      byUser.set(poolUser, pool);
      this.pools.push(pool);
      poolUser.poolCount++;
    }
    return pool;
  }

  /**
   * Finds or makes the pool in which `auth_query` runs on `database`. It is not the pool of clients
   * that log in as the same user: what they leave behind on a connection must not reach it.
   */
  authPool(database: Database, userName: string): Pool<C, S> {
    let byUser = this.#authPools.get(database);
    if (byUser === undefined) {
      byUser = new Map();
      this.#authPools.set(database, byUser);
    }
    let pool = byUser.get(userName);
    if (pool === undefined) {
      // A user of its own: the limits and counts of the clients' one do not concern it.
      pool = new Pool(this.#host, database, new User(userName, null), 'auth_query');
      byUser.set(userName, pool);
      this.pools.push(pool);
      pool.user.poolCount++;
    }
    return pool;
  }

  /** The pools of one database. */
  poolsOf(database: Database): Pool<C, S>[] {
    return [
      ...(this.#poolsByDatabase.get(database)?.values() ?? []),
      ...(this.#authPools.get(database)?.values() ?? []),
    ];
  }

  /** Whether a client or a server connection of `database` is left. */
  isInUse(database: Database): boolean {
    const hasMembers = (pool: Pool<C, S>): boolean => pool.serverCount > 0 || pool.clientCount > 0;
    return database.clientCount > 0 || this.poolsOf(database).some(hasMembers);
  }

  /** Forgets a pool that has neither clients nor server connections. */
  dropPool(pool: Pool<C, S>): void {
    if (pool.purpose === 'clients') {
      this.#poolsByDatabase.get(pool.database)?.delete(pool.user);
    } else {
      this.#authPools.get(pool.database)?.delete(pool.user.name);
    }
    this.#host.blockedPools.delete(pool);
    const index = this.pools.indexOf(pool);
    if (index !== -1) {
      this.pools.splice(index, 1);
      pool.user.poolCount--;
    }
  }

  /** Forgets a database and its pools, which must be empty. */
  dropDatabase(database: Database): void {
    for (const pool of this.poolsOf(database)) {
      this.dropPool(pool);
    }
    this.#poolsByDatabase.delete(database);
    this.#authPools.delete(database);
    if (this.databases.get(database.name) === database) {
      this.databases.delete(database.name);
    }
  }

  /**
   * Forgets a database made from `*` for a client that never came in: what is not logged in yet
   * must not make the process grow.
   */
  forgetUnusedDatabase(database: Database): void {
    const isMarked = database.isPaused || database.isDisabled;
    const isUsed = this.#poolsByDatabase.has(database) || this.isInUse(database);
    if (database.isAuto && !isMarked && !isUsed) {
      this.dropDatabase(database);
    }
  }

  /** Databases with a forced user and a `min_pool_size` need no client to be filled. */
  #makeForcedPools(): void {
    for (const database of this.databases.values()) {
      const { user, minPoolSize } = database.config;
      const wanted = minPoolSize ?? this.#config.settings.minPoolSize;
      if (user !== null && wanted > 0) {
        this.pool(database, this.user(user));
      }
    }
  }

  /** Tells what {@link applyConfig} would do to each database. Changes nothing. */
  planConfig(next: Config): { readonly database: Database; readonly fate: DatabaseFate }[] {
    return [...this.databases.values()].map((database) => {
      const entry = nextEntry(database, next);
      if (entry === null) {
        return { database, fate: 'closed' };
      }
      return { database, fate: isTargetChanged(database.config, entry) ? 'recycled' : 'kept' };
    });
  }

  /**
   * Takes over a new configuration.
   *
   * @returns the databases that are no longer configured; the caller ends their connections and
   *   then drops them.
   */
  applyConfig(next: Config): Database[] {
    this.#config = next;
    const removed: Database[] = [];
    for (const database of this.databases.values()) {
      const entry = nextEntry(database, next);
      if (entry === null) {
        removed.push(database);
      } else {
        database.isAuto &&= !next.databases.has(database.name);
        this.#applyDatabase(database, entry);
      }
    }
    for (const [name, entry] of next.databases) {
      if (name !== WILDCARD && !this.databases.has(name)) {
        this.databases.set(name, new Database(name, entry, false, this.#host.nowMs()));
      }
    }
    for (const user of this.users.values()) {
      user.config = next.users.get(user.name) ?? null;
    }
    for (const [name, entry] of next.users) {
      if (!this.users.has(name)) {
        this.users.set(name, new User(name, entry));
      }
    }
    this.#makeForcedPools();
    for (const pool of this.pools) {
      pool.applySettings();
    }
    return removed;
  }

  #applyDatabase(database: Database, entry: DatabaseConfig): void {
    const old = database.config;
    database.config = entry;
    if (isTargetChanged(old, entry)) {
      for (const pool of this.poolsOf(database)) {
        pool.markDirty(true);
      }
    }
  }

  // ---- limits that several pools share ----

  /** Whether a permit given back by `giver` may help `pool`. */
  #shareLimit(pool: Pool<C, S>, giver: Pool<C, S>): boolean {
    if (pool.purpose !== giver.purpose) {
      return false;
    }
    return (
      pool.purpose === 'auth_query' || pool.database === giver.database || pool.user === giver.user
    );
  }

  /** Whether closing a connection of `other` makes room under the limit that stops `pool`. */
  #isInTheWay(other: Pool<C, S>, pool: Pool<C, S>): boolean {
    if (pool.purpose !== other.purpose || pool.purpose === 'auth_query') {
      return pool.purpose === other.purpose;
    }
    const { maxDbConnections } = pool.limits;
    const isDbFull = maxDbConnections > 0 && pool.database.serverCount >= maxDbConnections;
    return isDbFull ? other.database === pool.database : other.user === pool.user;
  }

  /** Closes the idle connection that was idle longest among those that block `pool`. */
  evictFor(pool: Pool<C, S>): boolean {
    let victim: S | null = null;
    for (const other of this.pools) {
      if (!this.#isInTheWay(other, pool)) {
        continue;
      }
      victim = olderOf(victim, this.#oldest(other.idleServers));
      if (other.waitingClients.length === 0) {
        victim = olderOf(victim, this.#oldest(other.usedServers));
      }
    }
    if (victim === null) {
      return false;
    }
    victim.disconnect('evicted');
    return true;
  }

  #oldest(servers: LinkedList<S>): S | null {
    let oldest: S | null = null;
    for (let server = servers.head; server !== null; server = server.listNext) {
      oldest = olderOf(oldest, server);
    }
    return oldest;
  }

  /**
   * Gives the permit that `giver` has returned to the client that waits longest. A pool that gave
   * one up comes last: it would take back at once what it closed for the sake of another.
   */
  onPermitReleased(giver: Pool<C, S>): void {
    const blocked = this.#blockedPools(giver);
    for (const pool of blocked) {
      pool.pump();
    }
  }

  #blockedPools(giver: Pool<C, S>): Pool<C, S>[] {
    const blocked = [...this.#host.blockedPools].filter((pool) => this.#shareLimit(pool, giver));
    if (blocked.length > 1) {
      const turn = (pool: Pool<C, S>): number =>
        pool === giver ? Number.POSITIVE_INFINITY : headWaitStart(pool);
      blocked.sort((a, b) => turn(a) - turn(b) || 0);
    }
    return blocked;
  }

  /**
   * Once per tick, for pools that are never idle: those with more connections than they may have by
   * now give them up, and a queue that a shared limit has blocked for long gets its turn.
   */
  makeBusyPoolsGiveWay(): void {
    const nowMs = this.#host.nowMs();
    for (const pool of this.pools) {
      // What was asked for a tick ago and has not come about may not be wanted any more.
      pool.yieldCount = pool.excessCount;
    }
    for (const pool of this.#host.blockedPools) {
      const isStarving = nowMs - headWaitStart(pool) > GIVE_WAY_AFTER_MS;
      if (isStarving && pool.loginServers.length === 0) {
        this.#makeRichestGiveWay(pool);
      }
    }
  }

  /** The pool with the most connections gives one up, unless both would then be as badly off. */
  #makeRichestGiveWay(starving: Pool<C, S>): void {
    let richest: Pool<C, S> | null = null;
    for (const pool of this.pools) {
      const isRicher = pool.activeServers.length > (richest?.activeServers.length ?? 0);
      if (pool !== starving && isRicher && this.#isInTheWay(pool, starving)) {
        richest = pool;
      }
    }
    const isWorthIt =
      starving.serverCount === 0 ||
      (richest !== null && richest.activeServers.length > starving.serverCount + 1);
    if (richest !== null && isWorthIt) {
      richest.yieldCount = Math.max(richest.yieldCount, 1);
    }
  }
}

/** When the wait of the client that waits longest began; clients not welcomed yet wait as well. */
function headWaitStart<C extends PoolClient<C, S>, S extends PoolServer<C, S>>(
  pool: Pool<C, S>,
): number {
  return Math.min(
    pool.waitingClients.head?.waitStartMs ?? Number.POSITIVE_INFINITY,
    pool.welcomeClients.head?.connectedAtMs ?? Number.POSITIVE_INFINITY,
    pool.replicationClients.head?.connectedAtMs ?? Number.POSITIVE_INFINITY,
  );
}

function olderOf<S extends { readonly lastActivityMs: number }>(
  a: S | null,
  b: S | null,
): S | null {
  if (a === null || b === null) {
    return a ?? b;
  }
  return b.lastActivityMs < a.lastActivityMs ? b : a;
}

/** The entry that a database would have in another configuration; null when it would be dropped. */
function nextEntry(database: Database, next: Config): DatabaseConfig | null {
  const template = next.databases.get(WILDCARD);
  return (
    next.databases.get(database.name) ??
    (database.isAuto && template !== undefined ? fromTemplate(template, database.name) : null)
  );
}

/** Whether server connections made by one entry lead to the wrong place by another. */
function isTargetChanged(old: DatabaseConfig, entry: DatabaseConfig): boolean {
  return (
    old.dbname !== entry.dbname ||
    old.host !== entry.host ||
    old.port !== entry.port ||
    old.user !== entry.user ||
    old.connectQuery !== entry.connectQuery ||
    old.loadBalanceHosts !== entry.loadBalanceHosts
  );
}

function fromTemplate(template: DatabaseConfig, name: string): DatabaseConfig {
  return { ...template, name, dbname: template.dbname ?? name };
}
