import { beforeAll, describe, expect, it } from 'vitest';
import { LINGER_MS } from '../../src/client/client-connection.ts';
import * as frontend from '../support/frontend-messages.ts';
import type { RawClient } from '../support/raw-client.ts';
import { backendPid, openFileCount, withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const postgres = sharedPostgres();

beforeAll(async () => {
  await postgres.query('DROP TABLE IF EXISTS vanished; CREATE TABLE vanished (id int)');
});

/** What a server connection must be when its next client comes. */
async function expectClean(client: RawClient): Promise<void> {
  const held = await client.query(
    `SELECT locktype, mode FROM pg_locks WHERE pid = pg_backend_pid()
       AND (locktype = 'advisory' OR relation = 'vanished'::regclass)`,
  );
  expect(held).toEqual([]);
  expect(await client.query('SELECT id FROM vanished')).toEqual([]);
  expect(await client.query("SELECT current_setting('work_mem') AS value")).not.toEqual([
    { value: '77MB' },
  ]);
  expect(await client.query('SELECT name FROM pg_prepared_statements')).toEqual([]);
  expect(await client.query("SELECT to_regclass('pg_temp.left_over') AS name")).toEqual([
    { name: null },
  ]);
}

/** Waits until the server process does what the client has asked for. */
async function waitForActivity(pid: string, state: string, text: string): Promise<void> {
  const watcher = await postgres.login();
  await waitFor(`process ${pid} to be ${state}`, async () => {
    const [row] = await watcher.query(
      `SELECT 1 AS found FROM pg_stat_activity
       WHERE pid = ${pid} AND state = '${state}' AND strpos(query, '${text}') > 0`,
    );
    return row !== undefined;
  });
  await watcher.close();
}

/** Dirties the session in every way that outlives a rollback. */
const DIRT = `SET work_mem = '77MB'; SELECT pg_advisory_lock(99);
  PREPARE left_over AS SELECT 1; CREATE TEMP TABLE left_over (id int)`;

const WAYS = [
  [
    'closes',
    (client: RawClient) => {
      client.destroy();
    },
  ],
  [
    'resets',
    (client: RawClient) => {
      client.reset();
    },
  ],
] as const;

type Act = (client: RawClient, pid: string) => Promise<void>;

const SITUATIONS: [string, Act][] = [
  [
    'idle in a transaction',
    async (client) => {
      await client.query('BEGIN; LOCK TABLE vanished; INSERT INTO vanished VALUES (1)');
    },
  ],
  [
    'idle in a transaction that has failed',
    async (client) => {
      await client.query('BEGIN; LOCK TABLE vanished');
      await client.simpleQuery('SELECT 1 / 0');
    },
  ],
  [
    'idle in a transaction with a dirty session',
    async (client) => {
      await client.query(DIRT.replace('SET', 'BEGIN; SET'));
    },
  ],
  [
    'while a query runs',
    async (client, pid) => {
      client.send(frontend.query('SELECT pg_sleep(600)'));
      await waitForActivity(pid, 'active', 'pg_sleep(600)');
    },
  ],
  [
    'while a query runs in a transaction',
    async (client, pid) => {
      await client.query('BEGIN; LOCK TABLE vanished; INSERT INTO vanished VALUES (2)');
      client.send(frontend.extendedQuery('SELECT pg_sleep(601)'));
      await waitForActivity(pid, 'active', 'pg_sleep(601)');
    },
  ],
  [
    'while a function called by FunctionCall runs',
    async (client, pid) => {
      await client.query('BEGIN; LOCK TABLE vanished');
      const [row] = await client.query("SELECT 'pg_sleep(float8)'::regprocedure::oid AS oid");
      const seconds = Buffer.alloc(8);
      seconds.writeDoubleBE(603);
      client.send(frontend.functionCall(Number(row?.['oid']), [seconds], 1));
      await waitForActivity(pid, 'fastpath function call', '');
    },
  ],
  [
    'with a pipeline under way',
    async (client, pid) => {
      const [slow, fast] = ['SELECT pg_sleep(604)', 'SELECT 1'].map((sql) =>
        frontend.extendedQuery(sql),
      );
      const rest = Array.from({ length: 1000 }, () => fast ?? Buffer.alloc(0));
      client.send(slow ?? Buffer.alloc(0), ...rest);
      await waitForActivity(pid, 'active', 'pg_sleep(604)');
    },
  ],
  [
    'in the middle of COPY IN',
    async (client) => {
      client.send(frontend.query('COPY vanished FROM STDIN'));
      await client.readUntil('G');
      await client.sendAll(frontend.copyData('3\n'), frontend.copyData('4\n'));
    },
  ],
  [
    'in the middle of COPY IN in a transaction',
    async (client) => {
      await client.query('BEGIN; INSERT INTO vanished VALUES (5)');
      client.send(frontend.query('COPY vanished FROM STDIN'));
      await client.readUntil('G');
      await client.sendAll(frontend.copyData('6\n'));
    },
  ],
  [
    'in the middle of COPY OUT',
    async (client) => {
      client.send(frontend.query('COPY (SELECT generate_series(1, 100000000)) TO STDOUT'));
      await client.readUntil('d');
      client.pause();
    },
  ],
  [
    'with a result half read',
    async (client) => {
      client.send(frontend.query('SELECT generate_series(1, 100000000)'));
      await client.readUntil('D');
      client.pause();
    },
  ],
  [
    'with statements executed and no Sync',
    async (client) => {
      client.send(
        frontend.parse('INSERT INTO vanished VALUES (7)'),
        frontend.bind(),
        frontend.execute(),
        frontend.flush(),
      );
      await client.readUntil('C');
    },
  ],
  [
    'with an error and no Sync',
    async (client) => {
      client.send(frontend.parse('SELECT nonsense'), frontend.flush());
      await client.readUntil('E');
    },
  ],
  [
    'with a portal open',
    async (client) => {
      await client.query('BEGIN; LOCK TABLE vanished');
      client.send(
        frontend.parse('SELECT * FROM generate_series(1, 100)'),
        frontend.bind(),
        frontend.execute('', 10),
        frontend.flush(),
      );
      await client.readUntil('s');
    },
  ],
];

describe.each(WAYS)('a client that %s its connection', (_how, vanish) => {
  it.each(SITUATIONS)('%s leaves a clean server connection behind', async (_when, act) => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      const pid = await backendPid(client);
      await act(client, pid);
      vanish(client);
      await scene.waitForPool({ sv_active: 0, sv_idle: 1 });
      const next = await scene.login();
      expect(await backendPid(next)).toBe(pid);
      await expectClean(next);
    });
  });
});

