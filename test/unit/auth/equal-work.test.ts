import { describe, expect, it } from 'vitest';
import type { FoundUser, UnknownUser } from '../../../src/auth/auth-query.ts';
import { ClientAuthenticator } from '../../../src/auth/client-authenticator.ts';
import type { AuthStep } from '../../../src/auth/auth-step.ts';
import { Credentials } from '../../../src/auth/credentials.ts';
import type { LoginMethod } from '../../../src/auth/login-plan.ts';
import { md5Digest } from '../../../src/auth/md5.ts';
import { PasswordDeriver } from '../../../src/auth/password-derivation.ts';
import { writeSaslInitialResponse } from '../../../src/auth/password-message.ts';
import type { Secret } from '../../../src/auth/secret.ts';
import { SecretShapes } from '../../../src/auth/secret-shapes.ts';
import { continueData, makeVerifier, passwordBody, seededRandom, Side } from './support.ts';

const WRONG = 'wrong';
const SECRETS: Readonly<Record<string, Secret>> = {
  plain: { kind: 'plain', password: 'pencil' },
  md5: { kind: 'md5', digest: md5Digest('pencil', 'known') },
  scram: makeVerifier('pencil', Buffer.from('0123456789abcdef'), 77),
};
/** Not the iterations of the stored verifier. */
const ITERATIONS = 33;

/** What a login has made the process do, and what the client has seen of it. */
interface Work {
  /** Rounds of each PBKDF2, in their order. */
  readonly rounds: readonly number[];
  readonly steps: readonly string[];
}

/** Users of the file, or of `auth_query`; counts what their logins cost. */
class Scene {
  #rounds: number[] = [];
  readonly #credentials: Credentials;
  readonly #deriver = new PasswordDeriver({
    pbkdf2: (_password, _salt, iterations, done) => {
      this.#rounds.push(iterations);
      setImmediate(done, null, Buffer.alloc(32));
    },
  });

  constructor(file: readonly (readonly [string, Secret])[], found: readonly Secret[] = []) {
    const random = seededRandom('process');
    const options = { deriver: this.#deriver, random, scramIterations: ITERATIONS };
    this.#credentials = new Credentials(options);
    this.load(file);
    const shapes = new SecretShapes();
    for (const secret of found) {
      shapes.add(secret);
    }
    this.#credentials.setAskedShapes(shapes);
  }

  load(file: readonly (readonly [string, Secret])[]): void {
    this.#credentials.load(new Map(file));
  }

  /** A login with a wrong password, to its end. */
  async failToLogIn(
    method: LoginMethod,
    user: string,
    answer: FoundUser | UnknownUser | null,
  ): Promise<Work> {
    this.#rounds = [];
    const steps: string[] = [];
    const side = new Side<AuthStep>();
    const auth = new ClientAuthenticator({
      plan: this.#credentials.resolveLogin(method, user, answer),
      deriver: this.#deriver,
      random: seededRandom('client'),
      onResume: side.onResume,
    });
    let step = auth.start();
    for (;;) {
      steps.push(describeStep(step));
      if (step.kind === 'pending') {
        step = await side.settled(step);
      } else if (step.kind === 'send') {
        step = auth.onMessage(answerTo(step));
      } else {
        return { rounds: this.#rounds, steps };
      }
    }
  }
}

function describeStep(step: AuthStep): string {
  switch (step.kind) {
    case 'send':
      return step.authentication.type === 'sasl-continue'
        ? step.authentication.data.replace(/[rs]=[^,]*/g, (part) => String(part.length))
        : step.authentication.type;
    case 'failed':
      return `${step.sqlstate} ${step.message}`;
    default:
      return step.kind;
  }
}

/** What a client with a wrong password says to a challenge. */
function answerTo(step: AuthStep): Buffer {
  if (step.kind === 'send' && step.authentication.type === 'sasl') {
    return writeSaslInitialResponse('SCRAM-SHA-256', 'n,,n=,r=abc');
  }
  if (step.kind === 'send' && step.authentication.type === 'sasl-continue') {
    const nonce = /r=([^,]*)/.exec(continueData(step).toString())?.[1] ?? '';
    return Buffer.from(`c=biws,r=${nonce},p=${Buffer.alloc(32).toString('base64')}`);
  }
  return passwordBody(step.kind === 'send' && step.authentication.type === 'md5' ? 'md5' : WRONG);
}

const METHODS = ['plain', 'md5', 'scram-sha-256'] as const;
const CASES = METHODS.flatMap((method) =>
  Object.keys(SECRETS).map((kind) => [method, kind] as const),
);

describe.each(CASES)('a login that fails by %s, where users have a %s secret', (method, kind) => {
  const secret = SECRETS[kind] ?? { kind: 'none' };
  const users: readonly (readonly [string, Secret])[] = [
    ['known', secret],
    ['empty', { kind: 'none' }],
  ];

  it.each(['nobody', 'empty'])('costs the same for %s as for a known user', async (user) => {
    const scene = new Scene(users);
    for (const attempt of ['first', 'second']) {
      const known = await scene.failToLogIn(method, 'known', null);
      expect(await scene.failToLogIn(method, user, null), `${attempt} attempt`).toEqual(known);
    }
  });

  it('costs the same after the file was read again', async () => {
    const scene = new Scene(users);
    const attempt = async (user: string): Promise<Work> => scene.failToLogIn(method, user, null);
    await attempt('known');
    await attempt('nobody');
    scene.load(users);
    expect(await attempt('nobody')).toEqual(await attempt('known'));
  });

  it('costs the same when auth_query was asked', async () => {
    const scene = new Scene([], [secret]);
    const found = { kind: 'found', name: 'known', secret } as const;
    for (const attempt of ['first', 'second']) {
      const known = await scene.failToLogIn(method, 'known', found);
      const unknown = await scene.failToLogIn(method, 'nobody', { kind: 'unknown' });
      expect(unknown, `${attempt} attempt`).toEqual(known);
    }
  });
});

describe('the work of a login', () => {
  it('is that of the stored secret, and counted at all', async () => {
    const scram = new Scene([['known', makeVerifier('pencil', Buffer.alloc(16), 77)]]);
    expect((await scram.failToLogIn('plain', 'known', null)).rounds).toEqual([77]);
    const plain = new Scene([['known', { kind: 'plain', password: 'pencil' }]]);
    expect((await plain.failToLogIn('scram-sha-256', 'known', null)).rounds).toEqual([ITERATIONS]);
    expect((await plain.failToLogIn('scram-sha-256', 'known', null)).rounds).toEqual([]);
  });

  it('does not grow by names that nobody has: what was made for them is given up', async () => {
    const scene = new Scene([['known', { kind: 'plain', password: 'pencil' }]]);
    await scene.failToLogIn('scram-sha-256', 'nobody', null);
    for (let i = 0; i < 1100; i++) {
      await scene.failToLogIn('scram-sha-256', `u${String(i)}`, null);
    }
    expect((await scene.failToLogIn('scram-sha-256', 'nobody', null)).rounds).toEqual([ITERATIONS]);
    expect((await scene.failToLogIn('scram-sha-256', 'known', null)).rounds).toEqual([ITERATIONS]);
    expect((await scene.failToLogIn('scram-sha-256', 'known', null)).rounds).toEqual([]);
  });
});
