import { describe, expect, it } from 'vitest';
import { logFormatOf } from '../../../src/app/app.ts';
import { convertCommand } from '../../../src/app/convert-command.ts';
import type { Config } from '../../../src/config/config.ts';
import { DATABASE_KEYS } from '../../../src/config/database-keys.ts';
import { GLOBAL_SETTINGS } from '../../../src/config/global-settings.ts';
import { parseConfigText } from '../../../src/config/load.ts';
import type { Setting, SettingTable } from '../../../src/config/setting.ts';
import { USER_KEYS } from '../../../src/config/user-keys.ts';

const SEED = 20_261_121;
const RUNS = 400;

/** Texts that a careless writer of YAML would spoil. */
const TEXTS = [
  'plain',
  'two words',
  "it's",
  '"quoted"',
  'null',
  'true',
  '007',
  '1e3',
  '~',
  '- a',
  'a: b',
  'a #b',
  '#a',
  '&a',
  '*a',
  '!a',
  '%a',
  '@a',
  '`a',
  '{a}',
  '[a',
  '${HOME}',
  '$${HOME}',
  '${',
  'a\\nb',
  'a\tb',
  'a\rb',
  'é',
  '\u{1f418}',
  '\u0085',
  '\u2028',
  '\ufeffa',
  '\u007f',
  '\u0001',
  '---',
  '...',
  '?',
  '|',
  '>',
  ',',
  '=',
];

function seeded(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** Texts of keys that take no other. */
const GIVEN: Readonly<Record<string, string | undefined>> = {
  host: 'h',
  auth_ldap_options: 'ldapserver=h ldapbasedn="a b"',
  client_tls_protocols: 'tlsv1.2, tlsv1.3',
  server_tls_protocols: 'all,!tlsv1.0',
  auth_query: "SELECT '# ${A}: ', $1",
};
/** Keys that need others, or bear none beside them. */
const EXCLUSIVE: readonly string[] = ['password_file', 'password_command'];

/** Writes random ini files that load. */
class IniWriter {
  readonly #next: (limit: number) => number;

  constructor(seed: number) {
    this.#next = seeded(seed);
  }

  write(): string {
    const settings = this.#keys(GLOBAL_SETTINGS).map(([name, row]) => {
      return `${name} = ${this.#global(name, row)}`;
    });
    const entries = (table: SettingTable): string[] =>
      Array.from({ length: this.#next(4) }, () => `'${this.#name()}' = ${this.#entry(table)}`);
    const lines = [
      ['[databases]', ...entries(DATABASE_KEYS)],
      ['[users]', ...entries(USER_KEYS)],
      ['[pgbouncer]', ...settings],
    ];
    return lines.flat().join('\n');
  }

  #pick<T>(items: readonly T[], fallback: T): T {
    return items[this.#next(items.length)] ?? fallback;
  }

  #keys(table: SettingTable): readonly (readonly [string, Setting])[] {
    const rows = Object.entries(table).filter(([, row]) => row.support !== 'not-yet');
    return Array.from({ length: this.#next(6) }, () => this.#pick(rows, rows[0] ?? ['', never()]));
  }

  #name(): string {
    return this.#pick(TEXTS, '').replaceAll("'", '') + String(this.#next(3));
  }

  #entry(table: SettingTable): string {
    const keys = this.#keys(table).filter(([name]) => !EXCLUSIVE.includes(name));
    const pairs = keys.map(([name, row]) => {
      const text = GIVEN[name] ?? (row.type === 'str' ? this.#pick(TEXTS, '') : '');
      const value = text === '' ? this.#plain(row, true) : text;
      return `${name}='${value.replaceAll("'", "''")}'`;
    });
    return pairs.join(' ');
  }

  #global(name: string, row: Setting): string {
    if (GIVEN[name] !== undefined) {
      return GIVEN[name];
    }
    if (row.type === 'str') {
      return row.check === null ? this.#pick(['', '<empty>', ...TEXTS], '') : '/dir';
    }
    return this.#plain(row, false);
  }

  /** A value that is neither a text nor, in an entry, a fraction. */
  #plain(row: Setting, isEntry: boolean): string {
    switch (row.type) {
      case 'switch':
        return this.#pick(['0', '1'], '0');
      case 'enum':
        return this.#pick(row.values, '');
      case 'list':
        return this.#pick(['', '*', 'a', 'a, b', "it's, [x] {y", '${A} - ~', 'null, 1'], '');
      case 'time': {
        const isWhole = isEntry || row.wholeSeconds;
        return this.#pick(isWhole ? ['1', '60', '86400'] : ['1', '1.5', '0.001', '123456.789'], '');
      }
      default:
        return row.octal ? '0640' : this.#pick(isEntry ? ['1', '77', '-1'] : ['2', '0x400'], '');
    }
  }
}

function never(): never {
  throw new Error('a table is empty');
}

/** What a configuration comes to, with the form of the log that the kind of its file stands for. */
function meaningOf(config: Config): object {
  const { settings, databases, users, peers } = config;
  return { settings: { ...settings, logFormat: logFormatOf(config) }, databases, users, peers };
}

