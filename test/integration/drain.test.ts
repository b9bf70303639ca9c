import { describe, expect, it } from 'vitest';
import * as frontend from '../support/frontend-messages.ts';
import { usePooler } from '../support/pooler-fixture.ts';
import type { PoolerFixture } from '../support/pooler-fixture.ts';
import { RawClient } from '../support/raw-client.ts';
import { lastWords } from '../support/refusal.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor, withDeadline } from '../support/wait-for.ts';

const postgres = sharedPostgres();
const target = { host: postgres.host, port: postgres.port, dbname: postgres.database };

const TOLD = 'FATAL 57P01: terminating connection due to administrator command';

async function withProcess(
  maitred: Readonly<Record<string, unknown>>,
  body: (pooler: PoolerFixture) => Promise<void>,
): Promise<void> {
  await usePooler(
    {
      config: { maitred: { pool_mode: 'transaction', ...maitred }, databases: { app: target } },
    },
    body,
  );
}

function login(pooler: PoolerFixture): Promise<RawClient> {
  return pooler.login({ user: 'postgres', database: 'app' });
}

async function logins(pooler: PoolerFixture, count: number): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  while (clients.length < count) {
    clients.push(await login(pooler));
  }
  return clients;
}

function consoleOf(pooler: PoolerFixture): Promise<RawClient> {
  return RawClient.login(pooler.socketTarget, { user: 'postgres', database: 'pgbouncer' });
}

/** Waits until every client that can be told at once has been told. */
async function waitUntilTold(pooler: PoolerFixture, count: number): Promise<void> {
  await waitFor(`${String(count)} clients told`, () => {
    const told = pooler.logs.filter(
      ({ event, sqlstate }) => event === 'pooler_error_sent' && sqlstate === '57P01',
    );
    return told.length >= count;
  });
}

async function expectExit(pooler: PoolerFixture): Promise<void> {
  const end = await withDeadline('the end of the process', pooler.exited);
  expect(end).toEqual({ code: 0, signal: null });
}

