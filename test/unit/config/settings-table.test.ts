import { describe, expect, expectTypeOf, it } from 'vitest';
import { DEFAULT_SETTINGS, databaseConfig, userConfig } from '../../../src/config/config.ts';
import type { DatabaseConfig, Settings, UserConfig } from '../../../src/config/config.ts';
import { DATABASE_KEYS } from '../../../src/config/database-keys.ts';
import { GLOBAL_SETTINGS, SETTINGS_IN_SHOW_ORDER } from '../../../src/config/global-settings.ts';
import type { Setting, SettingTable } from '../../../src/config/setting.ts';
import { USER_KEYS } from '../../../src/config/user-keys.ts';
import { parseValue, showValue } from '../../../src/config/value-text.ts';

// The first column of SHOW CONFIG, PgBouncer 1.25 and later; maitred's own settings behind it.
const SHOW_ORDER = `
admin_users application_name_add_host auth_dbname auth_file auth_hba_file auth_ident_file
auth_ldap_options auth_query auth_type auth_user autodb_idle_timeout cancel_wait_timeout
client_idle_timeout client_login_timeout client_tls13_ciphers client_tls_ca_file
client_tls_cert_file client_tls_ciphers client_tls_dheparams client_tls_ecdhcurve
client_tls_key_file client_tls_protocols client_tls_sslmode conffile default_pool_size
disable_pqexec dns_max_ttl dns_nxdomain_ttl dns_zone_check_period idle_transaction_timeout
ignore_startup_parameters job_name listen_addr listen_backlog listen_port log_connections
log_disconnections log_pooler_errors log_stats logfile login_notify_message max_client_conn
max_db_client_connections max_db_connections max_packet_size max_prepared_statements
max_user_client_connections max_user_connections min_pool_size peer_id pidfile pkt_buf pool_mode
pool_idle_timeout query_timeout query_wait_notify query_wait_timeout reserve_pool_size
reserve_pool_timeout resolv_conf sbuf_loopcnt scram_iterations server_check_delay
server_check_query server_connect_timeout server_fast_close server_idle_timeout server_lifetime
server_login_retry server_reset_query server_reset_query_always server_round_robin
server_tls13_ciphers server_tls_ca_file server_tls_cert_file server_tls_ciphers
server_tls_key_file server_tls_protocols server_tls_sslmode so_reuseport stats_period stats_users
suspend_timeout syslog syslog_facility syslog_ident tcp_defer_accept tcp_keepalive tcp_keepcnt
tcp_keepidle tcp_keepintvl tcp_socket_buffer tcp_user_timeout track_extra_parameters
transaction_timeout unix_socket_dir unix_socket_group unix_socket_mode user verbose
auth_query_cache_ttl auth_query_search_path auth_query_timeout drain_period log_format
login_failure_limit login_failure_max_backoff login_failure_trusted login_failure_window
max_logins_in_flight max_unauthenticated_conn metrics_listen_addr metrics_listen_port
password_refresh_interval proxy_protocol proxy_protocol_trusted server_scram_min_iterations
server_tls_sslnegotiation`
  .trim()
  .split(/\s+/);

const TABLES: readonly (readonly [string, SettingTable])[] = [
  ['maitred', GLOBAL_SETTINGS],
  ['databases', DATABASE_KEYS],
  ['users', USER_KEYS],
];
const ROWS: readonly (readonly [string, Setting])[] = TABLES.flatMap(([scope, table]) =>
  Object.entries(table).map(([name, row]) => [`${scope}.${name}`, row] as const),
);

describe('the settings table', () => {
  it('holds every setting of SHOW CONFIG in its order', () => {
    expect(SETTINGS_IN_SHOW_ORDER.map(([name]) => name)).toEqual(SHOW_ORDER);
  });

  it.each(ROWS)('accepts the default of %s as it prints it', (_name, row) => {
    const shown = showValue(row.default, row);
    if (shown !== null) {
      const text = row.octal ? `0${Number(shown).toString(8)}` : shown;
      expect(parseValue(text, row)).toEqual({ value: row.default });
    }
  });

  it.each(ROWS)('documents %s in whole sentences', (_name, row) => {
    expect(row.doc).toMatch(/^[A-Z`a-z].*[.]$/);
    expect(row.ignoredBecause !== '').toBe(row.support === 'ignored');
  });

  it('gives no property to a setting that is not supported yet', () => {
    expect(DEFAULT_SETTINGS).not.toHaveProperty('maxPreparedStatements');
    expect(DEFAULT_SETTINGS).toHaveProperty('pidfile', '');
    expectTypeOf<Settings>().not.toHaveProperty('maxPreparedStatements');
  });

  it('types the properties after the table', () => {
    expectTypeOf<Settings['poolMode']>().toEqualTypeOf<'session' | 'transaction' | 'statement'>();
    expectTypeOf<Settings['queryWaitTimeoutMs']>().toEqualTypeOf<number>();
    expectTypeOf<Settings['maxPacketSizeBytes']>().toEqualTypeOf<number>();
    expectTypeOf<Settings['listenAddr']>().toEqualTypeOf<readonly string[]>();
    expectTypeOf<Settings['serverRoundRobin']>().toEqualTypeOf<boolean>();
    expectTypeOf<Settings['serverCheckQuery']>().toEqualTypeOf<string | null>();
    expectTypeOf<DatabaseConfig['poolSize']>().toEqualTypeOf<number | null>();
    expectTypeOf<DatabaseConfig['port']>().toEqualTypeOf<number>();
    expectTypeOf<DatabaseConfig['password']>().toEqualTypeOf<string>();
    expectTypeOf<UserConfig['queryTimeoutMs']>().toEqualTypeOf<number | null>();
  });
});

describe('the defaults', () => {
  it('are those of PgBouncer in typed form', () => {
    expect(DEFAULT_SETTINGS).toMatchObject({
      poolMode: 'session',
      defaultPoolSize: 20,
      maxClientConn: 100,
      queryWaitTimeoutMs: 120_000,
      queryWaitNotifyMs: 5_000,
      serverLifetimeMs: 3_600_000,
      serverCheckQuery: '',
      serverResetQuery: 'DISCARD ALL',
      authType: 'md5',
      authFile: null,
      listenAddr: [],
      listenPort: 6432,
      unixSocketMode: 511,
      maxPacketSizeBytes: 2_147_483_647,
      trackExtraParameters: ['IntervalStyle'],
    });
  });

  it('serve metrics to this machine alone, on the port of pgbouncer_exporter', () => {
    expect(DEFAULT_SETTINGS).toMatchObject({
      metricsListenAddr: '127.0.0.1',
      metricsListenPort: 9127,
    });
  });

  it('of a database name it after its entry, except for the template', () => {
    expect(databaseConfig('app')).toMatchObject({ name: 'app', dbname: 'app', port: 5432 });
    expect(databaseConfig('*')).toMatchObject({ name: '*', dbname: null, host: null });
  });

  it('of a user inherit everything', () => {
    const { name, ...rest } = userConfig('alice');
    expect(name).toBe('alice');
    expect(new Set(Object.values(rest))).toEqual(new Set([null]));
  });
});
