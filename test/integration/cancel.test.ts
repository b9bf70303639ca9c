import { describe, expect, it } from 'vitest';
import type { BackendKey } from '../support/backend-messages.ts';
import type { FakeConnection } from '../support/fake-connection.ts';
import { FakeServer } from '../support/fake-server.ts';
import * as frontend from '../support/frontend-messages.ts';
import type { PostgresHandle } from '../support/postgres-fixture.ts';
import { RawClient } from '../support/raw-client.ts';
import { refusalOf } from '../support/refusal.ts';
import { backendPid, withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const postgres = sharedPostgres();
const CANCELED = 'ERROR 57014: canceling statement due to user request';

/** Waits until the server process `pid` runs a query that contains `text`. */
async function waitUntilRunning(server: PostgresHandle, pid: string, text: string): Promise<void> {
  const watcher = await server.login();
  await waitFor(`process ${pid} to run ${text}`, async () => {
    const [row] = await watcher.query(
      `SELECT 1 AS found FROM pg_stat_activity
       WHERE pid = ${pid} AND state = 'active' AND strpos(query, '${text}') > 0`,
    );
    return row !== undefined;
  });
  await watcher.close();
}

function keyOf(client: RawClient): BackendKey {
  if (client.backendKey === null) {
    throw new Error('the client has no cancel key');
  }
  return client.backendKey;
}

/** States of all server connections of SHOW SERVERS. */
async function serverStates(scene: Scene): Promise<(string | null | undefined)[]> {
  const rows = await scene.pooler.console('SHOW SERVERS');
  return rows.map((row) => row['state']);
}

describe('a running query', () => {
  it('is cancelled, and its server connection serves on', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      const pid = await backendPid(client);
      client.send(frontend.query('SELECT pg_sleep(60)'));
      await waitUntilRunning(postgres, pid, 'pg_sleep(60)');
      await client.cancel();
      expect(await client.readOutcome()).toMatchObject({ errors: [{ message: CANCELED }] });
      expect(await backendPid(client)).toBe(pid);
    });
  });

  it.each([frontend.PROTOCOL_3_0, frontend.PROTOCOL_3_2])(
    'is cancelled in the extended protocol, inside a transaction, with a key of version %i',
    async (protocolVersion) => {
      await withPooler(postgres, {}, async (scene) => {
        const client = await scene.login({ protocolVersion });
        await client.query('BEGIN');
        const pid = await backendPid(client);
        client.send(frontend.extendedQuery('SELECT pg_sleep(61)'));
        await waitUntilRunning(postgres, pid, 'pg_sleep(61)');
        await client.cancel();
        const outcome = await client.readOutcome();
        expect(outcome).toMatchObject({ errors: [{ message: CANCELED }], status: 'E' });
        await client.query('ROLLBACK');
        expect(await backendPid(client)).toBe(pid);
      });
    },
  );

  it('is cancelled over the unix socket, while max_client_conn is used up', async () => {
    await withPooler(postgres, { settings: { max_client_conn: 2 } }, async (scene) => {
      const client = await scene.login();
      const pid = await backendPid(client);
      const viaSocket = await RawClient.login(scene.pooler.socketTarget, {
        user: postgres.user,
        database: 'app',
      });
      expect(await refusalOf(scene.login())).toContain('53300');
      client.send(frontend.query('SELECT pg_sleep(62)'));
      await waitUntilRunning(postgres, pid, 'pg_sleep(62)');
      await client.cancel();
      expect((await client.readOutcome()).errors[0]?.message).toBe(CANCELED);
      viaSocket.send(frontend.query('SELECT pg_sleep(63)'));
      await waitUntilRunning(postgres, pid, 'pg_sleep(63)');
      await viaSocket.cancel();
      expect((await viaSocket.readOutcome()).errors[0]?.message).toBe(CANCELED);
      await viaSocket.close();
    });
  });

  it('that nobody asked to cancel goes on while another one is cancelled', async () => {
    await withPooler(postgres, { settings: { default_pool_size: 2 } }, async (scene) => {
      const a = await scene.login();
      const b = await scene.login();
      await a.query('BEGIN');
      await b.query('BEGIN');
      const pids = [await backendPid(a), await backendPid(b)] as const;
      const held = await postgres.login();
      await held.query('SELECT pg_advisory_lock(4711)');
      a.send(frontend.query('SELECT pg_sleep(64)'));
      b.send(frontend.query('SELECT pg_advisory_xact_lock(4711), 1 AS mine'));
      await waitUntilRunning(postgres, pids[0], 'pg_sleep(64)');
      await waitUntilRunning(postgres, pids[1], 'mine');
      await a.cancel();
      expect((await a.readOutcome()).errors[0]?.message).toBe(CANCELED);
      expect(b.bufferedBytes).toBe(0);
      await held.close();
      expect((await b.readOutcome()).errors).toEqual([]);
      await a.query('ROLLBACK');
      await b.query('ROLLBACK');
    });
  });
});

