import { describe, expect, it } from 'vitest';
import type { LogEvent } from '../../../src/log/events.ts';
import { pgbouncerText } from '../../../src/log/pgbouncer-text.ts';

const CLIENT = { client: 42, database: 'app', user: 'bob', address: '10.0.0.7', port: 5000 };
const SERVER = { server: 7, database: 'app', user: 'own', address: '::1', port: 5432, process: 9 };
const AVERAGES = {
  xactCount: 1.9,
  queryCount: 2,
  clientParseCount: 3,
  serverParseCount: 4,
  bindCount: 5,
  clientLoginCount: 6,
  receivedBytes: 7.5,
  sentBytes: 8,
  xactTimeUs: 9.99,
  queryTimeUs: 10,
  waitTimeUs: 11,
};

type Case = [event: LogEvent, fields: object, text: string, message?: string];

const PROCESS: readonly Case[] = [
  [
    'process_up',
    { speaks: '1.25.2', version: '0.1.0', node: 'v20.19.0' },
    'process up: PgBouncer 1.25.2 (maitred 0.1.0), Node.js v20.19.0',
  ],
  ['listening', { address: '127.0.0.1', port: 6432 }, 'listening on 127.0.0.1:6432'],
  ['listening', { address: '::', port: 6432 }, 'listening on [::]:6432'],
  ['listening', { unix: '/tmp/.s.PGSQL.6432' }, 'listening on unix:/tmp/.s.PGSQL.6432'],
  ['listening', { unix: '\0x/.s.PGSQL.6432' }, 'listening on unix:@x/.s.PGSQL.6432'],
  [
    'listening',
    { address: '127.0.0.1', port: 6432, fd: 3 },
    'socket passed from service manager (fd 3)',
    'socket passed from service manager (fd 3)',
  ],
  ['takeover_not_needed', {}, 'old process not found, try to continue normally'],
  [
    'takeover_started',
    { unix: '/tmp/.s.PGSQL.6432', version: 'PgBouncer 1.23.1' },
    'old process found on unix:/tmp/.s.PGSQL.6432, taking over: PgBouncer 1.23.1',
  ],
  [
    'takeover_done',
    {},
    'old process accepts no more connections, it ends when its last client has left',
  ],
  [
    'takeover_incomplete',
    { error: 'syntax error' },
    'old process does not shut down, end it by hand once its clients have left: syntax error',
  ],
  ['syslog_failed', { error: 'ENOENT' }, 'Cannot send to syslog: ENOENT'],
  ['socket_option_failed', { error: 'EINVAL' }, 'socket option could not be set: EINVAL'],
  [
    'console_owner_admitted',
    { ...CLIENT, address: 'unix', port: 6432, peerProcess: 99 },
    'C-0x2a: app/bob@unix(99):6432 pgbouncer access from unix socket',
  ],
  [
    'listen_failed',
    { address: '10.1.1.1', error: 'busy' },
    'cannot listen on 10.1.1.1: bind(): busy',
  ],
  [
    'listen_failed',
    { address: '::1', port: 7, error: 'busy' },
    'cannot listen on [::1]:7: bind(): busy',
  ],
  ['accept_failed', { error: 'EMFILE' }, 'accept() failed: EMFILE'],
  ['signal_received', { signal: 'SIGHUP' }, 'got SIGHUP, re-reading config'],
  [
    'signal_received',
    { signal: 'SIGTERM' },
    'got SIGTERM, shutting down, waiting for all clients disconnect',
  ],
  [
    'signal_received',
    { signal: 'SIGINT' },
    'got SIGINT, shutting down, waiting for all servers connections to be released',
  ],
  ['signal_received', { signal: 'SIGTERM' }, 'as given', 'as given'],
  ['signal_received', { signal: 'SIGUSR1' }, 'got SIGUSR1, pausing all activity'],
  ['signal_received', { signal: 'SIGX' }, 'got SIGX'],
  [
    'process_stopped',
    { code: 0, drained: 'wait_for_clients' },
    'client connections dropped, exiting',
  ],
  [
    'process_stopped',
    { code: 0, drained: 'wait_for_servers' },
    'server connections dropped, exiting',
  ],
  ['process_stopped', { code: 70 }, 'exiting with code 70'],
  [
    'stats',
    AVERAGES,
    'stats: 1 xacts/s, 2 queries/s, 3 client parses/s, 4 server parses/s, 5 binds/s, in 7 B/s, out 8 B/s, xact 9 us, query 10 us, wait 11 us',
  ],
  ['suspend_abandoned', {}, 'admin disappeared when suspended, doing RESUME'],
  [
    'file_limit_known',
    { soft: 1024, hard: 4096, maxClientConn: 100, expected: 130 },
    'kernel file descriptor limit: 1024 (hard: 4096); max_client_conn: 100, max expected fd use: 130',
  ],
  [
    'log_file_failed',
    { action: 'open', file: '/x', error: 'no such file or directory' },
    "Cannot open logfile: '/x': no such file or directory",
  ],
];

