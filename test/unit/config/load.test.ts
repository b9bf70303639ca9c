import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../src/config/config-error.ts';
import { DEFAULT_SETTINGS } from '../../../src/config/config.ts';
import { loadConfig, parseConfigText } from '../../../src/config/load.ts';

const FULL = `
maitred:
  listen_addr: [127.0.0.1, "::1"]
  listen_port: 0
  unix_socket_mode: 0700
  pool_mode: Transaction
  query_wait_timeout: 30s
  log_stats: off
  admin_users: postgres, root
  server_check_query: ''
  max_packet_size: 1MB
databases:
  app: { host: 10.0.0.1, port: 5433, dbname: real, user: u, password: 0123, pool_size: 10, reserve_pool: 2 }
  v6:
    host: ::1
  sock: { host: /run/postgresql }
  plain:
  "*": { host: db.example, server_lifetime: 0, query_wait_timeout: 0 }
  __proto__: { port: 1 }
users:
  alice: { pool_mode: session, query_timeout: 500ms, max_user_connections: 0 }
  constructor: {}
`;

describe('parseConfigText', () => {
  const config = parseConfigText('m.yaml', FULL);

  it('types the global settings', () => {
    expect(config.file).toBe('m.yaml');
    expect(config.settings).toEqual({
      ...DEFAULT_SETTINGS,
      listenAddr: ['127.0.0.1', '::1'],
      listenPort: 0,
      unixSocketMode: 0o700,
      poolMode: 'transaction',
      queryWaitTimeoutMs: 30_000,
      logStats: false,
      adminUsers: ['postgres', 'root'],
      serverCheckQuery: null,
      maxPacketSizeBytes: 1_048_576,
    });
  });

  it('types the databases, keeping a password of digits as it was written', () => {
    expect([...config.databases.keys()]).toEqual(['app', 'v6', 'sock', 'plain', '*', '__proto__']);
    expect(config.databases.get('app')).toEqual({
      name: 'app',
      host: '10.0.0.1',
      port: 5433,
      dbname: 'real',
      user: 'u',
      password: '0123',
      passwordFile: null,
      passwordCommand: null,
      passwordRefreshIntervalMs: null,
      poolSize: 10,
      reservePoolSize: 2,
      minPoolSize: null,
      maxDbConnections: null,
      maxDbClientConnections: null,
      serverLifetimeMs: null,
      queryWaitTimeoutMs: null,
      poolMode: null,
      connectQuery: null,
      clientEncoding: null,
      datestyle: null,
      timezone: null,
      applicationName: null,
      loadBalanceHosts: 'round-robin',
      authUser: null,
      authQuery: null,
      authDbname: null,
    });
    expect(config.databases.get('v6')?.host).toBe('::1');
    expect(config.databases.get('sock')?.host).toBe('/run/postgresql');
  });

  it('takes an entry without keys as all defaults', () => {
    expect(config.databases.get('plain')).toMatchObject({
      host: null,
      dbname: 'plain',
      port: 5432,
    });
  });

  it('keeps the template under *, without a database name of its own', () => {
    const template = config.databases.get('*');
    expect(template).toMatchObject({ dbname: null, serverLifetimeMs: null, queryWaitTimeoutMs: 0 });
  });

  it('takes __proto__ and constructor for ordinary names', () => {
    expect(config.databases.get('__proto__')?.port).toBe(1);
    expect(config.users.get('constructor')?.name).toBe('constructor');
    expect(Object.prototype).not.toHaveProperty('port');
  });

  it('types the users, where 0 inherits a limit', () => {
    expect(config.users.get('alice')).toMatchObject({
      name: 'alice',
      poolMode: 'session',
      queryTimeoutMs: 500,
      maxUserConnections: null,
    });
  });

  it('takes the section name of PgBouncer too', () => {
    const other = parseConfigText('m.yaml', 'pgbouncer: { listen_port: 7 }');
    expect(other.settings.listenPort).toBe(7);
  });

  it('follows an alias to its anchor', () => {
    const text = 'databases:\n  a: &common { host: h, port: 7 }\n  b: *common\n';
    expect(parseConfigText('m.yaml', text).databases.get('b')).toMatchObject({
      name: 'b',
      dbname: 'b',
      host: 'h',
      port: 7,
    });
  });

  it('reads Windows line ends and a byte order mark', () => {
    const config = parseConfigText('m.yaml', '\ufeffmaitred:\r\n  job_name: a b\r\n');
    expect(config.settings.jobName).toBe('a b');
  });

  it('reads the sample file without a warning', () => {
    const sample = new URL('../../../config/maitred.yaml', import.meta.url);
    const config = loadConfig('maitred.yaml', () => readFileSync(sample, 'utf8'));
    expect(config.warnings).toEqual([]);
    expect(config.settings.poolMode).toBe('transaction');
    expect([...config.databases.keys()]).toEqual(['app']);
  });

  it('reads the sample file with every commented line switched on', () => {
    const sample = new URL('../../../config/maitred.yaml', import.meta.url);
    const text = readFileSync(sample, 'utf8').replace(/^( +)#(?=['\w])/gm, '$1');
    const config = parseConfigText('maitred.yaml', text);
    expect([...config.databases.keys()]).toEqual(['app', '*']);
    expect(config.databases.get('app')?.password).toBe('secret');
    expect(config.users.get('alice')?.maxUserConnections).toBe(5);
  });
});

describe('warnings', () => {
  const warningsOf = (text: string): readonly string[] => parseConfigText('m.yaml', text).warnings;
  const SOUND = 'maitred: { auth_file: f }\ndatabases: { a: }\n';

  it('are none for a sound file', () => {
    expect(warningsOf(SOUND)).toEqual([]);
  });

  it('tell that a setting has no effect, and where it stands', () => {
    const text =
      'maitred:\n  auth_file: f\n  pkt_buf: 8192\n  sbuf_loopcnt: 0\ndatabases: { a: }\n';
    expect(warningsOf(text)).toEqual([
      'm.yaml:3:3: pkt_buf has no effect: connections do not have a fixed buffer here',
      'm.yaml:4:3: sbuf_loopcnt has no effect: the work done per turn is bounded without it',
    ]);
  });

  it.each([
    ['maitred: { auth_file: f }', 'no database is configured'],
    ['databases: { a: }', 'auth_type md5 without auth_file'],
    ['maitred: { auth_type: hba }\ndatabases: { a: }', 'hba without auth_hba_file'],
    [
      'maitred: { auth_type: any }\ndatabases: { a: }',
      'database "a": auth_type any needs a user to log in with',
    ],
    [
      'maitred: { auth_file: f, default_pool_size: 3 }\ndatabases: { a: { min_pool_size: 4 } }',
      'database "a": min_pool_size 4 is above the pool size 3',
    ],
    ["maitred: { auth_file: f, unix_socket_dir: '' }\ndatabases: { a: }", 'nothing to listen on'],
  ])('tell what can hardly be meant: %j', (text, sentence) => {
    expect(warningsOf(text)).toEqual([expect.stringContaining(sentence)]);
  });
});

describe('loadConfig', () => {
  it('reads the named file', () => {
    const config = loadConfig('/etc/m.yaml', (file) => `maitred: { job_name: '${file}' }`);
    expect(config.file).toBe('/etc/m.yaml');
    expect(config.settings.jobName).toBe('/etc/m.yaml');
  });

  it('reports a file that cannot be read as a problem, with its cause', () => {
    const cause = new Error('no such file');
    const load = (): unknown =>
      loadConfig('x.yaml', () => {
        throw cause;
      });
    expect(load).toThrow(ConfigError);
    expect(load).toThrow('could not load file "x.yaml": no such file');
    expect(load).toThrow(expect.objectContaining({ cause }));
  });
});
