import { beforeAll, describe, expect, it } from 'vitest';
import { AUTH_USER, createAuthUser, withAuthQuery } from '../support/auth-query-scene.ts';
import type { FakeConnection } from '../support/fake-connection.ts';
import { FakeServer } from '../support/fake-server.ts';
import * as frontend from '../support/frontend-messages.ts';
import type { PoolerFixture } from '../support/pooler-fixture.ts';
import type { TextRow } from '../support/query-outcome.ts';
import { withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const postgres = sharedPostgres();

/** `column=value` of the columns named, for each row. */
function brief(rows: readonly TextRow[], ...columns: readonly string[]): string[] {
  return rows.map((row) => columns.map((name) => String(row[name])).join(' '));
}

function show(
  pooler: PoolerFixture,
  sql: string,
  ...columns: readonly string[]
): Promise<string[]> {
  return pooler.console(sql).then((rows) => brief(rows, ...columns));
}

async function items(pooler: PoolerFixture): Promise<Readonly<Record<string, number>>> {
  const rows = await pooler.console('SHOW LISTS');
  return Object.fromEntries(rows.map((row) => [String(row['list']), Number(row['items'])]));
}

/** One client with a query that its server does not answer, and a cancel request held by the server. */
async function withHeldCancel(
  body: (scene: Scene, held: FakeConnection[], end: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const held: FakeConnection[] = [];
  const server = await FakeServer.start({
    onMessage: () => {},
    onCancel: (connection) => {
      held.push(connection);
    },
  });
  await withPooler(server, {}, async (scene) => {
    const client = await scene.login();
    client.send(frontend.query('SELECT 1'));
    const [connection] = await server.waitForConnections(1);
    await connection?.waitForMessage('Q');
    const requests = [client.cancel()];
    await waitFor('the cancel request', () => held.length === 1);
    requests.push(client.cancel());
    await waitFor('the second request', async () => {
      const states = await show(scene.pooler, 'SHOW CLIENTS', 'state');
      return states.includes('waiting_cancel_req');
    });
    await body(scene, held, async () => {
      connection?.answerQuery('SELECT 1');
      await client.readOutcome();
      held[0]?.destroy();
      await Promise.all(requests);
    });
  });
  await server.stop();
}

describe('a cancel request under way', () => {
  it('is shown beside the pool of its client, linked with the connection that carries it', async () => {
    await withHeldCancel(async ({ pooler }, _held, end) => {
      const clients = await pooler.console('SHOW CLIENTS');
      expect(brief(clients, 'database', 'user', 'state')).toEqual([
        `app ${postgres.user} active`,
        'app (nouser) active_cancel_req',
        'app (nouser) waiting_cancel_req',
        `pgbouncer ${postgres.user} active`,
      ]);
      const servers = await pooler.console('SHOW SERVERS');
      expect(brief(servers, 'database', 'user', 'state', 'remote_pid', 'application_name')).toEqual(
        [
          expect.stringMatching(`^app ${postgres.user} active [1-9]`),
          `app ${postgres.user} active_cancel 0 `,
        ],
      );
      expect(servers[1]?.['ptr']).toBe(clients[1]?.['link']);
      expect(servers[1]?.['link']).toBe(clients[1]?.['ptr']);
      expect(servers[1]?.['port']).toBe(servers[0]?.['port']);
      expect(Number(servers[1]?.['local_port'])).toBeGreaterThan(0);
      expect(clients[2]?.['link']).toBe('');
      await end();
      expect(await show(pooler, 'SHOW SERVERS', 'state')).not.toContain('active_cancel');
    });
  });

  it('is counted in SHOW POOLS and SHOW LISTS, and has no place in SOCKETS and FDS', async () => {
    await withHeldCancel(async ({ pooler }, _held, end) => {
      const columns = ['cl_active', 'cl_active_cancel_req', 'cl_waiting_cancel_req', 'sv_active'];
      const sql = "SHOW POOLS WHERE database = 'app'";
      expect(await show(pooler, sql, ...columns, 'sv_active_cancel', 'sv_login')).toEqual([
        '1 1 1 1 1 0',
      ]);
      expect(await items(pooler)).toMatchObject({
        used_clients: 4,
        login_clients: 0,
        free_servers: 0,
        used_servers: 2,
      });
      expect(await show(pooler, 'SHOW SOCKETS', 'state')).toEqual([
        'cl_active',
        'sv_active',
        'cl_active',
      ]);
      const tasks = await show(pooler, 'SHOW FDS', 'task');
      expect(tasks.filter((task) => task !== 'pooler')).toEqual(['client', 'server']);
      await end();
    });
  });

  it('is found by KILL_CLIENT, and not sent any more if it has not been', async () => {
    await withHeldCancel(async ({ pooler }, held, end) => {
      const [id] = await show(pooler, "SHOW CLIENTS WHERE state = 'waiting_cancel_req'", 'id');
      await pooler.console(`KILL_CLIENT ${String(id)}`);
      expect(await show(pooler, 'SHOW CLIENTS', 'state')).not.toContain('waiting_cancel_req');
      const sql = "SHOW POOLS WHERE database = 'app'";
      expect(await show(pooler, sql, 'cl_waiting_cancel_req')).toEqual(['0']);
      await end();
      expect(held).toHaveLength(1);
    });
  });

  it('tells in the log of its connection', async () => {
    await withHeldCancel(async ({ pooler }, _held, end) => {
      const [row] = await pooler.console("SHOW SERVERS WHERE state = 'active_cancel'");
      await end();
      const server = Number(row?.['id']);
      const events = pooler.logs.filter((entry) => entry['server'] === server);
      expect(events.map(({ event, reason }) => [event, reason])).toEqual([
        ['server_connected', undefined],
        ['server_disconnected', 'successfully sent cancel request'],
      ]);
    });
  });
});

describe('a login that waits for auth_query', () => {
  beforeAll(() => createAuthUser(postgres));

  const SLOW = {
    settings: {
      auth_query: 'SELECT $1::text, s.x::text FROM (SELECT pg_catalog.pg_sleep(2) AS x) s',
      // The pool of questions has two connections.
      auth_type: 'md5',
    },
  };

  it('is shown as waiting while there is no server connection to ask on', async () => {
    await withAuthQuery(postgres, SLOW, async (pooler) => {
      const logins = ['aq_a', 'aq_b', 'aq_c'].map((user) =>
        pooler.login({ user, database: 'app', password: 'x' }).catch(String),
      );
      await waitFor('a question in the queue', async () => {
        const rows = await show(pooler, 'SHOW CLIENTS', 'database', 'user', 'state');
        return rows.includes('app (nouser) waiting') && rows.length === 2;
      });
      const columns = ['user', 'cl_active', 'cl_waiting', 'sv_active'];
      expect(await show(pooler, "SHOW POOLS WHERE database = 'app'", ...columns)).toEqual([
        `${AUTH_USER} 0 1 2`,
      ]);
      expect(await items(pooler)).toMatchObject({ used_clients: 4, login_clients: 2 });
      expect(await show(pooler, 'SHOW SOCKETS', 'type', 'state')).toEqual([
        'C cl_waiting',
        'S sv_active',
        'S sv_active',
        'C cl_active',
        'C cl_login',
        'C cl_login',
      ]);
      const [waiting] = await pooler.console('SHOW WAITS');
      expect(Number(waiting?.['wait']) + Number(waiting?.['wait_us'])).toBeGreaterThan(0);
      await Promise.all(logins);
      expect(await show(pooler, 'SHOW CLIENTS', 'state')).toEqual(['active']);
    });
  });
});

describe('the wait for the first server connection of a pool', () => {
  it('is part of wait_time', async () => {
    const server = await FakeServer.start({ onStartup: () => {} });
    await withPooler(server, {}, async (scene) => {
      const login = scene.login();
      const [connection] = await server.waitForConnections(1);
      await scene.waitForPool({ cl_waiting: 1, sv_login: 1 });
      const [waiting] = await scene.pooler.console('SHOW WAITS');
      expect(Number(waiting?.['wait_us'])).toBeGreaterThan(0);
      connection?.acceptLogin();
      await login;
      const rows = await scene.pooler.console("SHOW STATS_TOTALS WHERE database = 'app'");
      expect(Number(rows[0]?.['wait_time'])).toBeGreaterThan(0);
    });
    await server.stop();
  });
});