describe('a client in the queue', () => {
  it('is answered as cancelled, keeps its connection, and works later', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const holder = await scene.login();
      const client = await scene.login();
      await holder.query('BEGIN');
      client.send(frontend.query('SELECT 1'), frontend.query('SELECT 2'));
      await scene.waitForPool({ cl_waiting: 1 });
      await client.cancel();
      const outcome = await client.readOutcome();
      expect(outcome).toMatchObject({ types: 'EZ', status: 'I', errors: [{ message: CANCELED }] });
      // The second query was not meant: it waits on.
      await scene.waitForPool({ cl_waiting: 1 });
      expect((await holder.simpleQuery('SELECT 3')).errors).toEqual([]);
      await holder.query('COMMIT');
      expect((await client.readOutcome()).results[0]?.rows).toEqual([['2']]);
    });
  });

  it('is answered in the extended protocol up to Sync, and not beyond', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const holder = await scene.login();
      const client = await scene.login();
      await holder.query('BEGIN');
      client.send(frontend.extendedQuery('SELECT 1'), frontend.extendedQuery('SELECT 2'));
      await scene.waitForPool({ cl_waiting: 1 });
      await client.cancel();
      const outcome = await client.readOutcome();
      expect(outcome).toMatchObject({ types: 'EZ', status: 'I', errors: [{ message: CANCELED }] });
      await scene.waitForPool({ cl_waiting: 1 });
      await holder.query('COMMIT');
      expect(await client.readOutcome()).toMatchObject({ types: '12TDCZ' });
    });
  });

  it('is answered before its Sync has come, and everything up to it is ignored', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const holder = await scene.login();
      const client = await scene.login();
      await holder.query('BEGIN');
      client.send(frontend.parse('SELECT 1'), frontend.flush());
      await scene.waitForPool({ cl_waiting: 1 });
      await client.cancel();
      expect((await client.readError()).message).toBe(CANCELED);
      client.send(frontend.bind(), frontend.execute(), frontend.query('SELECT 5'), frontend.sync());
      expect((await client.readOutcome()).types).toBe('Z');
      await scene.waitForPool({ cl_waiting: 0 });
      await holder.query('COMMIT');
      expect((await client.simpleQuery('SELECT 6')).results[0]?.rows).toEqual([['6']]);
    });
  });

  it('alone leaves the queue; those before and behind it keep their places', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const holder = await scene.login();
      const first = await scene.login();
      const second = await scene.login();
      const third = await scene.login();
      await holder.query('BEGIN');
      for (const [index, client] of [first, second, third].entries()) {
        client.send(frontend.query(`SELECT ${String(index)}`));
        await scene.waitForPool({ cl_waiting: index + 1 });
      }
      await second.cancel();
      expect((await second.readOutcome()).types).toBe('EZ');
      await holder.query('COMMIT');
      expect((await first.readOutcome()).results[0]?.rows).toEqual([['0']]);
      expect((await third.readOutcome()).results[0]?.rows).toEqual([['2']]);
    });
  });
});

