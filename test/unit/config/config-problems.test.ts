import { describe, expect, it } from 'vitest';
import { DATABASE_KEYS } from '../../../src/config/database-keys.ts';
import { GLOBAL_SETTINGS } from '../../../src/config/global-settings.ts';
import { parseConfigText } from '../../../src/config/load.ts';
import type { Setting, SettingTable } from '../../../src/config/setting.ts';
import { messagesOf, problemsOf } from './support.ts';

describe('a bad value', () => {
  it('is reported with file, line, column, key, value and what is allowed', () => {
    expect(problemsOf('maitred:\n  listen_port: 1\n  pool_mode:   sesion\n')).toEqual([
      {
        file: 'm.yaml',
        line: 3,
        column: 16,
        key: 'pool_mode',
        value: 'sesion',
        allowed: 'session, transaction, statement',
        message:
          'm.yaml:3:16: invalid value "sesion" for parameter pool_mode: unknown value; allowed: session, transaction, statement',
      },
    ]);
  });

  it('is named with its entry', () => {
    const [problem] = problemsOf('databases:\n  app:\n    port: 0\n');
    expect(problem).toMatchObject({ line: 3, column: 11, key: 'databases.app.port', value: '0' });
  });

  it.each([
    ['maitred: { listen_port: 70000 }', 'out of range'],
    ['maitred: { listen_port: abc }', 'not a whole number'],
    ['maitred: { listen_port: [1, 2] }', 'a list where one value is expected'],
    ['maitred: { listen_port: { a: 1 } }', 'keys where one value is expected'],
    ['maitred: { listen_port: }', 'no value'],
    ['maitred: { server_reset_query: ~ }', 'no value'],
    ['maitred: { server_reset_query: null }', 'no value'],
    ['maitred: { admin_users: [a, { b: c }] }', 'an item is not a single word'],
    ['maitred: { log_stats: perhaps }', 'neither on nor off'],
    ['maitred: { query_timeout: soon }', 'not a time'],
    ['maitred: { max_packet_size: 4294967296 }', 'out of range'],
    ['maitred: { unix_socket_mode: 777 }', 'not a whole number'],
    ['maitred: { unix_socket_dir: "@" }', 'has no name behind @'],
    [`maitred: { unix_socket_dir: "@${'x'.repeat(93)}" }`, 'is longer than the 92 bytes'],
    ['maitred: { job_name: "a\\0b" }', 'holds a zero byte'],
    ['databases: { a: { host: "h1,,h2" } }', 'has a comma with no host beside it'],
    ['databases: { a: { host: "h1, h2" } }', 'must not contain white space'],
    ['databases: { a: { host: "h1,@" } }', 'has no name behind @'],
    [`databases: { a: { host: "@${'é'.repeat(47)}" } }`, 'is longer than the 92 bytes'],
    ['databases: { a: { host: "a b" } }', 'must not contain white space'],
    ["databases: { a: { host: '' } }", 'must not be empty'],
    ["databases: { a: { dbname: '' } }", 'must not be empty'],
    ['users: { a: { pool_mode: none } }', 'unknown value'],
    ['maitred: { auth_type: ldap }', 'auth_type=ldap requires auth_ldap_options'],
    ['maitred: { client_tls_sslmode: yes }', 'unknown value'],
    ['maitred: { server_tls_sslmode: verify }', 'unknown value'],
    ['maitred: { server_tls_sslnegotiation: ssl }', 'unknown value'],
    ['maitred: { client_tls_dheparams: legacy }', 'unknown value'],
    ['maitred: { client_tls_protocols: legacy }', 'not a list of TLS versions'],
    ['maitred: { server_tls_protocols: "tlsv1.3:!tlsv1.3" }', 'not a list of TLS versions'],
    ...['allow', 'prefer', 'require', 'verify-ca', 'verify-full'].map((mode) => [
      `maitred: { client_tls_sslmode: ${mode} }`,
      'To allow TLS connections from clients, client_tls_key_file and client_tls_cert_file must be set.',
    ]),
    [
      'maitred: { auth_type: cert }',
      'auth_type=cert requires client_tls_sslmode=SSLMODE_VERIFY_FULL',
    ],
    ['maitred: { server_tls_sslmode: verify-ca }', 'server_tls_sslmode=verify-ca requires'],
    [
      'maitred: { server_tls_cert_file: x }',
      'server_tls_cert_file and server_tls_key_file must be',
    ],
    ['maitred: { server_tls_key_file: x }', 'server_tls_cert_file and server_tls_key_file must be'],
    ['maitred: { server_tls_sslnegotiation: direct }', 'server_tls_sslnegotiation=direct requires'],
  ])('is refused: %s', (text, wrong = '') => {
    expect(messagesOf(text)).toEqual([expect.stringContaining(`: ${wrong}`)]);
  });

  it('cannot forge a line of the log and is cut when long', () => {
    const [message = ''] = messagesOf(`maitred: { pool_mode: "x\\nFATAL ${'y'.repeat(5_000)}" }`);
    expect(message).not.toContain('\n');
    expect(message.length).toBeLessThan(300);
  });
});

