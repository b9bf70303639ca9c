import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeErrorFields } from '../support/backend-messages.ts';
import type { WireMessage } from '../support/backend-messages.ts';
import { ScriptWriter } from '../support/message-script.ts';
import type { ScriptStep } from '../support/message-script.ts';
import type { RawClient } from '../support/raw-client.ts';
import { withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { SeededRandom, seedOfRun } from '../support/seeded-random.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

/**
 * The same random conversation is held with PostgreSQL and with the pooler: every byte of the
 * answers must be the same. `MAITRED_SEED=<n>` repeats a run, `MAITRED_ROUNDS=<n>` sets its length.
 */
const postgres = sharedPostgres();
const DIRECT = 'differential_direct';
const POOLED = 'differential_pooled';
const CLIENTS = 4;
const UNITS = 5;
const ROUNDS = Number(process.env['MAITRED_ROUNDS'] ?? '15');
const REPLY_TIMEOUT_MS = 20_000;

beforeAll(async () => {
  for (const database of [DIRECT, POOLED]) {
    await postgres.createDatabase(database);
    for (let index = 0; index < CLIENTS; index++) {
      await postgres.query(`CREATE TABLE rows_${String(index)} (a int, b text)`, database);
    }
  }
});

afterAll(async () => {
  await postgres.dropDatabase(DIRECT);
  await postgres.dropDatabase(POOLED);
});

/** Sends bytes in one piece or in many, as a network does. */
async function sendInPieces(client: RawClient, bytes: Buffer, random: SeededRandom): Promise<void> {
  if (random.chance(0.5)) {
    client.send(bytes);
    return;
  }
  let start = 0;
  while (start < bytes.length) {
    const end = start + 1 + random.below(random.pick([3, 40, 4_000, 100_000]));
    client.send(bytes.subarray(start, end));
    start = end;
    await nextTurn();
  }
}

/** Reads up to the ReadyForQuery behind the row that carries `marker`. */
async function readReplies(client: RawClient, marker: string): Promise<WireMessage[]> {
  const messages: WireMessage[] = [];
  let isMarked = false;
  for (;;) {
    const message = await client.readMessage(REPLY_TIMEOUT_MS);
    messages.push(message);
    isMarked ||= message.type === 'D' && message.body.toString('latin1', 6) === marker;
    if (isMarked && message.type === 'Z') {
      return messages;
    }
  }
}

function describeReply({ type, body }: WireMessage): string {
  const text = type === 'E' ? JSON.stringify(decodeErrorFields(body)) : body.toString('latin1');
  return `${type} ${text.slice(0, 160)} (${String(body.length)} bytes)`;
}

/** Finds the first difference and shows what led to it. */
function compareReplies(
  direct: readonly WireMessage[],
  pooled: readonly WireMessage[],
  context: () => string,
): void {
  for (let index = 0; index < Math.max(direct.length, pooled.length); index++) {
    const [expected, actual] = [direct[index], pooled[index]];
    const isSame =
      expected?.type === actual?.type && expected?.body.equals(actual?.body ?? Buffer.of(0));
    if (isSame !== true) {
      const before = direct.slice(Math.max(0, index - 3), index).map(describeReply);
      throw new Error(
        [
          context(),
          `reply ${String(index)} differs, after:`,
          ...before,
          `PostgreSQL: ${expected === undefined ? 'nothing' : describeReply(expected)}`,
          `maitred:    ${actual === undefined ? 'nothing' : describeReply(actual)}`,
        ].join('\n'),
      );
    }
  }
}

/** One client's part of a round. @returns How many replies were compared. */
async function converse(scene: Scene, index: number, random: SeededRandom): Promise<number> {
  const writer = new ScriptWriter(random, `rows_${String(index)}`);
  const direct = await postgres.login({ database: DIRECT });
  const pooled = await scene.login();
  let count = 0;
  try {
    for (let unit = 0; unit < UNITS; unit++) {
      // Several units at once are a pipeline over the ends of transactions.
      const steps: ScriptStep[] = [];
      for (let left = 1 + random.below(3); left > 0; left--) {
        steps.push(...writer.unit());
      }
      const bytes = Buffer.concat(steps.map((step) => step.bytes));
      direct.send(bytes);
      const expected = readReplies(direct, writer.marker);
      expected.catch(() => {});
      await sendInPieces(pooled, bytes, random);
      const context = (): string =>
        [`client ${String(index)} sent:`, ...steps.map(({ text }) => `  ${text}`)].join('\n');
      const actual = await readReplies(pooled, writer.marker).catch((cause: unknown) => {
        const log = scene.pooler.logs.slice(-5).map((line) => JSON.stringify(line));
        throw new Error([context(), 'the end of the log:', ...log].join('\n'), { cause });
      });
      compareReplies(await expected, actual, context);
      count += actual.length;
    }
  } finally {
    direct.destroy();
    await pooled.close().catch(() => {});
  }
  return count;
}

async function truncateTables(): Promise<void> {
  const tables = Array.from({ length: CLIENTS }, (_, index) => `rows_${String(index)}`).join(', ');
  await postgres.query(`TRUNCATE ${tables}`, DIRECT);
  await postgres.query(`TRUNCATE ${tables}`, POOLED);
}

describe('random conversations', () => {
  it.each([1, 3])(
    'of several clients over %i server connections are answered as by PostgreSQL',
    async (poolSize) => {
      const firstSeed = seedOfRun();
      const settings = { default_pool_size: poolSize };
      await withPooler(postgres, { settings, database: { dbname: POOLED } }, async (scene) => {
        let count = 0;
        for (let seed = firstSeed; seed < firstSeed + ROUNDS; seed++) {
          await truncateTables();
          const parts = Array.from({ length: CLIENTS }, (_, index) =>
            converse(scene, index, new SeededRandom(seed * CLIENTS + index)),
          );
          const results = await Promise.allSettled(parts);
          for (const result of results) {
            if (result.status === 'rejected') {
              throw new Error(
                `repeat with MAITRED_SEED=${String(seed)} (pool size ${String(poolSize)})`,
                { cause: result.reason },
              );
            }
            count += result.value;
          }
        }
        process.stdout.write(
          `MAITRED_SEED=${String(firstSeed)}: ${String(count)} replies compared\n`,
        );
        expect(count).toBeGreaterThan(ROUNDS * CLIENTS * UNITS);
      });
    },
    600_000,
  );

  it('are compared byte by byte', () => {
    const message = (type: string, text: string): WireMessage => ({
      type,
      body: Buffer.from(text),
    });
    const one = [message('D', 'a'), message('Z', 'I')];
    const compare = (other: WireMessage[]) => (): void => {
      compareReplies(one, other, () => 'context');
    };
    expect(compare([message('D', 'a'), message('Z', 'I')])).not.toThrow();
    expect(compare([message('D', 'b'), message('Z', 'I')])).toThrow(/reply 0 differs/);
    expect(compare([message('D', 'a')])).toThrow(/maitred: {4}nothing/);
    expect(compare([...one, message('N', '')])).toThrow(/PostgreSQL: nothing/);
  });
});
