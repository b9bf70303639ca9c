import { describe, expect, it } from 'vitest';
import type { AuthQuerySource, FoundUser, LookupAnswer } from '../../../src/auth/auth-query.ts';
import {
  BUSY_LOOKUPS,
  MAX_FOUND,
  MAX_LOOKUPS,
  MAX_LOOKUPS_OF_SOURCE,
  MAX_UNKNOWN,
  RENEWAL_BURST,
  RENEWAL_INTERVAL_MS,
  RENEWAL_PATIENCE_MS,
  UserLookups,
} from '../../../src/auth/user-lookups.ts';
import { poolerError } from '../../../src/protocol/pooler-errors.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';
import { makeVerifier } from './support.ts';

const SOURCE: AuthQuerySource = { database: 'app', user: 'asker', query: 'SELECT $1' };
const OTHER_SOURCE: AuthQuerySource = { ...SOURCE, database: 'other' };
const TTL_MS = 5000;
const UNKNOWN: LookupAnswer = { kind: 'unknown' };

function found(name: string, password = 'pencil'): FoundUser {
  return { kind: 'found', name, secret: { kind: 'plain', password } };
}

/** Lookups whose questions the test answers itself. */
class Scene {
  readonly clock = new VirtualClock();
  ttlMs = TTL_MS;
  /** Questions that have not been answered, oldest first. */
  readonly open: { readonly user: string; answer(answer: LookupAnswer): void }[] = [];
  askedCount = 0;
  canceledCount = 0;
  /** Whether questions are on their way, and cannot be given up any more. */
  areSent = false;
  /** What is to be done later, with its time. */
  readonly #later: { readonly dueMs: number; readonly action: () => void }[] = [];
  readonly lookups = new UserLookups({
    run: (_source, user, done) => {
      this.askedCount += 1;
      this.open.push({ user, answer: done });
      return () => {
        this.canceledCount += this.areSent ? 0 : 1;
        return !this.areSent;
      };
    },
    nowMs: () => this.clock.nowMs(),
    ttlMs: () => this.ttlMs,
    runAfter: (ms, action) => this.#later.push({ dueMs: this.clock.nowMs() + ms, action }),
  });

  /** Lets time pass. */
  advance(ms: number): void {
    this.clock.advance(ms);
    for (const { dueMs, action } of this.#later.splice(0)) {
      if (dueMs <= this.clock.nowMs()) {
        action();
      } else {
        this.#later.push({ dueMs, action });
      }
    }
  }

  /** Asks for a newer answer, and keeps what comes. */
  renew(
    user: string,
    source = SOURCE,
  ): { readonly answers: (LookupAnswer | null)[]; cancel(): void } {
    const answers: (LookupAnswer | null)[] = [];
    const cancel = this.lookups.renew(source, user, (answer) => answers.push(answer));
    return { answers, cancel };
  }

  /** Asks, and keeps the answers. */
  ask(user: string, source = SOURCE): { readonly answers: LookupAnswer[]; cancel(): void } {
    const answers: LookupAnswer[] = [];
    const cancel = this.lookups.ask(source, user, (answer) => answers.push(answer));
    return { answers, cancel };
  }

  async answer(answer: LookupAnswer): Promise<void> {
    this.open.shift()?.answer(answer);
    await settled();
  }