describe('50 clients that vanish at once', () => {
  /** @returns how long it took until their sockets were closed, in ms. */
  async function closeAll(scene: Scene): Promise<number> {
    const clients = await scene.logins(50);
    const before = openFileCount(scene.pooler.pid);
    const startMs = performance.now();
    for (const client of clients) {
      client.endWriting();
    }
    await waitFor('the sockets to close', () => openFileCount(scene.pooler.pid) <= before - 50);
    return performance.now() - startMs;
  }

  it('leave no sockets behind that linger', async () => {
    await withPooler(postgres, {}, async (scene) => {
      // Those that linger always do; a busy machine is slow now and then.
      await waitFor('a turn without', async () => (await closeAll(scene)) < LINGER_MS);
    });
  });
});

describe('a client that says Terminate', () => {
  it('in a transaction leaves a clean server connection behind', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      const pid = await backendPid(client);
      await client.query(`BEGIN; LOCK TABLE vanished; INSERT INTO vanished VALUES (1)`);
      await client.query(DIRT);
      await client.close();
      const next = await scene.login();
      expect(await backendPid(next)).toBe(pid);
      await expectClean(next);
    });
  });

  it('behind a statement has it carried out', async () => {
    await postgres.query('DROP TABLE IF EXISTS said; CREATE TABLE said (id int)');
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      const pid = await backendPid(client);
      client.send(frontend.query('INSERT INTO said VALUES (8)'), frontend.terminate());
      await client.readToEnd();
      await scene.waitForPool({ sv_active: 0, sv_idle: 1 });
      const next = await scene.login();
      expect(await next.query('SELECT id FROM said')).toEqual([{ id: '8' }]);
      expect(await backendPid(next)).toBe(pid);
    });
  });
});

