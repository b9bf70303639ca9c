import { describe, expect, it } from 'vitest';
import type { AuthStep } from '../../../src/auth/auth-step.ts';
import { ClientAuthenticator } from '../../../src/auth/client-authenticator.ts';
import { Credentials } from '../../../src/auth/credentials.ts';
import type { LoginMethod } from '../../../src/auth/login-plan.ts';
import { PasswordDeriver } from '../../../src/auth/password-derivation.ts';
import { parseSecret } from '../../../src/auth/secret.ts';
import {
  classifyLoginFailure,
  isGuess,
  LOGIN_FAILURES,
  type LoginFailure,
} from '../../../src/client/login-failure.ts';
import {
  POOLER_ERRORS,
  poolerError,
  type PoolerErrorName,
} from '../../../src/protocol/pooler-errors.ts';
import * as f from '../../support/frontend-messages.ts';
import { ScramClient } from '../../support/scram-client.ts';
import { seededRandom } from '../auth/support.ts';

const MD5 = `md5${'0'.repeat(32)}`;

/** Logs in with a password, and sorts the failure that this ends in. */
async function failureOf(method: LoginMethod, user: string, password: string): Promise<string> {
  const deriver = new PasswordDeriver();
  const random = seededRandom('failures');
  const credentials = new Credentials({ deriver, random, scramIterations: 1 });
  credentials.load(
    new Map(
      Object.entries({ plain: 'right', md5: MD5, none: '' }).map(
        ([name, text]) => [name, parseSecret(text)] as const,
      ),
    ),
  );
  const steps: ((step: AuthStep) => void)[] = [];
  const plan = credentials.resolveLogin(method, user);
  const login = new ClientAuthenticator({
    plan,
    deriver,
    random,
    onResume: (step) => steps.shift()?.(step),
  });
  const answer = async (message: Buffer): Promise<AuthStep> => {
    const step = login.onMessage(message.subarray(5));
    return step.kind === 'pending' ? new Promise((resolve) => steps.push(resolve)) : step;
  };
  let step = login.start();
  const scram = new ScramClient(password);
  while (step.kind === 'send') {
    const request = step.authentication;
    if (request.type === 'sasl') {
      step = await answer(f.saslInitialResponse('SCRAM-SHA-256', scram.first()));
    } else if (request.type === 'sasl-continue') {
      step = await answer(f.saslResponse(scram.final(request.data)));
    } else {
      step = await answer(f.passwordMessage(password));
    }
  }
  if (step.kind !== 'failed') {
    return step.kind;
  }
  const error = { ...poolerError('authenticationFailed', step.message), sqlstate: step.sqlstate };
  return classifyLoginFailure(error, step.reason);
}

describe('failed authentication is counted', () => {
  it.each<[LoginMethod, string, string, LoginFailure | 'ok']>([
    ['plain', 'plain', 'right', 'ok'],
    ['plain', 'plain', 'wrong', 'wrong_password'],
    ['plain', 'nobody', 'wrong', 'unknown_user'],
    ['plain', 'none', 'wrong', 'no_password'],
    ['plain', 'plain', '', 'no_password'],
    ['md5', 'plain', 'wrong', 'wrong_password'],
    ['md5', 'nobody', 'wrong', 'unknown_user'],
    ['md5', 'none', 'wrong', 'no_password'],
    ['scram-sha-256', 'plain', 'right', 'ok'],
    ['scram-sha-256', 'plain', 'wrong', 'wrong_password'],
    ['scram-sha-256', 'nobody', 'wrong', 'unknown_user'],
    ['scram-sha-256', 'none', 'wrong', 'no_password'],
    ['scram-sha-256', 'md5', 'wrong', 'unusable_secret'],
    ['trust', 'nobody', '', 'unknown_user'],
  ])('%s of %s with %j as %s', async (method, user, password, reason) => {
    expect(await failureOf(method, user, password)).toBe(reason);
  });

  it('by its SQLSTATE where that says more', () => {
    const error = poolerError('authenticationFailed', 'x');
    expect(classifyLoginFailure({ ...error, sqlstate: '08P01' }, 'wrong password')).toBe(
      'malformed',
    );
    expect(classifyLoginFailure({ ...error, sqlstate: '53300' }, 'x')).toBe('overloaded');
    expect(classifyLoginFailure({ ...error, sqlstate: '28000' }, 'a rule')).toBe('not_allowed');
    expect(classifyLoginFailure(error, 'what a directory says')).toBe('rejected');
  });
});

describe('every error', () => {
  it.each(Object.keys(POOLER_ERRORS) as PoolerErrorName[])('%s has a reason', (name) => {
    expect(LOGIN_FAILURES).toHaveProperty(classifyLoginFailure(poolerError(name), 'x'));
  });
});

describe('a guess', () => {
  it('is what tries a password or a name, and nothing that others cause', () => {
    const reasons = Object.keys(LOGIN_FAILURES) as LoginFailure[];
    expect(reasons.filter(isGuess)).toEqual([
      'wrong_password',
      'unknown_user',
      'no_password',
      'unusable_secret',
      'rejected',
      'malformed',
    ]);
  });
});
