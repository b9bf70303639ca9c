import { describe, expect, it } from 'vitest';
import { FakeHost, serverCounts } from './fake-host.ts';

const TWO_DATABASES = { app: {}, stats: {} };

describe.each([
  { limit: 'max_db_connections', setting: 'maxDbConnections', other: ['app', 'bob'] },
  { limit: 'max_user_connections', setting: 'maxUserConnections', other: ['stats', 'alice'] },
] as const)('$limit', ({ setting, other }) => {
  const config = { settings: { [setting]: 2 }, databases: TWO_DATABASES };

  it('holds over all pools that share it', () => {
    const host = new FakeHost(config);
    const pool = host.pool();
    const rival = host.pool(...other);
    host.occupy(pool, 1);
    host.occupy(rival, 1);
    host.client(pool).ask();
    host.client(rival).ask();
    host.pass(333);
    expect(host.launched).toHaveLength(2);
    expect(host.blockedPools).toEqual(new Set([pool, rival]));
  });

  it('does not hold for pools that share neither database nor user', () => {
    const host = new FakeHost(config);
    host.occupy(host.pool(), 2);
    host.occupy(host.pool('stats', 'carol'), 2);
    expect(host.launched).toHaveLength(4);
  });

  it('closes the connection that has been idle longest to make room', () => {
    const host = new FakeHost(config);
    const rival = host.pool(...other);
    const [older, newer] = host.occupy(rival, 2);
    const servers = [older?.server, newer?.server];
    older?.finish();
    host.clock.advance(10);
    newer?.finish();
    host.client(host.pool()).ask();
    expect(servers.map((server) => server?.closeReason)).toEqual(['evicted', null]);
    expect(host.pool().loginServers.length).toBe(1);
  });

  it('closes a stale one too, the one idle longest, where nobody waits', () => {
    const check = { serverCheckQuery: '', serverCheckDelayMs: 1000 };
    const host = new FakeHost({ ...config, settings: { ...config.settings, ...check } });
    const rival = host.pool(...other);
    const [older, newer] = host.fill(rival, 2);
    host.clock.advance(10);
    if (newer !== undefined) {
      newer.lastActivityMs = host.nowMs();
    }
    host.pass(2000);
    expect(serverCounts(rival)).toEqual({ used: 2 });
    host.client(host.pool()).ask();
    expect([older?.closeReason, newer?.closeReason]).toEqual(['evicted', null]);
  });

  it('spares a stale one that somebody waits for', () => {
    const check = { serverCheckQuery: '', serverCheckDelayMs: 1000 };
    const host = new FakeHost({ ...config, settings: { ...config.settings, ...check } });
    const rival = host.pool(...other);
    host.fill(rival, 2);
    host.pass(2000);
    host.client(rival).ask();
    expect(serverCounts(rival)).toEqual({ used: 1, tested: 1 });
    host.client(host.pool()).ask();
    expect(serverCounts(rival)).toEqual({ used: 1, tested: 1 });
    expect(host.blockedPools.has(host.pool())).toBe(true);
  });

  it('evicts a connection as soon as it becomes idle while another pool is blocked', () => {
    const host = new FakeHost(config);
    const rival = host.pool(...other);
    const [holder] = host.occupy(rival, 2);
    host.client(host.pool()).ask();
    expect(host.pool().loginServers.length).toBe(0);
    holder?.finish();
    expect(serverCounts(rival)).toEqual({ active: 1 });
    expect(host.pool().loginServers.length).toBe(1);
  });

  it('gives a permit back when a connection is lost', () => {
    const host = new FakeHost(config);
    const pool = host.pool();
    host.occupy(pool, 2);
    const waiter = host.client(host.pool(...other)).ask();
    host.launched[0]?.disconnect('server closed the connection');
    host.logIn(host.pool(...other));
    expect(waiter.server).not.toBeNull();
    expect(pool.database.serverCount + pool.user.serverCount).toBeGreaterThan(0);
    for (const server of host.launched) {
      server.disconnect('gone');
    }
    expect([pool.database.serverCount, pool.user.serverCount]).toEqual([0, 0]);
  });
});

