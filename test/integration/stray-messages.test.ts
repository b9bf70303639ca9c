import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeServer } from '../support/fake-server.ts';
import * as frontend from '../support/frontend-messages.ts';
import {
  message,
  messageOfLength,
  messageWithLength,
  SHORT_MESSAGES,
} from '../support/frontend-messages.ts';
import type { RawClient } from '../support/raw-client.ts';
import { lastWords } from '../support/refusal.ts';
import { backendPid, KeptPoolers, withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

/*
 * PostgreSQL closes the connection over a message beyond the longest length of its kind, without a
 * word to its client: 10,000 bytes where nothing long is to be said. What a client sends behind its
 * last query must not do that to whom the server connection has gone to.
 */

const postgres = sharedPostgres();
const poolers = new KeptPoolers(postgres);

beforeAll(() => postgres.query('DROP TABLE IF EXISTS stray_rows; CREATE TABLE stray_rows (a int)'));

afterAll(async () => {
  await poolers.stop();
  await postgres.query('DROP TABLE stray_rows');
});

const COMMITS: readonly (readonly [string, Buffer])[] = [
  ['a simple query', frontend.query('COMMIT')],
  ['an extended query', frontend.extendedQuery('COMMIT')],
];

/** Lets `client` end its transaction while another one waits for the server connection. */
async function handOver(
  scene: Scene,
  send: (client: RawClient) => Promise<void>,
): Promise<{ readonly client: RawClient; readonly next: RawClient; readonly isSame: boolean }> {
  const [client, next] = await scene.logins(2);
  await client.query('BEGIN');
  const pid = await backendPid(client);
  const answer = backendPid(next);
  await scene.waitForPool({ cl_waiting: 1 });
  await send(client);
  const isSame = (await answer) === pid;
  expect((await next.simpleQuery('SELECT 1')).types).toBe('TDCZ');
  return { client, next, isSame };
}

for (const [what, commit] of COMMITS) {
  describe(`behind ${what} that ends the transaction`, () => {
    it.each([
      ['CopyDone', 'c', 10_001],
      ['CopyFail', 'f', 10_001],
      ['CopyDone', 'c', 200_000],
      ['CopyFail', 'f', 200_000],
    ])('a %s (%s) of %d bytes ends nobody else', async (_name, type, length) => {
      await poolers.with({}, async (scene) => {
        const { client, isSame } = await handOver(scene, (sender) =>
          sender.sendAll(commit, messageOfLength(type, length)),
        );
        expect(isSame).toBe(false);
        // The sender may lose the rest of its own replies with the server connection.
        client.destroy();
      });
    });

    it.each([
      ['CopyDone', 'c', 10_000],
      ['CopyFail', 'f', 10_000],
      ['CopyData', 'd', 10_001],
      ['CopyData', 'd', 3_000_000],
    ])('a %s (%s) of %d bytes is ignored', async (_name, type, length) => {
      await poolers.with({}, async (scene) => {
        const { client, isSame } = await handOver(scene, (sender) =>
          sender.sendAll(commit, messageOfLength(type, length)),
        );
        expect(isSame).toBe(true);
        await client.readUntil('Z');
        expect((await client.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      });
    });

    it.each(SHORT_MESSAGES)(
      'a %s (%s) of 20,000 bytes ends its sender alone',
      async (_name, type) => {
        await poolers.with({}, async (scene) => {
          const { client } = await handOver(scene, (sender) =>
            sender.sendAll(commit, messageOfLength(type, 20_000)),
          );
          expect(await lastWords(client)).toMatch(/^FATAL 08006: /);
        });
      },
    );

    it.each([
      ['Terminate of 20,000 bytes', messageOfLength('X', 20_000)],
      ['Sync of 3 bytes', messageWithLength('S', 3)],
      ['CopyDone of 2^31 bytes', messageWithLength('c', 0x8000_0000)],
      ['CopyFail of 2^31 - 1 bytes', messageWithLength('f', 0x7fff_ffff)],
      ['CopyData of 0 bytes', messageWithLength('d', 0)],
    ])('a %s ends its sender alone', async (_name, bytes) => {
      await poolers.with({}, async (scene) => {
        const { client, isSame } = await handOver(scene, (sender) => sender.sendAll(commit, bytes));
        expect(isSame).toBe(true);
        expect(await lastWords(client)).toMatch(/^FATAL (08P01|54000): /);
      });
    });

    it.each([
      ['CopyDone', 'c'],
      ['CopyFail', 'f'],
      ['CopyData', 'd'],
      ['Query', 'Q'],
    ])('the header of a %s (%s) of 2^31 - 2 bytes ends its sender alone', async (_name, type) => {
      await poolers.with({}, async (scene) => {
        const { client } = await handOver(scene, (sender) =>
          sender.sendAll(commit, messageWithLength(type, 0x7fff_fffe)),
        );
        expect(await lastWords(client)).toMatch(/^FATAL 08006: /);
      });
    });
  });
}

describe('in front of a server of which every byte is seen', () => {
  it.each([
    ['CopyDone', 'c', 2],
    ['CopyFail', 'f', 2],
    ['CopyData', 'd', 1],
  ])('a %s (%s) of 20,000 bytes: %d server connections', async (_name, type, count) => {
    const server = await FakeServer.start();
    await withPooler(server, {}, async (scene) => {
      const [client, next] = await scene.logins(2);
      await client.query('BEGIN');
      next.send(frontend.query('SELECT 2'));
      await scene.waitForPool({ cl_waiting: 1 });
      client.send(frontend.query('COMMIT'), messageOfLength(type, 20_000));
      expect((await next.readOutcome()).types).toBe('TDCZ');
      const connections = await server.waitForConnections(count);
      expect(connections.at(-1)?.queries).toContain('SELECT 2');
      const [first] = connections;
      await first?.waitForMessage(type);
      expect(first?.queries.includes('SELECT 2')).toBe(count === 1);
    });
    await server.stop();
  });

  it('the begin of a header behind a query keeps no server connection, and is not lost', async () => {
    const server = await FakeServer.start();
    await withPooler(server, {}, async (scene) => {
      const [client, next] = await scene.logins(2);
      const request = frontend.query('SELECT 1');
      for (let at = 1; at < 5; at++) {
        client.send(frontend.query('SELECT 0'), request.subarray(0, at));
        expect((await client.readOutcome()).types).toBe('TDCZ');
        expect((await next.simpleQuery('SELECT 2')).types).toBe('TDCZ');
        client.send(request.subarray(at));
        expect((await client.readOutcome()).types).toBe('TDCZ');
      }
      const connection = await server.waitForConnections(1);
      expect(connection[0]?.receivedTypes).toBe('Q'.repeat(12));
    });
    await server.stop();
  });
});

describe('in a COPY that fails by itself', () => {
  const copy = 'COPY stray_rows FROM STDIN';
  const wrongRow = frontend.copyData('none\n');

  it.each([
    ['a Flush with a body', message('H', Buffer.from('body'))],
    ['a Flush of 20,000 bytes', messageOfLength('H', 20_000)],
    ['a Sync of 20,000 bytes', messageOfLength('S', 20_000)],
    ['a CopyDone of 20,000 bytes', messageOfLength('c', 20_000)],
    ['a CopyFail of 20,000 bytes', messageOfLength('f', 20_000)],
  ])('%s behind the row ends nobody else', async (_name, bytes) => {
    await withPooler(postgres, {}, async (scene) => {
      const [client, next] = await scene.logins(2);
      client.send(frontend.query(copy));
      await client.readUntil('G');
      next.send(frontend.query('SELECT 1'));
      await scene.waitForPool({ cl_waiting: 1 });
      await client.sendAll(wrongRow, bytes);
      expect((await next.readOutcome()).types).toBe('TDCZ');
      client.destroy();
    });
  });
});
