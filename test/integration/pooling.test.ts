import { beforeAll, describe, expect, it } from 'vitest';
import { BackendError, decodeErrorFields } from '../support/backend-messages.ts';
import { FakeServer } from '../support/fake-server.ts';
import * as frontend from '../support/frontend-messages.ts';
import type { RawClient } from '../support/raw-client.ts';
import { backendPid, firstConnection, withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

const postgres = sharedPostgres();

/** Starts a query and waits until its client stands in the queue. */
async function queue(scene: Scene, client: RawClient, sql: string): Promise<void> {
  const before = Number((await scene.pool())['cl_waiting']);
  client.send(frontend.query(sql));
  await scene.waitForPool({ cl_waiting: before + 1 });
}

describe('transaction mode', () => {
  it('lets two clients share one server connection between transactions', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const [a, b] = await scene.logins(2);
      const pids = [await backendPid(a), await backendPid(b), await backendPid(a)];
      expect(new Set(pids).size).toBe(1);
    });
  });

  it('keeps the server connection for a transaction while others wait', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const [a, b] = await scene.logins(2);
      await a.query('BEGIN');
      const pid = await backendPid(a);
      await queue(scene, b, 'SELECT pg_backend_pid() AS pid');
      expect(await backendPid(a)).toBe(pid);
      expect(b.bufferedBytes).toBe(0);
      await a.query('COMMIT');
      expect((await b.readOutcome()).results[0]?.rows).toEqual([[pid]]);
    });
  });

  it('keeps it for a failed transaction, up to ROLLBACK', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const [a, b] = await scene.logins(2);
      expect((await a.simpleQuery('BEGIN; SELECT 1 / 0')).status).toBe('E');
      await queue(scene, b, 'SELECT 1');
      expect((await a.simpleQuery('SELECT 1')).errors[0]?.sqlState).toBe('25P02');
      expect(b.bufferedBytes).toBe(0);
      expect((await a.simpleQuery('ROLLBACK')).status).toBe('I');
      expect((await b.readOutcome()).errors).toEqual([]);
    });
  });

  it('gives it back at the end of the last transaction of a chain', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const [a, b] = await scene.logins(2);
      await a.query('BEGIN');
      await queue(scene, b, 'SELECT 1');
      expect((await a.simpleQuery('COMMIT AND CHAIN')).status).toBe('T');
      expect(b.bufferedBytes).toBe(0);
      await a.query('COMMIT');
      expect((await b.readOutcome()).errors).toEqual([]);
    });
  });
});

