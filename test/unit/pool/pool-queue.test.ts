import { describe, expect, it } from 'vitest';
import { FakeHost, heldBy, serverCounts } from './fake-host.ts';

const SIZE_1 = { settings: { defaultPoolSize: 1 } };
const SIZE_2 = { settings: { defaultPoolSize: 2 } };

describe('the wait queue', () => {
  it('is served strictly in order, each server connection going to the oldest waiter', () => {
    const host = new FakeHost(SIZE_1);
    const pool = host.pool();
    const clients = ['a', 'b', 'c', 'd'].map((name) => host.client(pool, name).ask());
    const server = host.logIn(pool);
    for (const client of clients) {
      expect(client.server).toBe(server);
      client.finish();
    }
    expect(host.assigned).toEqual(['a', 'b', 'c', 'd']);
  });

  it('gets a released server connection directly, never by way of the idle list', () => {
    const host = new FakeHost(SIZE_1);
    const pool = host.pool();
    const [first] = host.occupy(pool, 1);
    const waiter = host.client(pool, 'waiter').ask();
    first?.finish();
    expect(waiter.server).not.toBeNull();
    expect(serverCounts(pool)).toEqual({ active: 1 });
    const late = host.client(pool, 'late').ask();
    expect(late.server).toBeNull();
  });

  it('puts a client that asks again behind those who wait already', () => {
    const host = new FakeHost(SIZE_1);
    const pool = host.pool();
    const greedy = host.client(pool, 'greedy').ask();
    host.logIn(pool);
    host.client(pool, 'patient').ask();
    greedy.finish();
    greedy.ask();
    expect(host.assigned).toEqual(['greedy', 'patient']);
    expect(greedy.server).toBeNull();
  });

  it('forgets a client that vanishes while it waits', () => {
    const host = new FakeHost(SIZE_1);
    const pool = host.pool();
    const [holder] = host.occupy(pool, 1);
    const gone = host.client(pool, 'gone').ask();
    const next = host.client(pool, 'next').ask();
    gone.leave();
    holder?.finish();
    expect(gone.server).toBeNull();
    expect(next.server).not.toBeNull();
    expect(pool.waitingClients.length).toBe(0);
  });

  it('keeps a withdrawn client in the pool, and lets it queue again at the end', () => {
    const host = new FakeHost(SIZE_1);
    const pool = host.pool();
    host.occupy(pool, 1);
    const canceled = host.client(pool, 'canceled').ask();
    host.client(pool, 'next').ask();
    pool.withdraw(canceled);
    expect(canceled).toMatchObject({ state: 'active', waitStartMs: 0 });
    expect(() => pool.withdraw(canceled)).toThrow('only a waiting client');
    canceled.ask();
    expect(pool.waitingClients.toArray().map(({ name }) => name)).toEqual(['next', 'canceled']);
  });

  it('refuses newcomers while the pooler drains, and serves the others on', () => {
    const host = new FakeHost(SIZE_1);
    const pool = host.pool();
    const [holder] = host.occupy(pool, 1);
    const early = host.client(pool).ask();
    host.isRefusingToQueue = true;
    const late = host.client(pool).ask();
    expect(late.error).toMatchObject({ reason: 'serverShuttingDown', sqlstate: '57P01' });
    holder?.finish();
    expect(early.server).not.toBeNull();
  });

  it('counts assignments and the time that clients waited', () => {
    const host = new FakeHost(SIZE_1);
    const pool = host.pool();
    const [holder] = host.occupy(pool, 1);
    const waiter = host.client(pool).ask();
    host.clock.advance(1500);
    holder?.finish();
    waiter.finish();
    host.client(pool).ask();
    expect(pool.stats).toMatchObject({ serverAssignmentCount: 3, waitTimeMs: 1500 });
  });
});

describe('reuse of idle server connections', () => {
  it('takes the one that was used last', () => {
    const host = new FakeHost();
    const pool = host.pool();
    const [older, newer] = host.fill(pool, 2);
    expect(heldBy(host.client(pool).ask())).toBe(newer);
    expect(heldBy(host.client(pool).ask())).toBe(older);
  });

  it('takes them in turn with server_round_robin', () => {
    const host = new FakeHost({ settings: { serverRoundRobin: true } });
    const pool = host.pool();
    const [first, second] = host.fill(pool, 2);
    const client = host.client(pool);
    for (const expected of [first, second, first, second]) {
      expect(heldBy(client.ask())).toBe(expected);
      client.finish();
    }
  });

  it('passes over retired ones, which are closed', () => {
    const host = new FakeHost();
    const pool = host.pool();
    const [older, newer] = host.fill(pool, 2);
    if (newer !== undefined) {
      newer.isCloseNeeded = true;
    }
    expect(heldBy(host.client(pool).ask())).toBe(older);
    expect(newer?.closeReason).toBe('obsolete connection');
  });
});

