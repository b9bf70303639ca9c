import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import * as frontend from '../support/frontend-messages.ts';
import { startPostgres } from '../support/postgres-fixture.ts';
import type { PostgresHandle } from '../support/postgres-fixture.ts';
import { firstConnection, residentBytes, withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { FakeServer } from '../support/fake-server.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const postgres = sharedPostgres();
const MIB = 1024 * 1024;

/** Result of a query that nobody can take in one piece. */
const ENDLESS = "SELECT repeat('x', 1000), generate_series(1, 50000000)";

/** Watches the memory of the pooler until `body` is done. @returns The most it grew, bytes. */
async function peakGrowth(scene: Scene, body: () => Promise<void>): Promise<number> {
  const { pid } = scene.pooler;
  const before = residentBytes(pid);
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, residentBytes(pid));
  }, 10);
  try {
    await body();
  } finally {
    clearInterval(timer);
  }
  return Math.max(most, residentBytes(pid)) - before;
}

/** Waits until the server processes of a query have nothing to do but wait for their client. */
async function waitUntilBlocked(server: PostgresHandle, count: number): Promise<void> {
  const sql = `SELECT count(*) AS n FROM pg_stat_activity
    WHERE query = '${ENDLESS.replaceAll("'", "''")}' AND wait_event = 'ClientWrite'`;
  await waitFor(
    `${String(count)} server processes to wait for their readers`,
    async () => Number((await server.query(sql))[0]?.['n']) === count,
    { timeoutMs: 20_000, intervalMs: 100 },
  );
}

describe('a reader that stops in the middle of a result', () => {
  it('pauses its server, and gets the rest when it reads on', async () => {
    const rows = 200_000;
    const sql = `SELECT repeat('x', 100) || generate_series(1, ${String(rows)})`;
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      client.pause();
      client.send(frontend.query(sql));
      const waiting = `SELECT 1 FROM pg_stat_activity
        WHERE query = '${sql.replaceAll("'", "''")}' AND wait_event = 'ClientWrite'`;
      await waitFor('the server to be paused', async () => (await postgres.query(waiting))[0]);
      client.resume();
      const outcome = await client.readOutcome();
      const received = outcome.results[0]?.rows.map(([value]) => value?.slice(100));
      expect(received?.length).toBe(rows);
      expect(received?.every((value, index) => value === String(index + 1))).toBe(true);
    });
  });

  it('costs little memory, a hundred of them less than 50 MB, and others are served', async () => {
    const readers = 100;
    const own = await startPostgres({ settings: { max_connections: '120' } });
    const settings = { default_pool_size: readers + 1, max_client_conn: 200 };
    await withPooler(own, { settings }, async (scene) => {
      const clients = await scene.logins(readers);
      const other = await scene.login();
      for (const client of clients) {
        await client.query('SELECT 1');
      }
      const growth = await peakGrowth(scene, async () => {
        for (const client of clients) {
          client.pause();
          client.send(frontend.query(ENDLESS));
        }
        await waitUntilBlocked(own, readers);
        expect((await other.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      });
      expect(growth).toBeLessThan(50 * MIB);
      scene.dropClients();
      // Each of the servers is cancelled, and can be used again.
      const next = await scene.login();
      expect((await next.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      await scene.waitForPool({ sv_active: 0, cl_waiting: 0 });
    }).finally(() => own.stop());
  });
});

describe('a value of 256 MB', () => {
  const BYTES = 256 * MIB;

  it('in a row streams through', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      await client.query('SELECT 1');
      const growth = await peakGrowth(scene, async () => {
        client.send(frontend.query(`SELECT repeat('0123456789abcdef', ${String(BYTES / 16)})`));
        const [, row] = await client.readUntil('Z', 25_000);
        expect(row?.type).toBe('D');
        expect(row?.body.readUInt32BE(2)).toBe(BYTES);
        const hash = createHash('md5')
          .update(row?.body.subarray(6) ?? '')
          .digest('hex');
        const expected = createHash('md5');
        for (let block = 0; block < BYTES / MIB; block++) {
          expected.update('0123456789abcdef'.repeat(MIB / 16));
        }
        expect(hash).toBe(expected.digest('hex'));
      });
      expect(growth).toBeLessThan(50 * MIB);
      expect((await client.simpleQuery('SELECT 1')).types).toBe('TDCZ');
    });
  });

  it('in a parameter streams through', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      await client.query('SELECT 1');
      const block = Buffer.alloc(MIB, 'y');
      const growth = await peakGrowth(scene, async () => {
        // A Bind with one parameter in binary format, its value sent piece by piece.
        const head = Buffer.concat([
          frontend.cstring(''),
          frontend.cstring(''),
          frontend.int16(1),
          frontend.int16(1),
          frontend.int16(1),
          frontend.int32(BYTES),
        ]);
        const tail = frontend.int16(0);
        await client.sendAll(
          frontend.parse('SELECT length($1::bytea) AS bytes, md5($1::bytea) AS md5'),
          frontend.messageWithLength('B', 4 + head.length + BYTES + tail.length, head),
        );
        const hash = createHash('md5');
        for (let sent = 0; sent < BYTES; sent += MIB) {
          hash.update(block);
          await client.sendAll(block);
        }
        client.send(tail, frontend.describe('P'), frontend.execute(), frontend.sync());
        const outcome = await client.readOutcome(25_000);
        expect(outcome.results[0]?.rows).toEqual([[String(BYTES), hash.digest('hex')]]);
      });
      expect(growth).toBeLessThan(50 * MIB);
    });
  });
});