describe('session mode', () => {
  it('keeps the server connection for an idle client until it leaves', async () => {
    await withPooler(postgres, { settings: { pool_mode: 'session' } }, async (scene) => {
      const [a, b] = await scene.logins(2);
      await a.query('SELECT 1');
      await queue(scene, b, 'SELECT 1');
      await a.query('SELECT 1');
      expect(b.bufferedBytes).toBe(0);
      await a.close();
      expect((await b.readOutcome()).errors).toEqual([]);
    });
  });

  it('passes no state of a client on to the next one', async () => {
    await withPooler(postgres, { settings: { pool_mode: 'session' } }, async (scene) => {
      const a = await scene.login();
      const pid = await backendPid(a);
      await a.query("SET work_mem = '7MB'; PREPARE mine AS SELECT 1; CREATE TEMP TABLE kept ()");
      await a.query("SELECT pg_advisory_lock(77); SET application_name = 'first'");
      await a.close();
      const b = await scene.login();
      expect(await backendPid(b)).toBe(pid);
      expect(await b.query('SHOW work_mem')).not.toEqual([{ work_mem: '7MB' }]);
      expect(await b.query('SHOW application_name')).toEqual([{ application_name: '' }]);
      expect(await b.query('SELECT * FROM pg_prepared_statements')).toEqual([]);
      expect(
        await b.query('SELECT 1 FROM pg_locks WHERE locktype = $$advisory$$ AND objid = 77'),
      ).toEqual([]);
      expect((await b.simpleQuery('SELECT * FROM kept')).errors[0]?.sqlState).toBe('42P01');
    });
  });

  it('passes no state on when server_reset_query is cut short', async () => {
    await withPooler(postgres, { settings: { pool_mode: 'session' } }, async (scene) => {
      const client = await scene.login();
      const tables = Array.from(
        { length: 300 },
        (_, n) => `CREATE TEMP TABLE left_${String(n)} (a int);`,
      );
      await client.query(tables.join(' '));
      await client.query("SET statement_timeout = '1ms'");
      await client.close();
      const next = await scene.login();
      expect(await next.query('SHOW statement_timeout')).toEqual([{ statement_timeout: '0' }]);
      expect(await next.query("SELECT to_regclass('pg_temp.left_0') AS name")).toEqual([
        { name: null },
      ]);
      const { reason } = await scene.pooler.waitForEvent('server_disconnected');
      expect(reason).toBe('reset query failed: canceling statement due to statement timeout');
    });
  });

  it('passes state on when server_reset_query is empty', async () => {
    const settings = { pool_mode: 'session', server_reset_query: '' };
    await withPooler(postgres, { settings }, async (scene) => {
      const a = await scene.login();
      await a.query("SET work_mem = '7MB'");
      await a.close();
      const b = await scene.login();
      expect(await b.query('SHOW work_mem')).toEqual([{ work_mem: '7MB' }]);
    });
  });

  it('runs a server_reset_query of the configuration, text and all', async () => {
    const server = await FakeServer.start();
    const settings = { pool_mode: 'session', server_reset_query: 'RESET ALL; -- done' };
    await withPooler(server, { settings }, async (scene) => {
      const a = await scene.login();
      await a.query('SELECT 1');
      await a.close();
      const connection = await firstConnection(server);
      await connection.waitForMessage('Q', 2);
      expect(connection.queries).toEqual(['SELECT 1', 'RESET ALL; -- done']);
    });
    await server.stop();
  });
});

describe('server_reset_query_always', () => {
  const cases = [
    [0, ['SELECT 1', 'SELECT 2']],
    [1, ['SELECT 1', 'DISCARD ALL', 'SELECT 2', 'DISCARD ALL']],
  ] as const;

  it.each(cases)('%i in transaction mode leads to %j', async (always, expected) => {
    const server = await FakeServer.start();
    const settings = { server_reset_query_always: always };
    await withPooler(server, { settings }, async (scene) => {
      const a = await scene.login();
      await a.query('SELECT 1');
      await a.query('SELECT 2');
      await scene.waitForPool({ sv_idle: 1 });
      const connection = await firstConnection(server);
      expect(connection.queries).toEqual(expected);
    });
    await server.stop();
  });
});

