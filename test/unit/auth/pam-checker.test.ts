import { describe, expect, it } from 'vitest';
import {
  PAM_DEADLINE_MS,
  PAM_IDLE_MS,
  PamChecker,
  type PamRequest,
  type PamWorker,
} from '../../../src/auth/pam-checker.ts';
import type { SystemVerdict } from '../../../src/auth/system-login.ts';

type Answer = SystemVerdict | null;

/** A worker that answers when it is told to. */
class FakeWorker implements PamWorker {
  isAlive = true;
  isKilled = false;
  readonly requests: PamRequest[] = [];
  #done: ((verdict: Answer) => void) | null = null;

  check(request: PamRequest, done: (verdict: Answer) => void): void {
    this.requests.push(request);
    this.#done = done;
  }

  answer(verdict: Answer): void {
    const done = this.#done;
    this.#done = null;
    done?.(verdict);
  }

  kill(): void {
    this.isKilled = true;
    this.isAlive = false;
  }
}

const ACCEPTED: SystemVerdict = { kind: 'accepted' };
const WRONG: SystemVerdict = { kind: 'refused', reason: 'wrong' };

function makeChecker(maxWorkers = 2, maxQueued = 2) {
  const state = { nowMs: 0 };
  const workers: FakeWorker[] = [];
  const checker = new PamChecker({
    startWorker: () => {
      const worker = new FakeWorker();
      workers.push(worker);
      return worker;
    },
    nowMs: () => state.nowMs,
    maxWorkers,
    maxQueued,
  });
  const verdicts: string[] = [];
  const ask = (user: string): (() => void) =>
    checker.check({ service: 's', user, password: Buffer.from('p'), host: '' }, (verdict) => {
      verdicts.push(`${user} ${verdict.kind === 'accepted' ? 'accepted' : verdict.reason}`);
    });
  const worker = (index: number): FakeWorker => {
    const found = workers[index];
    if (found === undefined) {
      throw new Error(`there is no worker ${String(index)}`);
    }
    return found;
  };
  return { state, workers, worker, checker, verdicts, ask };
}

describe('PamChecker', () => {
  it('starts workers as they are needed, up to the limit, and uses them again', () => {
    const { worker, workers, checker, verdicts, ask } = makeChecker();
    expect(checker.workerCount).toBe(0);
    ask('a');
    worker(0).answer(ACCEPTED);
    ask('b');
    expect(workers).toHaveLength(1);
    ask('c');
    ask('d');
    expect(workers).toHaveLength(2);
    expect(checker.queuedCount).toBe(1);
    worker(1).answer(WRONG);
    expect(worker(1).requests.map(({ user }) => user)).toEqual(['c', 'd']);
    worker(0).answer(ACCEPTED);
    worker(1).answer(ACCEPTED);
    expect(verdicts).toEqual(['a accepted', 'c wrong', 'b accepted', 'd accepted']);
  });

  it('refuses what the queue has no room for, and never before it returns', async () => {
    const { verdicts, ask } = makeChecker(1, 1);
    ask('a');
    ask('b');
    ask('c');
    expect(verdicts).toEqual([]);
    await Promise.resolve();
    expect(verdicts).toEqual(['c too many PAM requests queued']);
  });

  it('forgets a request that nobody waits for', () => {
    const { worker, checker, verdicts, ask } = makeChecker(1);
    const cancelRunning = ask('a');
    const cancelQueued = ask('b');
    cancelQueued();
    expect(checker.queuedCount).toBe(0);
    cancelRunning();
    worker(0).answer(ACCEPTED);
    expect(verdicts).toEqual([]);
    ask('c');
    worker(0).answer(ACCEPTED);
    expect(verdicts).toEqual(['c accepted']);
  });

  it('kills a worker at the deadline, refuses its request and goes on with another', () => {
    const { state, worker, workers, checker, verdicts, ask } = makeChecker(1);
    ask('slow');
    ask('next');
    state.nowMs = PAM_DEADLINE_MS - 1;
    checker.onTick();
    expect(verdicts).toEqual([]);
    state.nowMs = PAM_DEADLINE_MS;
    checker.onTick();
    expect(verdicts).toEqual(['slow PAM has not answered within 60 s']);
    expect(worker(0).isKilled).toBe(true);
    expect(workers).toHaveLength(2);
    // A late answer is nobody's.
    worker(0).answer(ACCEPTED);
    expect(verdicts).toHaveLength(1);
    worker(1).answer(ACCEPTED);
    expect(verdicts.at(-1)).toBe('next accepted');
  });

  it('refuses the request with which a worker dies, and replaces it', () => {
    const { worker, workers, verdicts, ask } = makeChecker(1);
    ask('a');
    worker(0).isAlive = false;
    worker(0).answer(null);
    expect(verdicts).toEqual(['a the process that asks PAM has ended']);
    ask('b');
    expect(workers).toHaveLength(2);
    worker(1).answer(ACCEPTED);
    expect(verdicts.at(-1)).toBe('b accepted');
  });

  it('does not ask a worker that died without work', () => {
    const { worker, workers, checker, verdicts, ask } = makeChecker(1);
    ask('a');
    worker(0).answer(ACCEPTED);
    worker(0).isAlive = false;
    ask('b');
    expect(workers).toHaveLength(2);
    expect(checker.workerCount).toBe(1);
    worker(1).answer(ACCEPTED);
    expect(verdicts.at(-1)).toBe('b accepted');
  });

  it('ends workers that have had no work for a while', () => {
    const { state, worker, checker, ask } = makeChecker();
    ask('a');
    worker(0).answer(ACCEPTED);
    state.nowMs = PAM_IDLE_MS - 1;
    checker.onTick();
    expect(worker(0).isKilled).toBe(false);
    state.nowMs = PAM_IDLE_MS;
    checker.onTick();
    expect(worker(0).isKilled).toBe(true);
    expect(checker.workerCount).toBe(0);
  });
});
