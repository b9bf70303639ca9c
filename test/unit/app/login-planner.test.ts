import { describe, expect, it } from 'vitest';
import { LoginPlanner } from '../../../src/app/login-planner.ts';
import type { LoginRequest } from '../../../src/app/login-planner.ts';
import type { AuthQuerySource, FoundUser, LookupAnswer } from '../../../src/auth/auth-query.ts';
import { Credentials } from '../../../src/auth/credentials.ts';
import type {
  LoginMethod,
  LoginPlan,
  PendingPlan,
  PlanFailure,
} from '../../../src/auth/login-plan.ts';
import { PasswordDeriver } from '../../../src/auth/password-derivation.ts';
import type { Secret } from '../../../src/auth/secret.ts';
import {
  RENEWAL_BURST,
  RENEWAL_INTERVAL_MS,
  RENEWAL_PATIENCE_MS,
  UserLookups,
} from '../../../src/auth/user-lookups.ts';
import { databaseConfig, DEFAULT_SETTINGS } from '../../../src/config/config.ts';
import type { Settings } from '../../../src/config/config.ts';
import { Database } from '../../../src/pool/database.ts';
import { poolerError } from '../../../src/protocol/pooler-errors.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';
import { makeVerifier, seededRandom } from '../auth/support.ts';

type Outcome = LoginPlan | PlanFailure;

const TTL_MS = 60_000;
const FAILED: LookupAnswer = {
  kind: 'failed',
  error: poolerError('badConfiguration'),
  reason: 'no server',
};

/** A planner beside a server whose users the test makes up. */
class Scene {
  readonly clock = new VirtualClock();
  readonly database = new Database('app', databaseConfig('app'), false, 0);
  /** What the server knows; anybody else is unknown. */
  readonly server = new Map<string, Secret>();
  isServerUp = true;
  /** Whether the server does not answer at all. */
  isServerStuck = false;
  /** What is to be done after a while. */
  readonly later: (() => void)[] = [];
  readonly asked: string[] = [];
  readonly found: FoundUser[] = [];
  readonly credentials: Credentials;
  readonly planner: LoginPlanner;

  constructor(file: readonly (readonly [string, Secret])[] = [], settings: Partial<Settings> = {}) {
    const deriver = new PasswordDeriver();
    const random = seededRandom('planner');
    this.credentials = new Credentials({ deriver, random, scramIterations: 16 });
    this.credentials.load(new Map(file));
    this.planner = new LoginPlanner({
      settings: () => ({ ...DEFAULT_SETTINGS, authUser: 'asker', ...settings }),
      credentials: this.credentials,
      lookups: new UserLookups({
        run: (source, user, done) => {
          this.#run(source, user, done);
          return () => true;
        },
        ttlMs: () => TTL_MS,
        nowMs: () => this.clock.nowMs(),
        runAfter: (_ms, action) => this.later.push(action),
      }),
      findDatabase: (name) => (name === 'app' ? this.database : null),
    });
  }

  #run(source: AuthQuerySource, user: string, done: (answer: LookupAnswer) => void): void {
    this.asked.push(`${source.user}@${source.database} ${user}`);
    const secret = this.server.get(user);
    if (this.isServerStuck) {
      return;
    }
    if (this.isServerUp) {
      done(secret === undefined ? { kind: 'unknown' } : { kind: 'found', name: user, secret });
    } else {
      done(FAILED);
    }
  }

  request(user: string, method: LoginMethod): LoginRequest {
    return {
      method,
      user,
      target: this.database,
      onFound: (found) => {
        this.found.push(found);
      },
    };
  }

  plan(method: LoginMethod, user = 'fay'): Promise<Outcome> {
    return settled(this.planner.plan(this.request(user, method)));
  }

  /** A plan of a method that takes known users only; its `reason` tells what it was told. */
  async planKnown(user = 'fay'): Promise<string> {
    const plan = this.planner.planKnown(this.request(user, 'trust'), (isKnown) => ({
      method: 'reject',
      reason: isKnown ? 'known' : 'unknown',
      failedText: '',
      failedSqlstate: '28000',
    }));
    const outcome = await settled(plan);
    return 'reason' in outcome ? outcome.reason : outcome.method;
  }
}

