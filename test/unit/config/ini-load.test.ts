import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DEFAULT_SETTINGS } from '../../../src/config/config.ts';
import type { Config } from '../../../src/config/config.ts';
import { loadConfig, parseConfigText } from '../../../src/config/load.ts';
import { loadFiles, problemsOfFiles, problemsOf } from './support.ts';

const load = (text: string): Config => parseConfigText('p.ini', text);
const messages = (text: string): readonly string[] =>
  problemsOf(text, 'p.ini').map(({ message }) => message);

/** A distribution's file, with the settings that it has. */
const DISTRIBUTION = `
;;; pooler settings
[databases]
;foodb =
;bardb = host=localhost dbname=bazdb
[users]
;user1 = max_user_connections=50
[pgbouncer]
logfile = /var/log/postgresql/pgbouncer.log
pidfile = /var/run/postgresql/pgbouncer.pid
listen_addr = localhost
listen_port = 6432
unix_socket_dir = /var/run/postgresql
;client_tls_sslmode = disable
auth_type = md5
auth_file = /etc/pgbouncer/userlist.txt
;%include filename
`;

/** Settings that are not supported yet, as commented out in a distribution's file. */
const WITH_DEFAULTS = `[pgbouncer]
unix_socket_mode = 0777
unix_socket_group =
client_tls_sslmode = disable
client_tls_ca_file = <system default>
client_tls_key_file =
client_tls_ciphers = fast
client_tls_protocols = secure
client_tls_dheparams = auto
client_tls_ecdhcurve = auto
server_tls_sslmode = prefer
server_tls_ca_file = <system default>
server_tls_ciphers = fast
auth_hba_file =
auth_query = SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END FROM pg_authid WHERE rolname=$1 AND rolcanlogin
server_reset_query = DISCARD ALL
server_check_query = select 1
max_prepared_statements = 200
syslog = 0
syslog_facility = daemon
syslog_ident = pgbouncer
suspend_timeout = 10
pkt_buf = 4096
sbuf_loopcnt = 5
so_reuseport = 0
tcp_defer_accept = 1
tcp_socket_buffer = 0
tcp_keepcnt = 0
tcp_keepintvl = 0
tcp_user_timeout = 0
dns_max_ttl = 15
dns_zone_check_period = 0
dns_nxdomain_ttl = 15
disable_pqexec = 0
job_name = pgbouncer
verbose = 0
peer_id = 0
`;

