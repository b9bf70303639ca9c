import { describe, expect, it } from 'vitest';
import { FakeHost, heldBy, serverCounts, type FakeServer } from './fake-host.ts';

function only(servers: readonly FakeServer[]): FakeServer {
  const [server] = servers;
  if (server === undefined) {
    throw new Error('no server connection');
  }
  return server;
}

describe('server_idle_timeout', () => {
  const settings = { serverIdleTimeoutMs: 600_000, serverLifetimeMs: 3_600_000 };

  it('closes a connection when it has been idle for longer', () => {
    const host = new FakeHost({ settings });
    const [server] = host.fill(host.pool(), 1);
    host.pass(600_000);
    expect(server?.closeReason).toBeNull();
    host.pass(1);
    expect(server?.closeReason).toBe('server idle timeout');
  });

  it('is off with 0, and spares connections in use', () => {
    const host = new FakeHost({ settings: { ...settings, serverIdleTimeoutMs: 0 } });
    const pool = host.pool();
    host.fill(pool, 1);
    host.pass(1_000_000);
    host.set({ serverIdleTimeoutMs: 1 });
    host.client(pool).ask();
    host.pass(1_000_000);
    expect(serverCounts(pool)).toEqual({ active: 1 });
  });

  it('leaves min_pool_size connections open', () => {
    const host = new FakeHost({ settings: { ...settings, minPoolSize: 2 } });
    const pool = host.pool();
    host.fill(pool, 5);
    host.pass(600_001);
    expect(serverCounts(pool)).toEqual({ idle: 2 });
  });
});

describe('server_lifetime', () => {
  const settings = { serverLifetimeMs: 100_000, serverIdleTimeoutMs: 0 };

  it('closes idle connections at their own share of it, so that not all expire at once', () => {
    const host = new FakeHost({ settings });
    const servers = host.fill(host.pool(), 3);
    for (const [index, share] of [0.8, 0.9, 1].entries()) {
      const server = servers[index];
      if (server !== undefined) {
        server.lifetimeShare = share;
      }
    }
    const isOpen = (): boolean[] => servers.map(({ closeReason }) => closeReason === null);
    host.pass(80_000);
    expect(isOpen()).toEqual([true, true, true]);
    host.pass(1);
    expect(isOpen()).toEqual([false, true, true]);
    host.pass(10_000);
    expect(isOpen()).toEqual([false, false, true]);
    host.pass(10_000);
    expect(isOpen()).toEqual([false, false, false]);
  });

  it('closes a busy connection when it is released, and serves who waits with a new one', () => {
    const host = new FakeHost({ settings: { ...settings, defaultPoolSize: 1 } });
    const pool = host.pool();
    const [holder] = host.occupy(pool, 1);
    const waiter = host.client(pool).ask();
    host.pass(100_001);
    expect(serverCounts(pool)).toEqual({ active: 1 });
    holder?.finish();
    expect(host.launched[0]?.closeReason).toBe('server lifetime over');
    host.logIn(pool);
    expect(waiter.server).toBe(host.launched[1]);
  });

  it('closes after the first use with 0', () => {
    const host = new FakeHost({ settings: { serverLifetimeMs: 0 } });
    const pool = host.pool();
    const client = host.client(pool).ask();
    host.logIn(pool);
    expect(client.server).not.toBeNull();
    host.clock.advance(1);
    client.finish();
    expect(host.launched[0]?.closeReason).toBe('server lifetime over');
  });
});

