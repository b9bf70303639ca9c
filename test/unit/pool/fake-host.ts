import type { LinkedList } from '../../../src/base/linked-list.ts';
import {
  databaseConfig,
  DEFAULT_SETTINGS,
  userConfig,
  type Config,
  type DatabaseConfig,
  type Settings,
  type UserConfig,
} from '../../../src/config/config.ts';
import { AuthBudget, LocalBudget } from '../../../src/pool/budget.ts';
import { maintainPool } from '../../../src/pool/janitor.ts';
import type { PoolClient, PoolServer, Replication } from '../../../src/pool/members.ts';
import { PoolRegistry } from '../../../src/pool/pool-registry.ts';
import type { Pool } from '../../../src/pool/pool.ts';
import type { PoolHost } from '../../../src/pool/pool-host.ts';
import { ClientState, ServerState } from '../../../src/pool/states.ts';
import { poolerError, type PoolerError } from '../../../src/protocol/pooler-errors.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

/** The pool that these tests are about. */
export type TestPool = Pool<FakeClient, FakeServer>;

/** What servers of these tests report at login. */
export const WELCOME: ReadonlyMap<string, string> = new Map([['server_version', '17.0']]);

/** A server connection without a socket: a test says what its server does. */
export class FakeServer implements PoolServer<FakeClient, FakeServer> {
  listPrev: FakeServer | null = null;
  listNext: FakeServer | null = null;
  list: LinkedList<FakeServer> | null = null;
  state: ServerState = ServerState.Login;
  readonly connectedAtMs: number;
  lastActivityMs: number;
  testStartMs = 0;
  lifetimeShare = 1;
  isCloseNeeded = false;
  cancelsInFlight = 0;
  isResetOwed = false;

  readonly id: number;
  readonly pool: TestPool;
  readonly owner: FakeClient | null;
  readonly #host: FakeHost;
  client: FakeClient | null = null;
  /** Queries of the pool's own, in order. */
  readonly sent: ('reset' | 'check')[] = [];
  /** Why it was closed; null while it is open. */
  closeReason: string | null = null;

  constructor(id: number, pool: TestPool, host: FakeHost, owner: FakeClient | null = null) {
    this.id = id;
    this.pool = pool;
    this.owner = owner;
    this.#host = host;
    this.connectedAtMs = host.nowMs();
    this.lastActivityMs = host.nowMs();
    pool.addServer(this);
  }

  startReset(): void {
    this.sent.push('reset');
  }

  startCheck(): void {
    this.sent.push('check');
  }

  disconnect(reason: string): void {
    if (this.closeReason !== null) {
      return;
    }
    this.closeReason = reason;
    if (reason === 'connect timeout') {
      this.#tellLoginFailed(null, connectError(reason));
    }
    const { client } = this;
    if (client !== null) {
      this.client = null;
      client.server = null;
      client.disconnect(poolerError('serverCrashed'));
    }
    this.pool.onServerClosed(this);
  }

  /** The server has accepted the login. */
  logIn(welcome = WELCOME): this {
    this.lastActivityMs = this.#host.nowMs();
    if (this.owner === null) {
      this.pool.onServerLoggedIn(this, welcome);
    } else {
      this.pool.onOwnServerLoggedIn(this, welcome);
    }
    return this;
  }

  /** The server has refused the login with an error of its own. */
  refuse(sqlstate: PoolerError['sqlstate'], message: string): void {
    const error = { ...poolerError('serverLoginFailed'), reason: 'server_error' as const };
    const report = { ...error, sqlstate, message };
    this.#tellLoginFailed(report, report);
    this.disconnect(message);
  }

  /** The failure of a connection that has an owner concerns nobody else. */
  #tellLoginFailed(error: PoolerError | null, fallback: PoolerError): void {
    if (this.owner === null) {
      this.pool.onServerLoginFailed(error, fallback);
    } else {
      this.owner.disconnect(error ?? fallback);
    }
  }

  /** Nobody answers at the server's address. */
  failToConnect(): void {
    this.#tellLoginFailed(null, connectError('connect failed'));
    this.disconnect('connect failed');
  }

  /** The reset or check query has been answered. */
  passTest(): void {
    this.lastActivityMs = this.#host.nowMs();
    this.pool.onServerTested(this);
  }

  /** A cancel request for it is on its way. */
  sendCancel(): void {
    this.cancelsInFlight++;
  }
}

function connectError(message: string): PoolerError {
  return { ...poolerError('serverLoginFailed'), message };
}