describe('several problems', () => {
  it('are all reported, in the order of the file', () => {
    const text = [
      'databases:',
      '  app: { port: x, nope: 1 }',
      '  pgbouncer: {}',
      'maitred:',
      '  listen_port: -1',
      '  pool_mod: session',
      'user: {}',
    ].join('\n');
    expect(problemsOf(text).map(({ line, column, key }) => [line, column, key])).toEqual([
      [2, 16, 'databases.app.port'],
      [2, 19, 'databases.app.nope'],
      [3, 3, 'databases.pgbouncer'],
      [5, 16, 'listen_port'],
      [6, 3, 'pool_mod'],
      [7, 1, 'user'],
    ]);
  });
});

describe('a key', () => {
  it.each([
    ['maitred: { pool_mod: x }', 'unknown parameter: pool_mod (did you mean pool_mode?)'],
    ['maitred: { Listen-Port: 1 }', '(did you mean listen_port?)'],
    ['maitred: { pool_size: 1 }', 'unknown parameter: pool_size (it belongs under databases)'],
    ['databases: { a: { listen_port: 1 } }', 'databases.a.listen_port (it belongs under maitred)'],
    ['databases: { a: { passwd: 1 } }', '(did you mean password?)'],
    ['databases: { a: { reserve_poo: 1 } }', '(did you mean reserve_pool?)'],
    ['users: { a: { constructor: 1 } }', 'unknown parameter: users.a.constructor'],
    ['maitred: { "__proto__": 1 }', 'unknown parameter: __proto__'],
    ['maitred: { "a\\nb": 1 }', 'unknown parameter: "a\\nb"'],
    ['peers: { 1: { hostt: x, host: h } }', '(did you mean host?)'],
    [
      'database: {}',
      'unknown section: database; allowed: maitred (or pgbouncer), databases, users, peers',
    ],
  ])('that is unknown is refused with a proposal: %s', (text, sentence) => {
    expect(messagesOf(text)).toEqual([expect.stringContaining(sentence)]);
  });

  it('unlike any other gets no proposal', () => {
    const expected = 'm.yaml:1:12: unknown parameter: zzzzzzzz';
    expect(messagesOf('maitred: { zzzzzzzz: 1 }')).toEqual([expected]);
  });

  it.each([
    ['maitred:\n  user: null\n  verbose: 1\n  verbose: 1\n', 4, 'verbose'],
    ['maitred: {}\npgbouncer: {}\n', 2, 'maitred'],
    ['users: {}\nusers: {}\n', 2, 'users'],
    ['databases:\n  a: {}\n  b: {}\n  a: {}\n', 4, 'databases.a'],
    [
      'databases:\n  a:\n    reserve_pool: 1\n    reserve_pool_size: 1\n',
      4,
      'databases.a.reserve_pool_size',
    ],
  ])('given twice is refused: %j', (text, line, key) => {
    const problem = problemsOf(text).at(-1);
    expect(problem).toMatchObject({ line, key });
    expect(problem?.message).toContain(`${key} is given twice, first on line`);
  });
});