describe('retired server connections', () => {
  it('are closed: logging in at once, idle at the next tick, busy at release', () => {
    const host = new FakeHost();
    const pool = host.pool();
    const [busy, idle] = host.occupy(pool, 2);
    idle?.finish();
    const [busyServer, idleServer] = host.launched;
    pool.markDirty(false);
    expect([busyServer?.closeReason, idleServer?.closeReason]).toEqual([null, null]);
    host.pass(333);
    expect(idleServer?.closeReason).toBe('database configuration changed');
    expect(busyServer?.closeReason).toBeNull();
    busy?.finish();
    expect(busyServer?.closeReason).toBe('close_needed');
  });

  it('make room for a login to the new target', () => {
    const host = new FakeHost();
    const pool = host.pool();
    const client = host.client(pool).ask();
    pool.markDirty(true);
    expect(host.launched[0]?.closeReason).toBe('connect string changed');
    expect(host.launched[1]?.isCloseNeeded).toBe(false);
    host.logIn(pool);
    expect(client.server).toBe(host.launched[1]);
  });

  it.each([
    [true, null, 0],
    [false, '17.0', 1],
  ])('void what is known of the server if the target changed: %s', (changed, version, accepted) => {
    const host = new FakeHost();
    const pool = host.pool();
    host.fill(pool, 1);
    pool.acceptedValues.add('TimeZone=UTC');
    pool.markDirty(changed);
    expect(pool.welcome?.get('server_version') ?? null).toBe(version);
    expect(pool.acceptedValues.size).toBe(accepted);
  });

  it('shrink a pool that is larger than a reload allows', () => {
    const host = new FakeHost({ settings: { defaultPoolSize: 5, reservePoolSize: 1 } });
    const pool = host.pool();
    host.fill(pool, 5);
    host.set({ defaultPoolSize: 2 });
    host.pass(333);
    expect(serverCounts(pool)).toEqual({ idle: 3 });
    expect(
      host.launched.filter((s) => s.closeReason === 'too many servers in the pool'),
    ).toHaveLength(2);
    host.set({ defaultPoolSize: 0 });
    host.pass(333);
    expect(serverCounts(pool)).toEqual({ idle: 3 });
  });
});

describe('a pool that is never idle', () => {
  it('gives up at release what a reload allows no more, and no more than that', () => {
    const host = new FakeHost({ settings: { defaultPoolSize: 5, reservePoolSize: 0 } });
    const pool = host.pool();
    const holders = host.occupy(pool, 5);
    const queue = Array.from({ length: 20 }, () => host.client(pool).ask());
    host.set({ defaultPoolSize: 3 });
    host.pass(333);
    for (const holder of holders) {
      holder.finish();
    }
    expect(serverCounts(pool)).toEqual({ active: 3 });
    expect(
      host.launched.filter((s) => s.closeReason === 'too many servers in the pool'),
    ).toHaveLength(2);
    host.pass(333);
    queue.find(({ server }) => server !== null)?.finish();
    expect(serverCounts(pool)).toEqual({ active: 3 });
  });
});

describe('server_check_query', () => {
  const settings = { serverCheckQuery: 'select 1', serverCheckDelayMs: 30_000 };

  it('runs before the use of a connection that has been idle for server_check_delay', () => {
    const host = new FakeHost({ settings });
    const pool = host.pool();
    const server = only(host.fill(pool, 1));
    host.pass(30_000);
    expect(server.state).toBe('idle');
    host.pass(1);
    expect(server).toMatchObject({ state: 'used', sent: [] });
    const client = host.client(pool).ask();
    expect(server).toMatchObject({ state: 'tested', sent: ['check'] });
    server.passTest();
    expect(client.server).toBe(server);
  });

  it('makes the connection idle again when its client has left meanwhile', () => {
    const host = new FakeHost({ settings });
    const pool = host.pool();
    const server = only(host.fill(pool, 1));
    host.pass(30_001);
    host.client(pool).ask().leave();
    server.passTest();
    expect(server.state).toBe('idle');
  });

  it('opens no connection while the one being checked will do', () => {
    const host = new FakeHost({ settings });
    const pool = host.pool();
    host.fill(pool, 1);
    host.pass(30_001);
    host.client(pool).ask();
    expect(host.launched).toHaveLength(1);
    host.client(pool).ask();
    expect(host.launched).toHaveLength(2);
  });

  it('is given up after server_connect_timeout, and another connection is opened', () => {
    const host = new FakeHost({ settings: { ...settings, serverConnectTimeoutMs: 15_000 } });
    const pool = host.pool();
    const server = only(host.fill(pool, 1));
    host.pass(30_001);
    const client = host.client(pool).ask();
    host.pass(15_000);
    expect(server.state).toBe('tested');
    host.pass(1);
    expect(server.closeReason).toBe('test query failed');
    host.logIn(pool);
    expect(client.server).toBe(host.launched[1]);
  });

  it('does not run when there is none', () => {
    const host = new FakeHost({ settings: { serverCheckQuery: null } });
    const pool = host.pool();
    host.fill(pool, 1);
    host.pass(60_000);
    expect(heldBy(host.client(pool).ask()).sent).toEqual([]);
  });

  it('runs after every release with server_check_delay 0', () => {
    const host = new FakeHost({ settings: { ...settings, serverCheckDelayMs: 0 } });
    const pool = host.pool();
    const [holder] = host.occupy(pool, 1);
    const server = only(host.launched);
    holder?.finish();
    expect(server).toMatchObject({ state: 'used', sent: [] });
    const client = host.client(pool).ask();
    expect(client.server).toBeNull();
    server.passTest();
    expect(client.server).toBe(server);
  });

  it('runs at once for those who wait with server_check_delay 0', () => {
    const host = new FakeHost({
      settings: { ...settings, serverCheckDelayMs: 0, defaultPoolSize: 1 },
    });
    const pool = host.pool();
    const [holder] = host.occupy(pool, 1);
    const waiter = host.client(pool).ask();
    holder?.finish();
    expect(only(host.launched)).toMatchObject({ state: 'tested', sent: ['check'] });
    only(host.launched).passTest();
    expect(waiter.server).not.toBeNull();
  });
});

