import { describe, expect, it } from 'vitest';
import type { AuthStep } from '../../../src/auth/auth-step.ts';
import { ClientAuthenticator } from '../../../src/auth/client-authenticator.ts';
import { PasswordDeriver } from '../../../src/auth/password-derivation.ts';
import type { SystemPlan, SystemVerdict } from '../../../src/auth/system-login.ts';

type Done = (verdict: SystemVerdict) => void;

/** A login whose check is answered by the test. */
function makeLogin(needsPassword: boolean) {
  const asked: string[] = [];
  const state: { done: Done | null; isCanceled: boolean } = { done: null, isCanceled: false };
  const plan: SystemPlan = {
    method: 'system',
    needsPassword,
    failedText: 'no',
    failedSqlstate: '28000',
    check: (password, done) => {
      asked.push(password.toString());
      state.done = done;
      return () => {
        state.isCanceled = true;
      };
    },
  };
  const steps: AuthStep[] = [];
  const authenticator = new ClientAuthenticator({
    plan,
    deriver: new PasswordDeriver(),
    random: (bytes) => Buffer.alloc(bytes),
    onResume: (step) => steps.push(step),
  });
  return { asked, state, authenticator, steps };
}

describe('a login that the system judges', () => {
  it('goes on without a password where none is needed', () => {
    const { asked, state, authenticator, steps } = makeLogin(false);
    expect(authenticator.start()).toEqual({ kind: 'pending' });
    expect(asked).toEqual(['']);
    state.done?.({ kind: 'accepted' });
    expect(steps).toEqual([{ kind: 'ok', saslFinal: null, scramKeys: null }]);
  });

  it('asks for the password where one is', () => {
    const { asked, state, authenticator, steps } = makeLogin(true);
    expect(authenticator.start()).toEqual({ kind: 'send', authentication: { type: 'cleartext' } });
    expect(authenticator.onMessage(Buffer.from('pw\0'))).toEqual({ kind: 'pending' });
    expect(asked).toEqual(['pw']);
    state.done?.({ kind: 'refused', reason: 'why' });
    expect(steps).toEqual([{ kind: 'failed', reason: 'why', message: 'no', sqlstate: '28000' }]);
  });

  it('fails as exhausted when there are too many', () => {
    const { state, authenticator, steps } = makeLogin(false);
    authenticator.start();
    state.done?.({ kind: 'overloaded', reason: 'full' });
    expect(steps).toMatchObject([
      { kind: 'failed', reason: 'full', message: 'bouncer resources exhaustion' },
    ]);
  });

  it.each([
    ['no password at all', Buffer.from('\0'), 'empty password'],
    ['a message without an end', Buffer.from('pw'), 'malformed PasswordMessage'],
    ['an empty message', Buffer.alloc(0), 'malformed PasswordMessage'],
  ])('fails without asking for %s', (_what, body, reason) => {
    const { asked, authenticator } = makeLogin(true);
    authenticator.start();
    expect(authenticator.onMessage(body)).toMatchObject({ kind: 'failed', reason });
    expect(asked).toEqual([]);
  });

  it('fails for a message that comes while the system thinks, and forgets the check', () => {
    const { state, authenticator, steps } = makeLogin(false);
    authenticator.start();
    expect(authenticator.onMessage(Buffer.from('pw\0'))).toMatchObject({
      kind: 'failed',
      reason: 'authentication message out of order',
    });
    expect(state.isCanceled).toBe(true);
    state.done?.({ kind: 'accepted' });
    expect(steps).toEqual([]);
  });

  it('forgets the check of a client that has gone', () => {
    const { state, authenticator, steps } = makeLogin(false);
    authenticator.start();
    authenticator.dispose();
    expect(state.isCanceled).toBe(true);
    state.done?.({ kind: 'accepted' });
    expect(steps).toEqual([]);
  });
});
