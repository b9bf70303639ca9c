import { describe, expect, it } from 'vitest';
import { MAX_NAME_BYTES } from '../../../src/pool/pool-registry.ts';
import { FakeHost } from './fake-host.ts';

const TEMPLATE = { '*': { dbname: null, host: 'db.example' } };

describe('databases', () => {
  it('are found by name, or made from the template with the name that was asked for', () => {
    const host = new FakeHost({ databases: { app: {}, ...TEMPLATE } });
    const { registry } = host;
    expect(registry.databases.has('*')).toBe(false);
    expect(registry.findDatabase('app')).toMatchObject({ isAuto: false });
    const made = registry.findDatabase('other');
    expect(made).toMatchObject({ isAuto: true, config: { name: 'other', dbname: 'other' } });
    expect(made?.config.host).toBe('db.example');
    expect(registry.findDatabase('other')).toBe(made);
  });

  it.each(['*', '', 'x'.repeat(MAX_NAME_BYTES + 1)])('are not made for the name "%s"', (name) => {
    const { registry } = new FakeHost({ databases: TEMPLATE });
    expect(registry.findDatabase(name)).toBeNull();
    expect(registry.databases.size).toBe(0);
  });

  it('made from the template lead where its dbname says', () => {
    const host = new FakeHost({ databases: { '*': { dbname: 'main' } } });
    expect(host.registry.findDatabase('x')?.config.dbname).toBe('main');
  });

  it.each(['__proto__', 'constructor', 'toString'])('do not know %s by themselves', (name) => {
    const host = new FakeHost();
    expect(host.registry.findDatabase(name)).toBeNull();
    const wild = new FakeHost({ databases: TEMPLATE });
    expect(wild.registry.findDatabase(name)?.config).toMatchObject({ name, dbname: name });
    expect(wild.registry.user(name)).toMatchObject({ name, config: null });
    expect(wild.pool(name, name)).toBe(wild.pool(name, name));
  });

  it.each([
    ['an empty name', '', false],
    ['a name as long as PostgreSQL allows', 'x'.repeat(MAX_NAME_BYTES), true],
    ['a longer name', 'x'.repeat(MAX_NAME_BYTES + 1), false],
    ['a longer name in fewer characters', 'ü'.repeat(MAX_NAME_BYTES / 2 + 1), false],
  ])('are made for %s: %s', (_what, name, isMade) => {
    const host = new FakeHost({ databases: TEMPLATE });
    expect(host.registry.findDatabase(name) !== null).toBe(isMade);
  });

  it('can be dropped with their pools, and made again', () => {
    const host = new FakeHost({ databases: TEMPLATE });
    const pool = host.pool('x');
    host.registry.dropDatabase(pool.database);
    expect(host.registry.pools).toEqual([]);
    expect(host.registry.databases.has('x')).toBe(false);
    host.registry.dropDatabase(pool.database);
    const again = host.pool('x');
    host.registry.dropDatabase(pool.database);
    expect(host.pool('x')).toBe(again);
  });
});

describe('pools', () => {
  it('are one per database and user', () => {
    const host = new FakeHost({ databases: { app: {}, stats: {} } });
    const pools = [host.pool(), host.pool('app', 'bob'), host.pool('stats', 'alice')];
    expect(new Set(pools).size).toBe(3);
    expect(host.registry.poolsOf(host.pool().database)).toHaveLength(2);
    expect(host.pool('app', 'bob')).toBe(pools[1]);
  });

  it('are shared by all users of a database with a forced user', () => {
    const host = new FakeHost({ databases: { app: { user: 'owner' } } });
    expect(host.pool('app', 'alice')).toBe(host.pool('app', 'bob'));
    expect(host.pool().user.name).toBe('owner');
  });

  it('can be dropped, twice without harm', () => {
    const host = new FakeHost();
    const pool = host.pool();
    const other = host.pool('app', 'bob');
    host.registry.dropPool(pool);
    host.registry.dropPool(pool);
    expect(host.registry.pools).toEqual([other]);
    expect(host.pool()).not.toBe(pool);
  });

  it.each([
    [null, 0],
    [2, 1],
    [0, 0],
  ])('of a forced user are made at the start with min_pool_size %s: %i', (minPoolSize, count) => {
    const host = new FakeHost({ databases: { app: { user: 'owner', minPoolSize } } });
    expect(host.registry.pools).toHaveLength(count);
  });
});

