import { describe, expect, it } from 'vitest';
import { ClientAuthenticator } from '../../../src/auth/client-authenticator.ts';
import type { AuthStep } from '../../../src/auth/auth-step.ts';
import type { LoginPlan } from '../../../src/auth/login-plan.ts';
import { md5Digest, md5Response } from '../../../src/auth/md5.ts';
import { PasswordDeriver } from '../../../src/auth/password-derivation.ts';
import { writeSaslInitialResponse } from '../../../src/auth/password-message.ts';
import {
  continueData,
  expectKind,
  makeVerifier,
  passwordBody,
  seededRandom,
  Side,
} from './support.ts';

const NOTHING = Buffer.alloc(0);

describe('ClientAuthenticator: a secret that may be out of date', () => {
  type PasswordPlan = Extract<LoginPlan, { readonly method: 'plain' | 'md5' | 'scram' }>;
  type Plain = Extract<LoginPlan, { readonly method: 'plain' }>;
  const plain = (password: string): Plain => ({
    method: 'plain',
    user: 'u',
    refusal: null,
    secret: { kind: 'plain', password },
  });
  const unknown: Plain = { ...plain('mock'), refusal: 'no such user' };
  const scram: Plain = { ...plain(''), secret: makeVerifier('pencil') };
  const md5 = (password: string): PasswordPlan => ({
    method: 'md5',
    user: 'u',
    refusal: null,
    digest: md5Digest(password, 'u'),
  });

  interface Recheck extends Side<AuthStep> {
    readonly auth: ClientAuthenticator;
    /** How often the secret was asked for again. */
    count: number;
    canceled: number;
    give(newer: LoginPlan | null): void;
  }

  /** @param canAsk - whether there is anything newer to be had. */
  function rechecked(plan: PasswordPlan, canAsk = true): Recheck {
    const side = new Side<AuthStep>();
    let answer: (newer: LoginPlan | null) => void = () => undefined;
    const recheck = (done: (newer: LoginPlan | null) => void): (() => void) | null => {
      result.count += 1;
      answer = done;
      return canAsk
        ? () => {
            result.canceled += 1;
          }
        : null;
    };
    const auth = new ClientAuthenticator({
      plan: { ...plan, recheck },
      deriver: new PasswordDeriver(),
      random: seededRandom('client'),
      onResume: side.onResume,
    });
    const result: Recheck = Object.assign(side, {
      auth,
      count: 0,
      canceled: 0,
      give: (newer: LoginPlan | null) => {
        answer(newer);
      },
    });
    return result;
  }

  const right = passwordBody('pencil');

  it.each([
    ['plain', plain('old'), plain('pencil'), 'ok'],
    ['plain, the same again', plain('old'), plain('old'), 'failed'],
    ['plain, a SCRAM verifier now', plain('old'), scram, 'ok'],
    ['a SCRAM verifier of before', { ...scram, secret: makeVerifier('old') }, scram, 'ok'],
    ['a user who is there now', unknown, plain('pencil'), 'ok'],
    [
      'a user who is there no more',
      plain('old'),
      { ...plain('pencil'), refusal: 'gone' },
      'failed',
    ],
    ['nothing newer', plain('old'), null, 'failed'],
    ['another method now', plain('old'), md5('pencil'), 'failed'],
  ] as const)('is asked for once when a password is wrong: %s', async (_what, old, newer, end) => {
    const client = rechecked(old);
    client.auth.start();
    const first = client.auth.onMessage(right);
    expect(first.kind).toBe('pending');
    while (client.count === 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    client.give(newer);
    let step = await client.settled(first);
    while (step.kind === 'pending') {
      step = await client.settled(step);
    }
    expect(step.kind).toBe(end);
    expect(client.count).toBe(1);
  });

  it('is asked for once when an md5 answer is wrong, which is then checked again', async () => {
    const client = rechecked(md5('old'));
    const { authentication } = expectKind(client.auth.start(), 'send');
    const salt = authentication.type === 'md5' ? authentication.salt : NOTHING;
    const answer = passwordBody(md5Response(md5Digest('pencil', 'u'), salt));
    const step = client.auth.onMessage(answer);
    expect(step.kind).toBe('pending');
    client.give(md5('pencil'));
    expect((await client.settled(step)).kind).toBe('ok');
  });

  it('is asked for by a failed SCRAM exchange, which fails all the same', () => {
    const source = { kind: 'stored', verifier: makeVerifier('old') } as const;
    const client = rechecked({ method: 'scram', user: 'u', refusal: null, source });
    client.auth.start();
    const first = Buffer.from('n,,n=,r=abc');
    const challenge = client.auth.onMessage(
      writeSaslInitialResponse('SCRAM-SHA-256', first.toString()),
    );
    const nonce = /r=([^,]*)/.exec(continueData(challenge).toString())?.[1] ?? '';
    const proof = Buffer.alloc(32).toString('base64');
    const final = client.auth.onMessage(Buffer.from(`c=biws,r=${nonce},p=${proof}`));
    expect(final).toMatchObject({ kind: 'failed', message: 'SASL authentication failed' });
    expect(client.count).toBe(1);
  });

  it('is not asked for when the proof is right, or no proof at all', () => {
    for (const body of [right, passwordBody(''), Buffer.from('no end')]) {
      const client = rechecked(plain('pencil'));
      client.auth.start();
      client.auth.onMessage(body);
      expect(client.count).toBe(0);
    }
  });

  it('fails at once when it was asked for a moment ago', () => {
    const client = rechecked(plain('old'), false);
    client.auth.start();
    expect(client.auth.onMessage(right)).toMatchObject({
      kind: 'failed',
      reason: 'wrong password',
    });
    client.give(plain('pencil'));
    expect(client.resumed).toEqual([]);
  });

  it('takes no message meanwhile, and no answer once the client is gone', () => {
    const hasty = rechecked(plain('old'));
    hasty.auth.start();
    hasty.auth.onMessage(right);
    expect(hasty.auth.onMessage(right)).toMatchObject({ kind: 'failed' });
    expect(hasty.canceled).toBe(1);
    hasty.give(plain('pencil'));
    expect(hasty.resumed).toEqual([]);
    const gone = rechecked(plain('old'));
    gone.auth.start();
    gone.auth.onMessage(right);
    gone.auth.dispose();
    expect(gone.canceled).toBe(1);
    gone.give(plain('pencil'));
    expect(gone.resumed).toEqual([]);
  });
});