describe('a server that stops reading', () => {
  it('pauses its client, at a bounded cost of memory', async () => {
    const server = await FakeServer.start();
    await withPooler(server, {}, async (scene) => {
      const client = await scene.login();
      await client.query('SELECT 1');
      const connection = await firstConnection(server);
      connection.pause();
      const growth = await peakGrowth(scene, async () => {
        client.send(frontend.messageWithLength('Q', 4 + 512 * MIB));
        const block = Buffer.alloc(MIB, 'z');
        let isTaken = true;
        while (isTaken) {
          const sent = client.sendAll(block);
          const outcome = await Promise.race([
            sent.then(() => true),
            new Promise<boolean>((resolve) => setTimeout(resolve, 1_000, false)),
          ]);
          sent.catch(() => {});
          isTaken = outcome;
        }
      });
      expect(growth).toBeLessThan(50 * MIB);
      connection.resume();
      scene.dropClients();
    });
    await server.stop();
  });
});

describe('max_packet_size', () => {
  const settings = { max_packet_size: 10_000 };

  it.each([
    ['a query', frontend.query(`SELECT '${'x'.repeat(10_000)}'`)],
    ['the header of a longer one', frontend.messageWithLength('Q', 1_000_000)],
    ['a parameter', frontend.extendedQuery('SELECT $1', ['x'.repeat(10_000)])],
  ])('refuses %s beyond it', async (_what, message) => {
    await withPooler(postgres, { settings }, async (scene) => {
      const client = await scene.login();
      client.send(message);
      const messages = await client.readUntil('E');
      expect(messages.map(({ type }) => type).join('')).toMatch(/^1?E$/);
      const text = messages.at(-1)?.body.toString() ?? '';
      expect(text).toContain('C54000\0');
      expect(text).toContain('exceeds max_packet_size');
      expect(text).toContain('SFATAL\0');
      await client.readToEnd();
      const next = await scene.login();
      expect((await next.simpleQuery('SELECT 1')).types).toBe('TDCZ');
    });
  });

  it('lets messages up to it pass', async () => {
    await withPooler(postgres, { settings }, async (scene) => {
      const client = await scene.login();
      // Type byte and length field count: 10,000 bytes are the limit.
      const frame = "SELECT ''\0".length + 5;
      const fits = await client.simpleQuery(`SELECT '${'x'.repeat(10_000 - frame)}'`);
      expect(fits.types).toBe('TDCZ');
      client.send(frontend.query(`SELECT '${'x'.repeat(10_001 - frame)}'`));
      expect((await client.readError()).sqlState).toBe('54000');
    });
  });

  it('holds for the server as well', async () => {
    await withPooler(postgres, { settings }, async (scene) => {
      const client = await scene.login();
      client.send(frontend.query("SELECT repeat('x', 20000)"));
      const messages = await client.readUntil('E');
      expect(messages.at(-1)?.body.toString()).toContain('C08006\0');
      await client.readToEnd();
      const next = await scene.login();
      expect((await next.simpleQuery('SELECT 1')).types).toBe('TDCZ');
    });
  });
});

describe('a huge result', () => {
  it('does not starve the small queries of others', async () => {
    await withPooler(postgres, { settings: { default_pool_size: 2 } }, async (scene) => {
      const [huge, small] = await scene.logins(2);
      let isOver = false;
      let bytes = 0;
      huge.send(frontend.query("SELECT repeat('x', 1000), generate_series(1, 200000)"));
      const readHuge = async (): Promise<void> => {
        for (;;) {
          const { type, body } = await huge.readMessage();
          bytes += body.length;
          if (type === 'Z') {
            isOver = true;
            return;
          }
        }
      };
      const countSmall = async (): Promise<number> => {
        let count = 0;
        while (!isOver) {
          await small.query('SELECT 1');
          count++;
        }
        return count;
      };
      const [, count] = await Promise.all([readHuge(), countSmall()]);
      expect(bytes).toBeGreaterThan(200_000_000);
      expect(count).toBeGreaterThan(20);
    });
  });
});