async function settled(plan: LoginPlan | PendingPlan | PlanFailure): Promise<Outcome> {
  return 'method' in plan && plan.method === 'pending'
    ? new Promise((resolve) => plan.wait(resolve))
    : plan;
}

function scramOf(outcome: Outcome): unknown {
  return 'method' in outcome && outcome.method === 'scram' && outcome.source.kind === 'stored'
    ? outcome.source.verifier
    : outcome;
}

describe('LoginPlanner.planKnown', () => {
  it('says at once whether auth_file has the user', async () => {
    const scene = new Scene([['fay', { kind: 'none' }]]);
    expect(await scene.planKnown('fay')).toBe('known');
    expect(scene.asked).toEqual([]);
    const alone = new Scene([['fay', { kind: 'none' }]], { authUser: '' });
    expect(await alone.planKnown('ben')).toBe('unknown');
    expect(alone.asked).toEqual([]);
  });

  it('asks the server for anybody else, and tells who was found', async () => {
    const scene = new Scene();
    scene.server.set('fay', { kind: 'none' });
    expect(await scene.planKnown('fay')).toBe('known');
    expect(await scene.planKnown('ben')).toBe('unknown');
    expect(scene.asked).toEqual(['asker@app fay', 'asker@app ben']);
    expect(scene.found).toEqual([{ kind: 'found', name: 'fay', secret: { kind: 'none' } }]);
  });

  it('goes by an answer that is kept, but not by one that says no', async () => {
    const scene = new Scene();
    scene.server.set('fay', { kind: 'none' });
    await scene.planKnown('fay');
    expect(await scene.planKnown('fay')).toBe('known');
    expect(scene.asked).toHaveLength(1);
    await scene.planKnown('ben');
    scene.server.set('ben', { kind: 'none' });
    expect(await scene.planKnown('ben')).toBe('known');
  });

  it('does not ask for one who is unknown each time, but at a pace', async () => {
    const scene = new Scene();
    for (let i = 0; i < RENEWAL_BURST + 5; i++) {
      expect(await scene.planKnown('ben')).toBe('unknown');
    }
    expect(scene.asked).toHaveLength(1 + RENEWAL_BURST);
    scene.server.set('ben', { kind: 'none' });
    scene.clock.advance(RENEWAL_INTERVAL_MS);
    expect(await scene.planKnown('ben')).toBe('known');
  });

  it('fails where the server gives no answer, whoever it is, and where there is nobody to ask', async () => {
    const scene = new Scene();
    scene.isServerUp = false;
    expect(await scene.planKnown('fay')).toBe('auth_query: no server');
    const lost = new Scene([], { authDbname: 'gone' });
    expect(await lost.planKnown('fay')).toBe('auth_dbname "gone" is no database');
  });
});

