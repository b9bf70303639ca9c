import { describe, expect, it } from 'vitest';
import { configAfterReload, diffConfigs } from '../../../src/config/diff.ts';
import { parseConfigText } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/config.ts';

const parse = (text: string): Config => parseConfigText('m.yaml', text);
const OLD = parse(`
maitred: { listen_port: 1, pool_mode: session, admin_users: [a] }
databases: { a: { host: h, pool_size: 1 }, b: {}, __proto__: {} }
users: { u: { pool_size: 1 }, v: {} }
`);
const NOTHING = {
  changedSettings: [],
  needsRestart: [],
  addedDatabases: [],
  removedDatabases: [],
  changedDatabases: [],
  addedUsers: [],
  removedUsers: [],
  changedUsers: [],
  addedPeers: [],
  removedPeers: [],
  changedPeers: [],
};

describe('diffConfigs', () => {
  it('finds nothing between a configuration and itself read again', () => {
    const again = parse(`
maitred: { admin_users: a, listen_port: 0x1 }
users: { v: {}, u: { pool_size: 1 } }
databases: { __proto__: {}, b: { dbname: b }, a: { pool_size: 1, host: h } }
`);
    expect(diffConfigs(OLD, again)).toEqual(NOTHING);
  });

  it('tells settings that take effect from those that need a restart', () => {
    const text = 'maitred: { listen_port: 2, pool_mode: transaction, admin_users: [a, b] }';
    const diff = diffConfigs(OLD, parse(text));
    expect(diff.changedSettings).toEqual(['admin_users', 'pool_mode']);
    expect(diff.needsRestart).toEqual(['listen_port']);
  });

  it('notices a removed line as a return to the default', () => {
    expect(diffConfigs(OLD, parse('maitred: { listen_port: 1 }')).changedSettings).toEqual([
      'admin_users',
    ]);
  });

  it('lists added, removed and changed databases and users', () => {
    const diff = diffConfigs(
      OLD,
      parse(`
maitred: { listen_port: 1, admin_users: [a] }
databases: { a: { host: h, pool_size: 2, password: p }, c: {}, constructor: {} }
users: { u: { query_timeout: 1 }, w: {} }
`),
    );
    expect(diff).toEqual({
      ...NOTHING,
      addedDatabases: ['c', 'constructor'],
      removedDatabases: ['b', '__proto__'],
      changedDatabases: [{ name: 'a', keys: ['password', 'pool_size'], reconnect: false }],
      addedUsers: ['w'],
      removedUsers: ['v'],
      changedUsers: [{ name: 'u', keys: ['pool_size', 'query_timeout'] }],
    });
  });

  it('lists added, removed and changed peers', () => {
    const before = parse('peers: { 1: { host: a }, 2: { host: b }, 3: { host: c } }');
    const after = parse('peers: { 1: { host: a }, 2: { host: x, port: 1 }, 4: { host: d } }');
    expect(diffConfigs(before, after)).toEqual({
      ...NOTHING,
      addedPeers: [4],
      removedPeers: [3],
      changedPeers: [{ name: 2, keys: ['host', 'port'] }],
    });
  });

  it.each([
    ['host: x', true],
    ['port: 1', true],
    ['dbname: x', true],
    ['user: x', true],
    ['connect_query: select 1', true],
    ['password: x', false],
    ['pool_size: 7', false],
    ['timezone: UTC', false],
  ])('says whether connections lead elsewhere after a change of %s', (key, reconnect) => {
    const diff = diffConfigs(parse('databases: { a: {} }'), parse(`databases: { a: { ${key} } }`));
    expect(diff.changedDatabases).toEqual([{ name: 'a', keys: [key.split(':')[0]], reconnect }]);
  });
});

describe('configAfterReload', () => {
  it('takes the new values except those that need a restart', () => {
    const next = parse('maitred: { listen_port: 2, pool_mode: statement }\ndatabases: { z: {} }');
    const result = configAfterReload(OLD, next);
    expect(result.settings.listenPort).toBe(1);
    expect(result.settings.poolMode).toBe('statement');
    expect([...result.databases.keys()]).toEqual(['z']);
    expect(diffConfigs(OLD, result).needsRestart).toEqual([]);
  });
});
