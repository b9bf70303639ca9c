import { describe, expect, it } from 'vitest';
import { FUZZ_METHODS, FuzzRound } from './fuzz-run.ts';

/** Time that a round needs beside its own: starting, and seeing that nothing is left. */
const SPARE_MS = 45_000;

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
      const count = await new FuzzRound({ seed: SEED, seconds, method, ...only }).run();
      process.stdout.write(`${method}: seed ${String(SEED)}, ${String(count)} cases\n`);
      expect(count).toBeGreaterThanOrEqual(CASE >= 0 ? 0 : seconds);
    },
  );
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
