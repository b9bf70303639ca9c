import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as frontend from '../support/frontend-messages.ts';
import type { PoolerFixture } from '../support/pooler-fixture.ts';
import { RawClient } from '../support/raw-client.ts';
import { lastWords } from '../support/refusal.ts';
import { residentBytes } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import {
  connectTls,
  makePki,
  startTlsPooler,
  tlsSocketOf,
  withTlsPooler,
} from '../support/tls-scene.ts';
import { waitFor, withDeadline } from '../support/wait-for.ts';

const pki = makePki();
const postgres = sharedPostgres();
const LOGIN = { user: 'postgres', database: 'app' };

async function expectToWork(pooler: PoolerFixture): Promise<void> {
  const client = await connectTls(pooler);
  await client.login(LOGIN);
  expect(await client.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
  await client.close();
}

describe('bytes through TLS', () => {
  let pooler: PoolerFixture;
  beforeAll(async () => {
    pooler = await startTlsPooler(pki, postgres, { settings: { default_pool_size: 5 } });
  });
  afterAll(() => pooler.stop());

  it('come through whole, in both directions and of all sizes', async () => {
    const client = await connectTls(pooler);
    await client.login(LOGIN);
    for (const bytes of [1, 1000, 16_384, 16_385, 65_536, 1_000_000, 9_000_000]) {
      const text = `${'abcdefghij'.repeat(Math.ceil(bytes / 10)).slice(0, bytes - 1)}!`;
      const [row] = await client.query(`SELECT '${text}' AS echo, md5('${text}') AS digest`);
      expect(row?.['echo'] === text, String(bytes)).toBe(true);
    }
    await client.close();
  });

  it('wait for a client that does not read, and for one that asks without reading', async () => {
    const client = await connectTls(pooler);
    await client.login(LOGIN);
    const before = residentBytes(pooler.pid);
    client.pause();
    client.send(frontend.query("SELECT repeat('x', 1000) FROM generate_series(1, 200000)"));
    for (let turn = 0; turn < 50; turn++) {
      client.send(frontend.query('SELECT 1'));
    }
    const console = await RawClient.login(pooler.socketTarget, {
      user: 'postgres',
      database: 'pgbouncer',
    });
    let last = '';
    await waitFor(
      'the transfer to stand still',
      async () => {
        const rows = await console.query('SHOW SOCKETS');
        const now = JSON.stringify(rows.map((row) => [row['send_remain'], row['recv_pos']]));
        const [stats] = (await console.query('SHOW STATS')).filter(
          (row) => row['database'] === 'app',
        );
        const seen = `${now} ${String(stats?.['total_sent'])}`;
        const isSame = seen === last;
        last = seen;
        return isSame;
      },
      { intervalMs: 200 },
    );
    expect(residentBytes(pooler.pid) - before).toBeLessThan(40_000_000);
    await console.close();
    client.resume();
    const big = await client.readOutcome(20_000);
    expect(big.errors).toEqual([]);
    for (let turn = 0; turn < 50; turn++) {
      expect((await client.readOutcome()).errors).toEqual([]);
    }
    await client.close();
  });

  it('serve drivers: many queries at once, cancel, errors', async () => {
    const pool = new pg.Pool({
      host: pooler.host,
      port: pooler.port,
      ...LOGIN,
      max: 10,
      ssl: { ca: pki.authority.cert, servername: 'localhost' },
    });
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, index) => pool.query('SELECT $1::int AS n', [index])),
    );
    expect(answers.map(({ rows }) => (rows as { n: number }[])[0]?.n)).toEqual(
      Array.from({ length: 200 }, (_, index) => index),
    );
    await expect(pool.query('SELECT 1/0')).rejects.toThrow('division by zero');
    await pool.end();
  });

  it('deliver the last error before the end', async () => {
    const client = await connectTls(pooler);
    client.send(frontend.startupMessage({ user: 'nobody', database: 'app' }));
    expect(await lastWords(client)).toContain('authentication failed');
    client.destroy();
  });
});

describe('stalls and floods', () => {
  it('end by client_login_timeout at every stage, while others log in', async () => {
    await withTlsPooler(
      pki,
      postgres,
      { settings: { client_login_timeout: 3 } },
      async (pooler) => {
        const stages: Promise<RawClient>[] = [];
        for (let index = 0; index < 40; index++) {
          stages.push(
            RawClient.connect(pooler.target),
            RawClient.connect(pooler.target).then((client) => {
              client.send(frontend.sslRequest());
              return client;
            }),
            RawClient.connect(pooler.target).then(async (client) => {
              client.send(frontend.sslRequest());
              await client.readBytes(1);
              client.send(Buffer.from([0x16, 3, 1, 1, 0, 1, 0, 0, 252]));
              return client;
            }),
            RawClient.connect(pooler.target).then((client) => {
              client.send(Buffer.from([0x16, 3, 1]));
              return client;
            }),
            connectTls(pooler),
          );
        }
        const stalled = await Promise.all(stages);
        await expectToWork(pooler);
        for (const client of stalled) {
          await client.readToEnd(15_000);
          client.destroy();
        }
        // The log says of each where it came from, also where a handshake was under way.
        const told = pooler.logs.filter(({ error }) => error === 'client_login_timeout');
        expect(told).toHaveLength(stalled.length);
        expect(new Set(told.map(({ address }) => address))).toEqual(new Set(['127.0.0.1']));
        await expectToWork(pooler);
      },
    );
  });

  it('survive clients that vanish in the middle of a handshake', async () => {
    await withTlsPooler(pki, postgres, {}, async (pooler) => {
      for (const cut of [1, 5, 50]) {
        const client = await RawClient.connect(pooler.target);
        client.send(frontend.sslRequest());
        await client.readBytes(1);
        client.send(
          Buffer.concat([Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 252]), Buffer.alloc(cut)]),
        );
        client.socket.resetAndDestroy();
      }
      await waitFor(
        'the log',
        () => pooler.logs.filter(({ event }) => event === 'tls_handshake_failed').length === 3,
      );
      for (const line of pooler.logs.filter(({ event }) => event === 'tls_handshake_failed')) {
        expect(line).toMatchObject({ address: '127.0.0.1' });
      }
      await expectToWork(pooler);
    });
  });

  it('refuse renegotiation', async () => {
    await withTlsPooler(pki, postgres, {}, async (pooler) => {
      const client = await connectTls(pooler, { maxVersion: 'TLSv1.2' });
      await client.login(LOGIN);
      const socket = tlsSocketOf(client);
      const failed = new Promise<void>((resolve) => {
        socket.on('error', () => {
          resolve();
        });
        socket.renegotiate({}, (error) => {
          if (error !== null) {
            resolve();
          }
        });
      });
      await withDeadline('the refusal', failed);
      client.destroy();
      await expectToWork(pooler);
    });
  });
});
