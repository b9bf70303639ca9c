import { describe, expect, it } from 'vitest';
import { FakeHost, serverCounts } from './fake-host.ts';

const RETRY = { settings: { serverLoginRetryMs: 15_000 } };

describe('a server that cannot be reached', () => {
  it('is tried again only when server_login_retry has passed since the attempt began', () => {
    const host = new FakeHost(RETRY);
    const pool = host.pool();
    host.client(pool).ask();
    host.clock.advance(4000);
    host.opening(pool).failToConnect();
    host.pass(10_999);
    expect(host.launched).toHaveLength(1);
    host.pass(1);
    expect(host.launched).toHaveLength(2);
  });

  it('leaves those who wait in the queue, and serves them when it is back', () => {
    const host = new FakeHost(RETRY);
    const pool = host.pool();
    const queued = host.client(pool).ask();
    const newcomer = host.newcomer(pool);
    host.opening(pool).failToConnect();
    expect([queued.state, newcomer.state]).toEqual(['waiting', 'waiting_login']);
    host.pass(15_000);
    host.logIn(pool);
    expect(queued.server).not.toBeNull();
    expect(newcomer.isWelcome).toBe(true);
  });

  it('fails whoever asks next at once, with the cached error', () => {
    const host = new FakeHost(RETRY);
    const pool = host.pool();
    host.client(pool).ask();
    host.opening(pool).failToConnect();
    const late = host.client(pool).ask();
    expect(late.error).toMatchObject({
      sqlstate: '08006',
      message: 'server login has been failing, cached error: connect failed (server_login_retry)',
    });
    expect(late.state).toBe('closed');
  });

  it('is tried again although everybody who asks is refused', () => {
    const host = new FakeHost(RETRY);
    const pool = host.pool();
    const queued = host.client(pool).ask();
    host.opening(pool).failToConnect();
    queued.leave();
    host.pass(15_000);
    expect(host.launched).toHaveLength(1);
    expect(host.client(pool).ask().error).not.toBeNull();
    host.logIn(pool);
    expect(host.client(pool).ask().server).not.toBeNull();
  });

  it('does not fail anybody while another connection is open', () => {
    const host = new FakeHost(RETRY);
    const pool = host.pool();
    host.occupy(pool, 1);
    host.client(pool).ask();
    host.opening(pool).failToConnect();
    expect(host.client(pool).ask().state).toBe('waiting');
  });

  it('does not fail anybody while the pool is paused: the queue is kept for RESUME', () => {
    const host = new FakeHost(RETRY);
    const pool = host.pool();
    host.client(pool).ask();
    host.opening(pool).failToConnect();
    pool.database.isPaused = true;
    const client = host.client(pool).ask();
    expect([client.state, client.error]).toEqual(['waiting', null]);
    expect(host.launched).toHaveLength(1);
  });

  it('is forgotten with the first login that succeeds', () => {
    const host = new FakeHost(RETRY);
    const pool = host.pool();
    host.client(pool).ask();
    host.opening(pool).failToConnect();
    host.pass(15_000);
    host.logIn(pool);
    host.launched[1]?.disconnect('lost');
    expect(host.client(pool).ask().state).toBe('waiting');
    expect(pool.loginServers.length).toBe(1);
  });

  it('counts as failed when server_connect_timeout passes, but not with 0', () => {
    const host = new FakeHost({ settings: { serverConnectTimeoutMs: 15_000 } });
    const pool = host.pool();
    host.client(pool).ask();
    host.pass(15_000);
    expect(host.launched[0]?.closeReason).toBeNull();
    host.set({ serverConnectTimeoutMs: 0 });
    host.pass(1);
    expect(host.launched[0]?.closeReason).toBeNull();
    host.set({ serverConnectTimeoutMs: 15_000 });
    host.pass(0);
    expect(host.launched[0]?.closeReason).toBe('connect timeout');
    expect(host.client(pool).ask().error?.reason).toBe('serverLoginRetry');
  });
});

