import { describeConformance } from './conformance.ts';
import { BOB } from './stage.ts';

const APP = { user: BOB, database: 'app' };

/** What clients see when a time is over: all in one process each, since the settings are global. */
describeConformance({
  name: 'queue and limits',
  ini: {
    pgbouncer: [
      'pool_mode = transaction',
      'default_pool_size = 1',
      'query_wait_timeout = 1',
      'max_client_conn = 3',
    ],
    databases: ['cf_reserve = $SERVER reserve_pool=1', 'cf_one = $SERVER max_db_connections=1'],
  },
  scenarios: [
    {
      name: 'query_wait_timeout',
      run: async (stage) => {
        const first = await stage.enter('a');
        await first.query('BEGIN');
        const second = await stage.enter('b');
        second.ask('SELECT 1 AS one');
        await second.readToEnd();
        await first.query('COMMIT');
        await stage.logAll(/pooler error|closing/, /pooler error/);
      },
    },
    {
      name: 'max_client_conn, from which consoles are exempt',
      run: async (stage) => {
        await stage.enter('a');
        await stage.enter('b');
        await stage.enter('c');
        await stage.login('d', APP);
        const console = await stage.enterConsole();
        await console.query('SHOW VERSION');
      },
    },
    {
      name: 'max_db_connections evicts an idle connection of another user',
      run: async (stage) => {
        const first = await stage.enter('a', { database: 'cf_one' });
        await first.query('SELECT current_user');
        const second = await stage.enter('b', { database: 'cf_one', user: 'cf_eve' });
        await second.query('SELECT current_user');
        await stage.log(/closing because: evicted/);
      },
    },
  ],
  users: { admin: 'secret', stats: '', [BOB]: '', cf_eve: '' },
  prepare: async ({ postgres }) => {
    await postgres.createRole('cf_eve');
  },
});

/** A group for each timeout that ends a client: name, setting, and what the client does. */
const TIMEOUTS: readonly (readonly [name: string, setting: string, sql: readonly string[]])[] = [
  ['query_timeout', 'query_timeout = 1', ['SELECT pg_sleep(60)']],
  ['idle_transaction_timeout', 'idle_transaction_timeout = 1', ['BEGIN']],
  ['client_idle_timeout', 'client_idle_timeout = 1', ['SELECT 1 AS one']],
];

for (const [name, setting, statements] of TIMEOUTS) {
  describeConformance({
    name,
    ini: { pgbouncer: ['pool_mode = transaction', setting] },
    scenarios: [
      {
        name: 'ends the client',
        run: async (stage) => {
          const client = await stage.enter('a');
          for (const sql of statements) {
            client.ask(sql);
          }
          await client.readToEnd();
          await stage.logAll(/C-0x.*(?:pooler error|closing because)/, /pooler error/);
        },
      },
    ],
  });
}

describeConformance({
  name: 'times of logins and server connections',
  ini: {
    pgbouncer: ['client_login_timeout = 1', 'server_idle_timeout = 1', 'server_login_retry = 0.5'],
    databases: ['cf_down = host=127.0.0.1 port=1', 'cf_absent = $SERVER dbname=cf_absent'],
  },
  scenarios: [
    {
      name: 'client_login_timeout of a client that sends nothing',
      run: async (stage) => {
        const client = await stage.connect('a');
        await client.readToEnd();
      },
    },
    {
      name: 'client_login_timeout while the server is down',
      run: async (stage) => {
        await stage.login('a', { ...APP, database: 'cf_down' });
        await stage.log(/closing because: connect failed/, /pooler error/);
      },
    },
    {
      name: 'a database that the server does not have',
      run: async (stage) => {
        await stage.login('a', { ...APP, database: 'cf_absent' });
      },
    },
    {
      name: 'server_idle_timeout',
      run: async (stage) => {
        const client = await stage.enter('a');
        await client.query('SELECT 1 AS one');
        await client.terminate();
        await stage.log(/closing because: server idle timeout/);
      },
    },
  ],
});

describeConformance({
  name: 'server_lifetime',
  ini: { pgbouncer: ['pool_mode = transaction', 'server_lifetime = 1'] },
  scenarios: [
    {
      name: 'closes a connection that is old',
      run: async (stage) => {
        const client = await stage.enter('a');
        await client.query('SELECT 1 AS one');
        await stage.log(/closing because: server lifetime over/);
      },
    },
  ],
});