describe('LoginPlanner.plan with a kept answer', () => {
  const old = makeVerifier('old');
  const changed = makeVerifier('new', Buffer.from('another salt 123'));

  it.each(['scram-sha-256', 'md5'] as const)(
    'asks again under %s, since the challenge has the salt of the secret',
    async (method) => {
      const scene = new Scene();
      scene.server.set('fay', old);
      expect(scramOf(await scene.plan(method))).toEqual(old);
      scene.server.set('fay', changed);
      expect(scramOf(await scene.plan(method))).toEqual(changed);
      scene.server.delete('fay');
      expect(await scene.plan(method)).toMatchObject({ refusal: 'no such user' });
      scene.server.set('fay', old);
      expect(scramOf(await scene.plan(method))).toEqual(old);
    },
  );

  it('under md5 finds another kind of secret', async () => {
    const scene = new Scene();
    scene.server.set('fay', { kind: 'md5', digest: `md5${'0'.repeat(32)}` });
    expect(await scene.plan('md5')).toMatchObject({ method: 'md5' });
    scene.server.set('fay', changed);
    expect(scramOf(await scene.plan('md5'))).toEqual(changed);
  });

  it('uses it under plain, and knows how to ask again for a wrong password', async () => {
    const scene = new Scene();
    scene.server.set('fay', old);
    await scene.plan('plain');
    scene.server.set('fay', changed);
    const plan = await scene.plan('plain');
    expect(plan).toMatchObject({ secret: old });
    expect(scene.asked).toHaveLength(1);
    const newer = await new Promise<LoginPlan | null>((resolve) => {
      if ('recheck' in plan) {
        plan.recheck?.(resolve);
      }
    });
    expect(newer).toMatchObject({ secret: changed });
  });

  it('uses it for those of many logins that come too fast, and is never older than an interval', async () => {
    const scene = new Scene();
    scene.server.set('fay', old);
    for (let i = 0; i < 1 + RENEWAL_BURST; i++) {
      await scene.plan('scram-sha-256');
    }
    expect(scene.asked).toHaveLength(1 + RENEWAL_BURST);
    scene.server.set('fay', changed);
    const early = await scene.plan('scram-sha-256');
    expect(scramOf(early)).toEqual(old);
    expect(early).toHaveProperty('recheck');
    expect(scene.asked).toHaveLength(1 + RENEWAL_BURST);
    scene.clock.advance(RENEWAL_INTERVAL_MS);
    expect(scramOf(await scene.plan('scram-sha-256'))).toEqual(changed);
  });

  it('uses it where the server gives no answer any more, until it has expired', async () => {
    const scene = new Scene();
    scene.server.set('fay', old);
    await scene.plan('scram-sha-256');
    scene.isServerUp = false;
    expect(scramOf(await scene.plan('scram-sha-256'))).toEqual(old);
    scene.clock.advance(TTL_MS);
    expect(await scene.plan('scram-sha-256')).toMatchObject({ reason: 'auth_query: no server' });
  });

  it.each(['md5', 'scram-sha-256'] as const)(
    'goes by it after a moment where the server hangs, and then at once (%s)',
    async (method) => {
      const scene = new Scene();
      scene.server.set('fay', old);
      await scene.plan(method);
      scene.isServerStuck = true;
      const state = { isPlanned: false };
      const held = scene.plan(method).finally(() => {
        state.isPlanned = true;
      });
      await new Promise((resolve) => setImmediate(resolve));
      expect(state.isPlanned).toBe(false);
      scene.clock.advance(RENEWAL_PATIENCE_MS);
      scene.later.forEach((action) => {
        action();
      });
      expect(scramOf(await held)).toEqual(old);
      // The question of somebody else hangs as well.
      void scene.plan(method, 'ben');
      scene.clock.advance(RENEWAL_PATIENCE_MS);
      const { length } = scene.asked;
      expect(scene.planner.plan(scene.request('fay', method))).not.toMatchObject({
        method: 'pending',
      });
      expect(scene.asked).toHaveLength(length);
    },
  );

  it.each(['plain', 'md5', 'scram-sha-256'] as const)(
    'asks as often for a user who does not exist as for one who does (%s)',
    async (method) => {
      const count = async (user: string): Promise<readonly number[]> => {
        const scene = new Scene();
        scene.server.set('fay', old);
        const counts: number[] = [];
        for (let i = 0; i < RENEWAL_BURST + 3; i++) {
          const plan = await scene.plan(method, user);
          // The proof is wrong.
          if ('recheck' in plan) {
            await new Promise<void>((resolve) => {
              const asks = plan.recheck?.(() => {
                resolve();
              });
              if (asks === null || asks === undefined) {
                resolve();
              }
            });
          }
          counts.push(scene.asked.length);
        }
        return counts;
      };
      expect(await count('nobody')).toEqual(await count('fay'));
    },
  );
});
