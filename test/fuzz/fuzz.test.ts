import { describe, expect, it } from 'vitest';
import { FUZZ_METHODS, fuzz, FuzzRound } from './fuzz-run.ts';
import { findCulprit, shrink } from './shrink.ts';

/** Time that a round needs beside its own: starting, and seeing that nothing is left. */
const SPARE_MS = 120_000;

function numberOf(name: string, otherwise: number): number {
  const text = process.env[name] ?? '';
  return text === '' ? otherwise : Number(text);
}

const SEED = numberOf('FUZZ_SEED', 1);
const SECONDS = numberOf('FUZZ_SECONDS', 8);
const CASE = numberOf('FUZZ_CASE', -1);
const METHOD = process.env['FUZZ_METHOD'] ?? '';

describe('logins and queries changed at random, from both sides', () => {
  const methods = FUZZ_METHODS.filter((method) => METHOD === '' || method === METHOD);
  const seconds = SECONDS / methods.length;

  it.each(methods)(
    'leave the pooler alive, other clients served and nothing behind: %s',
    { timeout: seconds * 1_000 + SPARE_MS },
    async (method) => {
      const only = CASE >= 0 ? { onlyCase: CASE } : {};
      const count = await fuzz({ seed: SEED, seconds, method, ...only });
      process.stdout.write(`${method}: seed ${String(SEED)}, ${String(count)} cases\n`);
      expect(count).toBeGreaterThanOrEqual(CASE >= 0 ? 0 : seconds);
    },
  );
});

describe('the search for the fewest bytes', () => {
  const pieces = Array.from({ length: 50 }, (_, index) => Buffer.of(index));
  const has = (tried: readonly Buffer[], byte: number): boolean =>
    tried.some((piece) => piece.includes(byte));

  it('leaves out whatever is not needed', async () => {
    const fails = (tried: readonly Buffer[]): Promise<boolean> =>
      Promise.resolve(has(tried, 7) && has(tried, 31) && has(tried, 49));
    expect(await shrink(pieces, fails, 1_000)).toEqual([7, 31, 49].map((byte) => Buffer.of(byte)));
  });

  it('ends, with what it has found by then', async () => {
    let count = 0;
    const least = await shrink(pieces, () => Promise.resolve(++count % 3 === 0), 20);
    expect(count).toBe(20);
    expect(least.length).toBeLessThan(50);
  });

  it('finds the one client that does it, if it does so alone', async () => {
    const fails = (tried: readonly Buffer[]): Promise<boolean> => Promise.resolve(has(tried, 200));
    const culprit = [Buffer.of(1), Buffer.of(200), Buffer.of(2)];
    expect(await findCulprit([pieces, [], culprit, pieces], fails, 30)).toEqual([Buffer.of(200)]);
    expect(await findCulprit([pieces], fails, 30)).toBeNull();
  });
});

describe('the fuzz itself', () => {
  it(
    'notices a pooler that dies, and tells how to do it again',
    { timeout: SPARE_MS },
    async () => {
      const round = new FuzzRound({
        seed: SEED,
        seconds: 5,
        method: 'trust',
        sabotage: (pooler) => setTimeout(() => process.kill(pooler.pid, 'SIGKILL'), 500),
      });
      await expect(round.run()).rejects.toThrow(
        new RegExp(`npm run fuzz -- --seed ${String(SEED)}[^]*case \\d+, (client|server), changes`),
      );
    },
  );

  it('notices a pooler that hangs', { timeout: SPARE_MS }, async () => {
    const round = new FuzzRound({
      seed: SEED,
      seconds: 12,
      method: 'trust',
      sabotage: (pooler) => setTimeout(() => process.kill(pooler.pid, 'SIGSTOP'), 500),
    });
    await expect(round.run()).rejects.toThrow(/npm run fuzz/);
  });
});