/** A client connection without a socket: a test says what its client does. */
export class FakeClient implements PoolClient<FakeClient, FakeServer> {
  listPrev: FakeClient | null = null;
  listNext: FakeClient | null = null;
  list: LinkedList<FakeClient> | null = null;
  state: ClientState = ClientState.Login;
  replication: Replication | null = null;
  waitStartMs = 0;
  isWaitNotified = false;
  readonly connectedAtMs: number;

  readonly name: string;
  readonly pool: TestPool;
  readonly #host: FakeHost;
  server: FakeServer | null = null;
  /** What it was told when it was disconnected. */
  error: PoolerError | null = null;
  noticeCount = 0;
  isWelcome = false;

  constructor(name: string, pool: TestPool, host: FakeHost) {
    this.name = name;
    this.pool = pool;
    this.#host = host;
    this.connectedAtMs = host.nowMs();
  }

  onServerAssigned(server: FakeServer): void {
    this.server = server;
    server.client = this;
    this.#host.assigned.push(this.name);
  }

  onOwnServer(server: FakeServer, welcome: ReadonlyMap<string, string>): void {
    this.isWelcome = welcome.size > 0;
    this.pool.addClient(this);
    this.server = server;
    server.client = this;
  }

  onWelcomeKnown(): void {
    this.isWelcome = true;
    this.pool.addClient(this);
  }

  notifyWait(): void {
    this.noticeCount++;
  }

  disconnect(error: PoolerError): void {
    if (this.state !== ClientState.Closed) {
      this.error = error;
      this.leave();
    }
  }

  /** Sends a request. */
  ask(): this {
    const server = this.pool.acquire(this);
    if (server !== null) {
      this.onServerAssigned(server);
    }
    return this;
  }

  /** Its transaction is over. */
  finish(isResetNeeded = false): void {
    const { server } = this;
    if (server === null) {
      throw new Error(`${this.name} has no server connection`);
    }
    if (server.owner !== null) {
      this.leave();
      return;
    }
    this.server = null;
    server.client = null;
    server.lastActivityMs = this.#host.nowMs();
    this.pool.release(server, isResetNeeded);
  }

  /** Closes its connection; a server connection that it holds is clean. */
  leave(): void {
    this.pool.onClientClosed(this);
    const { server } = this;
    if (server === null) {
      return;
    }
    if (server.owner === null) {
      this.finish();
    } else {
      this.server = null;
      server.client = null;
      server.disconnect('replication client was closed');
    }
  }
}

/** What a test may say of a configuration; the rest has its default. */
export interface TestConfig {
  readonly settings?: Partial<Settings>;
  readonly databases?: Readonly<Record<string, Partial<DatabaseConfig>>>;
  readonly users?: Readonly<Record<string, Partial<UserConfig>>>;
}

/** Makes a configuration; transaction mode, without checks and resets, unless it says otherwise. */
export function testConfig({ settings = {}, databases = {}, users = {} }: TestConfig): Config {
  const base = { poolMode: 'transaction', serverCheckQuery: null, serverResetQuery: '' } as const;
  return {
    file: 'test.yaml',
    peers: new Map(),
    settings: { ...DEFAULT_SETTINGS, ...base, ...settings },
    databases: new Map(
      Object.entries(databases).map(([name, entry]) => [
        name,
        { ...databaseConfig(name), ...entry },
      ]),
    ),
    users: new Map(
      Object.entries(users).map(([name, entry]) => [name, { ...userConfig(name), ...entry }]),
    ),
    warnings: [],
  };
}

/** A process without sockets: pools, their limits and a clock that a test advances. */
export class FakeHost implements PoolHost<FakeClient, FakeServer> {
  readonly clock = new VirtualClock();
  readonly budget = new LocalBudget();
  readonly authBudget = new AuthBudget();
  /** What the pools are told about the credentials. */
  isWarmUpPossible = true;
  readonly blockedPools = new Set<TestPool>();
  readonly registry: PoolRegistry<FakeClient, FakeServer>;
  config: Config;
  isPaused = false;
  isSuspended = false;
  isRefusingToQueue = false;
  /** Every server connection that was ever opened, in order. */
  readonly launched: FakeServer[] = [];
  /** Names of clients in the order in which they got server connections. */
  readonly assigned: string[] = [];
  /** How often the reserve was used. */
  reserveUses = 0;
  #clientCount = 0;
  #launchCount = 0;

