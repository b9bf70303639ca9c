import { SETTINGS_IN_SHOW_ORDER } from '../../src/config/global-settings.ts';
import { OWN_SETTINGS } from '../../src/config/settings-process.ts';
import { NEWER_SETTINGS } from './common-differences.ts';
import { describeConformance } from './conformance.ts';
import type { Scenario } from './conformance.ts';
import { outcomeLine } from './set-differences.ts';
import { iniText, usersText, writePlaceFile } from './stage.ts';
import type { IniSections, Place, Stage } from './stage.ts';

/** Columns of SHOW DATABASES that the file fills. */
const DATABASE_COLUMNS = [
  ...['name', 'host', 'port', 'database', 'force_user', 'pool_size', 'min_pool_size'],
  ...['reserve_pool', 'reserve_pool_size', 'pool_mode', 'max_connections'],
];

async function readConfig(stage: Stage): Promise<ReadonlyMap<string, string>> {
  const rows = await stage.look('SHOW CONFIG');
  return new Map(rows.map(({ key, value }) => [String(key), value ?? 'NULL']));
}

/** Notes what a file changes, in comparison with the one that all tests begin with. */
async function reloadWith(stage: Stage, text: string): Promise<void> {
  const { place } = stage;
  const console = await stage.enterConsole();
  writePlaceFile(place, 'pgbouncer.ini', iniText(place));
  await console.raw.simpleQuery('RELOAD');
  const before = await readConfig(stage);
  const bytes = Buffer.from(text);
  writePlaceFile(place, 'pgbouncer.ini', bytes.toString());
  await console.query('RELOAD');
  const written = new Map(
    [...text.matchAll(/^(\w+) = (.*)$/gm)].map(([, name = '', value = '']) => [name, value]),
  );
  for (const [name, shown] of await readConfig(stage)) {
    if (shown !== before.get(name) || written.has(name)) {
      const value = written.get(name) ?? '(not its own line)';
      stage.note(outcomeLine({ name, value, isTaken: true, shown }));
    }
  }
  for (const row of await stage.look('SHOW DATABASES')) {
    const cells = DATABASE_COLUMNS.map((name) => row[name]).filter((cell) => cell !== undefined);
    stage.note(`database ${cells.join(' ')}`);
  }
}

function lines(name: string, sections: IniSections): Scenario {
  return { name, run: (stage) => reloadWith(stage, iniText(stage.place, sections)) };
}

function file(name: string, text: (place: Place) => string): Scenario {
  return { name, run: (stage) => reloadWith(stage, text(stage.place)) };
}

/** Settings that may have any number without harm to the test. */
const NUMBERS = SETTINGS_IN_SHOW_ORDER.filter(
  ([name, { type, reloadable }]) =>
    reloadable &&
    !NEWER_SETTINGS.includes(name) &&
    !(name in OWN_SETTINGS) &&
    !/^(?:max_packet_size|max_client_conn|stats_period|tcp_.*)$/.test(name) &&
    ['switch', 'int', 'uint', 'time', 'size'].includes(type),
);

/** Gives each number the same text. */
function numbers(text: string, types: readonly string[]): Scenario {
  const pgbouncer = NUMBERS.filter(([, { type }]) => types.includes(type)).map(
    ([name]) => `${name} = ${text}`,
  );
  return lines(`numbers written ${text}`, { pgbouncer });
}

const WHOLE = ['switch', 'int', 'uint'];
const ALL = [...WHOLE, 'time', 'size'];

const DATABASE_LINES: readonly string[] = [
  'x = ',
  'x = host = 127.0.0.1  port = 5433',
  "x = host='127.0.0.1'",
  "x = dbname='a b'",
  "x = dbname='it''s'",
  "x = dbname=it''s",
  "x = dbname=a'b",
  'x = dbname=$x',
  'x = port=5432x',
  'x = pool_size=5x',
  'x = pool_size=-1',
  'x = pool_size=0',
  'x = pool_size=010',
  'x = pool_size=1.5',
  'x = reserve_pool=3',
  'x = reserve_pool=-1',
  'x = min_pool_size=2',
  'x = pool_mode=STATEMENT',
  'x = max_db_connections=5',
  'x = max_db_connections=-1',
  'x = max_db_connections=0',
  "x = client_encoding=utf8 datestyle='ISO, MDY' timezone=UTC application_name=y",
  'x = user=u password=p',
  "x = connect_query='select 1'",
  'x = host=127.0.0.1,127.0.0.2',
  'x = host=127.0.0.1 host=127.0.0.2',
  'x = host=::1',
  'x = host=/tmp',
  'x = host=127.0.0.1;',
  'a-b.c_d = host=127.0.0.1',
  '* = host=127.0.0.1',
  `${'x'.repeat(63)} = host=127.0.0.1`,
];