describe('opening server connections', () => {
  it('has one login under way at a time, and opens more while clients wait', () => {
    const host = new FakeHost({ settings: { defaultPoolSize: 3 } });
    const pool = host.pool();
    for (let count = 0; count < 5; count++) {
      host.client(pool).ask();
      expect(pool.loginServers.length).toBe(1);
    }
    for (const active of [1, 2, 3]) {
      expect(pool.loginServers.length).toBe(1);
      host.logIn(pool);
      expect(pool.activeServers.length).toBe(active);
    }
    expect(serverCounts(pool)).toEqual({ active: 3 });
    expect(pool.waitingClients.length).toBe(2);
  });

  it('opens none while an idle one serves', () => {
    const host = new FakeHost();
    const pool = host.pool();
    host.fill(pool, 1);
    const client = host.client(pool).ask();
    client.finish();
    client.ask();
    host.pass(333);
    expect(host.launched).toHaveLength(1);
  });

  it('never exceeds pool_size, whatever ticks pass', () => {
    const host = new FakeHost(SIZE_2);
    const pool = host.pool();
    host.occupy(pool, 2);
    host.client(pool).ask();
    for (let tick = 0; tick < 20; tick++) {
      host.pass(333);
    }
    expect(host.launched).toHaveLength(2);
  });

  it('knows no limit with pool_size 0', () => {
    const host = new FakeHost({ settings: { defaultPoolSize: 0 } });
    const pool = host.pool();
    host.occupy(pool, 50);
    expect(serverCounts(pool)).toEqual({ active: 50 });
  });

  it('keeps a connection that comes up after its client has left', () => {
    const host = new FakeHost();
    const pool = host.pool();
    host.client(pool).ask().leave();
    host.logIn(pool);
    expect(serverCounts(pool)).toEqual({ idle: 1 });
  });

  it('tries a changed target at once, whatever became of the one before', () => {
    const host = new FakeHost({ settings: { serverLoginRetryMs: 60_000 } });
    const pool = host.pool();
    host.newcomer(pool);
    pool.loginServers.head?.failToConnect();
    pool.markDirty(false);
    expect(serverCounts(pool)).toEqual({});
    pool.markDirty(true);
    expect(serverCounts(pool)).toEqual({ login: 1 });
  });

  it('gives way to one connection more than pool_size for a first welcome', () => {
    const host = new FakeHost(SIZE_1);
    const pool = host.pool();
    host.occupy(pool, 1);
    pool.markDirty(true);
    const newcomer = host.newcomer(pool);
    expect(serverCounts(pool)).toEqual({ active: 1, login: 1 });
    host.logIn(pool);
    expect(newcomer.isWelcome).toBe(true);
  });
});

describe('the reserve pool', () => {
  const settings = { defaultPoolSize: 1, reservePoolSize: 1, reservePoolTimeoutMs: 5000 };

  it('is opened only when the head has waited longer than reserve_pool_timeout', () => {
    const host = new FakeHost({ settings });
    const pool = host.pool();
    host.occupy(pool, 1);
    const waiter = host.client(pool).ask();
    host.pass(5000);
    expect(pool.loginServers.length).toBe(0);
    host.pass(1);
    expect(pool.loginServers.length).toBe(1);
    expect(host.reserveUses).toBe(1);
    host.logIn(pool);
    expect(waiter.server).not.toBeNull();
  });

  it('ends at reserve_pool_size', () => {
    const host = new FakeHost({ settings });
    const pool = host.pool();
    host.occupy(pool, 1);
    host.client(pool).ask();
    host.client(pool).ask();
    host.pass(6000);
    host.logIn(pool);
    host.pass(6000);
    expect(serverCounts(pool)).toEqual({ active: 2 });
    expect(pool.waitingClients.length).toBe(1);
  });

  it.each([
    ['reserve_pool_size 0', { ...settings, reservePoolSize: 0 }],
    ['reserve_pool_timeout 0', { ...settings, reservePoolTimeoutMs: 0 }],
  ])('is off with %s', (_name, off) => {
    const host = new FakeHost({ settings: off });
    const pool = host.pool();
    host.occupy(pool, 1);
    host.client(pool).ask();
    host.pass(60_000);
    expect(host.launched).toHaveLength(1);
    expect(host.reserveUses).toBe(0);
  });
});

describe('min_pool_size', () => {
  const settings = { minPoolSize: 2 };

  it('is reached one connection per tick while the pool has clients', () => {
    const host = new FakeHost({ settings });
    const pool = host.pool();
    host.client(pool);
    expect(host.launched).toHaveLength(0);
    host.pass(333);
    host.pass(333);
    expect(host.launched).toHaveLength(1);
    host.logIn(pool);
    expect(host.launched).toHaveLength(1);
    host.pass(333);
    host.logIn(pool);
    host.pass(333);
    expect(serverCounts(pool)).toEqual({ idle: 2 });
  });

  it('does not fill a pool without clients', () => {
    const host = new FakeHost({ settings });
    host.pool();
    host.pass(333);
    expect(host.launched).toHaveLength(0);
  });

  it('fills the pool of a forced user without any client, from the start', () => {
    const host = new FakeHost({ settings, databases: { app: { user: 'owner' } } });
    expect(host.registry.pools).toHaveLength(1);
    host.pass(333);
    expect(host.launched[0]?.pool.user.name).toBe('owner');
  });

  it.each<[string, (host: FakeHost) => void]>([
    ['the pooler', (host) => (host.isPaused = true)],
    ['the database', (host) => (host.pool().database.isPaused = true)],
  ])('does nothing while %s is paused', (_name, pause) => {
    const host = new FakeHost({ settings });
    host.client(host.pool());
    pause(host);
    host.pass(333);
    expect(host.launched).toHaveLength(0);
  });

  it('stays below pool_size', () => {
    const host = new FakeHost({ settings: { minPoolSize: 5, defaultPoolSize: 1 } });
    const pool = host.pool();
    host.client(pool);
    host.pass(333);
    host.logIn(pool);
    host.pass(333);
    expect(host.launched).toHaveLength(1);
  });

  it('evicts nobody', () => {
    const host = new FakeHost({ settings: { minPoolSize: 1, maxDbConnections: 1 } });
    host.fill(host.pool('app', 'alice'), 1);
    host.client(host.pool('app', 'bob'));
    host.pass(333);
    expect(host.launched).toHaveLength(1);
    expect(host.launched[0]?.closeReason).toBeNull();
  });
});
