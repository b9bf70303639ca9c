import { describe, expect, it } from 'vitest';
import { TICK_MS } from '../../../src/pool/janitor.ts';
import { FakeClient, FakeHost } from './fake-host.ts';
import type { TestPool } from './fake-host.ts';

function authPool(host: FakeHost, name = 'app'): TestPool {
  const database = host.registry.findDatabase(name);
  if (database === null) {
    throw new Error(`no database ${name}`);
  }
  return host.registry.authPool(database, 'asker');
}

/** A question under way. */
function ask(host: FakeHost, pool: TestPool): FakeClient {
  const client = new FakeClient('question', pool, host);
  pool.addClient(client);
  return client.ask();
}

/** Has all logins under way succeed, one after the other. */
function logInAll(host: FakeHost, pool: TestPool): void {
  for (let server = pool.loginServers.head; server !== null; server = pool.loginServers.head) {
    server.logIn();
  }
  host.clock.advance(1);
}

describe('a pool of auth_query', () => {
  it('is one for a database and its user, apart from that of clients of the same name', () => {
    const host = new FakeHost();
    const pool = authPool(host);
    expect(authPool(host)).toBe(pool);
    const clients = host.registry.pool(pool.database, host.registry.user('asker'));
    expect(clients).not.toBe(pool);
    expect(host.registry.poolsOf(pool.database)).toEqual([clients, pool]);
    expect(host.registry.users.get('asker')).not.toBe(pool.user);
  });

  it('is not that of the user that the database forces', () => {
    const host = new FakeHost({ databases: { app: { user: 'forced' } } });
    expect(authPool(host).user.name).toBe('asker');
  });

  it('has two connections at most, whatever the settings say', () => {
    const host = new FakeHost({
      settings: { defaultPoolSize: 50, minPoolSize: 10, reservePoolSize: 5, maxDbConnections: 1 },
      databases: { app: { poolSize: 40, minPoolSize: 10 } },
    });
    const pool = authPool(host);
    for (let i = 0; i < 5; i++) {
      ask(host, pool);
      logInAll(host, pool);
      host.pass(TICK_MS);
    }
    expect(pool.serverCount).toBe(2);
    expect(pool.waitingClients.length).toBe(3);
    expect(pool.database.serverCount).toBe(0);
    pool.applySettings();
    expect(pool.limits.poolSize).toBe(2);
  });

  it('stands beside the limits of the database, and neither evicts the other', () => {
    const host = new FakeHost({ settings: { maxDbConnections: 1, defaultPoolSize: 5 } });
    const auth = authPool(host);
    ask(host, auth);
    logInAll(host, auth);
    const clients = host.registry.pool(auth.database, host.registry.user('fay'));
    const first = new FakeClient('first', clients, host);
    clients.addClient(first);
    first.ask();
    logInAll(host, clients);
    const second = new FakeClient('second', clients, host);
    clients.addClient(second);
    second.ask();
    expect(clients.serverCount).toBe(1);
    expect(auth.serverCount).toBe(1);
  });

  it('shares 50 connections with its like, of which the one idle longest gives way', () => {
    const names = Array.from({ length: 60 }, (_, i) => `db${String(i)}`);
    const host = new FakeHost({ databases: Object.fromEntries(names.map((name) => [name, {}])) });
    const pools = names.map((name) => authPool(host, name));
    for (const pool of pools) {
      const question = ask(host, pool);
      logInAll(host, pool);
      expect(question.server).not.toBeNull();
      question.finish();
      question.leave();
    }
    expect(pools.reduce((sum, pool) => sum + pool.serverCount, 0)).toBe(50);
    expect(pools.slice(0, 10).every((pool) => pool.serverCount === 0)).toBe(true);
  });

  it('is dropped like any other', () => {
    const host = new FakeHost();
    const pool = authPool(host);
    host.registry.dropPool(pool);
    expect(host.registry.pools).toEqual([]);
    expect(authPool(host)).not.toBe(pool);
    expect(host.registry.isInUse(pool.database)).toBe(false);
  });
});

describe('credentials that are known later', () => {
  it('have a login tried at once that failed before', () => {
    const host = new FakeHost({ settings: { serverLoginRetryMs: 60_000 } });
    const pool = host.registry.pool(
      host.registry.findDatabase('app') ?? (undefined as never),
      host.registry.user('fay'),
    );
    const client = new FakeClient('first', pool, host);
    pool.addWelcomeClient(client);
    pool.loginServers.head?.failToConnect();
    expect(pool.loginServers.length).toBe(0);
    expect(pool.lastLoginError?.message).toBe('connect failed');
    pool.forgetLoginFailure();
    expect(pool.loginServers.length).toBe(1);
    expect(pool.lastLoginError).toBeNull();
  });

  it('are awaited before min_pool_size is filled', () => {
    const host = new FakeHost({ databases: { app: { user: 'forced', minPoolSize: 2 } } });
    const [pool] = host.registry.pools;
    host.isWarmUpPossible = false;
    host.pass(TICK_MS);
    expect(pool?.serverCount).toBe(0);
    host.isWarmUpPossible = true;
    host.pass(TICK_MS);
    expect(pool?.serverCount).toBe(1);
  });
});