describe('a server that refuses the login', () => {
  it('tells all who wait its own error when nothing is connected', () => {
    const host = new FakeHost(RETRY);
    const pool = host.pool();
    const queued = host.client(pool).ask();
    const newcomer = host.newcomer(pool);
    host.opening(pool).refuse('28P01', 'password authentication failed');
    for (const client of [queued, newcomer]) {
      expect(client.error).toMatchObject({
        sqlstate: '28P01',
        message: 'password authentication failed',
      });
    }
    expect(pool.clientCount).toBe(0);
  });

  it('tells nobody while another connection is open', () => {
    const host = new FakeHost(RETRY);
    const pool = host.pool();
    host.occupy(pool, 1);
    const queued = host.client(pool).ask();
    host.opening(pool).refuse('28P01', 'password authentication failed');
    expect(queued.state).toBe('waiting');
  });

  it('fails the next ones with the same error, unchanged', () => {
    const host = new FakeHost(RETRY);
    const pool = host.pool();
    host.client(pool).ask();
    host.opening(pool).refuse('3D000', 'database "app" does not exist');
    expect(host.client(pool).ask().error).toMatchObject({
      sqlstate: '3D000',
      message: 'database "app" does not exist',
    });
  });

  it('is tried again at once with server_login_retry 0', () => {
    const host = new FakeHost({ settings: { serverLoginRetryMs: 0 } });
    const pool = host.pool();
    host.client(pool).ask();
    host.opening(pool).failToConnect();
    expect(host.launched).toHaveLength(2);
  });
});

describe.each([
  ['57P03', 'the database system is starting up'],
  ['53300', 'sorry, too many clients already'],
] as const)('a server that answers %s', (sqlstate, message) => {
  it('leaves the queue as it is and takes new waiters', () => {
    const host = new FakeHost(RETRY);
    const pool = host.pool();
    const queued = host.client(pool).ask();
    const newcomer = host.newcomer(pool);
    host.opening(pool).refuse(sqlstate, message);
    const late = host.client(pool).ask();
    expect([queued.state, newcomer.state, late.state]).toEqual([
      'waiting',
      'waiting_login',
      'waiting',
    ]);
  });

  it('is tried again after a second, well before server_login_retry', () => {
    const host = new FakeHost(RETRY);
    const pool = host.pool();
    host.client(pool).ask();
    host.opening(pool).refuse(sqlstate, message);
    host.pass(999);
    expect(host.launched).toHaveLength(1);
    host.pass(1);
    expect(host.launched).toHaveLength(2);
  });
});

describe('clients that wait to be welcomed', () => {
  it('are welcomed by the first login, in order, and do not take its connection', () => {
    const host = new FakeHost();
    const pool = host.pool();
    const clients = [host.newcomer(pool), host.newcomer(pool)];
    expect(pool.welcome).toBeNull();
    host.logIn(pool);
    expect(clients.map(({ isWelcome, state }) => [isWelcome, state])).toEqual([
      [true, 'active'],
      [true, 'active'],
    ]);
    expect(pool.welcome?.get('server_version')).toBe('17.0');
    expect(serverCounts(pool)).toEqual({ idle: 1 });
  });

  it('are told when client_login_timeout is over, counted from their connection', () => {
    const host = new FakeHost({ settings: { clientLoginTimeoutMs: 60_000 } });
    const pool = host.pool();
    const client = host.newcomer(pool);
    host.pass(60_000);
    expect(client.error).toBeNull();
    host.pass(1);
    expect(client.error?.message).toBe('client_login_timeout (server down)');
  });

  it('wait for ever with client_login_timeout 0 and query_wait_timeout 0', () => {
    const host = new FakeHost({ settings: { clientLoginTimeoutMs: 0, queryWaitTimeoutMs: 0 } });
    const client = host.newcomer(host.pool());
    host.pass(86_400_000);
    expect(client.error).toBeNull();
  });

  it('wait no longer than query_wait_timeout', () => {
    const host = new FakeHost({ settings: { clientLoginTimeoutMs: 0, queryWaitTimeoutMs: 1_000 } });
    const client = host.newcomer(host.pool());
    host.pass(900);
    expect(client.error).toBeNull();
    host.pass(900);
    expect(client.error?.reason).toBe('queryWaitTimeout');
  });

  it('have a new attempt made for them although the last one failed', () => {
    const host = new FakeHost(RETRY);
    const pool = host.pool();
    host.newcomer(pool);
    host.opening(pool).failToConnect();
    const second = host.newcomer(pool);
    expect(second.error).toBeNull();
    host.pass(15_000);
    host.logIn(pool);
    expect(second.isWelcome).toBe(true);
  });
});