describe('a cancel request without effect', () => {
  const wrongKeys: [string, (key: BackendKey) => BackendKey][] = [
    ['secret', ({ processId, secretKey }) => ({ processId, secretKey: flipped(secretKey) })],
    ['process id', ({ processId, secretKey }) => ({ processId: processId ^ 1, secretKey })],
    [
      'length',
      ({ processId, secretKey }) => ({
        processId,
        secretKey: Buffer.concat([secretKey, secretKey]),
      }),
    ],
    [
      'shorter secret',
      ({ processId, secretKey }) => ({ processId, secretKey: secretKey.subarray(1) }),
    ],
  ];

  it.each(wrongKeys)('is one with a wrong %s', async (_what, change) => {
    const server = await FakeServer.start({ onMessage: () => {} });
    await withPooler(server, {}, async (scene) => {
      const client = await scene.login();
      client.send(frontend.query('SELECT 1'));
      const [connection] = await server.waitForConnections(1);
      await connection?.waitForMessage('Q');
      await client.cancel(change(keyOf(client)));
      expect(server.cancels).toEqual([]);
      connection?.answerQuery('SELECT 1');
      expect((await client.readOutcome()).errors).toEqual([]);
    });
    await server.stop();
  });

  it('is one for a client that is gone', async () => {
    const server = await FakeServer.start();
    await withPooler(server, {}, async (scene) => {
      const gone = await scene.login();
      const key = gone.backendKey;
      await gone.close();
      const other = await scene.login();
      await other.query('BEGIN');
      await other.cancel(key);
      expect(server.cancels).toEqual([]);
      await other.query('COMMIT');
    });
    await server.stop();
  });

  it('is one for an idle client, in a transaction or not', async () => {
    const server = await FakeServer.start();
    await withPooler(server, {}, async (scene) => {
      const client = await scene.login();
      await client.cancel();
      await client.query('SELECT 1');
      await client.cancel();
      await client.query('BEGIN');
      await client.cancel();
      expect((await client.simpleQuery('COMMIT')).errors).toEqual([]);
      expect(server.cancels).toEqual([]);
    });
    await server.stop();
  });

  it('is one while only tracked parameters are being set', async () => {
    const server = await FakeServer.start({ onMessage: () => {} });
    await withPooler(server, {}, async (scene) => {
      const client = await scene.login({ parameters: { TimeZone: 'EET' } });
      client.send(frontend.query('SELECT 1'));
      const [connection] = await server.waitForConnections(1);
      await connection?.waitForMessage('Q');
      await client.cancel();
      expect(server.cancels).toEqual([]);
      connection?.answerQuery('SET');
      await connection?.waitForMessage('Q', 2);
      connection?.answerQuery('SELECT 1');
      expect((await client.readOutcome()).errors).toEqual([]);
    });
    await server.stop();
  });
});

function flipped(secret: Buffer): Buffer {
  return Buffer.from(secret.map((byte) => byte ^ 0xff));
}

