import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeErrorFields } from '../support/backend-messages.ts';
import { FakeServer } from '../support/fake-server.ts';
import * as frontend from '../support/frontend-messages.ts';
import type { RawClient } from '../support/raw-client.ts';
import { backendPid, firstConnection, withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

const postgres = sharedPostgres();
const COPY_IN = 'COPY copy_rows FROM STDIN';
const COPY_OUT = 'COPY (SELECT * FROM copy_rows ORDER BY a) TO STDOUT';

beforeAll(async () => {
  await postgres.query('DROP TABLE IF EXISTS copy_rows; CREATE TABLE copy_rows (a int, b text)');
});

afterAll(() => postgres.query('DROP TABLE copy_rows'));

/** Runs `body` with an empty table. */
async function withTable(body: (scene: Scene) => Promise<void>): Promise<void> {
  await postgres.query('TRUNCATE copy_rows');
  await withPooler(postgres, {}, body);
}

/** Parse, Bind, Describe and Execute of a COPY, as libpq sends them. */
function extendedCopy(sql: string): Buffer {
  return Buffer.concat([
    frontend.parse(sql),
    frontend.bind(),
    frontend.describe('P'),
    frontend.execute(),
  ]);
}

/** Another client gets the server connection, and the pool is at rest. */
async function expectReleased(scene: Scene): Promise<void> {
  const other = await scene.login();
  expect(await other.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
  await scene.waitForPool({ sv_active: 0, cl_waiting: 0 });
}

async function typesUpTo(client: RawClient, last: string): Promise<string> {
  return (await client.readUntil(last)).map(({ type }) => type).join('');
}

describe('COPY in the simple protocol', () => {
  it('carries rows in and out', async () => {
    await withTable(async (scene) => {
      const client = await scene.login();
      expect(await client.copyIn(COPY_IN, ['1\to', 'ne\n2\ttwo\n'])).toBe('COPY 2');
      expect((await client.copyOut(COPY_OUT)).toString()).toBe('1\tone\n2\ttwo\n');
      await expectReleased(scene);
    });
  });

  it('keeps the server connection while data is to come', async () => {
    await withTable(async (scene) => {
      const [client, other] = await scene.logins(2);
      client.send(frontend.query(COPY_IN));
      expect(await typesUpTo(client, 'G')).toBe('G');
      other.send(frontend.query('SELECT 1'));
      await scene.waitForPool({ cl_waiting: 1, sv_active: 1 });
      client.send(frontend.copyData('1\tone\n'));
      expect(other.bufferedBytes).toBe(0);
      client.send(frontend.copyDone());
      expect((await client.readOutcome()).types).toBe('CZ');
      expect((await other.readOutcome()).types).toBe('TDCZ');
    });
  });

  it('takes data that comes ahead of CopyInResponse', async () => {
    await withTable(async (scene) => {
      const client = await scene.login();
      client.send(
        frontend.query(COPY_IN),
        frontend.copyData('1\tone\n'),
        frontend.copyDone(),
        frontend.query('SELECT count(*) FROM copy_rows'),
      );
      expect((await client.readOutcome()).types).toBe('GCZ');
      expect((await client.readOutcome()).results[0]?.rows).toEqual([['1']]);
      await expectReleased(scene);
    });
  });

  it('runs several of them in one query', async () => {
    await withTable(async (scene) => {
      const client = await scene.login();
      const done = frontend.copyDone();
      client.send(frontend.query(`${COPY_IN}; ${COPY_IN}; ${COPY_OUT}; SELECT 1`));
      expect(await typesUpTo(client, 'G')).toBe('G');
      client.send(frontend.copyData('1\tone\n'), done);
      expect(await typesUpTo(client, 'G')).toBe('CG');
      client.send(frontend.copyData('2\ttwo\n'), done);
      expect((await client.readOutcome()).types).toBe('CHddcCTDCZ');
      client.send(
        frontend.query(`${COPY_IN}; ${COPY_IN}`),
        frontend.copyData('3\tthree\n'),
        done,
        done,
        frontend.query('SELECT count(*) FROM copy_rows'),
      );
      expect((await client.readOutcome()).types).toBe('GCGCZ');
      expect((await client.readOutcome()).results[0]?.rows).toEqual([['3']]);
      await expectReleased(scene);
    });
  });

  it('ends in an error by CopyFail, and stores nothing', async () => {
    await withTable(async (scene) => {
      const client = await scene.login();
      client.send(frontend.query(COPY_IN), frontend.copyData('1\tone\n'));
      client.send(frontend.copyFail('no more'));
      const { errors, status } = await client.readOutcome();
      expect([errors[0]?.sqlState, status]).toEqual(['57014', 'I']);
      expect((await client.copyOut(COPY_OUT)).length).toBe(0);
      await expectReleased(scene);
    });
  });

  it('is refused like any query when the table is missing', async () => {
    await withTable(async (scene) => {
      const client = await scene.login();
      client.send(
        frontend.query('COPY missing FROM STDIN'),
        frontend.copyData('1\tone\n'),
        frontend.copyDone(),
        frontend.query('SELECT 1'),
      );
      expect((await client.readOutcome()).errors[0]?.sqlState).toBe('42P01');
      expect((await client.readOutcome()).types).toBe('TDCZ');
      await expectReleased(scene);
    });
  });
});

describe('an error of the server in the middle of COPY IN', () => {
  it('releases the server connection although data goes on', async () => {
    await withTable(async (scene) => {
      const client = await scene.login();
      client.send(frontend.query(COPY_IN), frontend.copyData('not a number\tx\n'));
      expect((await client.readUntil('E')).map(({ type }) => type)).toEqual(['G', 'E']);
      await client.readUntil('Z');
      await scene.waitForPool({ sv_active: 0 });
      await client.sendAll(...Array.from({ length: 1_000 }, () => frontend.copyData('2\ttwo\n')));
      await client.sendAll(frontend.copyDone());
      await expectReleased(scene);
      expect(await client.query('SELECT count(*) FROM copy_rows')).toEqual([{ count: '0' }]);
    });
  });

  it('releases it at the end of the message that was on its way', async () => {
    await withTable(async (scene) => {
      const client = await scene.login();
      // The first line is wrong, and the message goes on beyond what is sent for now.
      const first = Buffer.from(`wrong\tx\n`);
      const rest = Buffer.alloc(200_000, 'y');
      client.send(
        frontend.query(COPY_IN),
        frontend.copyData(first),
        frontend.messageWithLength('d', 4 + rest.length, rest.subarray(0, 100_000)),
      );
      await client.readUntil('Z');
      await client.sendAll(rest.subarray(100_000), frontend.copyDone());
      await expectReleased(scene);
      expect((await client.simpleQuery('SELECT 1')).types).toBe('TDCZ');
    });
  });

  it('leaves the next client with answers of its own', async () => {
    await withTable(async (scene) => {
      const client = await scene.login();
      const data = Array.from({ length: 5_000 }, () => frontend.copyData('wrong\tx\n'));
      client.send(frontend.query(COPY_IN), ...data, frontend.copyDone());
      const next = await scene.login();
      const answer = next.query("SELECT 'mine' AS whose");
      expect((await client.readOutcome()).errors[0]?.sqlState).toBe('22P02');
      expect(await answer).toEqual([{ whose: 'mine' }]);
      await expectReleased(scene);
    });
  });

  it('in a transaction keeps it, up to ROLLBACK', async () => {
    await withTable(async (scene) => {
      const client = await scene.login();
      await client.query('BEGIN');
      client.send(
        frontend.query(COPY_IN),
        frontend.copyData('wrong\tx\n'),
        frontend.copyData('wrong\tx\n'),
        frontend.copyDone(),
      );
      expect((await client.readOutcome()).status).toBe('E');
      await scene.waitForPool({ sv_active: 1 });
      expect((await client.simpleQuery('ROLLBACK')).status).toBe('I');
      await expectReleased(scene);
    });
  });
});

describe('COPY in the extended protocol', () => {
  it('works in the order of libpq: Sync ahead of the data, another one behind it', async () => {
    await withTable(async (scene) => {
      const client = await scene.login();
      client.send(extendedCopy(COPY_IN), frontend.sync());
      expect(await typesUpTo(client, 'G')).toBe('12nG');
      client.send(frontend.copyData('1\tone\n'), frontend.copyDone(), frontend.sync());
      const outcome = await client.readOutcome();
      expect([outcome.types, outcome.results[0]?.tag]).toEqual(['CZ', 'COPY 1']);
      await expectReleased(scene);
    });
  });

  it('works with the whole of it in one piece', async () => {
    await withTable(async (scene) => {
      const client = await scene.login();
      client.send(
        extendedCopy(COPY_IN),
        frontend.copyData('1\tone\n'),
        frontend.copyDone(),
        frontend.sync(),
        frontend.extendedQuery('SELECT count(*) FROM copy_rows'),
      );
      expect((await client.readOutcome()).types).toBe('12nGCZ');
      expect((await client.readOutcome()).results[0]?.rows).toEqual([['1']]);
      await expectReleased(scene);
    });
  });

  it('is not over before Sync', async () => {
    await withTable(async (scene) => {
      const [client, other] = await scene.logins(2);
      client.send(extendedCopy(COPY_IN), frontend.flush());
      await client.readUntil('G');
      client.send(frontend.copyData('1\tone\n'), frontend.copyDone(), frontend.flush());
      expect(await typesUpTo(client, 'C')).toBe('C');
      other.send(frontend.query('SELECT 1'));
      await scene.waitForPool({ cl_waiting: 1 });
      client.send(frontend.sync());
      expect((await client.readOutcome()).types).toBe('Z');
      expect((await other.readOutcome()).types).toBe('TDCZ');
    });
  });

  it('sends rows out in the middle of a pipeline', async () => {
    await withTable(async (scene) => {
      const client = await scene.login();
      await client.copyIn(COPY_IN, ['1\tone\n2\ttwo\n']);
      client.send(
        frontend.extendedQuery('SELECT 1'),
        extendedCopy(COPY_OUT),
        frontend.sync(),
        frontend.extendedQuery('SELECT 3'),
      );
      const outcomes: string[] = [];
      while (outcomes.length < 3) {
        outcomes.push((await client.readOutcome()).types);
      }
      expect(outcomes).toEqual(['12TDCZ', '12nHddcCZ', '12TDCZ']);
      await expectReleased(scene);
    });
  });

  it.each([
    ['CopyFail', frontend.copyFail('no more'), '57014'],
    ['wrong data', frontend.copyData('wrong\tx\n'), '22P02'],
  ])('ends in an error by %s, and skips to Sync', async (_what, message, sqlState) => {
    await withTable(async (scene) => {
      const client = await scene.login();
      client.send(extendedCopy(COPY_IN), frontend.flush());
      await client.readUntil('G');
      client.send(
        message,
        frontend.copyData('1\tone\n'),
        frontend.copyDone(),
        frontend.bind(),
        frontend.execute(),
        frontend.sync(),
      );
      const outcome = await client.readOutcome();
      expect([outcome.types, outcome.errors[0]?.sqlState]).toEqual(['EZ', sqlState]);
      await expectReleased(scene);
    });
  });

  it('with a Sync that the failed COPY may have swallowed harms nobody', async () => {
    await withTable(async (scene) => {
      const client = await scene.login();
      client.send(extendedCopy(COPY_IN), frontend.sync());
      await client.readUntil('G');
      client.send(frontend.copyData('wrong\tx\n'), frontend.copyDone(), frontend.sync());
      const outcome = await client.readOutcome();
      expect([outcome.types, outcome.errors[0]?.sqlState]).toEqual(['EZ', '22P02']);
      for (let round = 0; round < 20; round++) {
        const next = await scene.login();
        expect(await next.query(`SELECT ${String(round)} AS n`)).toEqual([{ n: String(round) }]);
        await next.close();
      }
      expect((await client.simpleQuery('SELECT 1')).types).toBe('TDCZ');
    });
  });
});

describe('a message that does not belong into COPY IN', () => {
  it('ends the COPY and the connection with the words of PostgreSQL', async () => {
    await withTable(async (scene) => {
      const direct = await postgres.login();
      const client = await scene.login();
      const ends: string[] = [];
      for (const one of [direct, client]) {
        one.send(frontend.query(COPY_IN));
        await one.readUntil('G');
        one.send(frontend.query('SELECT 1'));
        ends.push((await one.readToEnd()).toString('latin1'));
        one.destroy();
      }
      expect(ends[0]).toContain('08P01');
      expect(ends[1]).toBe(ends[0]);
      await expectReleased(scene);
    });
  });

  it('COPY data outside of any COPY is ignored, as PostgreSQL does', async () => {
    await withTable(async (scene) => {
      const client = await scene.login();
      const stray = [frontend.copyData('x'), frontend.copyDone(), frontend.copyFail('x')];
      client.send(...stray, frontend.query('SELECT 1'), ...stray, frontend.query('SELECT 2'));
      expect((await client.readOutcome()).types).toBe('TDCZ');
      expect((await client.readOutcome()).types).toBe('TDCZ');
      await client.sendAll(...stray);
      await expectReleased(scene);
    });
  });
});

describe('a client that vanishes during COPY', () => {
  it.each([
    ['IN', COPY_IN, 'G'],
    ['OUT', 'COPY (SELECT * FROM generate_series(1, 5000000)) TO STDOUT', 'H'],
  ])('%s leaves a clean server connection', async (_direction, sql, response) => {
    await withTable(async (scene) => {
      const client = await scene.login();
      const pid = await backendPid(client);
      client.send(frontend.query(sql));
      await client.readUntil(response);
      client.reset();
      const next = await scene.login();
      expect(await backendPid(next)).toBe(pid);
      expect(await next.query('SELECT count(*) FROM copy_rows')).toEqual([{ count: '0' }]);
    });
  });

  it('is answered for by CopyFail', async () => {
    const server = await FakeServer.start({
      onMessage: (connection, received) => {
        if (received.type === 'Q' && connection.queries.at(-1)?.startsWith('COPY') === true) {
          connection.send(frontend.message('G', Buffer.of(0, 0, 0)));
        } else if (received.type === 'f') {
          connection.failQuery({ S: 'ERROR', C: '57014', M: 'COPY failed' });
        } else if (received.type !== 'd') {
          connection.answer(received);
        }
      },
    });
    await withPooler(server, {}, async (scene) => {
      const client = await scene.login();
      client.send(frontend.query('COPY t FROM STDIN'));
      await client.readUntil('G');
      client.destroy();
      const connection = await firstConnection(server);
      const { body } = await connection.waitForMessage('f');
      expect(body.toString()).toContain('client disconnected');
      await scene.waitForPool({ sv_idle: 1 });
      expect(server.connections).toHaveLength(1);
    });
    await server.stop();
  });
});

describe('100 MB', () => {
  const TOTAL = 100 * 1024 * 1024;
  const LINE = `${'0123456789abcdef'.repeat(64)}\n`;
  const LINES = Math.ceil(TOTAL / LINE.length);

  /** Reads CopyData up to ReadyForQuery. @returns Bytes and their md5. */
  async function digest(client: RawClient): Promise<{ bytes: number; md5: string }> {
    const hash = createHash('md5');
    let bytes = 0;
    for (;;) {
      const { type, body } = await client.readMessage();
      if (type === 'd') {
        hash.update(body);
        bytes += body.length;
      } else if (type === 'E') {
        throw new Error(decodeErrorFields(body)['M']);
      } else if (type === 'Z') {
        return { bytes, md5: hash.digest('hex') };
      }
    }
  }

  it('go in and come out as they were', async () => {
    await postgres.query(
      'DROP TABLE IF EXISTS copy_big; CREATE UNLOGGED TABLE copy_big (line text)',
    );
    const hash = createHash('md5');
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      client.send(frontend.query('COPY copy_big FROM STDIN'));
      await client.readUntil('G');
      // Messages end anywhere within a line.
      const block = Buffer.from(LINE.repeat(1_000));
      for (let sent = 0; sent < LINES; sent += 1_000) {
        const part = block.subarray(0, Math.min(1_000, LINES - sent) * LINE.length);
        hash.update(part);
        const cut = 1 + ((sent * 7) % (part.length - 1));
        await client.sendAll(
          frontend.copyData(part.subarray(0, cut)),
          frontend.copyData(part.subarray(cut)),
        );
      }
      client.send(frontend.copyDone());
      expect((await client.readOutcome(20_000)).results[0]?.tag).toBe(`COPY ${String(LINES)}`);
      client.send(frontend.query('COPY copy_big TO STDOUT'));
      const received = await digest(client);
      expect(received).toEqual({ bytes: LINES * LINE.length, md5: hash.digest('hex') });
      await expectReleased(scene);
    });
    await postgres.query('DROP TABLE copy_big');
  });
});
