import * as frontend from '../support/frontend-messages.ts';
import { commands } from './commands.ts';
import { describeConformance } from './conformance.ts';
import { BOB } from './stage.ts';

describeConformance({
  name: 'console',
  ini: { databases: ['cf_other = $SERVER pool_size=3 pool_mode=transaction'] },
  scenarios: [
    {
      name: 'welcome',
      run: async (stage) => {
        await stage.login('console', { user: 'admin', database: 'pgbouncer' });
      },
    },
    commands('SHOW VERSION', ['SHOW VERSION', 'show version;', 'SHOW "version"']),
    commands('SHOW CONFIG', ['SHOW CONFIG']),
    commands('SHOW DATABASES', ['SHOW DATABASES']),
    commands('SHOW LISTS', ['SHOW LISTS']),
    commands('SHOW DNS_HOSTS', ['SHOW DNS_HOSTS']),
    {
      name: 'SHOW POOLS, CLIENTS and SERVERS with one client of each state',
      run: async (stage) => {
        const idle = await stage.enter('a', { database: 'cf_other' });
        await idle.query('SELECT 1 AS one');
        const active = await stage.enter('b', {
          database: 'cf_other',
          parameters: { application_name: 'shop' },
        });
        await active.query('BEGIN');
        const console = await stage.enterConsole();
        await console.query('SHOW POOLS');
        await console.query('SHOW CLIENTS');
        await console.query('SHOW SERVERS');
        await active.query('COMMIT');
      },
    },
    {
      name: 'SHOW SOCKETS, in any order',
      run: async (stage) => {
        await stage.enter('a');
        const rows = await stage.look('SHOW SOCKETS');
        for (const name of Object.keys(rows[0] ?? {})) {
          stage.note(`column ${name}`);
        }
        for (const row of rows) {
          stage.note(`${String(row['type'])} ${String(row['database'])} ${String(row['state'])}`);
        }
        stage.transcript.sort();
      },
    },
    commands('commands that do not exist', [
      'SHOW',
      'SHOW NONSENSE',
      'NONSENSE',
      'SHOW POOLS x',
      'SELECT',
      'PAUSE a b',
      'SHOW VERSION; SHOW VERSION',
    ]),
    commands('databases that do not exist', [
      'PAUSE nowhere',
      'RESUME nowhere',
      'KILL nowhere',
      'DISABLE nowhere',
      'ENABLE nowhere',
      'RECONNECT nowhere',
      'WAIT_CLOSE nowhere',
    ]),
    commands('the console itself as the database of a command', [
      'PAUSE pgbouncer',
      'RESUME pgbouncer',
      'KILL pgbouncer',
      'DISABLE pgbouncer',
      'ENABLE pgbouncer',
      'RECONNECT pgbouncer',
      'WAIT_CLOSE pgbouncer',
    ]),
    commands('commands without the database that they need', ['DISABLE', 'ENABLE']),
    commands('commands that take no database', ['RELOAD x', 'SUSPEND x', 'SHUTDOWN x']),
    commands('PAUSE and RESUME of everything', [
      'RESUME',
      'PAUSE',
      'PAUSE',
      'PAUSE app',
      'RESUME',
      'RESUME',
    ]),
    commands('PAUSE and RESUME of one database', [
      'RESUME app',
      'PAUSE app',
      'SHOW DATABASES',
      'PAUSE app',
      'RESUME app',
    ]),
    commands('RECONNECT and WAIT_CLOSE', [
      'RECONNECT',
      'RECONNECT app',
      'WAIT_CLOSE',
      'WAIT_CLOSE app',
    ]),
    commands('RELOAD', ['RELOAD', 'RELOAD;']),
    commands('SET', [
      "SET query_wait_timeout = '7.5'",
      'SET default_pool_size = 9',
      'SET pool_mode TO transaction',
      'SET nonsense = 1',
      'SET default_pool_size = many',
      'SET pool_mode = nonsense',
      'SET',
      'SET a',
      'SHOW CONFIG',
      'RELOAD',
    ]),
    commands(
      'SET of a setting that needs a restart',
      ['SET listen_port = 1'],
      [
        {
          id: 'set-needs-restart',
          pgbouncer: ['console< CommandComplete SET listen_port=1'],
          maitred: [
            'console< ErrorResponse SET failed: REASON',
            'console<   S: ERROR',
            'console<   C: 42704',
          ],
        },
      ],
    ),
    commands('what drivers say', [
      'SHOW client_encoding',
      'SHOW datestyle',
      'SHOW timezone',
      'SHOW standard_conforming_strings',
      'SHOW default_transaction_isolation',
      "SET client_encoding TO 'UTF8'",
      "SET datestyle TO 'ISO'",
    ]),
    commands(
      'SET application_name',
      ["SET application_name = 'x'"],
      [
        {
          id: 'console-chatter',
          pgbouncer: ['console< ErrorResponse SET failed', 'console<   S: ERROR'],
          maitred: [
            'console< NoticeResponse SET ignored',
            'console<   S: NOTICE',
            'console< CommandComplete SET',
          ],
        },
      ],
    ),
    {
      name: 'what drivers say and PgBouncer does not know',
      run: async (stage) => {
        const console = await stage.enterConsole();
        for (const sql of ['', 'BEGIN', 'COMMIT', 'SELECT 1', 'SELECT version()', 'DISCARD ALL']) {
          console.raw.send(frontend.query(sql));
          const types = (await console.raw.readUntil('Z')).map(({ type }) => type).join('');
          stage.note(`${sql}: ${types}`);
        }
      },
      differences: [
        {
          id: 'console-chatter',
          pgbouncer: [
            ': EZ',
            'BEGIN: EZ',
            'COMMIT: EZ',
            'SELECT 1: EZ',
            'SELECT version(): EZ',
            'DISCARD ALL: EZ',
          ],
          maitred: [
            ': IZ',
            'BEGIN: CZ',
            'COMMIT: CZ',
            'SELECT 1: TDCZ',
            'SELECT version(): TDCZ',
            'DISCARD ALL: CZ',
          ],
        },
      ],
    },
    {
      name: 'a read-only user',
      run: async (stage) => {
        const console = await stage.enter('console', { user: 'stats', database: 'pgbouncer' });
        for (const sql of [
          'SHOW VERSION',
          'PAUSE',
          'RESUME',
          'KILL app',
          'RELOAD',
          'SHUTDOWN',
          'SUSPEND',
          'DISABLE app',
          'ENABLE app',
          'RECONNECT',
          'WAIT_CLOSE',
          'SHOW FDS',
          'SET default_pool_size = 1',
          "SET client_encoding = 'UTF8'",
        ]) {
          await console.query(sql);
        }
      },
    },
    {
      name: 'the extended query protocol',
      run: async (stage) => {
        const console = await stage.enterConsole();
        console.raw.send(frontend.extendedQuery('SHOW VERSION'));
        const seen: string[] = [];
        while (!['E', 'Z'].includes(seen.at(-1) ?? '')) {
          seen.push((await console.raw.readMessage()).type);
        }
        stage.note(seen.join(''));
      },
      differences: [{ id: 'console-extended', pgbouncer: ['E'], maitred: ['12TDCZ'] }],
    },
    {
      name: 'commands in the log',
      run: async (stage) => {
        const console = await stage.enterConsole();
        for (const sql of ['PAUSE app', 'RESUME app', 'RELOAD', 'RECONNECT']) {
          await console.query(sql);
        }
        await stage.log(
          /PAUSE 'app' command issued/,
          /RESUME 'app' command issued/,
          /RELOAD command issued/,
          /RECONNECT command issued/,
        );
      },
    },
  ],
});