describe('a client that vanishes in the middle of a message', () => {
  const half = frontend.query(`SELECT 1 /* ${'x'.repeat(1000)} */`).subarray(0, 500);

  it('takes no server connection for it outside of a transaction', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      const pid = await backendPid(client);
      await client.sendAll(half);
      const other = await scene.login();
      expect(await backendPid(other)).toBe(pid);
      client.destroy();
      expect(await backendPid(other)).toBe(pid);
    });
  });

  it('has it not carried out, although nearly all of it has come', async () => {
    await postgres.query('DROP TABLE IF EXISTS cut_off; CREATE TABLE cut_off (id int)');
    await withPooler(postgres, { settings: { pool_mode: 'session' } }, async (scene) => {
      const client = await scene.login();
      const pid = await backendPid(client);
      // What maitred sent behind it, Terminate for one, would be its last two bytes.
      const request = frontend.query('INSERT INTO cut_off VALUES (1) -- x');
      await client.sendAll(request.subarray(0, -2));
      await scene.pooler.console('SHOW VERSION');
      client.destroy();
      await scene.waitForPool({ sv_active: 0, sv_idle: 0 });
      const next = await scene.login();
      await waitFor(`the end of process ${pid}`, async () => {
        const rows = await next.query(`SELECT 1 FROM pg_stat_activity WHERE pid = ${pid}`);
        return rows.length === 0;
      });
      expect(await next.query('SELECT id FROM cut_off')).toEqual([]);
    });
  });

  const halfCopy = frontend.copyData('1\n'.repeat(100)).subarray(0, 100);

  it.each([
    ['a header', 'BEGIN', half.subarray(0, 3), true],
    ['a query', 'BEGIN', half, false],
    ['COPY data', 'COPY vanished FROM STDIN', halfCopy, false],
  ])('in %s loses its server connection only if need be', async (_what, sql, part, isKept) => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      const pid = await backendPid(client);
      client.send(frontend.query(sql));
      await client.readUntil(sql === 'BEGIN' ? 'Z' : 'G');
      await client.sendAll(part);
      // The pooler has read the part before it answers somebody who came later.
      await scene.pooler.console('SHOW VERSION');
      client.destroy();
      await scene.waitForPool({ sv_active: 0 });
      const next = await scene.login();
      expect((await backendPid(next)) === pid).toBe(isKept);
      await expectClean(next);
    });
  });
});

describe('what a client leaves running', () => {
  it('beyond a cancel is ended in the end', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      const pid = await backendPid(client);
      client.send(...Array.from({ length: 20 }, () => frontend.query('SELECT pg_sleep(602)')));
      await waitForActivity(pid, 'active', 'pg_sleep(602)');
      client.destroy();
      await waitFor(
        'the pool to be free',
        async () => Number((await scene.pool())['sv_active']) === 0,
        { timeoutMs: 15_000, intervalMs: 100 },
      );
      const next = await scene.login();
      await expectClean(next);
    });
  });
});

describe('session mode', () => {
  it('gives the next client a clean session on the same server connection', async () => {
    await withPooler(postgres, { settings: { pool_mode: 'session' } }, async (scene) => {
      const client = await scene.login();
      const pid = await backendPid(client);
      await client.query(DIRT);
      await client.query('BEGIN; LOCK TABLE vanished');
      client.destroy();
      const next = await scene.login();
      expect(await backendPid(next)).toBe(pid);
      await expectClean(next);
    });
  });
});

describe('200 clients that come, begin and vanish', () => {
  const POOL_SIZE = 5;

  async function comeAndGo(scene: Scene, count: number): Promise<void> {
    for (let turn = 0; turn < count; turn++) {
      const client = await scene.pooler.login({ user: postgres.user, database: 'app' });
      await client.query('BEGIN; INSERT INTO vanished VALUES (1)');
      if (turn % 2 === 0) {
        client.destroy();
      } else {
        client.reset();
      }
    }
  }

  it('cause no more logins to the server than the pool has places', async () => {
    await withPooler(postgres, { settings: { default_pool_size: POOL_SIZE } }, async (scene) => {
      await Promise.all(Array.from({ length: 10 }, () => comeAndGo(scene, 20)));
      await scene.waitForPool({ sv_active: 0, cl_active: 0, cl_waiting: 0 });
      const logins = scene.pooler.logs.filter(({ event }) => event === 'server_connected');
      expect(logins.length).toBeGreaterThan(0);
      expect(logins.length).toBeLessThanOrEqual(POOL_SIZE + 1);
      await expectClean(await scene.login());
    });
  });
});
