import { describe, expect, it } from 'vitest';
import { DATABASE_KEYS } from '../../../src/config/database-keys.ts';
import { GLOBAL_SETTINGS } from '../../../src/config/global-settings.ts';
import { parseIniValue } from '../../../src/config/ini-values.ts';
import type { Setting, SettingValue } from '../../../src/config/setting.ts';
import { USER_KEYS } from '../../../src/config/user-keys.ts';
import { showValue } from '../../../src/config/value-text.ts';

function parseGlobal(name: keyof typeof GLOBAL_SETTINGS, text: string): object {
  return parseIniValue(text, GLOBAL_SETTINGS[name], 'maitred');
}

describe('a global value of an ini file', () => {
  it.each<[keyof typeof GLOBAL_SETTINGS, string, SettingValue]>([
    ['listen_port', '7', 7],
    ['listen_port', '+7', 7],
    ['listen_port', '0x1F', 31],
    ['listen_port', '0X1f', 31],
    ['listen_port', '010', 8],
    ['listen_port', '0', 0],
    ['listen_port', '-0', 0],
    ['unix_socket_mode', '0770', 0o770],
    ['unix_socket_mode', '511', 0o777],
    ['unix_socket_mode', '0x1ff', 0o777],
    ['max_packet_size', '2147483647', 2_147_483_647],
    ['log_stats', '0', false],
    ['log_stats', '1', true],
    ['log_stats', '2', true],
    ['log_stats', '-1', true],
    ['log_stats', '00', false],
    ['query_timeout', '5', 5_000],
    ['query_timeout', '0', 0],
    ['query_timeout', '1.5', 1_500],
    ['query_timeout', '.5', 500],
    ['query_timeout', '1.', 1_000],
    ['query_timeout', '+1.5e1', 15_000],
    ['query_timeout', '08', 8_000],
    ['stats_period', '60', 60_000],
    ['stats_period', '0x10', 16_000],
    ['query_wait_notify', '010', 8_000],
    ['pool_mode', 'TRANSACTION', 'transaction'],
    ['auth_type', 'Scram-SHA-256', 'scram-sha-256'],
    ['server_check_query', '', null],
    ['server_check_query', '<empty>', ''],
    ['server_check_query', 'select 1', 'select 1'],
    ['server_reset_query', '', ''],
    ['job_name', '"a"', '"a"'],
    ['admin_users', 'a, b c', ['a', 'b', 'c']],
    ['admin_users', '', []],
    ['listen_addr', '*', ['*']],
    ['listen_addr', '127.0.0.1,::1', ['127.0.0.1', '::1']],
  ])('is read as PgBouncer reads it: %s = %s', (name, text, value) => {
    expect(parseGlobal(name, text)).toEqual({ value });
  });

  it.each<[keyof typeof GLOBAL_SETTINGS, string]>([
    ['listen_port', ''],
    ['listen_port', '08'],
    ['listen_port', '0x'],
    ['listen_port', '1.5'],
    ['listen_port', '7 ; x'],
    ['listen_port', '1e3'],
    ['listen_port', 'abc'],
    ['listen_port', '65536'],
    ['listen_port', '4294967299'],
    ['default_pool_size', '-1'],
    ['default_pool_size', '9'.repeat(1_000)],
    ['unix_socket_mode', '777'],
    ['log_stats', 'on'],
    ['log_stats', 'yes'],
    ['log_stats', 'true'],
    ['log_stats', ''],
    ['log_stats', '1 ; x'],
    ['query_timeout', '5s'],
    ['query_timeout', '1m'],
    ['query_timeout', '-1'],
    ['query_timeout', ''],
    ['query_timeout', 'inf'],
    ['query_timeout', 'nan'],
    ['query_timeout', '1,5'],
    ['query_timeout', '0.0001'],
    ['stats_period', '1.5'],
    ['stats_period', '0'],
    ['max_packet_size', '1MB'],
    ['pool_mode', 'sesion'],
    ['pool_mode', ''],
    ['client_tls_protocols', 'legacy'],
    ['client_tls_dheparams', 'legacy'],
    ['server_tls_sslmode', 'nonsense'],
    ['auth_type', 'gss'],
    ['auth_ldap_options', 'ldapserver=ldap.example'],
    ['auth_query', 'SELECT 1, 2'],
    ['max_prepared_statements', '100'],
    ['max_prepared_statements', 'x'],
    ['so_reuseport', 'x'],
    ['peer_id', '65536'],
    ['peer_id', '-1'],
    ['peer_id', 'x'],
    ['syslog', 'x'],
    ['tcp_keepcnt', '128'],
    ['tcp_keepintvl', '32768'],
    ['dns_max_ttl', 'x'],
    ['auth_dbname', 'pgbouncer'],
  ])('is refused: %s = %s', (name, text) => {
    expect(parseGlobal(name, text)).toHaveProperty('wrong');
  });
});

