import { assert } from '../../../src/base/assert.ts';
import type { LinkedList, ListNode } from '../../../src/base/linked-list.ts';
import { ClientState } from '../../../src/pool/states.ts';
import {
  FakeClient,
  FakeHost,
  type FakeServer,
  type TestConfig,
  type TestPool,
} from './fake-host.ts';

/** Numbers that look random and follow from a seed. */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer, 0 ≤ result < `bound`. */
  below(bound: number): number {
    // Marsaglia's xorshift over a Weyl sequence, which no seed can stop.
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let mixed = this.#state;
    mixed ^= mixed << 13;
    mixed ^= mixed >>> 17;
    mixed ^= mixed << 5;
    return (Math.imul(mixed, 0x2c1b3c6d) >>> 8) % bound;
  }

  /** One of `items`; null when there is none. */
  pick<T>(items: readonly T[]): T | null {
    return items[this.below(Math.max(items.length, 1))] ?? null;
  }

  /** True once in `count` times. */
  isOneIn(count: number): boolean {
    return this.below(count) === 0;
  }
}

/** A client that knows when it asked, and checks that nobody is passed over. */
class ModelClient extends FakeClient {
  /** Place in the order of requests. */
  askedAt = 0;

  override onServerAssigned(server: FakeServer): void {
    assert(this.server === null, `${this.name} has a server connection already`);
    const waitsLonger = this.pool.waitingClients
      .toArray()
      .find((other) => askedAt(other) < this.askedAt);
    assert(waitsLonger === undefined, `${this.name} passed over ${waitsLonger?.name ?? ''}`);
    super.onServerAssigned(server);
  }
}

function askedAt(client: FakeClient): number {
  return client instanceof ModelClient ? client.askedAt : 0;
}

/** A host that checks every launch. */
class ModelHost extends FakeHost {
  override launch(pool: TestPool, owner: FakeClient | null): void {
    const { limits, database, user } = pool;
    assert(!pool.isPaused, 'opens nothing while paused');
    assert(pool.loginServers.length === 0, 'has one login under way at a time');
    assert(database.serverCount <= limits.maxDbConnections, 'keeps to max_db_connections');
    assert(user.serverCount <= limits.maxUserConnections, 'keeps to max_user_connections');
    super.launch(pool, owner);
    const mostServers = limits.poolSize + limits.reservePoolSize;
    assert(pool.welcome === null || pool.serverCount <= mostServers, 'keeps to pool_size');
  }
}

const CONFIG: TestConfig = {
  settings: {
    defaultPoolSize: 3,
    reservePoolSize: 1,
    reservePoolTimeoutMs: 2000,
    maxDbConnections: 4,
    maxUserConnections: 4,
    minPoolSize: 1,
    queryWaitTimeoutMs: 0,
    queryTimeoutMs: 0,
    clientLoginTimeoutMs: 0,
    serverLifetimeMs: 60_000,
    serverIdleTimeoutMs: 10_000,
    serverCheckQuery: '',
    serverCheckDelayMs: 3000,
    serverLoginRetryMs: 1000,
    serverConnectTimeoutMs: 5000,
    serverResetQuery: 'DISCARD ALL',
  },
  databases: { app: {}, stats: {}, forced: { user: 'owner' } },
};

/** Far more than it takes to serve all clients of the model one after the other. */
const MAX_ROUNDS = 300;

/** Clients at a time: several for each server connection that the limits allow. */
const MAX_CLIENTS = 25;

/** They keep their server connections: with too many, nobody else would get one. */
const MAX_REPLICATION_CLIENTS = 2;