/** Values that an ini file may give a setting and that are not its default. */
function otherValues(name: string, row: Setting): readonly string[] {
  const unit = row.type === 'time' ? 1_000 : 1;
  switch (row.type) {
    case 'switch':
      return ['0', '1'];
    case 'enum':
      return row.values;
    case 'list':
      return name.startsWith('proxy_protocol') ? ['127.0.0.1, 10.0.0.0/8'] : ['', 'a', 'a, b'];
    case 'str':
      return row.check === null ? ['', ' x: y #z', 'null', "'"] : [GIVEN[name] ?? '/dir'];
    default:
      return row.octal
        ? ['0640', '0']
        : [row.min, row.min + unit, row.max].map((number) => String(number / unit));
  }
}

/** Settings that are refused alone. */
function linesFor(name: string, value: string): string {
  return `[pgbouncer]\n${name} = ${value}\n`;
}

describe('maitred convert', () => {
  it('prints YAML with comments for what is different', () => {
    const text = `[pgbouncer]
pool_mode = transaction
query_timeout = 1.5
unix_socket_mode = 0700
admin_users = a, b
auth_file = /etc/users
max_prepared_statements = 200
[databases]
app = host=db password='\${x}'
* =
[users]
`;
    expect(convertCommand('p.ini', () => text)).toEqual({
      exitCode: 0,
      stderr: '',
      stdout: `# Converted from p.ini; what is left out has its default.
#
# What differs from the original, or looks wrong in it:
# p.ini:7:27: max_prepared_statements: not supported yet; statement tracking is off, so prepared statements need session mode

maitred:
  admin_users: [a, b]
  auth_file: '/etc/users'
  pool_mode: transaction
  query_timeout: 1500ms
  unix_socket_mode: 0700
  log_format: pgbouncer

databases:
  app:
    host: db
    password: '$\${x}'
  '*': {}

users: {}
`,
    });
  });

  it(`keeps the meaning of any file (seed ${String(SEED)})`, () => {
    const writer = new IniWriter(SEED);
    let converted = 0;
    for (let run = 0; run < RUNS; run += 1) {
      const text = writer.write();
      const result = convertCommand('p.ini', () => text);
      if (result.exitCode === 0) {
        converted += 1;
        const before = parseConfigText('p.ini', text);
        const after = parseConfigText('m.yaml', result.stdout);
        expect(meaningOf(after), text).toEqual(meaningOf(before));
      }
    }
    expect(converted).toBeGreaterThan(RUNS * 0.7);
  });

  it.each(Object.entries(GLOBAL_SETTINGS).filter(([, row]) => row.support !== 'not-yet'))(
    'keeps each value of %s',
    (name, row: Setting) => {
      let converted = 0;
      for (const value of otherValues(name, row)) {
        const text = linesFor(name, value);
        const result = convertCommand('p.ini', () => text);
        if (result.exitCode === 0) {
          converted += 1;
          const after = parseConfigText('m.yaml', result.stdout);
          expect(meaningOf(after), text).toEqual(meaningOf(parseConfigText('p.ini', text)));
        }
      }
      expect(converted).toBeGreaterThan(0);
    },
  );

  it('keeps peers, and the form of the log if one is given', () => {
    const text =
      '[pgbouncer]\nlog_format = json\npeer_id = 1\n[peers]\n2 = host=h port=7 pool_size=3\n';
    const { stdout } = convertCommand('p.ini', () => text);
    expect(stdout).toContain('  log_format: json\n');
    expect(meaningOf(parseConfigText('m.yaml', stdout))).toEqual(
      meaningOf(parseConfigText('p.ini', text)),
    );
  });

  it.each([
    'password_command=\'print "a b" #c ${D} : {}\'',
    "password_file='/run/it''s a: #token'",
  ])('keeps where a password comes from: %s', (keys) => {
    const text = `[pgbouncer]\nauth_user = a\n[databases]\napp = user=u ${keys}\n`;
    const result = convertCommand('p.ini', () => text);
    const after = parseConfigText('m.yaml', result.stdout);
    expect(meaningOf(after)).toEqual(meaningOf(parseConfigText('p.ini', text)));
  });

  it('cannot be made to write settings by a comment', () => {
    const text = "[pgbouncer]\npkt_buf = 1\n[databases]\n'a' = port=1x\n";
    const { stdout } = convertCommand('p\nmaitred: { verbose: 2 }\n#.ini', () => text);
    expect(parseConfigText('m.yaml', stdout).settings.verbose).toBe(0);
    expect(stdout.split('\n').filter((line) => line.includes('verbose'))).toEqual(
      expect.arrayContaining([expect.stringMatching(/^# /)]),
    );
  });

  it('prints the problems of a file that has any', () => {
    const result = convertCommand('p.ini', () => '[pgbouncer]\nverbose = x\nnope = 1\n');
    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(result.stderr.trimEnd().split('\n')).toHaveLength(2);
  });

  it('does not take a YAML file', () => {
    const result = convertCommand('m.yaml', () => 'maitred: {}');
    expect(result).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: 'm.yaml: this is a YAML file already, by its name\n',
    });
  });
});