describe('a value that is not supported yet', () => {
  it.each<[keyof typeof GLOBAL_SETTINGS, string, SettingValue]>([
    ['max_prepared_statements', '200', 0],
    ['max_prepared_statements', '0xc8', 0],
  ])(
    'is taken as the default with a warning where it does no harm: %s = %s',
    (name, text, value) => {
      const warning = expect.stringMatching(/^not supported yet; /) as string;
      expect(parseGlobal(name, text)).toEqual({ value, warning });
    },
  );

  it.each<[keyof typeof GLOBAL_SETTINGS]>([['resolv_conf'], ['logfile']])(
    'is off when its text is empty: %s',
    (name) => {
      expect(parseGlobal(name, '')).toEqual({ value: GLOBAL_SETTINGS[name].default });
    },
  );

  it.each(Object.entries<Setting>(GLOBAL_SETTINGS))('is accepted at its default: %s', (_, row) => {
    const shown = showValue(row.default, row);
    if (shown !== null) {
      expect(parseIniValue(shown, row, 'maitred')).toEqual({ value: row.default });
    }
  });
});

describe('a number in a connection string', () => {
  it.each<[Setting, string, SettingValue]>([
    [DATABASE_KEYS.port, '5433', 5433],
    [DATABASE_KEYS.port, '010', 10],
    [DATABASE_KEYS.pool_size, '0', 0],
    [DATABASE_KEYS.pool_size, '-1', null],
    [DATABASE_KEYS.max_db_connections, '0', null],
    [DATABASE_KEYS.max_db_connections, '-5', null],
    [DATABASE_KEYS.server_lifetime, '60', 60_000],
    [DATABASE_KEYS.server_lifetime, '0', null],
    [DATABASE_KEYS.query_wait_timeout, '0', 0],
    [USER_KEYS.query_timeout, '0', null],
    [USER_KEYS.pool_size, '7', 7],
  ])('is decimal, and inherits as in PgBouncer (%#): %s', (row, text, value) => {
    expect(parseIniValue(text, row, 'databases')).toEqual({ value });
  });

  it.each<[Setting, string, SettingValue]>([
    [DATABASE_KEYS.pool_size, '20abc', 20],
    [DATABASE_KEYS.server_lifetime, '1.5', 1_000],
    [DATABASE_KEYS.server_lifetime, '30s', 30_000],
    [DATABASE_KEYS.port, '5432,5433', 5432],
  ])('drops text behind it with a warning (%#): %s', (row, text, value) => {
    const warning = expect.stringContaining('without the text after the number') as string;
    expect(parseIniValue(text, row, 'databases')).toEqual({ value, warning });
  });

  it.each<[Setting, string]>([
    [DATABASE_KEYS.pool_size, 'abc'],
    [DATABASE_KEYS.pool_size, '0x10'],
    [DATABASE_KEYS.pool_size, '0.5'],
    [DATABASE_KEYS.max_db_connections, 'none'],
    [DATABASE_KEYS.port, '0'],
    [DATABASE_KEYS.port, 'x'],
    [DATABASE_KEYS.port, '99999'],
    [DATABASE_KEYS.port, '-5'],
    [DATABASE_KEYS.auth_query, 'SELECT 1, 2'],
    [DATABASE_KEYS.password_command, '"unclosed'],
    [DATABASE_KEYS.auth_dbname, 'pgbouncer'],
    [DATABASE_KEYS.pool_mode, 'none'],
  ])('is refused where PgBouncer would take it for something else (%#): %s', (row, text) => {
    expect(parseIniValue(text, row, 'databases')).toHaveProperty('wrong');
  });
});
