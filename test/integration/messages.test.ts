import { describe, expect, it } from 'vitest';
import * as backend from '../support/backend-messages.ts';
import type { FakeConnection } from '../support/fake-connection.ts';
import { FakeServer } from '../support/fake-server.ts';
import * as frontend from '../support/frontend-messages.ts';
import type { RawClient } from '../support/raw-client.ts';
import { backendPid, withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

const postgres = sharedPostgres();

/** Starts a query and waits until its client stands in the queue. */
async function queue(scene: Scene, client: RawClient, sql: string): Promise<void> {
  const before = Number((await scene.pool())['cl_waiting']);
  client.send(frontend.query(sql));
  await scene.waitForPool({ cl_waiting: before + 1 });
}

describe('a simple query of several statements', () => {
  it.each([
    ['SELECT 1; SELECT 2, 3; SELECT', 'TDCTDCTDCZ', 'I'],
    ['', 'IZ', 'I'],
    ['SELECT 1; SELECT 1 / 0; SELECT 2', 'TDCEZ', 'I'],
    ['SELECT 1; syntax error', 'EZ', 'I'],
    ['BEGIN; SELECT 1; COMMIT; BEGIN', 'CTDCCCZ', 'T'],
    ['BEGIN; SELECT 1 / 0; COMMIT', 'CEZ', 'E'],
  ])('%j is answered with %s and status %s', async (sql, types, status) => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      const outcome = await client.simpleQuery(sql);
      expect([outcome.types.replace('TEZ', 'EZ'), outcome.status]).toEqual([types, status]);
      expect((await scene.pool())['sv_active']).toBe(status === 'I' ? '0' : '1');
      await client.simpleQuery('ROLLBACK');
    });
  });
});

describe('the extended protocol', () => {
  it('runs unnamed statements of many clients on one server connection', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const clients = await scene.logins(5);
      const sql = 'SELECT $1::int * 2 AS twice';
      const outcomes = await Promise.all(
        clients.map((client, index) => client.extendedQuery(sql, [String(index)])),
      );
      expect(outcomes.map(({ types }) => types)).toEqual(clients.map(() => '12TDCZ'));
      expect(outcomes.map(({ results }) => results[0]?.rows[0]?.[0])).toEqual(
        clients.map((_client, index) => String(index * 2)),
      );
    });
  });

  it('suspends and resumes a portal inside a transaction', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      await client.query('BEGIN');
      client.send(
        frontend.parse('SELECT * FROM generate_series(1, 5)'),
        frontend.bind({ portal: 'p' }),
        frontend.execute('p', 2),
        frontend.sync(),
        frontend.execute('p', 2),
        frontend.close('P', 'p'),
        frontend.sync(),
      );
      expect((await client.readOutcome()).types).toBe('12DDsZ');
      expect((await client.readOutcome()).types).toBe('DDs3Z');
      await client.query('COMMIT');
    });
  });

  it('keeps the server connection after Flush, up to Sync', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const [a, b] = await scene.logins(2);
      a.send(
        frontend.parse('SELECT 42'),
        frontend.bind(),
        frontend.describe('P'),
        frontend.execute(),
        frontend.flush(),
      );
      const messages = await a.readUntil('C');
      expect(messages.map(({ type }) => type).join('')).toBe('12TDC');
      await queue(scene, b, 'SELECT 1');
      a.send(frontend.bind(), frontend.execute(), frontend.flush());
      expect((await a.readUntil('C')).map(({ type }) => type).join('')).toBe('2DC');
      expect(b.bufferedBytes).toBe(0);
      a.send(frontend.sync());
      expect((await a.readOutcome()).types).toBe('Z');
      expect((await b.readOutcome()).errors).toEqual([]);
    });
  });

  it('keeps it when an error comes ahead of Sync', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const [a, b] = await scene.logins(2);
      a.send(frontend.parse('nonsense'), frontend.flush());
      expect((await a.readError()).sqlState).toBe('42601');
      await queue(scene, b, 'SELECT 1');
      a.send(frontend.bind(), frontend.query('SELECT 1'), frontend.execute());
      expect(b.bufferedBytes).toBe(0);
      a.send(frontend.sync());
      expect((await a.readOutcome()).types).toBe('Z');
      expect((await b.readOutcome()).errors).toEqual([]);
    });
  });

  it('answers a lone Sync and a lone Flush as PostgreSQL does', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      client.send(frontend.flush(), frontend.sync(), frontend.sync());
      expect((await client.readOutcome()).types).toBe('Z');
      expect((await client.readOutcome()).types).toBe('Z');
      await scene.waitForPool({ sv_active: 0 });
    });
  });
});