  constructor(config: TestConfig = { databases: { app: {} } }) {
    this.config = testConfig({ databases: { app: {} }, ...config });
    this.registry = new PoolRegistry<FakeClient, FakeServer>(this.config, this);
  }

  get settings(): Settings {
    return this.config.settings;
  }

  mayWarmUp(): boolean {
    return this.isWarmUpPossible;
  }

  nowMs(): number {
    return this.clock.nowMs();
  }

  launch(pool: TestPool, owner: FakeClient | null): void {
    this.launched.push(new FakeServer(++this.#launchCount, pool, this, owner));
  }

  evictFor(pool: TestPool): boolean {
    return this.registry.evictFor(pool);
  }

  onPermitReleased(pool: TestPool): void {
    this.registry.onPermitReleased(pool);
  }

  onServerIdle(pool: TestPool): void {
    this.registry.onPermitReleased(pool);
  }

  onReserveUsed(): void {
    this.reserveUses++;
  }

  /** The pool of a configured database and a user. */
  pool(database = 'app', user = 'alice'): TestPool {
    const entry = this.registry.findDatabase(database);
    if (entry === null) {
      throw new Error(`no database ${database}`);
    }
    return this.registry.pool(entry, this.registry.user(user));
  }

  /** A client that has logged in. */
  client(pool: TestPool, name = `c${String(++this.#clientCount)}`): FakeClient {
    const client = new FakeClient(name, pool, this);
    pool.addClient(client);
    return client;
  }

  /** A client that has authenticated and waits to be welcomed. */
  newcomer(pool: TestPool, name = `c${String(++this.#clientCount)}`): FakeClient {
    const client = new FakeClient(name, pool, this);
    pool.addWelcomeClient(client);
    return client;
  }

  /** A replication client that has authenticated. */
  replicator(pool: TestPool, name = `r${String(++this.#clientCount)}`): FakeClient {
    const client = new FakeClient(name, pool, this);
    client.replication = { kind: 'logical', options: null };
    pool.addWelcomeClient(client);
    return client;
  }

  /** Completes the login under way in `pool`. */
  logIn(pool: TestPool): FakeServer {
    return this.#loggingIn(pool).logIn();
  }

  #loggingIn(pool: TestPool): FakeServer {
    const server = pool.loginServers.head;
    if (server === null) {
      throw new Error('no login under way');
    }
    return server;
  }

  /** The server connection that is being opened in `pool`. */
  opening(pool: TestPool): FakeServer {
    return this.#loggingIn(pool);
  }

  /** Opens `count` server connections in `pool` and has clients hold them. */
  occupy(pool: TestPool, count: number): FakeClient[] {
    const clients = Array.from({ length: count }, () => this.client(pool).ask());
    while (clients.some((client) => client.server === null)) {
      this.logIn(pool);
    }
    return clients;
  }

  /** Opens `count` server connections in `pool`, idle since now; the last one is reused first. */
  fill(pool: TestPool, count: number): FakeServer[] {
    const clients = this.occupy(pool, count);
    const servers = clients.map((client) => heldBy(client));
    for (const client of clients) {
      client.leave();
    }
    return servers;
  }

  /** Lets time pass, and then one maintenance pass run. */
  pass(ms: number): void {
    this.clock.advance(ms);
    for (const pool of [...this.registry.pools]) {
      maintainPool(
        pool,
        this,
        () => this.settings.queryWaitTimeoutMs,
        (target) => `${String(target.waitingClients.length)} clients waiting`,
      );
    }
    this.registry.makeBusyPoolsGiveWay();
  }

  /** Changes settings, as SET does. */
  set(settings: Partial<Settings>): void {
    this.config = { ...this.config, settings: { ...this.config.settings, ...settings } };
    for (const pool of this.registry.pools) {
      pool.applySettings();
    }
  }

  /** Takes over a whole configuration, as RELOAD does. */
  reload(config: TestConfig): string[] {
    this.config = testConfig(config);
    return this.registry.applyConfig(this.config).map(({ name }) => name);
  }
}

/** The server connection that a client holds. */
export function heldBy(client: FakeClient): FakeServer {
  if (client.server === null) {
    throw new Error(`${client.name} has no server connection`);
  }
  return client.server;
}

/** List lengths of a pool's server connections, only those above zero. */
export function serverCounts(pool: TestPool): Record<string, number> {
  const counts = pool.serverLists().map((list) => [list.name, list.length] as const);
  return Object.fromEntries(counts.filter(([, length]) => length > 0));
}
