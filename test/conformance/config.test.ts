import { describe, expect, it } from 'vitest';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { describeConformance } from './conformance.ts';
import { installedPgbouncer, runToEnd } from './pooler-process.ts';
import type { PoolerName } from './pooler-process.ts';
import { iniText, makePlace, removePlace, writePlaceFile } from './stage.ts';
import type { Place } from './stage.ts';
import { normalizeLogLine } from './log-lines.ts';

/** A file that neither takes, and what both say of it. */
interface Refusal {
  readonly name: string;
  /** Its text, made from the one that both take. */
  readonly text: (place: Place) => string;
  readonly says: string;
}

function withLine(name: string, line: string, says: string): Refusal {
  return { name, says, text: (place) => iniText(place, { pgbouncer: [line] }) };
}

function withDatabase(name: string, line: string, says: string): Refusal {
  return { name, says, text: (place) => iniText(place, { databases: [line] }) };
}

function withUser(name: string, line: string, says: string): Refusal {
  return { name, says, text: (place) => iniText(place, { users: [line] }) };
}

/** About the line that {@link withLine} adds. */
const SYNTAX = 'syntax error in configuration (DIR/pgbouncer.ini:10)';

function badValue(name: string, setting: string, value: string): Refusal {
  const says = `invalid value "${value}" for parameter ${setting} in configuration (DIR/pgbouncer.ini:10)`;
  return withLine(name, `${setting} = ${value}`, says);
}

