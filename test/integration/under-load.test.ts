import { expect, it } from 'vitest';
import type { RawClient } from '../support/raw-client.ts';
import { withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

// What operators do while clients work: no client may notice. bench/operations.mjs does it for a
// minute.

const postgres = sharedPostgres();
const CLIENTS = 8;
const ROUNDS = 10;
const QUERIES_PER_ROUND = 20;

/** Clients that ask one query after the other until they are told to stop. */
class Load {
  queryCount = 0;
  #isOver = false;
  readonly #ends: Promise<void>[];

  constructor(clients: readonly RawClient[]) {
    this.#ends = clients.map((client, index) => this.#work(client, index));
  }

  /** @throws Error with the first error of any client. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#ends);
  }

  async #work(client: RawClient, index: number): Promise<void> {
    while (!this.#isOver) {
      const sql = this.queryCount % 2 === 0 ? 'SELECT' : 'BEGIN; SELECT';
      const { results } = await client.simpleQuery(`${sql} ${String(index)} AS n`);
      expect(results.at(-1)?.rows).toEqual([[String(index)]]);
      if (sql !== 'SELECT') {
        expect((await client.simpleQuery('COMMIT')).errors).toEqual([]);
      }
      this.queryCount += 1;
    }
  }
}

async function underLoad(
  commands: (scene: Scene, console: RawClient, round: number) => Promise<void>,
): Promise<void> {
  await withPooler(postgres, { settings: { default_pool_size: 3 } }, async (scene) => {
    const console = await scene.pooler.login({ user: 'postgres', database: 'pgbouncer' });
    const load = new Load(await scene.logins(CLIENTS));
    for (let round = 0; round < ROUNDS; round += 1) {
      const before = load.queryCount;
      await commands(scene, console, round);
      await waitFor('queries to go on', () => load.queryCount >= before + QUERIES_PER_ROUND);
    }
    await load.stop();
    await console.close();
  });
}

it('RELOAD of changed files disturbs no client', async () => {
  const { host, port, database: dbname } = postgres.address;
  await underLoad(async (scene, console, round) => {
    scene.pooler.rewriteConfig({
      maitred: { pool_mode: 'transaction', default_pool_size: 2 + (round % 3) },
      // The server connections are replaced in every other round.
      databases: { app: { host, port, dbname, connect_query: `SELECT ${String(round >> 1)}` } },
    });
    expect(await console.query('RELOAD')).toEqual([]);
  });
});

it('PAUSE and RESUME disturb no client', async () => {
  await underLoad(async (_scene, console, round) => {
    const database = round % 2 === 0 ? '' : ' app';
    expect(await console.query(`PAUSE${database}`)).toEqual([]);
    expect(await console.query(`RESUME${database}`)).toEqual([]);
  });
});
