import * as frontend from '../support/frontend-messages.ts';
import { waitFor } from '../support/wait-for.ts';
import { describeConformance } from './conformance.ts';
import type { Stage } from './stage.ts';

/** Makes names of a prepared object; each scenario has its own. */
const TABLE = 'pg_temp.cf_rows';

/** Waits until PostgreSQL is within `SELECT pg_sleep(60)`, and has sent what comes before. */
async function waitUntilAsleep(stage: Stage): Promise<void> {
  await waitFor('the query to sleep', async () => {
    const rows = await stage.place.postgres.query(
      "SELECT 1 AS n FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND wait_event = 'PgSleep'",
    );
    return rows.length > 0;
  });
}

describeConformance({
  name: 'session mode',
  ini: { pgbouncer: ['default_pool_size = 1'] },
  scenarios: [
    {
      name: 'server_reset_query cleans up after a client that leaves',
      run: async (stage) => {
        const first = await stage.enter('a');
        await first.query("SET search_path = 'nowhere'; CREATE TEMP TABLE cf_rows (n int)");
        await first.query('LISTEN cf_channel');
        await first.terminate();
        const second = await stage.enter('b');
        await second.query('SHOW search_path');
        await second.query(`SELECT * FROM ${TABLE}`);
        await second.query('SELECT pg_listening_channels()');
      },
    },
    {
      name: 'the second client waits until the first one leaves',
      run: async (stage) => {
        const first = await stage.enter('a');
        await first.query('SELECT 1 AS one');
        const second = await stage.enter('b');
        second.ask('SELECT 2 AS two');
        await stage.waitForPool({ cl_waiting: 1 });
        await first.terminate();
        await second.readAnswer();
      },
    },
    {
      name: 'several statements, an error among them, an empty query',
      run: async (stage) => {
        const client = await stage.enter('a');
        await client.query('SELECT 1 AS one; SELECT 2 AS two');
        await client.query('SELECT 1 AS one; SELECT nonsense; SELECT 3 AS three');
        await client.query('');
        await client.query(';');
      },
    },
    {
      name: 'transaction block with an error',
      run: async (stage) => {
        const client = await stage.enter('a');
        for (const sql of ['BEGIN', 'SELECT nonsense', 'SELECT 1 AS one', 'COMMIT']) {
          await client.query(sql);
        }
      },
    },
    {
      name: 'extended protocol with an error in the middle',
      run: async (stage) => {
        const client = await stage.enter('a');
        client.raw.send(frontend.extendedQuery('SELECT $1::int AS n', ['7']));
        await client.readAnswer();
        client.raw.send(
          frontend.parse('SELECT nonsense'),
          frontend.bind(),
          frontend.execute(),
          frontend.sync(),
        );
        await client.readAnswer();
      },
    },
    {
      name: 'pipelined queries',
      run: async (stage) => {
        const client = await stage.enter('a');
        client.raw.send(
          frontend.query('SELECT 1 AS one'),
          frontend.query('SELECT 2 AS two'),
          frontend.query('SELECT 3 AS three'),
        );
        for (let i = 0; i < 3; i++) {
          await client.readAnswer();
        }
      },
    },
    {
      name: 'COPY in and out',
      run: async (stage) => {
        const client = await stage.enter('a');
        await client.query('CREATE TEMP TABLE cf_rows (n int)');
        client.ask('COPY cf_rows FROM STDIN');
        client.raw.send(frontend.copyData('1\n2\n'), frontend.copyDone());
        await client.readAnswer();
        await client.query('COPY cf_rows TO STDOUT');
        client.ask('COPY cf_rows FROM STDIN');
        client.raw.send(frontend.copyFail('no more'));
        await client.readAnswer();
      },
    },
    {
      name: 'NOTIFY reaches the client that listens',
      run: async (stage) => {
        const client = await stage.enter('a');
        await client.query('LISTEN cf_channel');
        client.ask("SELECT pg_notify('cf_channel', 'hello') IS NULL AS sent");
        const seen: string[] = [];
        while (!seen.includes('Z')) {
          seen.push((await client.raw.readMessage()).type);
        }
        stage.note(seen.join(''));
      },
    },
    {
      name: 'a notice of the server',
      run: async (stage) => {
        const client = await stage.enter('a');
        await client.query("DO $$ BEGIN RAISE NOTICE 'hello %', 1; END $$");
      },
    },
    {
      name: 'ParameterStatus after SET',
      run: async (stage) => {
        const client = await stage.enter('a');
        await client.query("SET DateStyle = 'German'");
        await client.query("SET TimeZone = 'Asia/Tokyo'");
        await client.query("SET application_name = 'x'");
      },
    },
    {
      name: 'the server ends the connection in the middle of a query',
      run: async (stage) => {
        const client = await stage.enter('a');
        const pid = await client.ask1('SELECT pg_backend_pid()');
        client.ask('SELECT pg_sleep(60)');
        await waitUntilAsleep(stage);
        await stage.place.postgres.query(`SELECT pg_terminate_backend(${pid})`);
        await client.readToEnd();
        await stage.log(/S-0x.*closing because/, /C-0x.*closing because/);
      },
      differences: [
        {
          id: 'server-error-once',
          pgbouncer: ['a< ErrorResponse server conn crashed?', 'a<   S: FATAL', 'a<   C: 08P01'],
          maitred: [],
        },
        {
          id: 'server-error-once',
          pgbouncer: [
            'log LOG C: app/cf_bob@127.0.0.1:PORT closing because: server conn crashed? (age=Ns)',
          ],
          maitred: [
            'log LOG C: app/cf_bob@127.0.0.1:PORT closing because: terminating connection due to administrator command (age=Ns)',
          ],
        },
      ],
    },
    {
      name: 'a message of an unknown type',
      run: async (stage) => {
        const client = await stage.enter('a');
        client.raw.send(frontend.message('!', Buffer.from('what')));
        await client.readToEnd();
        await stage.logAll(/pooler error|closing/, /pooler error/);
      },
    },
    {
      name: 'cancel requests: of a query, and while nothing runs',
      run: async (stage) => {
        const client = await stage.enter('a');
        await client.query('SELECT 1 AS one');
        client.ask('SELECT pg_sleep(60)');
        await waitUntilAsleep(stage);
        await client.cancel();
        await client.readAnswer();
        await client.query('SELECT 2 AS two');
      },
    },
  ],
});