describe('drain_period and SIGTERM', () => {
  it('tells idle clients to leave, spread over the period, oldest first, and ends', async () => {
    await withProcess({ drain_period: 2 }, async (pooler) => {
      const clients = await logins(pooler, 4);
      pooler.signal('SIGTERM');
      expect(await Promise.all(clients.map(lastWords))).toEqual(clients.map(() => TOLD));
      await expectExit(pooler);
      const told = pooler.logs.filter(({ event }) => event === 'pooler_error_sent');
      const times = told.map(({ time }) => Date.parse(String(time)));
      expect(told).toHaveLength(4);
      expect(times).toEqual(times.toSorted((a, b) => a - b));
      // The turns are 500 ms apart, and found by a tick each 333 ms.
      expect((times[3] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(1000);
      const ids = told.map(({ client }) => Number(client));
      expect(ids).toEqual(ids.toSorted((a, b) => a - b));
    });
  });

  it('tells nobody in the middle of a transaction', async () => {
    await withProcess({ drain_period: '10ms' }, async (pooler) => {
      const [busy, idle] = (await logins(pooler, 2)) as [RawClient, RawClient];
      await busy.query('BEGIN');
      pooler.signal('SIGTERM');
      expect(await lastWords(idle)).toBe(TOLD);
      expect((await busy.simpleQuery('SELECT 1')).status).toBe('T');
      const end = await busy.simpleQuery('COMMIT');
      expect([end.status, end.errors]).toEqual(['I', []]);
      expect(await lastWords(busy)).toBe(TOLD);
      await expectExit(pooler);
    });
  });

  it.each(['session', 'transaction', 'statement'])(
    'answers every query that a busy client has sent, in %s mode',
    async (pool_mode) => {
      await withProcess({ drain_period: '10ms', pool_mode }, async (pooler) => {
        const client = await login(pooler);
        await client.query('CREATE TEMP TABLE IF NOT EXISTS unused ()');
        client.send(frontend.query('SELECT pg_sleep(0.5)'));
        await waitFor('the query to run', async () => {
          const rows = await pooler.console('SHOW CLIENTS');
          return rows.some(({ state, database }) => database === 'app' && state === 'active');
        });
        pooler.signal('SIGTERM');
        await pooler.waitForEvent('shutdown_started');
        const answer = await client.readOutcome();
        expect([answer.status, answer.errors]).toEqual(['I', []]);
        expect(await lastWords(client)).toBe(TOLD);
        await expectExit(pooler);
      });
    },
  );

  it('waits for the Sync of a pipeline', async () => {
    await withProcess({ drain_period: '10ms' }, async (pooler) => {
      const [client, idle] = (await logins(pooler, 2)) as [RawClient, RawClient];
      client.send(
        frontend.parse('SELECT 1 AS one'),
        frontend.bind(),
        frontend.execute(),
        frontend.flush(),
      );
      await client.readUntil('C');
      pooler.signal('SIGTERM');
      expect(await lastWords(idle)).toBe(TOLD);
      client.send(frontend.sync());
      const [ready] = await client.readUntil('Z');
      expect(ready?.type).toBe('Z');
      expect(await lastWords(client)).toBe(TOLD);
      await expectExit(pooler);
    });
  });

  it('lets a client that waits in the queue have its turn first', async () => {
    await withProcess({ drain_period: '10ms', default_pool_size: 1 }, async (pooler) => {
      const [busy, queued] = (await logins(pooler, 2)) as [RawClient, RawClient];
      await busy.query('BEGIN');
      queued.send(frontend.query('SELECT 2 AS two'));
      await waitFor('a client in the queue', async () => {
        const rows = await pooler.console('SHOW POOLS');
        return rows.some(({ cl_waiting }) => cl_waiting === '1');
      });
      pooler.signal('SIGTERM');
      await pooler.waitForEvent('shutdown_started');
      await busy.query('COMMIT');
      expect(await lastWords(busy)).toBe(TOLD);
      expect((await queued.readOutcome()).results[0]?.rows).toEqual([['2']]);
      expect(await lastWords(queued)).toBe(TOLD);
      await expectExit(pooler);
    });
  });

  it('leaves consoles alone, and does not wait for them', async () => {
    await withProcess({ drain_period: 1 }, async (pooler) => {
      const console = await consoleOf(pooler);
      const client = await login(pooler);
      await client.query('BEGIN');
      pooler.signal('SIGTERM');
      await pooler.waitForEvent('shutdown_started');
      const [row] = await console.query("SHOW CLIENTS WHERE database = 'app'");
      expect(row?.['state']).toBe('active');
      await client.query('COMMIT');
      expect(await lastWords(client)).toBe(TOLD);
      expect(await lastWords(console)).toBe('FATAL 57P01: pooler is shutting down');
      await expectExit(pooler);
    });
  });

  it('does not wait for sockets that do not log in', async () => {
    await withProcess({ drain_period: '400ms' }, async (pooler) => {
      const silent = await RawClient.connect(pooler.target);
      await waitFor('the socket to be accepted', async () => {
        const rows = await pooler.console('SHOW LISTS');
        return rows.some(({ list, items }) => list === 'login_clients' && items === '1');
      });
      pooler.signal('SIGTERM');
      expect(await lastWords(silent)).toBe('FATAL 57P01: pooler is shutting down');
      await expectExit(pooler);
    });
  });

  it('can be set while the shutdown waits', async () => {
    await withProcess({}, async (pooler) => {
      const client = await login(pooler);
      const console = await consoleOf(pooler);
      pooler.signal('SIGTERM');
      await pooler.waitForEvent('shutdown_started');
      // Off: the client is served as ever.
      expect((await client.simpleQuery('SELECT 1')).errors).toEqual([]);
      await console.query("SET drain_period = '0.1'");
      expect(await lastWords(client)).toBe(TOLD);
      await expectExit(pooler);
    });
  });

  it('ends at once with a second signal', async () => {
    await withProcess({ drain_period: 600 }, async (pooler) => {
      const [first, second] = (await logins(pooler, 2)) as [RawClient, RawClient];
      pooler.signal('SIGTERM');
      expect(await lastWords(first)).toBe(TOLD);
      pooler.signal('SIGTERM');
      expect((await second.readToEnd()).length).toBe(0);
      await expectExit(pooler);
    });
  });
});

describe('drain_period and SIGINT', () => {
  it('makes session clients give their server connections up', async () => {
    await withProcess({ drain_period: '100ms', pool_mode: 'session' }, async (pooler) => {
      const [idle, busy] = (await logins(pooler, 2)) as [RawClient, RawClient];
      await idle.query('SELECT 1');
      await busy.query('BEGIN');
      pooler.signal('SIGINT');
      expect(await lastWords(idle)).toBe(TOLD);
      await waitUntilTold(pooler, 1);
      expect((await busy.simpleQuery('COMMIT')).errors).toEqual([]);
      expect(await lastWords(busy)).toBe(TOLD);
      await expectExit(pooler);
    });
  });

  it('tells those that are left when the last transaction has ended', async () => {
    await withProcess({ drain_period: 600 }, async (pooler) => {
      const [first, busy, idle] = (await logins(pooler, 3)) as [RawClient, RawClient, RawClient];
      await busy.query('BEGIN');
      pooler.signal('SIGINT');
      expect(await lastWords(first)).toBe(TOLD);
      expect((await busy.simpleQuery('COMMIT')).errors).toEqual([]);
      expect(await Promise.all([busy, idle].map(lastWords))).toEqual([TOLD, TOLD]);
      await expectExit(pooler);
    });
  });

  it('off, tells nobody', async () => {
    await withProcess({ pool_mode: 'session' }, async (pooler) => {
      const [idle, busy] = (await logins(pooler, 2)) as [RawClient, RawClient];
      await busy.query('BEGIN');
      pooler.signal('SIGINT');
      await pooler.waitForEvent('shutdown_started');
      expect((await busy.simpleQuery('COMMIT')).errors).toEqual([]);
      busy.destroy();
      expect((await idle.readToEnd()).length).toBe(0);
      await expectExit(pooler);
    });
  });
});