describeConformance({
  name: 'console commands and their clients',
  ini: { pgbouncer: ['pool_mode = transaction'], databases: ['cf_other = $SERVER'] },
  scenarios: [
    {
      name: 'a query during PAUSE runs after RESUME',
      run: async (stage) => {
        const client = await stage.enter('a');
        await client.query('SELECT 1 AS one');
        const console = await stage.enterConsole();
        await console.query('PAUSE');
        client.ask('SELECT 2 AS two');
        await stage.waitForPool({ cl_waiting: 1, sv_idle: 0 });
        await console.query('RESUME');
        await client.readAnswer();
      },
    },
    {
      name: 'PAUSE waits for the transaction to end',
      run: async (stage) => {
        const client = await stage.enter('a');
        await client.query('BEGIN');
        const console = await stage.enterConsole();
        console.ask('PAUSE app');
        await client.query('SELECT 1 AS one');
        await client.query('COMMIT');
        await console.readAnswer();
        await console.query('RESUME app');
      },
    },
    {
      name: 'DISABLE refuses new clients and leaves the others alone',
      run: async (stage) => {
        const client = await stage.enter('a');
        const console = await stage.enterConsole();
        await console.query('DISABLE app');
        await stage.login('b', { user: BOB, database: 'app' });
        await client.query('SELECT 1 AS one');
        await console.query('ENABLE app');
        const third = await stage.enter('c');
        await third.query('SELECT 1 AS one');
      },
    },
    {
      name: 'RECONNECT replaces the server connections',
      run: async (stage) => {
        const client = await stage.enter('a');
        const before = await client.ask1('SELECT pg_backend_pid()');
        const console = await stage.enterConsole();
        await console.query('RECONNECT app');
        await console.query('WAIT_CLOSE app');
        const after = await client.ask1('SELECT pg_backend_pid()');
        stage.note(before === after ? 'the same server connection' : 'another server connection');
      },
    },
    {
      name: 'a cancel request for a console',
      run: async (stage) => {
        const client = await stage.enter('a');
        await client.query('BEGIN');
        const console = await stage.enterConsole();
        console.ask('PAUSE app');
        await stage.waitForPool({ sv_active: 1 });
        await client.query('COMMIT');
        await console.readAnswer();
        await console.cancel();
        await console.query('RESUME app');
      },
      differences: [
        {
          id: 'version-pause-tag',
          pgbouncer: ['console< CommandComplete WAIT_CLOSE'],
          maitred: ['console< CommandComplete PAUSE'],
        },
      ],
    },
    {
      name: 'KILL disconnects the clients, and RESUME lets them in again',
      run: async (stage) => {
        const client = await stage.enter('a');
        await client.query('SELECT 1 AS one');
        const console = await stage.enterConsole();
        await console.query('KILL app');
        await client.readToEnd();
        await console.query('RESUME app');
        const again = await stage.enter('b');
        await again.query('SELECT 1 AS one');
      },
    },
    {
      name: 'RELOAD drops a database and disconnects its clients',
      run: async (stage) => {
        const client = await stage.enter('a', { database: 'cf_other' });
        await client.query('SELECT 1 AS one');
        stage.rewrite({ pgbouncer: ['pool_mode = transaction'] });
        const console = await stage.enterConsole();
        await console.query('RELOAD');
        await client.readToEnd();
        await stage.login('b', { user: BOB, database: 'cf_other' });
      },
    },
    {
      name: 'RELOAD with a changed setting',
      run: async (stage) => {
        stage.rewrite({ pgbouncer: ['pool_mode = session', 'query_timeout = 12'] });
        const console = await stage.enterConsole();
        await console.query('RELOAD');
        const rows = await stage.look('SHOW CONFIG');
        for (const name of ['pool_mode', 'query_timeout']) {
          stage.note(`${name} ${String(rows.find(({ key }) => key === name)?.['value'])}`);
        }
      },
    },
    {
      name: 'RELOAD of a file with an error leaves the process alive',
      run: async (stage) => {
        stage.rewrite({ pgbouncer: ['pool_mode = nonsense'] });
        const console = await stage.enterConsole();
        await console.query('RELOAD');
        await stage.log(
          /ERROR invalid value .* in configuration \(/,
          /WARNING config file loading/,
        );
        stage.rewrite({});
        await console.query('RELOAD');
      },
      differences: [
        {
          id: 'version-reload-failed',
          pgbouncer: ['console< CommandComplete RELOAD'],
          maitred: [
            'console< ErrorResponse RELOAD failed, see logs for additional details: REASON',
            'console<   S: ERROR',
            'console<   C: F0000',
          ],
        },
        {
          id: 'config-error-text',
          pgbouncer: [
            'log ERROR invalid value "nonsense" for parameter pool_mode in configuration (DIR/pgbouncer.ini:10)',
          ],
          maitred: [
            'log ERROR invalid value "nonsense" for parameter pool_mode in configuration (DIR/pgbouncer.ini:10): unknown value; allowed: session, transaction, statement',
          ],
        },
      ],
    },
  ],
});

/** A fixed amount of work, and the counters after it. */
describeConformance({
  name: 'statistics',
  ini: { pgbouncer: ['pool_mode = transaction', 'log_stats = 0'] },
  scenarios: [
    {
      name: 'counters after a fixed workload',
      run: async (stage) => {
        const client = await stage.enter('a');
        for (const sql of [
          'SELECT 1 AS one',
          'BEGIN',
          'SELECT 2',
          'COMMIT',
          'SELECT 1; SELECT 2',
        ]) {
          await client.query(sql);
        }
        client.raw.send(frontend.extendedQuery('SELECT $1::int AS n', ['7']));
        await client.readAnswer();
        client.raw.send(frontend.query('SELECT 1 AS a'), frontend.query('SELECT 2 AS b'));
        await client.readAnswer();
        await client.readAnswer();
        const rows = await stage.look('SHOW STATS_TOTALS');
        const row = rows.find(({ database }) => database === 'app') ?? {};
        for (const name of ['xact_count', 'query_count', 'bytes_received', 'bytes_sent']) {
          stage.note(`${name} ${String(row[name])}`);
        }
      },
      differences: [
        { id: 'version-query-count', pgbouncer: ['query_count 7'], maitred: ['query_count 8'] },
      ],
    },
    {
      name: 'columns of the statistics',
      run: async (stage) => {
        for (const topic of ['STATS', 'STATS_TOTALS', 'STATS_AVERAGES']) {
          const rows = await stage.look(`SHOW ${topic}`);
          for (const column of Object.keys(rows[0] ?? {})) {
            stage.note(`${topic} ${column}`);
          }
        }
        for (const row of await stage.look('SHOW TOTALS')) {
          stage.note(`TOTALS ${String(row['name'])}`);
        }
      },
    },
  ],
});
