import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as frontend from '../support/frontend-messages.ts';
import type { TextRow } from '../support/query-outcome.ts';
import { RawClient } from '../support/raw-client.ts';
import { openFileCount, withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { SeededRandom, seedOfRun } from '../support/seeded-random.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const postgres = sharedPostgres();
/** Of its own, so that the backends of other tests are not counted. */
const DATABASE = 'leak_test';
const APPLICATION = 'leak_test';
const STORM_MS = 4_000;
const WORKERS = 16;
const POOL_SIZE = 3;

const SETTINGS = {
  default_pool_size: POOL_SIZE,
  max_client_conn: 200,
  client_login_timeout: '1s',
  query_wait_timeout: '2s',
  query_timeout: '1s',
  idle_transaction_timeout: '1s',
};

type Deed = (client: RawClient, random: SeededRandom) => Promise<unknown>;

/** What a logged-in client does before it leaves in some way. Errors are part of the storm. */
beforeAll(() => postgres.createDatabase(DATABASE));
afterAll(() => postgres.dropDatabase(DATABASE));

const QUICK_DEEDS: readonly Deed[] = [
  (client) => client.simpleQuery('SELECT 1'),
  (client) => client.simpleQuery('SELECT 1 / 0; SELECT 2'),
  (client) => client.extendedQuery('SELECT $1::int', ['7']),
  (client) => client.extendedQuery('SELECT $1::int', ['seven']),
  (client) => client.simpleQuery('BEGIN; CREATE TEMP TABLE leaked (a int); SELECT 1'),
  (client) => client.copyOut('COPY (SELECT generate_series(1, 1000)) TO STDOUT'),
  async (client, random) => {
    client.send(frontend.query("SELECT repeat('x', 1000), generate_series(1, 20000)"));
    await client.readMessage();
    if (random.chance(0.5)) {
      client.pause();
    }
  },
  async (client) => {
    client.send(frontend.query('SELECT pg_sleep(30)'));
    await client.cancel();
    await client.readOutcome();
  },
  async (client) => {
    client.send(frontend.query('BEGIN; CREATE TEMP TABLE leaked (a int); COPY leaked FROM STDIN'));
    await client.readUntil('G');
    client.send(frontend.copyData('1\n'));
  },
  async (client) => {
    client.send(frontend.parse('SELECT 1'), frontend.bind(), frontend.execute(), frontend.flush());
    await client.readUntil('C');
  },
  async (client) => {
    client.send(...Array.from({ length: 500 }, () => frontend.query('SELECT 1')));
    await client.readOutcome();
  },
  async (client) => {
    client.send(frontend.messageWithLength('Q', 1_000, Buffer.from('SELECT')));
  },
  async (client) => {
    client.send(frontend.message('?', Buffer.from('what')));
  },
];

/** What a timeout puts an end to, about a second later. */
const SLOW_DEEDS: readonly Deed[] = [
  (client) => client.simpleQuery('SELECT pg_sleep(30)'),
  async (client) => {
    await client.simpleQuery('BEGIN');
    await client.readToEnd();
  },
];

/** How a client leaves. */
const EXITS: readonly ((client: RawClient) => unknown)[] = [
  (client) => client.close(),
  (client) => {
    client.destroy();
  },
  (client) => {
    client.reset();
  },
  (client) => {
    client.endWriting();
    return client.readToEnd();
  },
];

/** A connection that never becomes a client. */
async function failToLogIn(scene: Scene, random: SeededRandom): Promise<void> {
  const client = await RawClient.connect(scene.pooler.target);
  const startup = frontend.startupMessage({ user: 'nobody_here', database: 'app' });
  const bytes = random.pick([
    Buffer.alloc(0),
    startup.subarray(0, 9),
    startup,
    frontend.startupMessage({ user: postgres.user, database: 'no_such_database' }),
    frontend.sslRequest(),
    frontend.cancelRequest(12_345, Buffer.from('none')),
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
  ]);
  if (bytes.length > 0) {
    client.send(bytes);
  }
  await Promise.race([client.readToEnd(2_000), Promise.resolve()]).catch(() => {});
  client.reset();
}

/** Does one thing after the other until the time is over. @returns How many. */
async function rage(scene: Scene, random: SeededRandom, endMs: number): Promise<number> {
  let count = 0;
  for (; performance.now() < endMs; count++) {
    if (random.chance(0.15)) {
      await failToLogIn(scene, random);
      continue;
    }
    const parameters = { application_name: `${APPLICATION} ${String(random.below(3))}` };
    const client = await RawClient.connect(scene.pooler.target);
    try {
      await client.login({ user: postgres.user, database: 'app', parameters });
      await random.pick(random.chance(0.03) ? SLOW_DEEDS : QUICK_DEEDS)(client, random);
      await random.pick(EXITS)(client);
    } catch {
      // Timeouts and refusals are what the storm is for.
    } finally {
      client.destroy();
    }
  }
  return count;
}

function itemOf(rows: readonly TextRow[], list: string): number {
  return Number(rows.find((row) => row['list'] === list)?.['items']);
}

async function expectNoLeaks(scene: Scene, filesBefore: number): Promise<void> {
  const { pooler } = scene;
  await pooler.expectBaseline(15_000);
  const isCalm = async (): Promise<boolean> => {
    const lists = await pooler.console('SHOW LISTS');
    const servers = await pooler.console('SHOW SERVERS');
    const clients = await pooler.console('SHOW CLIENTS');
    const backends = await postgres.query(
      `SELECT state FROM pg_stat_activity WHERE datname = '${DATABASE}'`,
    );
    return (
      // The one that asks.
      clients.length === 1 &&
      itemOf(lists, 'used_clients') === 1 &&
      itemOf(lists, 'login_clients') === 0 &&
      servers.length <= POOL_SIZE &&
      servers.every(({ state }) => state === 'idle') &&
      backends.length === servers.length &&
      backends.every(({ state }) => state === 'idle') &&
      // Each server connection is one, and the console's is closed by now.
      openFileCount(pooler.pid) <= filesBefore + servers.length
    );
  };
  await waitFor('everything to be back at its baseline', isCalm, {
    timeoutMs: 15_000,
    intervalMs: 100,
  });
}

describe('a storm of everything', () => {
  it('leaves nothing behind', { timeout: 60_000 }, async () => {
    const seed = seedOfRun();
    await withPooler(
      postgres,
      { settings: SETTINGS, database: { dbname: DATABASE } },
      async (scene) => {
        const { pooler } = scene;
        const filesBefore = openFileCount(pooler.pid);
        const endMs = performance.now() + STORM_MS;
        const counts = await Promise.all(
          Array.from({ length: WORKERS }, (_, index) =>
            rage(scene, new SeededRandom(seed + index), endMs),
          ),
        );
        const total = counts.reduce((sum, count) => sum + count, 0);
        process.stdout.write(`MAITRED_SEED=${String(seed)}: ${String(total)} clients\n`);
        expect(total).toBeGreaterThan(WORKERS);
        await expectNoLeaks(scene, filesBefore);
        expect(pooler.logs.filter(({ event }) => event === 'invariant_broken')).toEqual([]);
        // A client that comes now finds a server connection without any state of others.
        const client = await scene.login();
        expect((await client.simpleQuery('SELECT 1')).status).toBe('I');
        expect((await client.simpleQuery('SELECT * FROM leaked')).errors[0]?.sqlState).toBe(
          '42P01',
        );
      },
    );
  });

  it('is noticed when a client does stay', async () => {
    await withPooler(
      postgres,
      { settings: SETTINGS, database: { dbname: DATABASE } },
      async (scene) => {
        const client = await scene.login();
        await client.query('BEGIN');
        await expect(scene.pooler.expectBaseline(300)).rejects.toThrow(/cl_active/);
        await client.query('COMMIT');
      },
    );
  });
});
