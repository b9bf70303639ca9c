import { pbkdf2Sync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { PasswordDeriver } from '../../../src/auth/password-derivation.ts';
import type { Derivation, Pbkdf2 } from '../../../src/auth/password-derivation.ts';
import { MAX_SCRAM_ITERATIONS } from '../../../src/auth/scram-client.ts';

const SALT = Buffer.from('0123456789abcdef');

interface Call {
  readonly password: string;
  readonly finish: (error?: Error) => void;
}

/** A PBKDF2 that ends when the test says so; its key repeats the password. */
function manualPbkdf2(): { calls: Call[]; pbkdf2: Pbkdf2 } {
  const calls: Call[] = [];
  const pbkdf2: Pbkdf2 = (password, _salt, _iterations, done) => {
    calls.push({
      password: password.toString(),
      finish: (error) => done(error ?? null, Buffer.from(password)),
    });
  };
  return { calls, pbkdf2 };
}

function derive(deriver: PasswordDeriver, password: string, results: Derivation[]): () => void {
  return deriver.derive({ password, salt: SALT, iterations: 1 }, (result) => results.push(result));
}

/** Lets all microtasks run that are queued now. */
async function settle(): Promise<void> {
  await Promise.resolve();
  await Promise.resolve();
}

describe('PasswordDeriver', () => {
  it('derives what PBKDF2 derives from the prepared password', async () => {
    const derivation = await new Promise<Derivation>((resolve) => {
      new PasswordDeriver().derive({ password: '\u2168', salt: SALT, iterations: 5 }, resolve);
    });
    const saltedPassword = pbkdf2Sync('IX', SALT, 5, 32, 'sha256');
    expect(derivation).toEqual({ kind: 'derived', saltedPassword });
  });

  it('leaves the event loop free, however many iterations there are', async () => {
    const state = { isDone: false };
    const derived = new Promise<void>((resolve) => {
      const request = { password: 'a', salt: SALT, iterations: 400_000 };
      new PasswordDeriver().derive(request, () => {
        state.isDone = true;
        resolve();
      });
    });
    let turns = 0;
    while (!state.isDone) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      turns++;
    }
    await derived;
    // On the event loop it would take one turn.
    expect(turns).toBeGreaterThan(100);
  });

  it('runs at most maxInFlight at once, in order', () => {
    const { calls, pbkdf2 } = manualPbkdf2();
    const deriver = new PasswordDeriver({ pbkdf2 });
    for (const password of ['a', 'b', 'c', 'd']) {
      derive(deriver, password, []);
    }
    expect(calls.map((call) => call.password)).toEqual(['a', 'b']);
    expect([deriver.inFlightCount, deriver.queuedCount]).toEqual([2, 2]);
    calls[1]?.finish();
    expect(calls.map((call) => call.password)).toEqual(['a', 'b', 'c']);
    calls[0]?.finish();
    calls[2]?.finish();
    calls[3]?.finish();
    expect([deriver.inFlightCount, deriver.queuedCount]).toEqual([0, 0]);
  });

  it('refuses what does not fit into the queue, and recovers', async () => {
    const { calls, pbkdf2 } = manualPbkdf2();
    const deriver = new PasswordDeriver({ pbkdf2, maxInFlight: 1, maxQueued: 1 });
    const results: Derivation[] = [];
    derive(deriver, 'a', []);
    derive(deriver, 'b', []);
    derive(deriver, 'c', results);
    expect(results).toEqual([]);
    await settle();
    expect(results).toEqual([{ kind: 'refused', reason: 'too many password derivations queued' }]);
    calls[0]?.finish();
    derive(deriver, 'c', []);
    expect(deriver.queuedCount).toBe(1);
  });

  it('joins equal requests, running and queued, also when the queue is full', async () => {
    const { calls, pbkdf2 } = manualPbkdf2();
    const deriver = new PasswordDeriver({ pbkdf2, maxInFlight: 1, maxQueued: 1 });
    const results: Derivation[] = [];
    for (const password of ['a', 'b', 'a', 'b', 'b']) {
      derive(deriver, password, results);
    }
    calls[0]?.finish();
    calls[1]?.finish();
    await settle();
    expect(calls).toHaveLength(2);
    expect(results.map((result) => result.kind)).toEqual(Array(5).fill('derived'));
  });

  it('answers from the cache, never before derive has returned', async () => {
    const { calls, pbkdf2 } = manualPbkdf2();
    const deriver = new PasswordDeriver({ pbkdf2 });
    derive(deriver, 'a', []);
    calls[0]?.finish();
    const results: Derivation[] = [];
    derive(deriver, 'a', results);
    expect(results).toEqual([]);
    await settle();
    expect(results).toEqual([{ kind: 'derived', saltedPassword: Buffer.from('a') }]);
    expect(calls).toHaveLength(1);
  });

  it('keeps the most recently used results, up to maxCached', () => {
    const { calls, pbkdf2 } = manualPbkdf2();
    const deriver = new PasswordDeriver({ pbkdf2, maxInFlight: 9, maxCached: 2 });
    for (const password of ['a', 'b', 'a', 'c', 'a', 'b']) {
      const started = calls.length;
      derive(deriver, password, []);
      calls.slice(started).forEach((call) => call.finish());
    }
    expect(calls.map((call) => call.password)).toEqual(['a', 'b', 'c', 'b']);
    expect(deriver.cachedCount).toBe(2);
  });

  it('tells salt, iterations and password apart', () => {
    const { calls, pbkdf2 } = manualPbkdf2();
    const deriver = new PasswordDeriver({ pbkdf2, maxInFlight: 9 });
    const request = (password: string, salt: string, iterations: number): void => {
      deriver.derive({ password, salt: Buffer.from(salt), iterations }, () => {});
    };
    request('ab', 'c', 1);
    request('b', 'ca', 1);
    request('ab', 'c', 2);
    request('ab', 'd', 1);
    request('ab', 'c', 1);
    expect(calls).toHaveLength(4);
  });

  it('does not call back a canceled request, and drops its work when still queued', async () => {
    const { calls, pbkdf2 } = manualPbkdf2();
    const deriver = new PasswordDeriver({ pbkdf2, maxInFlight: 1 });
    const results: Derivation[] = [];
    const cancels = ['a', 'b', 'c'].map((password) => derive(deriver, password, results));
    cancels[0]?.();
    cancels[1]?.();
    expect(deriver.queuedCount).toBe(1);
    calls[0]?.finish();
    calls[1]?.finish();
    await settle();
    cancels[2]?.();
    expect(calls.map((call) => call.password)).toEqual(['a', 'c']);
    expect(results).toHaveLength(1);
  });

  it('does not call back when canceled between the result and its delivery', async () => {
    const { calls, pbkdf2 } = manualPbkdf2();
    const results: Derivation[] = [];
    const cancel = derive(new PasswordDeriver({ pbkdf2 }), 'a', results);
    calls[0]?.finish();
    cancel();
    await settle();
    expect(results).toEqual([]);
  });

  it('reports a failure of PBKDF2 and does not cache it', async () => {
    const { calls, pbkdf2 } = manualPbkdf2();
    const deriver = new PasswordDeriver({ pbkdf2 });
    const results: Derivation[] = [];
    derive(deriver, 'a', results);
    calls[0]?.finish(new Error('no memory'));
    await settle();
    expect(results).toEqual([{ kind: 'refused', reason: 'PBKDF2 failed: no memory' }]);
    expect([deriver.cachedCount, deriver.inFlightCount]).toEqual([0, 0]);
  });

  it.each([0, -1, 1.5, NaN, Infinity, MAX_SCRAM_ITERATIONS + 1, 2_000_000_000])(
    'refuses %d iterations without deriving',
    async (iterations) => {
      const { calls, pbkdf2 } = manualPbkdf2();
      const results: Derivation[] = [];
      const deriver = new PasswordDeriver({ pbkdf2 });
      deriver.derive({ password: 'a', salt: SALT, iterations }, (result) => results.push(result));
      await settle();
      expect(results.map((result) => result.kind)).toEqual(['refused']);
      expect(calls).toEqual([]);
    },
  );
});