describe('a cancel request that hangs', () => {
  /** A server that answers nothing by itself and keeps cancel requests open. */
  async function withHangingCancels(
    body: (scene: Scene, server: FakeServer, held: FakeConnection[]) => Promise<void>,
  ): Promise<void> {
    const held: FakeConnection[] = [];
    const server = await FakeServer.start({
      onMessage: () => {},
      onCancel: (connection) => {
        held.push(connection);
      },
    });
    await withPooler(server, {}, (scene) => body(scene, server, held));
    await server.stop();
  }

  it('keeps the server connection from others until it is done', async () => {
    await withHangingCancels(async (scene, server, held) => {
      const client = await scene.login();
      const next = await scene.login();
      client.send(frontend.query('SELECT 1'));
      const [connection] = await server.waitForConnections(1);
      await connection?.waitForMessage('Q');
      const cancel = client.cancel();
      await waitFor('the cancel request', () => held.length === 1);
      expect(server.cancels).toEqual([connection?.key]);
      connection?.answerQuery('SELECT 1');
      expect((await client.readOutcome()).errors).toEqual([]);
      next.send(frontend.query('SELECT 2'));
      await scene.waitForPool({ cl_waiting: 1, sv_active: 0 });
      expect(await serverStates(scene)).toEqual(['active_cancel', 'being_canceled']);
      expect(connection?.queries).toEqual(['SELECT 1']);
      held[0]?.destroy();
      await cancel;
      await connection?.waitForMessage('Q', 2);
      expect(connection?.queries).toEqual(['SELECT 1', 'SELECT 2']);
      connection?.answerQuery('SELECT 2');
      expect((await next.readOutcome()).errors).toEqual([]);
    });
  });

  /** Sends several cancel requests for one client, and waits until all have been heard. */
  async function cancelOften(scene: Scene, client: RawClient): Promise<RawClient[]> {
    const { processId, secretKey } = keyOf(client);
    const requesters: RawClient[] = [];
    for (let count = 0; count < 5; count++) {
      const requester = await scene.connect();
      requesters.push(requester);
      await requester.sendAll(frontend.cancelRequest(processId, secretKey));
    }
    // Whoever came before the console has been heard when the console answers.
    await scene.pooler.console('SHOW VERSION');
    return requesters;
  }

  it('is sent once, however often the client asks, when the query ends by it', async () => {
    await withHangingCancels(async (scene, server, held) => {
      const client = await scene.login();
      client.send(frontend.query('SELECT 1'));
      const [connection] = await server.waitForConnections(1);
      await connection?.waitForMessage('Q');
      const requesters = await cancelOften(scene, client);
      connection?.failQuery({ S: 'ERROR', C: '57014', M: 'canceling statement' });
      expect((await client.readOutcome()).errors[0]?.sqlState).toBe('57014');
      held[0]?.destroy();
      for (const requester of requesters) {
        await requester.readToEnd();
      }
      expect(server.cancels).toEqual([connection?.key]);
    });
  });

  it('is sent once more for all that came meanwhile, when the query still runs', async () => {
    await withHangingCancels(async (scene, server, held) => {
      const client = await scene.login();
      client.send(frontend.query('SELECT 1'));
      const [connection] = await server.waitForConnections(1);
      await connection?.waitForMessage('Q');
      const requesters = await cancelOften(scene, client);
      expect(held.length).toBe(1);
      held[0]?.destroy();
      await waitFor('the second cancel request', () => held.length === 2);
      held[1]?.destroy();
      for (const requester of requesters) {
        await requester.readToEnd();
      }
      expect(server.cancels.length).toBe(2);
      connection?.answerQuery('SELECT 1');
      expect((await client.readOutcome()).errors).toEqual([]);
    });
  });

  it('is sent after its client to another server connection, behind the one under way there', async () => {
    const held: FakeConnection[] = [];
    const server = await FakeServer.start({
      onMessage: () => {},
      onCancel: (connection) => {
        held.push(connection);
      },
    });
    await withPooler(server, { settings: { default_pool_size: 2 } }, async (scene) => {
      const client = await scene.login();
      client.send(frontend.query('SELECT 1'));
      const [first] = await server.waitForConnections(1);
      await first?.waitForMessage('Q');
      const requesters = await cancelOften(scene, client);
      first?.answerQuery('SELECT 1');
      expect((await client.readOutcome()).errors).toEqual([]);
      client.send(frontend.query('SELECT 2'));
      const [, second] = await server.waitForConnections(2);
      await second?.waitForMessage('Q');
      requesters.push(...(await cancelOften(scene, client)));
      await waitFor('a request for each server connection', () => held.length === 2);
      held[0]?.destroy();
      await scene.waitForPool({ sv_being_canceled: 0 });
      held[1]?.destroy();
      await waitFor('one more for all that wait', () => held.length === 3);
      held[2]?.destroy();
      for (const requester of requesters) {
        await requester.readToEnd();
      }
      expect(server.cancels).toEqual([first?.key, second?.key, second?.key]);
      second?.answerQuery('SELECT 2');
      expect((await client.readOutcome()).errors).toEqual([]);
    });
    await server.stop();
  });

  it('is given up after server_connect_timeout, and its server connection with it', async () => {
    const held: FakeConnection[] = [];
    const server = await FakeServer.start({
      onMessage: () => {},
      onCancel: (connection) => {
        held.push(connection);
      },
    });
    await withPooler(server, { settings: { server_connect_timeout: '1s' } }, async (scene) => {
      const client = await scene.login();
      const next = await scene.login();
      client.send(frontend.query('SELECT 1'));
      const [first] = await server.waitForConnections(1);
      await first?.waitForMessage('Q');
      const cancel = client.cancel();
      await waitFor('the cancel request', () => held.length === 1);
      first?.answerQuery('SELECT 1');
      expect((await client.readOutcome()).errors).toEqual([]);
      next.send(frontend.query('SELECT 2'));
      const [, second] = await server.waitForConnections(2);
      await second?.waitForMessage('Q');
      await cancel;
      await waitFor('the end of the first server connection', () => first?.hasEnded === true);
      expect(first?.queries).toEqual(['SELECT 1']);
      second?.answerQuery('SELECT 2');
      expect((await next.readOutcome()).errors).toEqual([]);
    });
    await server.stop();
  });

  it('or fails leaves the query and the server connection alone', async () => {
    const server = await FakeServer.start({ onMessage: () => {} });
    await withPooler(server, {}, async (scene) => {
      const client = await scene.login();
      client.send(frontend.query('SELECT 1'));
      const [connection] = await server.waitForConnections(1);
      await connection?.waitForMessage('Q');
      server.refuse();
      await client.cancel();
      await scene.pooler.waitForEvent('cancel_failed');
      connection?.answerQuery('SELECT 1');
      expect((await client.readOutcome()).errors).toEqual([]);
      client.send(frontend.query('SELECT 2'));
      await connection?.waitForMessage('Q', 2);
      connection?.answerQuery('SELECT 2');
      expect((await client.readOutcome()).errors).toEqual([]);
    });
    await server.stop();
  });
});