describe('an ini file', () => {
  it('gives the same configuration as the YAML file of the same meaning', () => {
    const ini = load(`
[databases]
app = host=10.0.0.1 port=5433 dbname=real user=u password='it''s' pool_size=10 reserve_pool=2
quoted = connect_query='SELECT 1' pool_mode=Session
plain =
'a b' = host=h
* = host=db.example
[users]
alice = pool_mode=session query_timeout=5
[peers]
2 = host=10.0.0.2
65535 = host=/run/b port=7000 pool_size=3
[pgbouncer]
listen_addr = 127.0.0.1, ::1
pool_mode = transaction
query_wait_timeout = 1.5
log_stats = 0
`);
    const yaml = parseConfigText(
      'm.yaml',
      `
maitred: { listen_addr: [127.0.0.1, "::1"], pool_mode: transaction, query_wait_timeout: 1500ms, log_stats: off }
databases:
  app: { host: 10.0.0.1, port: 5433, dbname: real, user: u, password: it's, pool_size: 10, reserve_pool: 2 }
  quoted: { connect_query: SELECT 1, pool_mode: session }
  plain: {}
  a b: { host: h }
  '*': { host: db.example }
users:
  alice: { pool_mode: session, query_timeout: 5s }
peers:
  2: { host: 10.0.0.2 }
  65535: { host: /run/b, port: 7000, pool_size: 3 }
`,
    );
    expect({ ...ini, file: '', warnings: [] }).toEqual({ ...yaml, file: '', warnings: [] });
  });

  it('loads as a distribution ships it, with advice only', () => {
    const config = load(DISTRIBUTION);
    expect(config.settings).toEqual({
      ...DEFAULT_SETTINGS,
      logfile: '/var/log/postgresql/pgbouncer.log',
      pidfile: '/var/run/postgresql/pgbouncer.pid',
      listenAddr: ['localhost'],
      unixSocketDir: '/var/run/postgresql',
      authFile: '/etc/pgbouncer/userlist.txt',
    });
    expect(config.warnings).toHaveLength(1);
  });

  it('loads with the defaults of PgBouncer given explicitly', () => {
    const config = load(WITH_DEFAULTS);
    expect(config.settings).toEqual({
      ...DEFAULT_SETTINGS,
      serverCheckQuery: 'select 1',
      clientTlsCaFile: '<system default>',
      clientTlsCiphers: 'fast',
      serverTlsCaFile: '<system default>',
      serverTlsCiphers: 'fast',
    });
    const warned = config.warnings.join('\n');
    expect(warned).toContain('max_prepared_statements: not supported yet; statement tracking');
  });

  it('has the same defaults as a YAML file', () => {
    expect(load('[pgbouncer]\n').settings).toEqual(DEFAULT_SETTINGS);
  });

  it('takes the sections in any order, and goes on with a repeated one', () => {
    const config = load(
      '[users]\nu =\n[pgbouncer]\n[databases]\na =\n[users]\nv =\n[databases]\nb =\n',
    );
    expect([...config.databases.keys()]).toEqual(['a', 'b']);
    expect([...config.users.keys()]).toEqual(['u', 'v']);
  });

  it('takes __proto__ and constructor for ordinary names', () => {
    const config = load('[databases]\n__proto__ = port=1\nconstructor =\n[pgbouncer]\n');
    expect(config.databases.get('__proto__')?.port).toBe(1);
    expect(config.databases.get('constructor')?.port).toBe(5432);
    expect(messages('[pgbouncer]\n__proto__ = 1\n')).toEqual([
      'p.ini:2:1: unknown parameter: pgbouncer/__proto__ in configuration (p.ini:2)',
    ]);
  });

  it('reads the sample file without a warning, as it is and with every line switched on', () => {
    const sample = new URL('../../../config/pgbouncer.ini', import.meta.url);
    const text = readFileSync(sample, 'utf8');
    const config = load(text);
    expect(config.warnings).toEqual([]);
    expect(config.databases.get('app')?.poolSize).toBe(10);
    const all = loadFiles({
      'p.ini': text.replace(/^;(?!;)/gm, ''),
      '/etc/pgbouncer/local.ini': '',
    });
    expect(all.databases.get('report')?.password).toBe("it's secret");
    expect(all.users.get('alice')?.maxUserConnections).toBe(5);
    expect(all.settings.statsUsers).toEqual(['monitoring']);
  });
});

describe('a repeated key', () => {
  it('of the settings replaces the one before', () => {
    expect(load('[pgbouncer]\nlisten_port = 1\nlisten_port = 2\n').settings.listenPort).toBe(2);
  });

  it('of the databases replaces the whole entry', () => {
    const config = load('[pgbouncer]\n[databases]\na = host=x port=1\na = port=2\n');
    expect(config.databases.get('a')).toMatchObject({ host: null, port: 2 });
  });

  it('of a connection string replaces the one before, under either name', () => {
    const text = '[pgbouncer]\n[databases]\na = port=1 port=2 reserve_pool_size=3 reserve_pool=4\n';
    expect(load(text).databases.get('a')).toMatchObject({ port: 2, reservePoolSize: 4 });
  });

  it('that is replaced must be right all the same', () => {
    expect(messages('[pgbouncer]\nlisten_port = x\nlisten_port = 2\n')).toHaveLength(1);
  });
});