describe('FunctionCall', () => {
  const INT4_PLUS = 177;
  const INT4_DIVIDE = 154;

  it('is answered, and gives the server connection back', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      client.send(frontend.functionCall(INT4_PLUS, ['40', '2']));
      const [response, ready] = await client.readUntil('Z');
      expect(response?.type).toBe('V');
      expect(response?.body.toString('latin1', 4)).toBe('42');
      expect(ready?.body.toString()).toBe('I');
      await scene.waitForPool({ sv_active: 0 });
    });
  });

  it('that fails skips nothing of what follows', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      client.send(frontend.functionCall(INT4_DIVIDE, ['1', '0']), frontend.query('SELECT 1'));
      const failed = await client.readOutcome();
      expect(failed.errors[0]?.sqlState).toBe('22012');
      expect((await client.readOutcome()).types).toBe('TDCZ');
    });
  });
});

describe('a pipeline', () => {
  const DEPTH = 10_000;

  it('of 10,000 simple queries is answered in order while others are served', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const [holder, a, b] = await scene.logins(3);
      await holder.query('DROP SEQUENCE IF EXISTS pipeline_progress');
      await holder.query('CREATE SEQUENCE pipeline_progress');
      await holder.query('BEGIN');
      const padding = `/* ${'x'.repeat(100)} */`;
      const queries = Array.from({ length: DEPTH }, () =>
        frontend.query(`SELECT nextval('pipeline_progress') ${padding}`),
      );
      a.send(...queries);
      await scene.waitForPool({ cl_waiting: 1 });
      await queue(scene, b, 'SELECT last_value FROM pipeline_progress');
      const readAll = async (): Promise<void> => {
        for (let index = 1; index <= DEPTH; index++) {
          const { results } = await a.readOutcome();
          expect(results[0]?.rows[0]?.[0]).toBe(String(index));
        }
      };
      await holder.query('COMMIT');
      const [inBetween] = await Promise.all([b.readOutcome(), readAll()]);
      expect(Number(inBetween.results[0]?.rows[0]?.[0])).toBeLessThan(DEPTH);
      await holder.query('DROP SEQUENCE pipeline_progress');
    });
  });

  it('of 10,000 extended queries with errors inside is answered like by PostgreSQL', async () => {
    const message = Array.from({ length: DEPTH }, (_, index) =>
      frontend.extendedQuery('SELECT 100 / $1::int', [String(index % 100)]),
    );
    await withPooler(postgres, {}, async (scene) => {
      const [client, other] = await scene.logins(2);
      client.send(...message);
      const readAll = async (): Promise<void> => {
        for (let index = 0; index < DEPTH; index++) {
          // Division by zero is found while the plan is made.
          const { types } = await client.readOutcome();
          expect(types).toBe(index % 100 === 0 ? '1EZ' : '12TDCZ');
        }
      };
      const [, rows] = await Promise.all([readAll(), other.query('SELECT 1')]);
      expect(rows).toHaveLength(1);
    });
  });

  it('with one Sync at its end is one transaction, however long', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      const one = Buffer.concat([frontend.bind(), frontend.execute()]);
      client.send(
        frontend.parse('SELECT txid_current()'),
        ...Array.from({ length: 1_000 }, () => one),
        frontend.sync(),
      );
      const messages = await client.readUntil('Z');
      const rows = messages.filter(({ type }) => type === 'D').map(({ body }) => body.toString());
      expect([rows.length, new Set(rows).size]).toEqual([1_000, 1]);
    });
  });

  it('of 100,000 requests ahead of one Sync comes to its end', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      const block = Buffer.concat(
        Array.from({ length: 1_000 }, () => [frontend.bind(), frontend.execute()]).flat(),
      );
      const sendAll = async (): Promise<void> => {
        await client.sendAll(frontend.parse('SELECT 1'));
        for (let sent = 0; sent < 50; sent++) {
          await client.sendAll(block);
        }
        await client.sendAll(frontend.sync());
      };
      const [messages] = await Promise.all([client.readUntil('Z'), sendAll()]);
      expect(messages.filter(({ type }) => type === 'D')).toHaveLength(50_000);
      await scene.waitForPool({ sv_active: 0 });
    });
  });

  it('whose end is unsynced is answered up to there, and read on, while others wait', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const [holder, a, b] = await scene.logins(3);
      await holder.query('BEGIN');
      const batches = Array.from({ length: 200 }, () => frontend.extendedQuery('SELECT 1'));
      const unsynced = [frontend.parse('SELECT 2'), frontend.bind(), frontend.execute()];
      const rest = frontend.parse('SELECT 3');
      a.send(...batches, ...unsynced, rest.subarray(0, 3));
      await scene.waitForPool({ cl_waiting: 1 });
      await queue(scene, b, 'SELECT 1');
      await holder.query('COMMIT');
      const { length } = batches;
      for (let index = 0; index < length; index++) {
        expect((await a.readOutcome()).types).toBe('12TDCZ');
      }
      a.send(rest.subarray(3), frontend.bind(), frontend.execute(), frontend.sync());
      expect((await a.readOutcome()).types).toBe('12DC12DCZ');
      expect((await b.readOutcome()).types).toBe('TDCZ');
    });
  });

  it('is skipped up to Sync after an error, and goes on behind it', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      client.send(
        frontend.parse('SELECT 1'),
        frontend.bind(),
        frontend.parse('nonsense'),
        frontend.bind(),
        frontend.execute(),
        frontend.query('SELECT 2'),
        frontend.sync(),
        frontend.extendedQuery('SELECT 3'),
        frontend.query('SELECT 4'),
      );
      const outcomes = [
        await client.readOutcome(),
        await client.readOutcome(),
        await client.readOutcome(),
      ];
      expect(outcomes.map(({ types }) => types)).toEqual(['12EZ', '12TDCZ', 'TDCZ']);
      await scene.waitForPool({ sv_active: 0 });
    });
  });
});