describeConformance({
  name: 'what a file may look like',
  prepare: (place) => {
    writePlaceFile(place, 'one.ini', 'query_timeout = 33\n');
    writePlaceFile(place, 'no-newline.ini', 'query_timeout = 9');
    writePlaceFile(place, 'nested.ini', '%include one.ini\ndefault_pool_size = 44\n');
    writePlaceFile(place, 'databases.ini', '[databases]\nincluded = host=127.0.0.1\n');
    for (let i = 1; i <= 10; i++) {
      const text = i === 10 ? 'query_timeout = 10\n' : `%include deep${String(i + 1)}.ini\n`;
      writePlaceFile(place, `deep${String(i)}.ini`, text);
    }
    return Promise.resolve();
  },
  users: { admin: 'secret', stats: 'secret' },
  scenarios: [
    ...['1', '7', '+4', '007', '010', '0x10', '0X1F', '-0', '00'].map((text) =>
      numbers(text, text.toLowerCase().startsWith('0x') ? WHOLE : ALL),
    ),
    ...['1.5', '.5', '5.', '1e2', '1E+2', '0x10', '123456.789'].map((text) => {
      const names = NUMBERS.filter(([, row]) => row.type === 'time' && !row.wholeSeconds);
      const pgbouncer = names.map(([name]) => `${name} = ${text}`);
      return lines(`times written ${text}`, { pgbouncer });
    }),
    lines('texts with quotes, blanks and signs', {
      pgbouncer: [
        "syslog_ident = 'x y'",
        'auth_user = "x  y"',
        'server_reset_query = a;b # c',
        'server_check_query = <empty>',
        'ignore_startup_parameters = a, b  c,,d',
        'stats_users = ',
        'auth_hba_file = \\n%d=${X}',
      ],
    }),
    lines('words in any case', {
      pgbouncer: ['pool_mode = TransAction', 'client_tls_sslmode = DISABLE'],
    }),
    lines('the same key twice', { pgbouncer: ['query_timeout = 5', 'query_timeout = 6'] }),
    lines('blanks, tabs and comments', {
      pgbouncer: [
        '\tquery_timeout\t=\t5\t ',
        ' ; comment',
        '\t# comment',
        '',
        '\v\f idle = 1',
      ].slice(0, 4),
    }),
    file('Windows line ends', (place) =>
      iniText(place, { pgbouncer: ['query_timeout = 5'] }).replaceAll('\n', '\r\n'),
    ),
    file('no newline at the end', (place) => iniText(place, { users: ['x = '] }).trimEnd()),
    lines('very long lines', {
      pgbouncer: [`auth_user = ${'x'.repeat(10_000)}`, `; ${'y'.repeat(100_000)}`],
    }),
    lines('bytes that are no ASCII', { pgbouncer: ['syslog_ident = caf\u00e9 \u{1f418}'] }),
    lines('a comment behind a section', {
      databases: ['[users] ; comment', '[databases]  # comment'],
    }),
    lines('a value behind a section', { databases: ['[databases] x = host=127.0.0.1'] }),
    file(
      'sections that come again',
      (place) =>
        `${iniText(place)}[databases]\nx = host=127.0.0.1\napp = host=127.0.0.3\n[users]\n`,
    ),
    ...[
      '%include one.ini',
      '  %include\tone.ini  ',
      '%include nested.ini',
      '%include no-newline.ini',
      '%include deep2.ini',
    ].map((line) => lines(JSON.stringify(line), { pgbouncer: [line, 'log_stats = 0'] })),
    file('an include by its full path', (place) =>
      iniText(place, { pgbouncer: [`%include ${place.directory}/one.ini`] }),
    ),
    lines('an include with a section of its own', {
      pgbouncer: ['log_stats = 0', '%include databases.ini'],
      databases: ['x = '],
    }),
    ...DATABASE_LINES.map((line) => lines(line.slice(0, 60), { databases: [line] })),
    {
      name: 'a file of users that is missing',
      run: async (stage) => {
        writePlaceFile(stage.place, 'users.txt', usersText({ admin: 'secret' }));
        stage.rewrite({ pgbouncer: ['auth_file = nowhere.txt'] });
        const console = await stage.enterConsole();
        await console.query('RELOAD');
        await stage.log(/auth_file nowhere\.txt/);
        stage.rewrite({});
        await console.query('RELOAD');
      },
    },
  ],
});
