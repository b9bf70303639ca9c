import { describe, expect, it } from 'vitest';
import { databaseConfig, DEFAULT_SETTINGS, userConfig } from '../../../src/config/config.ts';
import type { Config, DatabaseConfig, Settings, UserConfig } from '../../../src/config/config.ts';
import { listReloadChanges } from '../../../src/config/reload-changes.ts';

interface Parts {
  readonly settings?: Partial<Settings>;
  readonly databases?: readonly DatabaseConfig[];
  readonly users?: readonly UserConfig[];
}

function configOf({ settings = {}, databases = [], users = [] }: Parts): Config {
  return {
    file: 'maitred.yaml',
    settings: { ...DEFAULT_SETTINGS, ...settings },
    databases: new Map(databases.map((entry) => [entry.name, entry])),
    users: new Map(users.map((entry) => [entry.name, entry])),
    peers: new Map(),
    warnings: [],
  };
}

describe('listReloadChanges', () => {
  it('is empty for equal configurations', () => {
    const parts = { databases: [databaseConfig('app')], users: [userConfig('bob')] };
    expect(listReloadChanges(configOf(parts), configOf(parts))).toEqual([]);
  });

  it('tells settings by name with both values, and which need a restart', () => {
    const before = configOf({});
    const after = configOf({
      settings: { queryTimeoutMs: 1500, listenPort: 1, adminUsers: ['a'] },
    });
    const changes = listReloadChanges(before, after);
    const rows = changes.map((change): unknown[] => Object.values(change));
    expect(rows).toEqual([
      ['setting', 'admin_users', null, 'changed', '', 'a', false],
      ['setting', 'listen_port', null, 'changed', '6432', '1', true],
      ['setting', 'query_timeout', null, 'changed', '0', '1.5', false],
    ]);
  });

  it('tells entries that come and go, and the keys of those that change', () => {
    const before = configOf({
      databases: [databaseConfig('gone'), databaseConfig('app', new Map([['port', 1]]))],
      users: [userConfig('bob'), userConfig('old')],
    });
    const after = configOf({
      databases: [databaseConfig('app', new Map([['port', 2]])), databaseConfig('new')],
      users: [userConfig('bob', new Map([['pool_size', 3]])), userConfig('eve')],
    });
    const changes = listReloadChanges(before, after);
    expect(changes.map(({ kind, name, key, change }) => [kind, name, key, change])).toEqual([
      ['database', 'new', null, 'added'],
      ['database', 'gone', null, 'removed'],
      ['database', 'app', 'port', 'changed'],
      ['user', 'eve', null, 'added'],
      ['user', 'old', null, 'removed'],
      ['user', 'bob', 'pool_size', 'changed'],
    ]);
    const port = changes.find(({ key }) => key === 'port');
    expect([port?.old, port?.new]).toEqual(['1', '2']);
  });

  it('repeats no secret', () => {
    const before = configOf({ databases: [databaseConfig('app')] });
    const password = new Map([['password', 'hunter2']]);
    const after = configOf({ databases: [databaseConfig('app', password)] });
    const [change] = listReloadChanges(before, after);
    expect([change?.key, change?.old, change?.new]).toEqual(['password', '', '***']);
  });
});