describe('pools that are blocked by a shared limit', () => {
  const config = { settings: { maxDbConnections: 2 } };

  it('get a permit that is given back in the order of their oldest waiters', () => {
    const host = new FakeHost(config);
    host.occupy(host.pool('app', 'alice'), 2);
    const pools = ['carol', 'bob', 'dave'].map((user) => host.pool('app', user));
    const [carol, bob, dave] = pools;
    for (const pool of [bob, dave, carol]) {
      if (pool !== undefined) {
        host.client(pool).ask();
        host.clock.advance(10);
      }
    }
    host.launched[0]?.disconnect('lost');
    expect(pools.map((pool) => pool.loginServers.length)).toEqual([0, 1, 0]);
    host.launched[1]?.disconnect('lost');
    expect(pools.map((pool) => pool.loginServers.length)).toEqual([0, 1, 1]);
  });

  it('count clients that wait for their welcome as waiting', () => {
    const host = new FakeHost(config);
    host.occupy(host.pool('app', 'alice'), 2);
    host.newcomer(host.pool('app', 'bob'));
    host.clock.advance(10);
    host.client(host.pool('app', 'carol')).ask();
    host.launched[0]?.disconnect('lost');
    expect(host.pool('app', 'bob').loginServers.length).toBe(1);
    expect(host.pool('app', 'carol').loginServers.length).toBe(0);
  });

  it('evict no more than they need', () => {
    const host = new FakeHost({ settings: { maxDbConnections: 4 } });
    host.fill(host.pool('app', 'alice'), 4);
    host.client(host.pool('app', 'bob')).ask();
    expect(host.launched.filter((server) => server.closeReason !== null)).toHaveLength(1);
  });
});

describe('a busy pool', () => {
  const config = { settings: { maxDbConnections: 2 } };

  it('gives way to a starving one at its next release', () => {
    const host = new FakeHost(config);
    const [holder] = host.occupy(host.pool('app', 'alice'), 2);
    // Its own queue is never empty, so its connections are never idle.
    const own = host.client(host.pool('app', 'alice')).ask();
    const starving = host.client(host.pool('app', 'bob')).ask();
    host.pass(1001);
    holder?.finish();
    expect(host.launched[0]?.closeReason).toBe('evicted');
    host.logIn(host.pool('app', 'bob'));
    expect(starving.server).not.toBeNull();
    expect(own.server).toBeNull();
  });

  it('keeps its connections while nobody has starved for long', () => {
    const host = new FakeHost(config);
    const [holder] = host.occupy(host.pool('app', 'alice'), 2);
    const own = host.client(host.pool('app', 'alice')).ask();
    host.client(host.pool('app', 'bob')).ask();
    host.pass(1000);
    holder?.finish();
    expect(own.server).not.toBeNull();
    expect(host.launched.every((server) => server.closeReason === null)).toBe(true);
  });

  it('gives way to clients that wait for their welcome', () => {
    const host = new FakeHost(config);
    const [holder] = host.occupy(host.pool('app', 'alice'), 2);
    host.client(host.pool('app', 'alice')).ask();
    const newcomer = host.newcomer(host.pool('app', 'bob'));
    host.pass(1001);
    holder?.finish();
    host.logIn(host.pool('app', 'bob'));
    expect(newcomer.isWelcome).toBe(true);
  });

  it('is the one that holds the limit in question, not the biggest one of all', () => {
    const host = new FakeHost({
      settings: { maxDbConnections: 0 },
      databases: { app: { maxDbConnections: 1 }, stats: {} },
    });
    // Same user on another database: closing one there makes no room here.
    host.occupy(host.pool('stats', 'bob'), 3);
    host.occupy(host.pool('app', 'alice'), 1);
    host.client(host.pool('app', 'bob')).ask();
    host.pass(1001);
    expect(host.pool('stats', 'bob').yieldCount).toBe(0);
    expect(host.pool('app', 'alice').yieldCount).toBe(1);
  });
});