describe('statement mode', () => {
  const settings = { pool_mode: 'statement' };

  it('lets clients share one server connection', async () => {
    await withPooler(postgres, { settings }, async (scene) => {
      const [a, b] = await scene.logins(2);
      expect(await backendPid(a)).toBe(await backendPid(b));
      const outcome = await a.simpleQuery('SELECT 1; SELECT 2');
      expect([outcome.types, outcome.status]).toEqual(['TDCTDCZ', 'I']);
    });
  });

  it.each([
    ['a simple query', frontend.query('BEGIN')],
    ['the extended protocol', frontend.extendedQuery('BEGIN')],
  ])('refuses a transaction block begun by %s, and leaves none behind', async (_what, message) => {
    await withPooler(postgres, { settings }, async (scene) => {
      const [a, b] = await scene.logins(2);
      const pid = await backendPid(b);
      a.send(message);
      const messages = await a.readUntil('E');
      // Whoever sees one of them takes the transaction for begun.
      const types = messages.map(({ type }) => type);
      expect(types).not.toContain('Z');
      expect(types).not.toContain('C');
      const error = new BackendError(decodeErrorFields(messages.at(-1)?.body ?? Buffer.of(0)));
      expect([error.severity, error.sqlState]).toEqual(['FATAL', '0A000']);
      expect(error.text).toBe('transaction blocks not allowed in statement pooling mode');
      await a.readToEnd();
      expect(await backendPid(b)).toBe(pid);
      expect((await b.simpleQuery('SELECT 1')).status).toBe('I');
    });
  });

  it('keeps the replies to what came before a transaction block', async () => {
    await withPooler(postgres, { settings }, async (scene) => {
      const a = await scene.login();
      a.send(Buffer.concat([frontend.query('SELECT 1'), frontend.query('SELECT 2; BEGIN')]));
      const messages = await a.readUntil('E');
      expect(messages.map(({ type }) => type).join('')).toBe('TDCZTDCE');
    });
  });

  it('runs a whole transaction within one query', async () => {
    await withPooler(postgres, { settings }, async (scene) => {
      const a = await scene.login();
      const outcome = await a.simpleQuery('BEGIN; SELECT 1; COMMIT');
      expect([outcome.errors, outcome.status]).toEqual([[], 'I']);
    });
  });
});

describe('pool_mode and user', () => {
  beforeAll(async () => {
    await postgres.createRole('pooling_one');
    await postgres.createRole('pooling_two');
  });

  it('takes the mode of the user over that of the database over the global one', async () => {
    const options = {
      logins: ['pooling_one'],
      databases: { whole: { pool_mode: 'session' } },
      users: { pooling_one: { pool_mode: 'statement' } },
    };
    await withPooler(postgres, options, async (scene) => {
      const global = await scene.login();
      const whole = await scene.login({ database: 'whole' });
      const own = await scene.login({ database: 'whole', user: 'pooling_one' });
      await global.query('SELECT 1');
      await whole.query('SELECT 1');
      await own.query('SELECT 1');
      const rows = [
        await scene.pool('app'),
        await scene.pool('whole'),
        await scene.pool('whole', 'pooling_one'),
      ];
      expect(rows.map((row) => [row['pool_mode'], row['sv_active'], row['sv_idle']])).toEqual([
        ['transaction', '0', '1'],
        ['session', '1', '0'],
        ['statement', '0', '1'],
      ]);
    });
  });

  it('logs in to the server as the forced user of a database, in one pool', async () => {
    const options = {
      logins: ['pooling_one', 'pooling_two'],
      database: { user: 'pooling_two' },
    };
    await withPooler(postgres, options, async (scene) => {
      const a = await scene.login({ user: 'pooling_one' });
      const b = await scene.login({ user: 'pooling_two' });
      expect(await a.query('SELECT session_user AS me')).toEqual([{ me: 'pooling_two' }]);
      expect(await backendPid(a)).toBe(await backendPid(b));
    });
  });

  it('keeps users apart without one', async () => {
    await withPooler(postgres, { logins: ['pooling_one', 'pooling_two'] }, async (scene) => {
      const a = await scene.login({ user: 'pooling_one' });
      const b = await scene.login({ user: 'pooling_two' });
      expect(await a.query('SELECT session_user AS me')).toEqual([{ me: 'pooling_one' }]);
      expect(await b.query('SELECT session_user AS me')).toEqual([{ me: 'pooling_two' }]);
      expect(await backendPid(a)).not.toBe(await backendPid(b));
    });
  });
});

