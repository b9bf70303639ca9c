import { describe, expect, it } from 'vitest';
import { listSettings } from '../../../src/config/list-settings.ts';
import { parseConfigText } from '../../../src/config/load.ts';

const config = parseConfigText(
  '/etc/m.yaml',
  `
maitred:
  pool_mode: TRANSACTION
  query_timeout: 1500ms
  tcp_keepalive: no
  server_check_query: ''
  admin_users: [a, b]
  unix_socket_mode: 0700
  pkt_buf: 8192
  auth_ldap_options: ldapserver=h ldapbasedn=d ldapbinddn=b ldapbindpasswd=hunter2
`,
);
const rows = new Map(listSettings(config).map(({ key, ...row }) => [key, row]));

describe('listSettings', () => {
  it.each([
    ['pool_mode', 'transaction', 'session', true],
    ['query_timeout', '1.5', '0', true],
    ['server_lifetime', '3600', '3600', true],
    ['tcp_keepalive', '0', '1', true],
    ['server_check_query', '', '<empty>', true],
    ['admin_users', 'a,b', '', true],
    ['unix_socket_mode', '448', '0777', false],
    ['listen_port', '6432', '6432', false],
    ['listen_addr', '', '', false],
    ['pkt_buf', '8192', '4096', false],
    ['auth_file', null, null, true],
    ['verbose', '0', null, true],
    ['track_extra_parameters', 'IntervalStyle', 'IntervalStyle', false],
    ['conffile', '/etc/m.yaml', null, true],
    ['max_prepared_statements', '0', '0', true],
    ['user', null, null, false],
    ['auth_ldap_options', '***', null, true],
  ])('prints %s', (key, value, fallback, changeable) => {
    expect(rows.get(key)).toEqual({ value, default: fallback, changeable });
  });

  it('shows no secret, and that there is none', () => {
    expect(JSON.stringify([...rows])).not.toContain('hunter2');
    const none = listSettings(parseConfigText('m.yaml', 'maitred: { pool_mode: session }'));
    expect(none.find(({ key }) => key === 'auth_ldap_options')?.value ?? '').toBe('');
  });

  it('lists pool_mode before pool_idle_timeout', () => {
    const keys = [...rows.keys()];
    expect(keys.indexOf('pool_mode')).toBe(keys.indexOf('pool_idle_timeout') - 1);
  });
});