/** Several pools that share limits, and random things that happen to them. */
export class PoolModel {
  readonly random: SeededRandom;
  readonly host = new ModelHost(CONFIG);
  readonly pools: readonly TestPool[];
  readonly clients: ModelClient[] = [];
  /** What has happened so far, for the message of a failure. */
  readonly history: string[] = [];
  #requestCount = 0;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.pools = [
      ['app', 'alice'],
      ['app', 'owner'],
      ['stats', 'alice'],
      ['stats', 'owner'],
      ['forced', 'anybody'],
    ].map(([database, user]) => this.host.pool(database, user));
  }

  /** Lets something happen. */
  step(): void {
    let rest = this.random.below(this.#actions.reduce((sum, [weight]) => sum + weight, 0));
    const chosen = this.#actions.find(([weight]) => (rest -= weight) < 0);
    assert(chosen !== undefined, 'the weights add up');
    const [, name, action] = chosen;
    this.history.push(name);
    action();
  }

  /** What can happen, and how often it does compared to the others. */
  readonly #actions: readonly (readonly [number, string, () => void])[] = [
    [30, 'come', () => this.#come()],
    [2, 'replicate', () => this.#replicate()],
    [60, 'ask', () => this.#ask()],
    [40, 'finish', () => this.#linked()?.finish(this.random.isOneIn(8))],
    [6, 'leave', () => this.#anyClient()?.leave()],
    [3, 'withdraw', () => this.#withdraw()],
    [40, 'answer login', () => this.#answerLogin()],
    [30, 'pass test', () => this.#server('tested')?.passTest()],
    [2, 'lose server', () => this.#server()?.disconnect('lost')],
    [4, 'cancel', () => this.#server('active')?.sendCancel()],
    [8, 'cancel done', () => this.#finishCancel()],
    [30, 'pass time', () => this.host.pass(this.random.below(1500))],
    [1, 'pause', () => this.#pause()],
    [4, 'resume', () => this.#resume()],
    [1, 'retire', () => this.#anyPool()?.markDirty(this.random.isOneIn(2))],
    [2, 'limits', () => this.#changeLimits()],
  ];

  #anyPool(): TestPool | null {
    return this.random.pick(this.pools);
  }

  get #living(): ModelClient[] {
    return this.clients.filter(({ state }) => state !== ClientState.Closed);
  }

  get #open(): FakeServer[] {
    return this.host.launched.filter(({ closeReason }) => closeReason === null);
  }

  #anyClient(): ModelClient | null {
    return this.random.pick(this.#living);
  }

  #linked(): ModelClient | null {
    return this.random.pick(this.clients.filter(({ server }) => server !== null));
  }

  #server(state?: string): FakeServer | null {
    return this.random.pick(this.#open.filter((s) => state === undefined || s.state === state));
  }

  #come(): void {
    const pool = this.#anyPool();
    if (pool === null || this.#living.length >= MAX_CLIENTS) {
      return;
    }
    const client = new ModelClient(`c${String(this.clients.length)}`, pool, this.host);
    this.clients.push(client);
    if (pool.welcome === null) {
      pool.addWelcomeClient(client);
    } else {
      pool.addClient(client);
    }
  }

  #replicate(): void {
    const pool = this.#anyPool();
    const count = this.#living.filter(({ replication }) => replication !== null).length;
    if (pool !== null && count < MAX_REPLICATION_CLIENTS) {
      const client = new ModelClient(`r${String(this.clients.length)}`, pool, this.host);
      client.replication = { kind: 'physical', options: null };
      this.clients.push(client);
      pool.addWelcomeClient(client);
    }
  }

  #ask(): void {
    const client = this.random.pick(
      this.#living.filter(({ state, server }) => state === ClientState.Active && server === null),
    );
    if (client !== null) {
      client.askedAt = ++this.#requestCount;
      client.ask();
    }
  }

  #withdraw(): void {
    const client = this.random.pick(this.#living.filter((c) => c.state === ClientState.Waiting));
    client?.pool.withdraw(client);
  }

  #answerLogin(): void {
    const server = this.#server('login');
    if (server === null) {
      return;
    }
    switch (this.random.below(30)) {
      case 0:
        server.failToConnect();
        break;
      case 1:
        server.refuse('57P03', 'the database system is starting up');
        break;
      case 2:
        server.refuse('28P01', 'password authentication failed');
        break;
      default:
        server.logIn();
    }
  }

  #finishCancel(): void {
    const server = this.random.pick(this.host.launched.filter((s) => s.cancelsInFlight > 0));
    server?.pool.onCancelDone(server);
  }

  #pause(): void {
    const pool = this.#anyPool();
    if (pool === null) {
      return;
    }
    pool.database.isPaused = true;
    for (const { idleServers, usedServers, loginServers } of this.host.registry.poolsOf(
      pool.database,
    )) {
      for (const list of [idleServers, usedServers, loginServers]) {
        for (const server of list.toArray()) {
          server.disconnect('pause mode');
        }
      }
    }
  }

  #resume(): void {
    for (const pool of this.pools) {
      pool.database.isPaused = false;
    }
    for (const pool of this.pools) {
      pool.pump();
    }
  }

  #changeLimits(): void {
    this.host.set({
      defaultPoolSize: 1 + this.random.below(4),
      reservePoolSize: this.random.below(2),
      maxDbConnections: 2 + this.random.below(8),
      maxUserConnections: 2 + this.random.below(8),
      minPoolSize: this.random.below(3),
      serverCheckDelayMs: this.random.below(2) * 3000,
      serverRoundRobin: this.random.isOneIn(2),
    });
  }

  /** Checks everything that must hold at any time. */
  check(): void {
    const { launched } = this.host;
    launched.splice(0, launched.length, ...launched.filter(isOfInterest));
    this.clients.splice(0, this.clients.length, ...this.#living);
    const open = this.#open;
    for (const pool of this.pools) {
      this.#checkPool(pool, open);
      const { database, user } = pool;
      const ofDatabase = open.filter((server) => server.pool.database === database);
      const ofUser = open.filter((server) => server.pool.user === user);
      assert(database.serverCount === ofDatabase.length, 'permits of a database are right');
      assert(user.serverCount === ofUser.length, 'permits of a user are right');
    }
    for (const client of this.clients) {
      const { server } = client;
      const isWhole = server === null || (server.client === client && server.state === 'active');
      assert(isWhole, `the link of ${client.name} has two ends`);
    }
  }

  #checkPool(pool: TestPool, open: readonly FakeServer[]): void {
    const servers = open.filter((server) => server.pool === pool);
    for (const list of pool.serverLists()) {
      checkList<FakeServer>(list, servers);
    }
    assert(pool.serverCount === servers.length, 'no server connection is lost');
    const clients = this.clients.filter((client) => client.pool === pool);
    const { activeClients, waitingClients, welcomeClients, replicationClients } = pool;
    for (const list of [activeClients, waitingClients]) {
      checkList<FakeClient>(list, clients);
    }
    const isSharing = ({ replication }: FakeClient): boolean => replication === null;
    checkList<FakeClient>(welcomeClients, clients.filter(isSharing));
    const replicating = clients.filter((client) => !isSharing(client));
    checkList<FakeClient>(replicationClients, replicating);
    for (const client of replicating) {
      const isOwnOrNone = client.server === null || client.server.owner === client;
      assert(isOwnOrNone, 'a replication client has its own server connection');
    }
    const isShared = servers.every(
      ({ owner, client }) =>
        owner === null || client !== null || owner.state !== ClientState.Closed,
    );
    assert(isShared, 'no server connection outlives its owner');
    assert(pool.clientCount === clients.length, 'no client is lost');
    const unused = pool.activeServers.toArray().find(({ client }) => client === null);
    assert(unused === undefined, 'an active server connection has a client');
    const queue = pool.waitingClients.toArray().map(askedAt);
    const isInOrder = queue.every((asked, index) => asked > (queue[index - 1] ?? 0));
    assert(isInOrder, 'the queue is in the order of the requests');
    assert(queue.length === 0 || pool.idleServers.length === 0, 'nobody waits for an idle one');
  }

  /** Lets everything come to its end: whoever waits must be served. */
  drain(): void {
    this.history.push('drain');
    this.#resume();
    const isWaiting = ({ state }: ModelClient): boolean =>
      state === ClientState.Waiting || state === ClientState.WaitingLogin;
    for (let round = 0; this.#living.some(isWaiting); round++) {
      assert(round < MAX_ROUNDS, 'everybody is served in the end');
      for (const server of this.host.launched) {
        while (server.cancelsInFlight > 0) {
          server.pool.onCancelDone(server);
        }
      }
      this.#open.filter(({ state }) => state === 'login').forEach((server) => server.logIn());
      this.#open.filter(({ state }) => state === 'tested').forEach((s) => s.passTest());
      this.clients.filter(({ server }) => server !== null).forEach((client) => client.finish());
      this.host.pass(333);
      this.check();
    }
    this.#living.forEach((client) => client.leave());
    [...this.host.launched].forEach((server) => server.disconnect('end'));
    this.check();
    for (const { serverCount, clientCount, database, user } of this.pools) {
      assert(serverCount + clientCount === 0, 'an empty pool is empty');
      assert(database.serverCount + user.serverCount === 0, 'every permit is given back');
    }
  }
}

/** Closed connections matter only while a cancel request for them is in flight. */
function isOfInterest({ closeReason, cancelsInFlight }: FakeServer): boolean {
  return closeReason === null || cancelsInFlight > 0;
}

/** Checks that a list holds exactly those in the state it stands for. */
function checkList<T extends ListNode<T> & { readonly state: string }>(
  list: LinkedList<T>,
  all: readonly T[],
): void {
  const members = new Set(list.toArray());
  const expected = all.filter(({ state }) => state === list.name);
  const isRight =
    list.length === members.size &&
    expected.length === members.size &&
    expected.every((member) => members.has(member));
  assert(isRight, `the list of ${list.name} connections is right`);
}