describeConformance({
  name: 'transaction mode',
  ini: { pgbouncer: ['pool_mode = transaction', 'default_pool_size = 1'] },
  scenarios: [
    {
      name: 'two clients take turns on one server connection',
      run: async (stage) => {
        const first = await stage.enter('a');
        const second = await stage.enter('b');
        const pids = new Set([
          await first.ask1('SELECT pg_backend_pid()'),
          await second.ask1('SELECT pg_backend_pid()'),
          await first.ask1('SELECT pg_backend_pid()'),
        ]);
        stage.note(`${String(pids.size)} server connection`);
      },
    },
    {
      name: 'a plain SET stays on the server connection',
      run: async (stage) => {
        const first = await stage.enter('a');
        const second = await stage.enter('b');
        await first.query("SET work_mem = '7MB'");
        await second.query('SHOW work_mem');
        await first.query('RESET work_mem');
      },
    },
    {
      name: 'tracked parameters follow their client',
      run: async (stage) => {
        const first = await stage.enter('a', { parameters: { application_name: 'one' } });
        const second = await stage.enter('b');
        await first.query('SHOW application_name');
        await second.query('SHOW application_name');
        await second.query("SET TimeZone = 'Asia/Tokyo'");
        await first.query('SHOW TimeZone');
        await second.query('SHOW TimeZone');
      },
      differences: [
        {
          id: 'empty-tracked-value',
          pgbouncer: ['b< DataRow application_name: "one"'],
          maitred: ['b< DataRow application_name: ""'],
        },
      ],
    },
    {
      name: 'a tracked parameter that the server refuses',
      run: async (stage) => {
        const client = await stage.enter('a', { parameters: { DateStyle: 'nonsense' } });
        client.ask('SELECT 1 AS one');
        await client.readToEnd();
      },
    },
    {
      name: 'a transaction keeps its server connection',
      run: async (stage) => {
        const first = await stage.enter('a');
        await first.query('BEGIN');
        const second = await stage.enter('b');
        second.ask('SELECT 2 AS two');
        await stage.waitForPool({ cl_waiting: 1, sv_active: 1 });
        await first.query('COMMIT');
        await second.readAnswer();
      },
    },
    {
      name: 'a client that vanishes in a transaction leaves nothing behind',
      run: async (stage) => {
        const first = await stage.enter('a');
        await first.query('BEGIN; CREATE TEMP TABLE cf_rows (n int)');
        first.raw.destroy();
        const second = await stage.enter('b');
        await second.query(`SELECT * FROM ${TABLE}`);
      },
    },
  ],
});