describe('the choice of a server connection', () => {
  /** Opens three server connections and says which ones serve six queries in a row. */
  async function pidsInTurn(scene: Scene): Promise<string[]> {
    const clients = await scene.logins(3);
    for (const client of clients) {
      await client.query('BEGIN');
    }
    for (const client of clients) {
      await client.query('COMMIT');
    }
    const pids: string[] = [];
    while (pids.length < 6) {
      pids.push(await backendPid(clients[0]));
    }
    return pids;
  }

  it('takes the one used last', async () => {
    await withPooler(postgres, { settings: { default_pool_size: 3 } }, async (scene) => {
      expect(new Set(await pidsInTurn(scene)).size).toBe(1);
    });
  });

  it('takes them in turn with server_round_robin', async () => {
    const settings = { default_pool_size: 3, server_round_robin: 1 };
    await withPooler(postgres, { settings }, async (scene) => {
      const pids = await pidsInTurn(scene);
      expect(new Set(pids).size).toBe(3);
      expect(pids.slice(3)).toEqual(pids.slice(0, 3));
    });
  });

  it('opens no more of them than pool_size, and no more than are needed', async () => {
    await withPooler(postgres, { settings: { default_pool_size: 2 } }, async (scene) => {
      const clients = await scene.logins(4);
      await clients[0].query('SELECT 1');
      await clients[1].query('SELECT 1');
      await scene.waitForPool({ sv_idle: 1, sv_active: 0 });
      for (const client of clients) {
        client.send(frontend.query('BEGIN'));
      }
      await scene.waitForPool({ sv_active: 2, cl_waiting: 2, sv_idle: 0, sv_login: 0 });
      for (const client of clients) {
        expect((await client.readOutcome()).status).toBe('T');
        await client.query('COMMIT');
      }
    });
  });

  it('keeps min_pool_size of them open for a pool in use only', async () => {
    const options = {
      settings: { default_pool_size: 5, min_pool_size: 3 },
      databases: { unused: {}, owned: { user: postgres.user, min_pool_size: 2 } },
    };
    await withPooler(postgres, options, async (scene) => {
      const client = await scene.login();
      await scene.waitForPool({ sv_idle: 3 });
      await scene.waitForPool({ sv_idle: 2 }, 'owned');
      expect((await scene.pool('unused'))['sv_idle'] ?? '0').toBe('0');
      expect((await client.simpleQuery('SELECT 1')).errors).toEqual([]);
    });
  });
});

describe('the wait queue', () => {
  it('serves clients strictly in the order of their requests', async () => {
    await postgres.query('DROP SEQUENCE IF EXISTS pooling_turn; CREATE SEQUENCE pooling_turn');
    await withPooler(postgres, {}, async (scene) => {
      const [blocker, ...clients] = await scene.logins(9);
      await blocker.query('BEGIN');
      // Not in the order of login.
      const [a, b, c, d, ...others] = clients;
      const order = [d, ...others, b, a, c];
      for (const client of order) {
        await queue(scene, client, "SELECT nextval('pooling_turn')");
      }
      await blocker.query('COMMIT');
      const turns: (string | null | undefined)[] = [];
      for (const client of order) {
        turns.push((await client.readOutcome()).results[0]?.rows[0]?.[0]);
      }
      expect(turns).toEqual(['1', '2', '3', '4', '5', '6', '7', '8']);
    });
    await postgres.query('DROP SEQUENCE pooling_turn');
  });

  it('lets nobody who comes later overtake, however busy the clients are', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const clients = await scene.logins(6);
      let isOver = false;
      const work = async (client: RawClient): Promise<number> => {
        let count = 0;
        for (; !isOver; count++) {
          await client.query('SELECT 1');
          isOver = count >= 100;
        }
        return count;
      };
      const counts = await Promise.all(clients.map(work));
      // In turn, so nobody is more than a round behind; the first rounds differ by their start.
      expect(Math.min(...counts)).toBeGreaterThanOrEqual(90);
    });
  });

  it('forgets a client that leaves the queue', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const [a, b, c] = await scene.logins(3);
      await a.query('BEGIN');
      await queue(scene, b, 'SELECT 1');
      await queue(scene, c, 'SELECT 2 AS two');
      b.destroy();
      await scene.waitForPool({ cl_waiting: 1 });
      await a.query('COMMIT');
      expect((await c.readOutcome()).results[0]?.rows).toEqual([['2']]);
    });
  });
});