const CONFIGURATION: readonly Case[] = [
  ['config_reload_failed', { problems: 2 }, 'config file loading failed'],
  ['config_reload_failed', { problem: 'p.ini:1: bad' }, 'p.ini:1: bad'],
  ['config_reload_failed', { problem: 'p.ini: bad', file: 'p.ini' }, 'bad'],
  ['config_reload_failed', { problem: 'q.ini: bad', file: 'p.ini' }, 'q.ini: bad'],
  [
    'config_reload_failed',
    { problem: 'p.ini:2:1: bad in configuration (p.ini:2)', file: 'p.ini' },
    'bad in configuration (p.ini:2)',
  ],
  ['config_warning', { problem: 'odd' }, 'odd'],
  ['config_warning', { problem: 'odd', needsRestart: ['a', 'b'] }, 'odd: a, b'],
  ['config_warning', { problem: 'dropping', database: 'd' }, 'dropping: d'],
  ['config_reloaded', { changedSettings: [] }, 'configuration reloaded, no setting has changed'],
  ['auth_file_problem', { file: 'u', line: 3, message: 'broken' }, 'u:3: broken'],
  ['auth_file_problem', { file: 'u', problem: 'missing' }, 'could not open auth_file u: missing'],
  [
    'hba_file_problem',
    { kind: 'hba', file: 'h', line: 3, problem: 'unknown type', isSkipped: true },
    'hba line 3: unknown type (could not parse hba config line 3 of h)',
  ],
  [
    'tls_handshake_failed',
    { ...CLIENT, error: 'handshake failed: unexpected EOF' },
    'TLS handshake error: handshake failed: unexpected EOF',
  ],
  [
    'tls_established',
    { ...CLIENT, tls: 'TLSv1.3/TLS_AES_256_GCM_SHA384' },
    'C-0x2a: app/bob@10.0.0.7:5000 SSL established: TLSv1.3/TLS_AES_256_GCM_SHA384',
  ],
  [
    'tls_reload_failed',
    { problem: 'client_tls_key_file: "k" is encrypted' },
    'TLS configuration could not be reloaded, keeping old configuration: client_tls_key_file: "k" is encrypted',
  ],
  ['tls_reloaded', { files: ['a', 'b'] }, 'TLS files have changed, using the new ones: a, b'],
  [
    'tls_certificate_expiring',
    { setting: 'client_tls_cert_file', file: 'c', expiresAt: '2030-01-01', days: 3 },
    'certificate of client_tls_cert_file (c) expires in 3 days: 2030-01-01',
  ],
  [
    'tls_certificate_expiring',
    { setting: 'client_tls_cert_file', file: 'c', expiresAt: '2020-01-01', days: -9 },
    'certificate of client_tls_cert_file (c) has expired: 2020-01-01',
  ],
  [
    'hba_file_problem',
    { kind: 'ident', file: 'i', line: 1, problem: 'unsupported parameters', isSkipped: true },
    'ident line 1: unsupported parameters (could not parse ident config line 1 of i)',
  ],
  [
    'hba_file_problem',
    { kind: 'hba', file: 'h', line: 3, problem: 'look here', isSkipped: false },
    'hba line 3: look here',
  ],
  [
    'hba_file_problem',
    { kind: 'hba', file: 'h', line: 0, problem: 'could not open', isSkipped: true },
    'could not open',
  ],
  [
    'console_command_issued',
    { client: 1, user: 'x' },
    'RELOAD command issued',
    'RELOAD command issued',
  ],
];