describe('server_reset_query', () => {
  const reset = { serverResetQuery: 'DISCARD ALL' };

  it.each([
    { name: 'session mode', settings: { ...reset, poolMode: 'session' }, dirty: false, sent: 1 },
    { name: 'transaction mode', settings: reset, dirty: false, sent: 0 },
    { name: 'state left behind', settings: reset, dirty: true, sent: 1 },
    { name: 'always', settings: { ...reset, serverResetQueryAlways: true }, dirty: false, sent: 1 },
    { name: 'none', settings: { poolMode: 'session' }, dirty: true, sent: 0 },
  ] as const)('is sent $sent times on release: $name', ({ settings, dirty, sent }) => {
    const host = new FakeHost({ settings });
    const pool = host.pool();
    const [holder] = host.occupy(pool, 1);
    holder?.finish(dirty);
    expect(only(host.launched).sent).toHaveLength(sent);
    expect(serverCounts(pool)).toEqual(sent === 1 ? { tested: 1 } : { idle: 1 });
  });

  it('runs before a waiting client gets the connection', () => {
    const host = new FakeHost({ settings: { ...reset, poolMode: 'session', defaultPoolSize: 1 } });
    const pool = host.pool();
    const [holder] = host.occupy(pool, 1);
    const waiter = host.client(pool).ask();
    holder?.leave();
    expect(waiter.server).toBeNull();
    only(host.launched).passTest();
    expect(waiter.server).toBe(host.launched[0]);
  });
});

describe('a server connection with cancel requests in flight', () => {
  it('is not reused until all of them are done', () => {
    const host = new FakeHost({ settings: { defaultPoolSize: 1 } });
    const pool = host.pool();
    const [holder] = host.occupy(pool, 1);
    const waiter = host.client(pool).ask();
    const server = only(host.launched);
    server.sendCancel();
    server.sendCancel();
    holder?.finish();
    expect(server.state).toBe('being_canceled');
    pool.onCancelDone(server);
    expect(server.state).toBe('being_canceled');
    expect(waiter.server).toBeNull();
    pool.onCancelDone(server);
    expect(waiter.server).toBe(server);
  });

  it('stays with its client when the cancel is done before the release', () => {
    const host = new FakeHost();
    const pool = host.pool();
    const [holder] = host.occupy(pool, 1);
    const server = only(host.launched);
    server.sendCancel();
    pool.onCancelDone(server);
    expect(holder?.server).toBe(server);
    holder?.finish();
    expect(server.state).toBe('idle');
  });

  it('is not reused when it arrives during the reset query either', () => {
    const host = new FakeHost({ settings: { serverResetQuery: 'DISCARD ALL' } });
    const pool = host.pool();
    const [holder] = host.occupy(pool, 1);
    const server = only(host.launched);
    holder?.finish(true);
    server.sendCancel();
    server.passTest();
    expect(server.state).toBe('being_canceled');
    pool.onCancelDone(server);
    server.passTest();
    expect(server.state).toBe('idle');
  });

  it('may be gone when the cancel is done', () => {
    const host = new FakeHost();
    const pool = host.pool();
    host.occupy(pool, 1);
    const server = only(host.launched);
    server.sendCancel();
    server.disconnect('lost');
    pool.onCancelDone(server);
    expect(server.state).toBe('closed');
  });
});