const REFUSALS: readonly Refusal[] = [
  withLine('an unknown setting', 'nonsense = 1', 'unknown parameter: pgbouncer/nonsense'),
  badValue('a value that is no number', 'default_pool_size', 'many'),
  badValue('a time with a unit', 'query_timeout', '5min'),
  badValue('a switch that is no number', 'log_stats', 'maybe'),
  badValue('an unknown pool_mode', 'pool_mode', 'nonsense'),
  badValue('an empty number', 'default_pool_size', ''),
  badValue('a trailing comment', 'log_stats', '1 ; comment'),
  badValue('a word for a switch', 'log_stats', 'yes'),
  badValue('a negative time', 'query_timeout', '-5'),
  badValue('a time beyond all bounds', 'query_timeout', '1e400'),
  badValue('a decimal comma', 'query_timeout', '1,5'),
  badValue('an empty time', 'query_timeout', ''),
  badValue('a fraction for a whole number', 'default_pool_size', '1.0'),
  badValue('an octal number with a 9', 'default_pool_size', '09'),
  badValue('a binary number', 'default_pool_size', '0b1'),
  badValue('an octal number in the style of others', 'unix_socket_mode', '0o777'),
  badValue('a quoted word', 'pool_mode', "'session'"),
  badValue('an empty word', 'pool_mode', ''),
  badValue('a name in capitals', 'pool_mode', 'session mode'),
  withLine('a line without =', 'nonsense', 'syntax error in configuration (DIR/pgbouncer.ini:10)'),
  withLine('a key in capitals', 'QUERY_TIMEOUT = 5', 'unknown parameter: pgbouncer/QUERY_TIMEOUT'),
  withLine('a key with a space', 'query timeout = 5', SYNTAX),
  withLine('a key in double quotes', '"query_timeout" = 5', SYNTAX),
  withLine('a comment of another kind', '// comment', SYNTAX),
  withLine('an unknown directive', '%other file.ini', SYNTAX),
  withLine('a directive in capitals', '%INCLUDE file.ini', SYNTAX),
  withLine('an include without a file', '%include', SYNTAX),
  withLine('a section that is not closed', '[databases', SYNTAX),
  withLine('text behind a section', '[databases] text', SYNTAX),
  withLine(
    'a section with spaces',
    '[ databases ]',
    'invalid section " databases " in configuration (DIR/pgbouncer.ini:10)',
  ),
  withLine(
    'a section in capitals',
    '[Databases]',
    'invalid section "Databases" in configuration (DIR/pgbouncer.ini:10)',
  ),
  withLine(
    'an include in quotes',
    "%include 'file.ini'",
    'error processing include file in configuration (DIR/pgbouncer.ini:10)',
  ),
  withLine('an include of itself', '%include pgbouncer.ini', 'include nesting level too deep'),
  withLine(
    'an include that is missing',
    '%include missing.ini',
    'error processing include file in configuration (DIR/pgbouncer.ini:10)',
  ),
  {
    name: 'an unknown section',
    text: (place) => `${iniText(place)}[nonsense]\nname = 1\n`,
    says: 'invalid section "nonsense" in configuration (DIR/pgbouncer.ini:13)',
  },
  {
    name: 'a value before any section',
    text: (place) => `x = 1\n${iniText(place)}`,
    says: 'load_init_file: value without section: x',
  },
  {
    name: 'no main section',
    text: () => '[databases]\napp =\n',
    says: 'load_init_file: main section missing from config file',
  },
  withDatabase(
    'an unknown key of a database',
    'db = nonsense=1',
    'unrecognized connection parameter: nonsense',
  ),
  withDatabase(
    'an unknown pool_mode of a database',
    'db = pool_mode=nonsense',
    'invalid pool mode: nonsense',
  ),
  withDatabase('port 0', 'db = port=0', 'invalid port: 0'),
  withDatabase('a quote that does not end', "db = dbname='x", 'syntax error in connection string'),
  withDatabase('an empty value', 'db = host=', 'syntax error in connection string'),
  withDatabase('an empty quoted value', "db = host=''", 'syntax error in connection string'),
  withDatabase('a key without a value', 'db = dbname', 'syntax error in connection string'),
  withDatabase('text behind a quote', "db = dbname='a'b'", 'syntax error in connection string'),
  withDatabase('a URL', 'db = postgres://u@h/db', 'syntax error in connection string'),
  withDatabase('a comment', 'db = dbname=a ; comment', 'syntax error in connection string'),
  withDatabase(
    'a key in capitals',
    'db = HOST=127.0.0.1',
    'unrecognized connection parameter: HOST',
  ),
  withDatabase('a parameter of libpq', 'db = sslmode=require', 'connection parameter: sslmode'),
  withDatabase('a port that is no number', 'db = port=abc', 'invalid port: abc'),
  withDatabase('a name with a slash', 'a/b = host=127.0.0.1', SYNTAX.replace('10', '12')),
  withDatabase('a name in double quotes', '"db" = host=127.0.0.1', SYNTAX.replace('10', '12')),
  withUser('an unknown key of a user', 'bob = nonsense=1', 'unrecognized user parameter: nonsense'),
  withUser('an empty value of a user', 'bob = pool_mode=', 'syntax error in user settings'),
  withUser('a wrong value of a user', 'bob = pool_mode=nonsense', 'invalid pool mode: nonsense'),
  withDatabase(
    'the name of the console',
    'pgbouncer = host=127.0.0.1',
    'database name "pgbouncer" is reserved',
  ),
];

/** What a pooler writes about a file at its start, and how it ends. */
function refuse({ text, says }: Refusal, name: PoolerName, place: Place): readonly string[] {
  const file = writePlaceFile(place, 'pgbouncer.ini', text(place));
  const { status, stdout, stderr } = runToEnd(name, [file], place.directory);
  const names = { directory: place.directory, isKnownPort: () => true };
  const lines = stderr.split('\n').map((line) => normalizeLogLine(line, names));
  return [
    `standard output: ${stdout}`,
    lines.some((line) => line.startsWith('ERROR ') && line.includes(says)) ? says : stderr,
    lines.at(-2) ?? 'no line at all',
    `exit code ${String(status)}`,
  ];
}

describe.skipIf(installedPgbouncer() === null)('files that are refused at the start', () => {
  it.each(REFUSALS)('$name', async (refusal) => {
    const place = await makePlace(sharedPostgres());
    try {
      const expected = [
        'standard output: ',
        refusal.says,
        'FATAL cannot load config file',
        'exit code 1',
      ];
      expect(refuse(refusal, 'pgbouncer', place)).toEqual(expected);
      expect(refuse(refusal, 'maitred', place)).toEqual(expected);
    } finally {
      removePlace(place);
    }
  });
});