const CONNECTIONS: readonly Case[] = [
  ['user_unknown', { ...CLIENT }, 'C-0x2a: app/bob@10.0.0.7:5000 no such user: bob'],
  [
    'database_registered',
    { ...CLIENT },
    'C-0x2a: app/bob@10.0.0.7:5000 registered new auto-database: app',
  ],
  [
    'startup_parameter_refused',
    { client: 1, address: '10.0.0.7', port: 1, parameter: 'jit', value: 'off', isOption: false },
    'C-0x1: (nodb)/(nouser)@10.0.0.7:1 unsupported startup parameter: jit=off',
  ],
  [
    'startup_parameter_refused',
    { client: 1, address: '10.0.0.7', port: 1, parameter: 'jit', value: 'off', isOption: true },
    'C-0x1: (nodb)/(nouser)@10.0.0.7:1 unsupported startup parameter in options: jit=off',
  ],
  [
    'server_launched',
    { ...SERVER },
    'S-0x7: app/own@[::1]:5432 launching new connection to server',
  ],
  [
    'server_query_failed',
    { ...SERVER, query: 'set_parameters', error: 'ERROR: no such zone' },
    'varcache_apply failed: ERROR: no such zone',
  ],
  [
    'server_message_unexpected',
    { ...SERVER, found: "'D' of 11 bytes", isLinked: false },
    "S-0x7: app/own@[::1]:5432 got packet 'D' of 11 bytes from server when not linked",
  ],
  [
    'server_message_unexpected',
    { ...SERVER, found: "'D' of 11 bytes", isLinked: true },
    "S-0x7: app/own@[::1]:5432 unexpected message from server: 'D' of 11 bytes",
  ],
  [
    'dns_lookup_failed',
    { host: 'db.test', error: 'ENOTFOUND' },
    'DNS lookup failed: db.test: result=ENOTFOUND',
  ],
  [
    'dns_zone_changed',
    { zone: 'test', oldSerial: 1, newSerial: 2 },
    "zone 'test' serial changed: old=1 new=2",
  ],
  [
    'pool_closed',
    { user: 'u', database: 'd', reason: 'pool idle timeout', ageSeconds: 7 },
    'cleaning up idle pool for user u on db d because: pool idle timeout (age= 7s)',
  ],
  [
    'client_login_attempted',
    { ...CLIENT, tls: 'no', replication: 'no' },
    'C-0x2a: app/bob@10.0.0.7:5000 login attempt: db=app user=bob tls=no replication=no',
  ],
  [
    'client_login_failed',
    { ...CLIENT, reason: 'wrong password' },
    'C-0x2a: app/bob@10.0.0.7:5000 login failed: db=app user=bob (wrong password)',
  ],
  [
    'client_login_failed',
    { client: 1, address: '10.0.0.7', port: 1, reason: 'old' },
    'C-0x1: (nodb)/(nouser)@10.0.0.7:1 login failed: (old)',
  ],
  [
    'client_disconnected',
    { ...CLIENT, reason: 'client close request', ageSeconds: 12 },
    'C-0x2a: app/bob@10.0.0.7:5000 closing because: client close request (age=12s)',
  ],
  [
    'client_disconnected',
    { ...CLIENT, address: 'unix', port: 6432, reason: 'x', ageSeconds: 0 },
    'C-0x2a: app/bob@unix:6432 closing because: x (age=0s)',
  ],
  [
    'pooler_error_sent',
    { ...CLIENT, error: 'query_wait_timeout', sqlstate: '53300' },
    'C-0x2a: app/bob@10.0.0.7:5000 pooler error: query_wait_timeout',
  ],
  [
    'server_connected',
    { ...SERVER, localAddress: '127.0.0.1', localPort: 40000 },
    'S-0x7: app/own@[::1]:5432 new connection to server (from 127.0.0.1:40000)',
  ],
  [
    'server_connected',
    { ...SERVER, address: 'unix' },
    'S-0x7: app/own@unix:5432 new connection to server',
  ],
  [
    'server_disconnected',
    { ...SERVER, reason: 'server idle timeout', ageSeconds: 600 },
    'S-0x7: app/own@[::1]:5432 closing because: server idle timeout (age=600s)',
  ],
  ['server_login_failed', { ...SERVER, error: 'FATAL no' }, 'server login failed: FATAL no'],
  [
    'server_query_failed',
    { ...SERVER, query: 'connect_query', error: 'ERROR: syntax' },
    'S: error while executing exec_on_query: ERROR: syntax',
  ],
  [
    'reserve_pool_used',
    CLIENT,
    'C-0x2a: app/bob@10.0.0.7:5000 taking connection from reserve_pool',
  ],
];

const WITHOUT_TEXT: readonly Case[] = [
  [
    'client_wait_ended',
    { ...CLIENT, to: 'server 1' },
    'C-0x2a: app/bob@10.0.0.7:5000 client wait ended: to=server 1',
  ],
  [
    'metrics_listening',
    { address: '127.0.0.1', port: 9127 },
    'metrics listening: address=127.0.0.1 port=9127',
  ],
  ['metrics_listening', {}, 'metrics listening'],
  ['metrics_listening', { worker: 2, missing: undefined }, 'hello: worker=2', 'hello'],
  ['http_request_failed', { list: [1, { a: null }] }, 'http request failed: list=[1,{"a":null}]'],
];

describe('pgbouncerText', () => {
  it.each<Case>([...PROCESS, ...CONFIGURATION, ...CONNECTIONS])(
    "tells %s %o in PgBouncer's words",
    (event, fields, text, message) => {
      expect(pgbouncerText(event, { ...fields }, message)).toBe(text);
    },
  );

  it.each<Case>(WITHOUT_TEXT)(
    'tells %s %o, which PgBouncer does not know, readably',
    (event, fields, text, message) => {
      expect(pgbouncerText(event, { ...fields }, message)).toBe(text);
    },
  );
});