describeConformance({
  name: 'statement mode',
  ini: { pgbouncer: ['pool_mode = statement'] },
  scenarios: [
    {
      name: 'single statements',
      run: async (stage) => {
        const client = await stage.enter('a');
        await client.query('SELECT 1 AS one; SELECT 2 AS two');
      },
    },
    {
      name: 'a transaction block is refused',
      run: async (stage) => {
        const client = await stage.enter('a');
        client.ask('BEGIN');
        await client.readToEnd();
        await stage.logAll(/C-0x.*(?:pooler error|closing)/, /pooler error/);
      },
    },
  ],
});

describeConformance({
  name: 'keys of databases',
  ini: {
    pgbouncer: ['pool_mode = transaction', 'server_reset_query_always = 1'],
    databases: [
      `cf_query = $SERVER connect_query='SET work_mem = 7777'`,
      `cf_user = $SERVER user=postgres`,
      `cf_zone = $SERVER timezone='Asia/Tokyo' datestyle='German, DMY' client_encoding=LATIN1`,
      `cf_session = $SERVER pool_mode=session`,
      `cf_broken_query = $SERVER connect_query='SELECT nonsense'`,
      `* = $SERVER`,
    ],
  },
  scenarios: [
    {
      name: 'connect_query, and server_reset_query_always',
      run: async (stage) => {
        const client = await stage.enter('a', { database: 'cf_query' });
        await client.query('SHOW work_mem');
        await client.query('SHOW work_mem');
      },
    },
    {
      name: 'connect_query that fails',
      run: async (stage) => {
        const client = await stage.enter('a', { database: 'cf_broken_query' });
        await client.query('SELECT 1 AS one');
        await stage.log(/while executing/);
      },
    },
    {
      name: 'a forced user',
      run: async (stage) => {
        const client = await stage.enter('a', { database: 'cf_user' });
        await client.query('SELECT current_user');
      },
    },
    {
      name: 'client_encoding, datestyle and timezone',
      run: async (stage) => {
        const client = await stage.enter('a', { database: 'cf_zone' });
        await client.query('SHOW TimeZone');
        await client.query('SHOW DateStyle');
        await client.query('SHOW client_encoding');
      },
    },
    {
      name: 'pool_mode',
      run: async (stage) => {
        const client = await stage.enter('a', { database: 'cf_session' });
        await client.query("SET work_mem = '8MB'");
        await client.query('SHOW work_mem');
      },
    },
    {
      name: 'a database made from *',
      run: async (stage) => {
        const client = await stage.login('a', { user: 'cf_bob', database: 'cf_anything' });
        await client.query('SELECT current_database()');
        await stage.log(/registered new auto-database/);
      },
    },
  ],
});