/** How a value is written in the file: both must show the same for it. */
const VALUES: readonly (readonly [line: string, setting: string])[] = [
  ['default_pool_size = 0x10', 'default_pool_size'],
  ['default_pool_size = 010', 'default_pool_size'],
  ['default_pool_size=  7  ', 'default_pool_size'],
  ['query_timeout = 1.5', 'query_timeout'],
  ['query_timeout = 1e2', 'query_timeout'],
  ['POOL_MODE_IS_CASE_SENSITIVE_SO_THIS_IS_A_COMMENT = 1', ''],
  ['pool_mode = TRANSACTION', 'pool_mode'],
  ['log_connections = 5', 'log_connections'],
  ['admin_users = a, b c', 'admin_users'],
  ['unix_socket_mode = 0700', 'unix_socket_mode'],
  ["server_reset_query = 'DISCARD ALL'", 'server_reset_query'],
  ['server_check_query =', 'server_check_query'],
  ['max_packet_size = 4294967295', 'max_packet_size'],
  ['stats_period = 10', 'stats_period'],
];

describeConformance({
  name: 'how values are written',
  ini: {
    pgbouncer: [
      ...VALUES.filter(([, setting]) => setting !== '' && setting !== 'admin_users').map(
        ([line]) => line,
      ),
    ],
    databases: [
      "quoted = $SERVER password='it''s' connect_query='SELECT ''a'' AS a'",
      'empty = ',
      'many = $SERVER pool_size=3  reserve_pool=2 max_db_connections=9',
    ],
    users: ['cf_bob = pool_mode=session max_user_connections=3'],
  },
  scenarios: [
    {
      name: 'settings',
      run: async (stage) => {
        const rows = await stage.look('SHOW CONFIG');
        for (const [line, setting] of VALUES) {
          const value = rows.find(({ key }) => key === setting)?.['value'];
          stage.note(`${line}: ${String(value)}`);
        }
      },
      differences: [
        {
          id: 'switch-value',
          pgbouncer: ['log_connections = 5: 5'],
          maitred: ['log_connections = 5: 1'],
        },
      ],
    },
    {
      name: 'databases',
      run: async (stage) => {
        for (const row of await stage.look('SHOW DATABASES')) {
          const { name, host, port, database, force_user: user, pool_size: size } = row;
          stage.note([name, host, port, database, user, size, row['pool_mode']].join(' '));
        }
      },
    },
    {
      name: 'users',
      run: async (stage) => {
        for (const row of await stage.look('SHOW USERS')) {
          stage.note(`${String(row['name'])} ${String(row['pool_mode'])}`);
        }
      },
    },
  ],
});

describeConformance({
  name: 'RELOAD of changed files',
  isFresh: true,
  scenarios: [
    {
      name: 'a new user may log in, one that has gone is asked for a password in vain',
      run: async (stage) => {
        writePlaceFile(stage.place, 'userlist.txt', '"admin" "secret"\n"stats" ""\n');
        const console = await stage.enterConsole();
        await console.query('RELOAD');
        await stage.login('a', { user: 'cf_bob', database: 'app' });
      },
    },
    {
      name: 'a database whose host changed recycles its server connections',
      run: async (stage) => {
        const client = await stage.enter('a');
        await client.query('SELECT 1 AS one');
        await client.terminate();
        const { postgres } = stage.place;
        const text = iniText(stage.place).replace(
          `host=${postgres.host}`,
          `host=${postgres.socketDir}`,
        );
        writePlaceFile(stage.place, 'pgbouncer.ini', text);
        const console = await stage.enterConsole();
        // One that is still in use is closed at its release, for another reason.
        await stage.waitForPool({ cl_active: 0, sv_idle: 1 });
        await console.query('RELOAD');
        await stage.log(/closing because: database configuration changed/);
        const again = await stage.enter('b');
        await again.query('SELECT inet_server_addr() IS NULL AS is_unix');
      },
    },
    {
      name: 'SIGHUP',
      run: async (stage) => {
        stage.rewrite({ pgbouncer: ['query_timeout = 77'] });
        stage.process.signal('SIGHUP');
        await stage.log(/got SIGHUP/);
        const rows = await stage.look('SHOW CONFIG');
        stage.note(String(rows.find(({ key }) => key === 'query_timeout')?.['value']));
      },
    },
  ],
});