describe('many clients that cancel at random', () => {
  const CLIENTS = 24;
  const ROUNDS = 25;

  /** A small generator, so that a failure can be repeated from its seed. */
  function randomFrom(seed: number): () => number {
    let state = seed;
    return () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 2 ** 32;
    };
  }

  interface Tally {
    canceled: number;
    finished: number;
  }

  async function playRound(
    client: RawClient,
    mark: string,
    random: () => number,
    tally: Tally,
  ): Promise<void> {
    const isCancelling = random() < 0.4;
    const seconds = (random() * 0.02).toFixed(4);
    const sql = `SELECT '${mark}' AS mark, pg_sleep(${seconds})`;
    const isExtended = random() < 0.5;
    client.send(isExtended ? frontend.extendedQuery(sql) : frontend.query(sql));
    const turns = Math.floor(random() * 8);
    for (let turn = 0; isCancelling && turn < turns; turn++) {
      await new Promise(setImmediate);
    }
    const [outcome] = await Promise.all([
      client.readOutcome(),
      isCancelling ? client.cancel() : undefined,
    ]);
    const [error] = outcome.errors;
    if (error === undefined) {
      expect(outcome.results[0]?.rows[0]?.[0]).toBe(mark);
      tally.finished++;
    } else {
      expect([error.sqlState, isCancelling, mark]).toEqual(['57014', true, mark]);
      tally.canceled++;
    }
  }

  it('are only cancelled when they asked for it', async () => {
    const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 1_000_000);
    const tally = { canceled: 0, finished: 0 };
    await withPooler(postgres, { settings: { default_pool_size: 4 } }, async (scene) => {
      const clients = await scene.logins(CLIENTS);
      const play = async (client: RawClient, index: number): Promise<void> => {
        const random = randomFrom(seed + index);
        for (let round = 0; round < ROUNDS; round++) {
          await playRound(client, `${String(index)}-${String(round)}`, random, tally);
        }
      };
      await Promise.all(clients.map(play)).catch((cause: unknown) => {
        throw new Error(`failed; repeat with TEST_SEED=${String(seed)}`, { cause });
      });
      expect(tally.canceled + tally.finished).toBe(CLIENTS * ROUNDS);
      expect(tally.canceled).toBeGreaterThan(10);
      expect(tally.finished).toBeGreaterThan(CLIENTS * ROUNDS * 0.5);
    });
  });
});
