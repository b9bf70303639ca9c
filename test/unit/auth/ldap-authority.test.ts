import { describe, expect, it } from 'vitest';
import { LdapAuthority } from '../../../src/auth/ldap-authority.ts';
import type { SystemVerdict } from '../../../src/auth/system-login.ts';
import type { LdapOptions } from '../../../src/config/ldap-options.ts';

const OPTIONS: LdapOptions = {
  servers: ['h'],
  port: 389,
  isLdaps: false,
  isStartTls: false,
  mode: { kind: 'simple', prefix: '', suffix: '@x' },
};

interface Running {
  readonly user: string;
  readonly signal: AbortSignal;
  finish(verdict?: SystemVerdict): Promise<void>;
}

/** An authority whose checks end when a test says so, and whose deadlines come when it does. */
class Bench {
  readonly running: Running[] = [];
  readonly deadlines = new Set<() => void>();
  readonly verdicts: (readonly [string, SystemVerdict])[] = [];
  readonly authority: LdapAuthority;

  constructor(limits: { maxInFlight?: number; maxQueued?: number } = {}) {
    this.authority = new LdapAuthority({
      ...limits,
      check: (_options, { user }, signal) =>
        new Promise((resolve) => {
          const finish = async (verdict: SystemVerdict = { kind: 'accepted' }): Promise<void> => {
            resolve(verdict);
            await settled();
          };
          signal.addEventListener('abort', () => {
            resolve({ kind: 'refused', reason: 'aborted' });
          });
          this.running.push({ user, signal, finish });
        }),
      after: (_ms, action) => {
        this.deadlines.add(action);
        return () => {
          this.deadlines.delete(action);
        };
      },
    });
  }

  check(user: string): () => void {
    const request = { user, password: Buffer.from('p'), host: '' };
    return this.authority.check(OPTIONS, request, (verdict) => {
      this.verdicts.push([user, verdict]);
    });
  }
}

/** Waits until promises that are resolved have told so. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) {
    await Promise.resolve();
  }
}

describe('LdapAuthority', () => {
  it('hands on what a check says', async () => {
    const bench = new Bench();
    bench.check('a');
    expect(bench.verdicts).toEqual([]);
    await bench.running[0]?.finish({ kind: 'refused', reason: 'because' });
    expect(bench.verdicts).toEqual([['a', { kind: 'refused', reason: 'because' }]]);
    expect(bench.deadlines.size).toBe(0);
  });

  it('runs a bounded number at once, the others in their order', async () => {
    const bench = new Bench({ maxInFlight: 2 });
    for (const user of ['a', 'b', 'c', 'd']) {
      bench.check(user);
    }
    expect(bench.running.map(({ user }) => user)).toEqual(['a', 'b']);
    expect([bench.authority.inFlightCount, bench.authority.queuedCount]).toEqual([2, 2]);
    await bench.running[1]?.finish();
    expect(bench.running.map(({ user }) => user)).toEqual(['a', 'b', 'c']);
    await bench.running[0]?.finish();
    await bench.running[2]?.finish();
    await bench.running[3]?.finish();
    expect(bench.verdicts.map(([user]) => user)).toEqual(['b', 'a', 'c', 'd']);
    expect([bench.authority.inFlightCount, bench.authority.queuedCount]).toEqual([0, 0]);
  });

  it('refuses what goes beyond its queue, but not at once', async () => {
    const bench = new Bench({ maxInFlight: 1, maxQueued: 1 });
    bench.check('a');
    bench.check('b');
    bench.check('c');
    expect(bench.verdicts).toEqual([]);
    await settled();
    expect(bench.verdicts).toEqual([
      ['c', { kind: 'overloaded', reason: 'too many LDAP checks queued' }],
    ]);
  });

  it('ends a check at its deadline and says so', async () => {
    const bench = new Bench({ maxInFlight: 1 });
    bench.check('a');
    bench.check('b');
    const [deadline] = bench.deadlines;
    deadline?.();
    await settled();
    expect(bench.verdicts).toEqual([
      ['a', { kind: 'refused', reason: 'the LDAP server gave no answer within 10 s' }],
    ]);
    expect(bench.running[0]?.signal.aborted).toBe(true);
    expect(bench.running.map(({ user }) => user)).toEqual(['a', 'b']);
  });

  it('forgets a check whose client is gone, and makes room', async () => {
    const bench = new Bench({ maxInFlight: 1 });
    const cancelA = bench.check('a');
    const cancelB = bench.check('b');
    bench.check('c');
    cancelB();
    expect(bench.authority.queuedCount).toBe(1);
    cancelA();
    await settled();
    expect(bench.running.map(({ user }) => user)).toEqual(['a', 'c']);
    expect(bench.verdicts).toEqual([]);
    cancelA();
    await bench.running[1]?.finish();
    expect(bench.verdicts.map(([user]) => user)).toEqual(['c']);
  });
});