describe('messages that nobody asked for', () => {
  it('NOTIFY reaches an idle client of session mode', async () => {
    const settings = { pool_mode: 'session', default_pool_size: 2 };
    await withPooler(postgres, { settings }, async (scene) => {
      const [listener, sender] = await scene.logins(2);
      await listener.query('LISTEN pooling_news');
      await sender.query("NOTIFY pooling_news, 'hello'");
      const received = await listener.readMessage();
      expect(received.type).toBe('A');
      expect(received.body.toString('latin1', 4)).toBe('pooling_news\0hello\0');
      expect((await listener.simpleQuery('SELECT 1')).types).toBe('TDCZ');
    });
  });

  it('a client that did not LISTEN hears nothing of one that did and left', async () => {
    await withPooler(postgres, { settings: { pool_mode: 'session' } }, async (scene) => {
      const listener = await scene.login();
      await listener.query('LISTEN pooling_news');
      const pid = await backendPid(listener);
      await listener.close();
      const next = await scene.login();
      expect(await backendPid(next)).toBe(pid);
      await postgres.query("NOTIFY pooling_news, 'hello'");
      expect((await next.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      expect(next.notifications).toEqual([]);
    });
  });

  it('notices come with their query', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      const { types } = await client.simpleQuery("DO $$ BEGIN RAISE NOTICE 'look'; END $$");
      expect(types).toBe('NCZ');
      expect(client.notices[0]?.['M']).toBe('look');
    });
  });

  const unasked = Buffer.concat([
    backend.noticeResponse({ S: 'NOTICE', C: '00000', M: 'by the way' }),
    backend.parameterStatus('TimeZone', 'Asia/Tokyo'),
    frontend.message('A', frontend.int32(7), frontend.cstring('news'), frontend.cstring('')),
  ]);

  /** Answers `SELECT` with unasked messages between all parts of the answer. */
  function interrupt(connection: FakeConnection): void {
    connection.send(
      unasked,
      backend.rowDescription(['answer']),
      unasked,
      backend.dataRow(['1']),
      unasked,
      backend.commandComplete('SELECT 1'),
      unasked,
      backend.readyForQuery('I'),
    );
  }

  it('pass between any two messages of an answer', async () => {
    const server = await FakeServer.start({ onMessage: interrupt });
    await withPooler(server, { settings: { pool_mode: 'session' } }, async (scene) => {
      const client = await scene.login();
      expect((await client.simpleQuery('SELECT 1')).types).toBe('NSATNSADNSACNSAZ');
      expect(client.parameters.get('TimeZone')).toBe('Asia/Tokyo');
      server.script = {};
      client.destroy();
    });
    await server.stop();
  });

  it('pass to an idle client of session mode, and to nobody in transaction mode', async () => {
    const server = await FakeServer.start();
    for (const poolMode of ['session', 'transaction']) {
      await withPooler(server, { settings: { pool_mode: poolMode } }, async (scene) => {
        const client = await scene.login();
        await client.query('SELECT 1');
        await scene.waitForPool(poolMode === 'session' ? { sv_active: 1 } : { sv_idle: 1 });
        server.connections.at(-1)?.send(unasked);
        if (poolMode === 'session') {
          expect((await client.readUntil('A')).map(({ type }) => type).join('')).toBe('NSA');
        }
        // Whatever was sent before the answer would come before it.
        expect((await client.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      });
    }
    await server.stop();
  });
});

describe('ParameterStatus', () => {
  it('of a SET reaches its client, and follows it from server to server', async () => {
    await withPooler(postgres, { settings: { default_pool_size: 2 } }, async (scene) => {
      const [a, b] = await scene.logins(2);
      expect((await a.simpleQuery("SET application_name = 'of a'")).types).toBe('CSZ');
      expect(a.parameters.get('application_name')).toBe('of a');
      expect(await b.query('SHOW application_name')).toEqual([{ application_name: '' }]);
      await b.query('BEGIN');
      // The other server connection is a new one.
      expect(await a.query('SHOW application_name')).toEqual([{ application_name: 'of a' }]);
      await b.query('COMMIT');
      expect(b.parameters.get('application_name')).toBe('');
    });
  });

  it('of a SET that is rolled back is taken back', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const [a, b] = await scene.logins(2);
      await a.query("BEGIN; SET application_name = 'never'");
      await a.query('ROLLBACK');
      expect(await b.query('SHOW application_name')).toEqual([{ application_name: '' }]);
      expect(await a.query('SHOW application_name')).toEqual([{ application_name: '' }]);
    });
  });
});