describe('a second [pgbouncer] header', () => {
  const text =
    '[pgbouncer]\nlisten_port = 1\nauth_file = f\nverbose = 2\n[databases]\na =\n[pgbouncer]\npool_mode = statement\n';

  it('sets everything back that has a default, and nothing else', () => {
    expect(load(text).settings).toEqual({
      ...DEFAULT_SETTINGS,
      poolMode: 'statement',
      authFile: 'f',
      verbose: 2,
    });
  });

  it('leaves the databases alone', () => {
    expect([...load(text).databases.keys()]).toEqual(['a']);
  });

  it('is warned of when it undoes something, and not otherwise', () => {
    expect(load(text).warnings).toEqual([
      'p.ini:7:1: this further [pgbouncer] sets everything given before back to its default',
    ]);
    expect(load('[pgbouncer]\n[pgbouncer]\nauth_file=f\n[databases]\na =\n').warnings).toEqual([]);
  });
});

describe('a problem of an ini file', () => {
  it.each([
    [
      '[pgbouncer]\npool_mode =  sesion\n',
      'p.ini:2:14: invalid value "sesion" for parameter pool_mode in configuration (p.ini:2): unknown value; allowed: session, transaction, statement',
    ],
    [
      '[pgbouncer]\nlog_stats = on\n',
      'p.ini:2:13: invalid value "on" for parameter log_stats in configuration (p.ini:2): neither on nor off; allowed: 0 for off, 1 for on',
    ],
    [
      '[pgbouncer]\nquery_timeout = 5s\n',
      'p.ini:2:17: invalid value "5s" for parameter query_timeout in configuration (p.ini:2): not a time; allowed: decimal seconds without a unit, from 0 to 2147483647',
    ],
    [
      '[pgbouncer]\nunix_socket_mode = 777\n',
      'p.ini:2:20: invalid value "777" for parameter unix_socket_mode in configuration (p.ini:2): out of range; allowed: an octal number from 0 to 0777, with a leading 0',
    ],
    [
      '[pgbouncer]\npool_mod = x\n',
      'p.ini:2:1: unknown parameter: pgbouncer/pool_mod in configuration (p.ini:2) (did you mean pool_mode?)',
    ],
    ['[pgbouncer]\n = x\n', 'p.ini:2:2: unknown parameter: pgbouncer/ in configuration (p.ini:2)'],
    [
      '[pgbouncer]\npool_size = 5\n',
      'p.ini:2:1: unknown parameter: pgbouncer/pool_size in configuration (p.ini:2) (it belongs under databases)',
    ],
    [
      '[pgbouncer]\n"a" = 5\n',
      'p.ini:2:1: syntax error in configuration (p.ini:2): a key is quoted with single quotes',
    ],
    [
      '[pgbouncer]\n[Users]\nx = y\n',
      'p.ini:2:1: invalid section "Users" in configuration (p.ini:2): allowed: pgbouncer, databases, users, peers',
    ],
    [
      '[pgbouncer]\n[maitred]\n',
      'p.ini:2:1: invalid section "maitred" in configuration (p.ini:2): allowed: pgbouncer, databases, users, peers',
    ],
    [
      'a = 1\n[pgbouncer]\n',
      'p.ini:1:1: load_init_file: value without section: a in configuration (p.ini:1)',
    ],
    [
      '[databases]\na =\n',
      'p.ini: load_init_file: main section missing from config file; allowed: a section [pgbouncer]',
    ],
    [
      '',
      'p.ini: load_init_file: main section missing from config file; allowed: a section [pgbouncer]',
    ],
    [
      '[pgbouncer]\n[databases]\na = host=h port=x\n',
      'p.ini:3:17: invalid value "x" for parameter databases.a.port in configuration (p.ini:3): invalid port: x (not a whole number); allowed: a whole number from 1 to 65535',
    ],
    [
      '[pgbouncer]\n[databases]\na = pool_mode=x\n',
      'p.ini:3:15: invalid value "x" for parameter databases.a.pool_mode in configuration (p.ini:3): invalid pool mode: x (unknown value); allowed: session, transaction, statement',
    ],
    [
      '[pgbouncer]\n[databases]\na = load_balance_hosts=x\n',
      'p.ini:3:24: invalid value "x" for parameter databases.a.load_balance_hosts in configuration (p.ini:3): invalid load_balance_hosts: x (unknown value); allowed: round-robin, disable',
    ],
    [
      '[pgbouncer]\n[databases]\na = prt=1\n',
      'p.ini:3:5: unrecognized connection parameter: prt in configuration (p.ini:3) (did you mean port?)',
    ],
    [
      '[pgbouncer]\n[users]\na = foo=1\n',
      'p.ini:3:5: unrecognized user parameter: foo in configuration (p.ini:3)',
    ],
    [
      '[pgbouncer]\n[databases]\na = host=h port\n',
      'p.ini:3:16: invalid value for parameter a in configuration (p.ini:3): syntax error in connection string',
    ],
    [
      '[pgbouncer]\n[users]\na = pool_mode\n',
      'p.ini:3:14: invalid value for parameter a in configuration (p.ini:3): syntax error in user settings',
    ],
    [
      '[pgbouncer]\n[databases]\npgbouncer = host=h\n',
      'p.ini:3:1: database name "pgbouncer" is reserved',
    ],
    [
      `[pgbouncer]\n[databases]\n${'d'.repeat(64)} =\n`,
      'p.ini:3:1: too long db name: at most 63 bytes',
    ],
    [
      '[pgbouncer]\nauth_dbname = pgbouncer\n',
      'p.ini:2:15: invalid value "pgbouncer" for parameter auth_dbname in configuration (p.ini:2): cannot use the reserved "pgbouncer" database as an auth_dbname; allowed: the name of a database that clients can ask for',
    ],
    [
      '[pgbouncer]\n[peers]\n0 = host=h\n',
      'p.ini:3:1: ids of peers must be a number larger than 0 and at most 65536 in configuration (p.ini:3)',
    ],
    [
      '[pgbouncer]\n[peers]\n1 = port=1\n',
      'p.ini:3:1: host was not provided for peer 1 in configuration (p.ini:3)',
    ],
    [
      '[pgbouncer]\n[peers]\n1 = host=h password=u\n',
      'p.ini:3:12: unrecognized connection parameter: password in configuration (p.ini:3) (it belongs under databases)',
    ],
    [
      '[pgbouncer]\n[peers]\n1 = host=h port=0\n',
      'p.ini:3:17: invalid value "0" for parameter peers.1.port in configuration (p.ini:3): invalid port: 0 (out of range); allowed: a whole number from 1 to 65535',
    ],
  ])('names file, line, key, value and what is allowed: %j', (text, message) => {
    expect(messages(text)).toEqual([message]);
  });

  it('does not hide the others', () => {
    const text = '[databases]\na = port=x nope=1\nb\n[pgbouncer]\nlisten_port = y\n[z]\nq = 1\n';
    expect(problemsOf(text, 'p.ini').map(({ line, column, key }) => [line, column, key])).toEqual([
      [2, 10, 'databases.a.port'],
      [2, 12, 'databases.a.nope'],
      [3, 2, ''],
      [5, 15, 'listen_port'],
      [6, 1, 'z'],
    ]);
  });

  it.each([
    'a = password=hunter2 x\n',
    "a = password='hunter2\n",
    'a = password=my hunter2=x2\n',
    "a = password='x'hunter2\n",
    'a = passwd=hunter2\n',
    'a = password=x port=1 connect_query=hunter2 hunter2\n',
  ])('never repeats a password: %j', (line) => {
    const problems = problemsOf(`[pgbouncer]\n[databases]\n${line}`, 'p.ini');
    expect(JSON.stringify(problems)).not.toContain('hunter2');
  });

  it('cannot forge a line of the log', () => {
    const [message = ''] = messages("[pgbouncer]\n'a\u2028\u001b[2Jb' = 1\n");
    expect(message).not.toContain('\u001b');
    expect(messages(`[pgbouncer]\n[${'x'.repeat(10_000)}]\n`)[0]?.length).toBeLessThan(300);
  });

  it('ends the list after a thousand', () => {
    const problems = messages(`[pgbouncer]\n${'x = 1\n'.repeat(100_000)}`);
    expect(problems).toHaveLength(1_001);
    expect(problems.join('\n')).toContain('p.ini: too many problems; the first 1000 are listed');
  });
});