describe('users', () => {
  it('of a failed login are forgotten', () => {
    const { registry } = new FakeHost();
    registry.forgetUser(registry.user('guess'));
    expect(registry.users.has('guess')).toBe(false);
  });

  it.each<[string, (host: FakeHost) => string]>([
    ['configured', () => 'known'],
    [
      'somebody',
      (host) => {
        host.registry.user('busy').clientCount = 1;
        return 'busy';
      },
    ],
    ['what a pool logs in as', (host) => host.pool('app', 'owner').user.name],
  ])('that are %s are kept', (_name, prepare) => {
    const host = new FakeHost({ databases: { app: {} }, users: { known: {} } });
    const name = prepare(host);
    host.registry.forgetUser(host.registry.user(name));
    expect(host.registry.users.has(name)).toBe(true);
  });

  it('are not lost to one of the same name that was forgotten before', () => {
    const { registry } = new FakeHost();
    const stale = registry.user('carol');
    registry.forgetUser(stale);
    const current = registry.user('carol');
    current.clientCount = 1;
    registry.forgetUser(stale);
    expect(registry.user('carol')).toBe(current);
  });
});

describe('a reload', () => {
  it('adds and removes databases', () => {
    const host = new FakeHost({ databases: { app: {}, old: {} } });
    expect(host.reload({ databases: { app: {}, fresh: {} } })).toEqual(['old']);
    expect(host.registry.findDatabase('fresh')).not.toBeNull();
    // Its connections are ended by the caller first.
    expect(host.registry.databases.has('old')).toBe(true);
  });

  it('keeps databases made from the template as long as there is one', () => {
    const host = new FakeHost({ databases: TEMPLATE });
    const made = host.registry.findDatabase('x');
    expect(host.reload({ databases: { '*': { dbname: null, port: 5433 } } })).toEqual([]);
    expect(made?.config).toMatchObject({ name: 'x', dbname: 'x', port: 5433 });
    expect(host.reload({ databases: {} })).toEqual(['x']);
  });

  it('turns a database made from the template into one of its own, and back', () => {
    const host = new FakeHost({ databases: TEMPLATE });
    const made = host.registry.findDatabase('x');
    host.reload({ databases: { ...TEMPLATE, x: { port: 5433 } } });
    expect(made).toMatchObject({ isAuto: false, config: { port: 5433 } });
    expect(host.reload({ databases: TEMPLATE })).toEqual(['x']);
  });

  it.each([
    ['dbname', { dbname: 'elsewhere' }, true],
    ['host', { host: 'db2.example' }, true],
    ['port', { port: 6000 }, true],
    ['user', { user: 'owner' }, true],
    ['connect_query', { connectQuery: 'select 1' }, true],
    ['pool_size', { poolSize: 3 }, false],
    ['password', { password: 'new' }, false],
    ['pool_mode', { poolMode: 'session' }, false],
    ['nothing', {}, false],
  ] as const)('retires server connections when %s changes: %s', (_key, entry, isRetired) => {
    const host = new FakeHost({ databases: { app: {}, other: {} } });
    const [server] = host.fill(host.pool(), 1);
    const [bystander] = host.fill(host.pool('other'), 1);
    host.reload({ databases: { app: entry, other: {} } });
    expect(server?.isCloseNeeded).toBe(isRetired);
    expect(bystander?.isCloseNeeded).toBe(false);
  });

  it('changes the settings of pools and users', () => {
    const host = new FakeHost({ databases: { app: {} }, users: { alice: { poolSize: 1 } } });
    const pool = host.pool();
    expect(pool.limits.poolSize).toBe(1);
    host.reload({ databases: { app: {} }, settings: { defaultPoolSize: 7 }, users: { bob: {} } });
    expect(pool.limits.poolSize).toBe(7);
    expect(host.registry.users.get('alice')?.config).toBeNull();
    expect(host.registry.users.get('bob')?.config).not.toBeNull();
  });

  it('makes the pools of forced users that it adds', () => {
    const host = new FakeHost();
    host.reload({ databases: { app: { user: 'owner', minPoolSize: 1 } } });
    expect(host.registry.pools.map((pool) => pool.user.name)).toEqual(['owner']);
  });
});