describe('an entry name', () => {
  it.each([
    ['databases: { pgbouncer: {} }', 'database name "pgbouncer" is reserved'],
    ['databases: { maitred: {} }', 'database name "maitred" is reserved'],
    [`databases: { ${'d'.repeat(64)}: {} }`, 'too long db name'],
    [`databases: { ${'é'.repeat(32)}: {} }`, 'too long db name'],
    [`users: { ${'u'.repeat(128)}: {} }`, 'too long user name'],
    ["databases: { '': {} }", 'must not be empty'],
    ['users: { "a\\0": {} }', 'must not hold a zero byte'],
  ])('is refused: %s', (text, sentence) => {
    expect(messagesOf(text)).toEqual([expect.stringContaining(sentence)]);
  });

  it.each([
    [`databases: { ${'d'.repeat(63)}: {} }`],
    [`users: { ${'u'.repeat(127)}: {}, pgbouncer: {} }`],
  ])('at its limit is accepted: %s', (text) => {
    expect(() => parseConfigText('m.yaml', text)).not.toThrow();
  });
});

describe('a secret', () => {
  it.each([
    'databases: { app: { password: [hunter2] } }',
    'databases: { app: { password: "hunter2\\0" } }',
    'databases: { app: { password: { a: hunter2 } } }',
    'databases: { app: { password: hunter2, password: hunter2 } }',
    'databases: { app: { passwrd: hunter2 } }',
    'databases: { app: "host=h password=hunter2" }',
    'databases: "app = password=hunter2"',
    'databases: { app: { password: *hunter2 } }',
    'databases:\n  app: { password: "hunter2 }\n',
    'databases:\n  app: { password: @hunter2 }\n',
    'databases:\n  app: { password: hunter2\n',
    'databases:\n  app: { password: !!int hunter2 }\n',
    'databases:\n  app:\n    password: a: hunter2\n',
    'databases:\n  app:\n    password: "a" hunter2\n',
    'databases:\n  app:\n    password: hunter2\n   port: 1\n',
    'databases:\n  app:\n    host: x\n    hunter2\n',
    'maitred: { auth_ldap_options: ldapbindpasswd=hunter2 }',
    'maitred: { auth_ldap_options: ldapbindpasswd hunter2 }',
    'maitred: { auth_ldap_options: ldapbindpaswd=hunter2 }',
  ])('is never printed: %j', (text) => {
    const problems = problemsOf(text);
    expect(problems.length).toBeGreaterThan(0);
    expect(JSON.stringify(problems)).not.toContain('hunter2');
  });

  it('is masked where the value would stand', () => {
    const [problem] = problemsOf('databases: { app: { password: "x\\0" } }');
    expect(problem).toMatchObject({ value: '***', line: 1, column: 31 });
  });
});

function rowsOf(table: SettingTable): readonly (readonly [string, Setting])[] {
  return Object.entries(table).filter(([, row]) => row.support === 'not-yet');
}

describe('a setting that is not supported yet', () => {
  it.each(rowsOf(GLOBAL_SETTINGS))('is refused by name: %s', (name, row) => {
    const value = row.type === 'switch' ? 'on' : '7';
    const [problem] = problemsOf(`maitred:\n  ${name}: ${value}\n`);
    expect(problem).toMatchObject({ line: 2, column: 5 + name.length, key: name });
    expect(problem?.message).toMatch(
      new RegExp(`for parameter ${name}: not supported yet; allowed: only`),
    );
  });

  it.each(rowsOf(DATABASE_KEYS))('is refused by name for a database: %s', (name) => {
    expect(messagesOf(`databases: { a: { ${name}: disable } }`)).toEqual([
      expect.stringContaining(`databases.a.${name}: not supported yet`),
    ]);
  });

  it('is accepted at its default', () => {
    const text =
      'maitred: { max_prepared_statements: 0, dns_zone_check_period: 0, dns_max_ttl: 15, logfile: "" }\n' +
      'databases: { a: { load_balance_hosts: round-robin } }';
    expect(() => parseConfigText('m.yaml', text)).not.toThrow();
  });
});
