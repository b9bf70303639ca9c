import { describe, expect, it } from 'vitest';
import { renderConfigDoc } from '../../../src/config/config-doc.ts';
import { DATABASE_KEYS } from '../../../src/config/database-keys.ts';
import { GLOBAL_SETTINGS } from '../../../src/config/global-settings.ts';
import { USER_KEYS } from '../../../src/config/user-keys.ts';

const text = renderConfigDoc();

describe('renderConfigDoc', () => {
  it.each([
    ['Global settings', GLOBAL_SETTINGS],
    ['Keys of a database', DATABASE_KEYS],
    ['Keys of a user', USER_KEYS],
  ])('has one row for each of: %s', (title, table) => {
    const chapter = text.split('\n## ').find((part) => part.startsWith(title)) ?? '';
    const names = [...chapter.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name);
    expect(names.toSorted()).toEqual(Object.keys(table).toSorted());
  });

  it('keeps every table row at five cells', () => {
    const rows = text.split('\n').filter((line) => line.startsWith('| `'));
    expect(rows.filter((row) => row.split(/(?<!\\)\|/).length !== 7)).toEqual([]);
  });

  it('tells default, restart, scope, alias and what is not supported', () => {
    expect(text).toMatch(/`unix_socket_mode` \| `0777` \| .* \| restart \|/);
    expect(text).toMatch(/`query_wait_timeout` \| `120` s \| .* Also per database and user\./);
    expect(text).toMatch(/`reserve_pool_size` \| inherited \| .* Alias: `reserve_pool`\./);
    expect(text).toMatch(/`max_prepared_statements` \| `0` \| .*\*\*Not supported yet\.\*\*/);
    expect(text).toMatch(/`auth_type` .* koffi only: peer, pam\./);
    expect(text).toMatch(/`syslog` .* koffi only; else refused unless off\./);
    expect(text).toMatch(/`pkt_buf` .* Has no effect: /);
  });
});