  /** Asks and answers. */
  async learn(user: string, answer: LookupAnswer): Promise<void> {
    this.ask(user);
    await this.answer(answer);
  }
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('UserLookups', () => {
  it('keeps an answer for its life, counted from the question', async () => {
    const scene = new Scene();
    const { answers } = scene.ask('fay');
    scene.clock.advance(1000);
    await scene.answer(found('fay'));
    expect(answers).toEqual([found('fay')]);
    expect(scene.lookups.cached(SOURCE, 'fay')).toEqual(found('fay'));
    scene.clock.advance(TTL_MS - 1001);
    expect(scene.lookups.cached(SOURCE, 'fay')).toEqual(found('fay'));
    scene.clock.advance(1);
    expect(scene.lookups.cached(SOURCE, 'fay')).toBeNull();
    expect(scene.lookups.cachedCount).toBe(0);
  });

  it('keeps that there is no such user as long', async () => {
    const scene = new Scene();
    await scene.learn('nobody', UNKNOWN);
    scene.clock.advance(TTL_MS - 1);
    expect(scene.lookups.cached(SOURCE, 'nobody')).toEqual(UNKNOWN);
    scene.clock.advance(1);
    expect(scene.lookups.cached(SOURCE, 'nobody')).toBeNull();
  });

  it('keeps no failure', async () => {
    const scene = new Scene();
    const { answers } = scene.ask('fay');
    const failed = { kind: 'failed', error: poolerError('badConfiguration'), reason: 'x' } as const;
    await scene.answer(failed);
    expect(answers).toEqual([failed]);
    expect(scene.lookups.cached(SOURCE, 'fay')).toBeNull();
  });

  it('keeps nothing with a life of 0', async () => {
    const scene = new Scene();
    scene.ttlMs = 0;
    await scene.learn('fay', found('fay'));
    expect(scene.lookups.cached(SOURCE, 'fay')).toBeNull();
    expect(scene.lookups.cachedCount).toBe(0);
  });

  it('takes a shorter life that is set later for what it has already', async () => {
    const scene = new Scene();
    await scene.learn('fay', found('fay'));
    scene.clock.advance(100);
    scene.ttlMs = 100;
    expect(scene.lookups.cached(SOURCE, 'fay')).toBeNull();
  });

  it('keeps apart sources and users', async () => {
    const scene = new Scene();
    await scene.learn('fay', found('fay'));
    for (const other of [{ database: 'b' }, { user: 'b' }, { query: 'b' }]) {
      expect(scene.lookups.cached({ ...SOURCE, ...other }, 'fay')).toBeNull();
    }
    expect(scene.lookups.cached(SOURCE, 'fa')).toBeNull();
    expect(scene.lookups.cached(SOURCE, '__proto__')).toBeNull();
  });

  it('joins equal questions, and calls nobody before it has returned', async () => {
    const scene = new Scene();
    const all = [scene.ask('fay'), scene.ask('fay'), scene.ask('ben'), scene.ask('fay')];
    expect(scene.askedCount).toBe(2);
    scene.open[0]?.answer(found('fay'));
    expect(all[0]?.answers).toEqual([]);
    await settled();
    expect(all.map(({ answers }) => answers.length)).toEqual([1, 1, 0, 1]);
    expect(scene.lookups.pendingCount).toBe(1);
  });

  it('takes an answer that is given at once', async () => {
    const answers: LookupAnswer[] = [];
    const lookups = new UserLookups({
      run: (_source, user, done) => {
        done(found(user));
        return () => true;
      },
      nowMs: () => 1,
      ttlMs: () => 0,
      runAfter: () => undefined,
    });
    lookups.ask(SOURCE, 'fay', (answer) => answers.push(answer));
    expect(answers).toEqual([]);
    await settled();
    expect(answers).toEqual([found('fay')]);
    expect(lookups.pendingCount).toBe(0);
  });

  it('forgets who gives up, and the question with the last of them', async () => {
    const scene = new Scene();
    const first = scene.ask('fay');
    const second = scene.ask('fay');
    first.cancel();
    expect(scene.canceledCount).toBe(0);
    second.cancel();
    second.cancel();
    expect(scene.canceledCount).toBe(1);
    expect(scene.lookups.pendingCount).toBe(0);
    // One that was on its way is still good for the next.
    await scene.answer(found('fay'));
    expect([...first.answers, ...second.answers]).toEqual([]);
    expect(scene.lookups.cached(SOURCE, 'fay')).toEqual(found('fay'));
  });

  it('refuses more questions than it has room for', async () => {
    const scene = new Scene();
    for (let i = 0; i < MAX_LOOKUPS / 2; i++) {
      scene.ask(`u${String(i)}`);
      scene.ask(`u${String(i)}`, OTHER_SOURCE);
    }
    const { answers } = scene.ask('one more', { ...SOURCE, database: 'third' });
    const joined = scene.ask('u0');
    await settled();
    expect(answers).toMatchObject([{ kind: 'failed', error: { sqlstate: '53300' } }]);
    expect(scene.askedCount).toBe(MAX_LOOKUPS);
    await scene.answer(found('u0'));
    expect(joined.answers).toHaveLength(1);
    expect(scene.ask('one more').answers).toEqual([]);
    expect(scene.askedCount).toBe(MAX_LOOKUPS + 1);
  });

  it('leaves room to other sources', async () => {
    const scene = new Scene();
    for (let i = 0; i < MAX_LOOKUPS_OF_SOURCE; i++) {
      scene.ask(`u${String(i)}`);
    }
    const { answers } = scene.ask('one more');
    await settled();
    expect(answers).toMatchObject([{ kind: 'failed', reason: 'too many runs of auth_query' }]);
    scene.ask('fay', OTHER_SOURCE);
    expect(scene.askedCount).toBe(MAX_LOOKUPS_OF_SOURCE + 1);
    await scene.answer(found('u0'));
    expect(scene.ask('one more').answers).toEqual([]);
    expect(scene.askedCount).toBe(MAX_LOOKUPS_OF_SOURCE + 2);
  });

  it('lets the next one join a question that nobody waits for and that cannot be taken back', async () => {
    const scene = new Scene();
    scene.areSent = true;
    const first = scene.ask('fay');
    first.cancel();
    expect(scene.lookups.pendingCount).toBe(1);
    const next = scene.ask('fay');
    expect(scene.askedCount).toBe(1);
    await scene.answer(found('fay'));
    expect([first.answers, next.answers]).toEqual([[], [found('fay')]]);
    expect(scene.lookups.pendingCount).toBe(0);
  });

  it('remembers a bounded number, and made-up names push out no real ones', async () => {
    const scene = new Scene();
    await scene.learn('fay', found('fay'));
    for (let i = 0; i < MAX_UNKNOWN + 50; i++) {
      scene.ask(`u${String(i)}`);
      scene.open.shift()?.answer(UNKNOWN);
    }
    expect(scene.lookups.cachedCount).toBe(MAX_UNKNOWN + 1);
    expect(scene.lookups.cached(SOURCE, 'fay')).toEqual(found('fay'));
    expect(scene.lookups.cached(SOURCE, 'u0')).toBeNull();
    for (let i = 0; i < MAX_FOUND; i++) {
      scene.ask(`f${String(i)}`);
      scene.open.shift()?.answer(found(`f${String(i)}`));
    }
    expect(scene.lookups.cachedCount).toBe(MAX_UNKNOWN + MAX_FOUND);
    await settled();
  });

  it('forgets everything, and what was asked before does not come back', async () => {
    const scene = new Scene();
    await scene.learn('fay', found('fay'));
    const { answers } = scene.ask('ben');
    scene.lookups.clear();
    expect(scene.lookups.cached(SOURCE, 'fay')).toBeNull();
    await scene.answer(found('ben'));
    expect(answers).toEqual([found('ben')]);
    expect(scene.lookups.cached(SOURCE, 'ben')).toBeNull();
  });
});

describe('UserLookups.refresh', () => {
  it('asks for failed proofs, some at once and then one in each interval', async () => {
    const scene = new Scene();
    await scene.learn('fay', found('fay', 'old'));
    const answers: LookupAnswer[] = [];
    const refresh = (): unknown =>
      scene.lookups.refresh(SOURCE, 'fay', (answer) => answers.push(answer));
    for (let i = 0; i < RENEWAL_BURST; i++) {
      expect(refresh()).not.toBeNull();
      await scene.answer(found('fay', `new ${String(i)}`));
      expect(answers.pop()).toEqual(found('fay', `new ${String(i)}`));
      expect(scene.lookups.cached(SOURCE, 'fay')).toEqual(found('fay', `new ${String(i)}`));
    }
    expect(refresh()).toBeNull();
    scene.clock.advance(RENEWAL_INTERVAL_MS - 1);
    expect(refresh()).toBeNull();
    scene.clock.advance(1);
    expect(refresh()).not.toBeNull();
    expect(scene.askedCount).toBe(RENEWAL_BURST + 2);
  });

  it('is bounded for each user by itself, together with mayRenew', async () => {
    const scene = new Scene();
    await scene.learn('fay', found('fay'));
    await scene.learn('ben', UNKNOWN);
    for (let i = 0; i < RENEWAL_BURST; i++) {
      scene.lookups.mayRenew(SOURCE, 'ben');
    }
    expect(scene.lookups.refresh(SOURCE, 'ben', () => undefined)).toBeNull();
    expect(scene.lookups.refresh(SOURCE, 'fay', () => undefined)).not.toBeNull();
  });

  it('joins a question that is under way', async () => {
    const scene = new Scene();
    await scene.learn('fay', found('fay'));
    scene.lookups.refresh(SOURCE, 'fay', () => undefined);
    const { answers } = scene.ask('fay');
    expect(scene.askedCount).toBe(2);
    await scene.answer(found('fay'));
    expect(answers).toHaveLength(1);
  });
});

describe('UserLookups.renew', () => {
  it('brings the newer answer when it comes in time', async () => {
    const scene = new Scene();
    await scene.learn('fay', found('fay', 'old'));
    const { answers } = scene.renew('fay');
    scene.advance(RENEWAL_PATIENCE_MS - 1);
    await scene.answer(found('fay', 'new'));
    expect(answers).toEqual([found('fay', 'new')]);
    scene.advance(RENEWAL_PATIENCE_MS);
    expect(answers).toHaveLength(1);
  });

  it('has the kept one do when it is late or fails, and keeps what comes later', async () => {
    const scene = new Scene();
    scene.areSent = true;
    await scene.learn('fay', found('fay', 'old'));
    const late = scene.renew('fay');
    scene.advance(RENEWAL_PATIENCE_MS - 1);
    expect(late.answers).toEqual([]);
    scene.advance(1);
    expect(late.answers).toEqual([null]);
    await scene.answer(found('fay', 'new'));
    expect(late.answers).toEqual([null]);
    expect(scene.lookups.cached(SOURCE, 'fay')).toEqual(found('fay', 'new'));
    const failing = scene.renew('fay');
    await scene.answer({ kind: 'failed', error: poolerError('badConfiguration'), reason: 'x' });
    expect(failing.answers).toEqual([null]);
  });

  it('takes back a question that has not been sent, when it is late or its client is gone', async () => {
    const scene = new Scene();
    await scene.learn('fay', found('fay'));
    const late = scene.renew('fay');
    scene.advance(RENEWAL_PATIENCE_MS);
    expect([late.answers, scene.canceledCount, scene.lookups.pendingCount]).toEqual([[null], 1, 0]);
    const gone = scene.renew('fay');
    gone.cancel();
    scene.advance(RENEWAL_PATIENCE_MS);
    expect([gone.answers, scene.canceledCount]).toEqual([[], 2]);
  });
});

describe('UserLookups.shapes', () => {
  it('begins as PostgreSQL does and follows the users found, each counted once', async () => {
    const scene = new Scene();
    const share = (): number => {
      const picks = Array.from({ length: 60 }, (_, i) => scene.lookups.shapes.pick(i / 60).kind);
      return picks.filter((kind) => kind === 'scram').length / 60;
    };
    expect(share()).toBe(1);
    for (const user of ['a', 'b', 'c', 'a']) {
      await scene.learn(user, found(user));
    }
    expect(share()).toBe(1 / 4);
    await scene.learn('d', { kind: 'found', name: 'd', secret: makeVerifier('x') });
    expect(share()).toBe(2 / 5);
    await scene.learn('e', UNKNOWN);
    expect(share()).toBe(2 / 5);
  });
});

describe('UserLookups.mayRenew', () => {
  it('is for some logins of a user at once, and then for one in each interval', async () => {
    const scene = new Scene();
    await scene.learn('fay', found('fay'));
    const mayRenew = (user = 'fay'): boolean => scene.lookups.mayRenew(SOURCE, user);
    for (let i = 0; i < RENEWAL_BURST; i++) {
      expect(mayRenew()).toBe(true);
    }
    expect(mayRenew()).toBe(false);
    expect(mayRenew('ben')).toBe(true);
    scene.clock.advance(RENEWAL_INTERVAL_MS - 1);
    expect(mayRenew()).toBe(false);
    scene.clock.advance(1);
    expect(mayRenew()).toBe(true);
    expect(mayRenew()).toBe(false);
  });

  it('costs nothing where the question is under way already', () => {
    const scene = new Scene();
    scene.ask('fay');
    for (let i = 0; i < RENEWAL_BURST * 2; i++) {
      expect(scene.lookups.mayRenew(SOURCE, 'fay')).toBe(true);
    }
  });

  it('is for nobody of a source that is late with an answer', async () => {
    const scene = new Scene();
    scene.ask('hung');
    scene.advance(RENEWAL_PATIENCE_MS - 1);
    expect(scene.lookups.mayRenew(SOURCE, 'fay')).toBe(true);
    expect(scene.lookups.mayRenew(SOURCE, 'hung')).toBe(true);
    scene.advance(1);
    expect(scene.lookups.mayRenew(SOURCE, 'fay')).toBe(false);
    expect(scene.lookups.mayRenew(SOURCE, 'hung')).toBe(false);
    expect(scene.lookups.refresh(SOURCE, 'fay', () => undefined)).toBeNull();
    expect(scene.lookups.mayRenew(OTHER_SOURCE, 'fay')).toBe(true);
    await scene.answer(found('hung'));
    expect(scene.lookups.mayRenew(SOURCE, 'fay')).toBe(true);
  });

  it('is for nobody while many are being asked for', async () => {
    const scene = new Scene();
    for (let i = 0; i < BUSY_LOOKUPS; i++) {
      scene.ask(`u${String(i)}`);
    }
    expect(scene.lookups.mayRenew(SOURCE, 'fay')).toBe(false);
    await scene.answer(found('u0'));
    expect(scene.lookups.mayRenew(SOURCE, 'fay')).toBe(true);
  });
});