describe('characters that are not UTF-8', () => {
  it('are warned of', () => {
    const { warnings } = load('[pgbouncer]\nauth_file = f\n[databases]\na = password=\ufffd\n');
    expect(warnings).toEqual(['p.ini: some characters are unknown: the file should be UTF-8']);
  });
});

describe('%include', () => {
  it('reads the other file in the section where it stands, and comes back to it', () => {
    const config = loadFiles({
      'p.ini': '[databases]\n%include d.ini\nb = port=2\n[pgbouncer]\n',
      'd.ini': 'a = port=1\n',
    });
    expect([...config.databases.keys()]).toEqual(['a', 'b']);
  });

  it('may change the section for what follows', () => {
    const config = loadFiles({
      'p.ini': '[databases]\n%include s.ini\nlisten_port = 7\n',
      's.ini': '[pgbouncer]\n',
    });
    expect(config.settings.listenPort).toBe(7);
  });

  it('names the included file in problems, after those of the main file', () => {
    const files = {
      'p.ini': '[pgbouncer]\n%include dir/i.ini\nverbose = x\n',
      'dir/i.ini': '\nlisten_port = x\n',
    };
    expect(problemsOfFiles(files).map(({ message }) => message.split(': ')[0])).toEqual([
      'p.ini:3:11',
      'dir/i.ini:2:15',
    ]);
    expect(problemsOfFiles(files)[1]?.message).toContain('in configuration (dir/i.ini:2)');
  });

  it('is relative to the working directory, not to the including file', () => {
    const files = {
      'p.ini': '%include dir/a.ini\n',
      'dir/a.ini': '%include b.ini',
      'b.ini': '[pgbouncer]',
    };
    expect(() => loadFiles(files)).not.toThrow();
  });

  it('of a file that cannot be read is a problem, and the others are still found', () => {
    const found = problemsOfFiles({ 'p.ini': '[pgbouncer]\n%include no.ini\nverbose = x\n' });
    expect(found.map(({ message }) => message)).toEqual([
      'p.ini:2:1: error processing include file in configuration (p.ini:2): could not load file "no.ini": no such file',
      expect.stringContaining('p.ini:3:11: invalid value "x"'),
    ]);
  });

  /** A chain of `count` files below the main one. */
  function chain(count: number): Record<string, string> {
    const files: Record<string, string> = { 'p.ini': '[pgbouncer]\n%include 1.ini\n' };
    for (let index = 1; index <= count; index += 1) {
      const next = `%include ${String(index + 1)}.ini\n`;
      files[`${String(index)}.ini`] = index < count ? next : 'listen_port = 7\n';
    }
    return files;
  }

  it('may be nested ten deep, and not deeper', () => {
    expect(loadFiles(chain(10)).settings.listenPort).toBe(7);
    expect(problemsOfFiles(chain(11)).map(({ message }) => message)).toEqual([
      '10.ini:1:1: include nesting level too deep in configuration (10.ini:1)',
    ]);
  });

  it.each([
    ['itself', { 'p.ini': '%include p.ini\n%include p.ini\n' }],
    ['each other', { 'p.ini': '%include q.ini\n', 'q.ini': '%include p.ini\n' }],
  ])('of files that include %s ends', (_name, files) => {
    expect(problemsOfFiles(files)).toHaveLength(1);
  });

  it('of files that multiply ends', () => {
    const files: Record<string, string> = { '9.ini': '[pgbouncer]\n' };
    for (let index = 0; index < 9; index += 1) {
      const name = index === 0 ? 'p.ini' : `${String(index)}.ini`;
      files[name] = `%include ${String(index + 1)}.ini\n`.repeat(10);
    }
    expect(problemsOfFiles(files).at(0)?.message).toContain('is too large');
  });
});

describe('loadConfig', () => {
  it('tells that an ini file cannot be read', () => {
    const noFile = (): string => {
      throw new Error('no such file');
    };
    expect(() => loadConfig('x.ini', noFile)).toThrow('could not load file "x.ini": no such file');
  });
});
