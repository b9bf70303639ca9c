import { describe, expect, it } from 'vitest';
import { Database, User } from '../../../src/pool/database.ts';
import {
  positive,
  resolveClientSettings,
  resolvePoolSettings,
} from '../../../src/pool/effective-settings.ts';
import { testConfig, type TestConfig } from './fake-host.ts';

function setUp(parts: TestConfig): [ReturnType<typeof testConfig>['settings'], Database, User] {
  const config = testConfig({ databases: { app: {} }, ...parts });
  const entry = config.databases.get('app');
  if (entry === undefined) {
    throw new Error('no database app');
  }
  const user = new User('alice', config.users.get('alice') ?? null);
  return [config.settings, new Database('app', entry, false, 0), user];
}

describe('the settings of a pool', () => {
  const settings = { defaultPoolSize: 1, reservePoolSize: 1, poolMode: 'statement' } as const;
  const database = { poolSize: 2, reservePoolSize: 2, poolMode: 'session' } as const;
  const user = { poolSize: 3, reservePoolSize: 3, poolMode: 'transaction' } as const;

  it.each([
    ['the global ones', { settings }, [1, 1, 'statement']],
    ['the database', { settings, databases: { app: database } }, [2, 2, 'session']],
    [
      'the user before the database',
      { settings, databases: { app: database }, users: { alice: user } },
      [3, 3, 'transaction'],
    ],
    [
      'a 0 that means no limit',
      { settings, databases: { app: { poolSize: 0, reservePoolSize: 0 } } },
      [0, 0, 'statement'],
    ],
    ['no other user', { settings, users: { bob: user } }, [1, 1, 'statement']],
  ])('follow %s', (_name, parts, expected) => {
    const limits = resolvePoolSettings(...setUp(parts));
    expect([limits.poolSize, limits.reservePoolSize, limits.poolMode]).toEqual(expected);
  });

  it('take limits where 0 means "as above" only when they are above 0', () => {
    const parts = {
      settings: { maxDbConnections: 10, maxUserConnections: 20, serverLifetimeMs: 30 },
      databases: { app: { maxDbConnections: 0, serverLifetimeMs: 5 } },
      users: { alice: { maxUserConnections: 4 } },
    };
    expect(resolvePoolSettings(...setUp(parts))).toMatchObject({
      maxDbConnections: 10,
      maxUserConnections: 4,
      serverLifetimeMs: 5,
    });
  });
});

describe('the settings of clients', () => {
  it.each([
    ['the global one', {}, {}, 7],
    ['the database', { queryWaitTimeoutMs: 8 }, {}, 8],
    ['the user', { queryWaitTimeoutMs: 8 }, { queryWaitTimeoutMs: 9 }, 9],
    ['a 0 that means for ever', { queryWaitTimeoutMs: 8 }, { queryWaitTimeoutMs: 0 }, 0],
  ])('take query_wait_timeout from %s', (_name, app, alice, expected) => {
    const parts = { settings: { queryWaitTimeoutMs: 7 }, databases: { app }, users: { alice } };
    expect(resolveClientSettings(...setUp(parts)).queryWaitTimeoutMs).toBe(expected);
  });
});

describe('positive', () => {
  it.each([
    [null, 5, 5],
    [undefined, 5, 5],
    [0, 5, 5],
    [-1, 5, 5],
    [2, 5, 2],
  ])('of %s and %i is %i', (value, fallback, expected) => {
    expect(positive(value, fallback)).toBe(expected);
  });
});
