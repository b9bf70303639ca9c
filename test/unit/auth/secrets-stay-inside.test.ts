import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { ClientAuthenticator } from '../../../src/auth/client-authenticator.ts';
import { Credentials } from '../../../src/auth/credentials.ts';
import { PasswordDeriver } from '../../../src/auth/password-derivation.ts';
import { parseSecret } from '../../../src/auth/secret.ts';
import { ServerAuthenticator } from '../../../src/auth/server-authenticator.ts';
import { seededRandom } from './support.ts';

const PASSWORD = 'never to be shown';

/** Everything that inspect, JSON and a template text tell of a value. */
function shownOf(value: object): string {
  const everything = { depth: Infinity, showHidden: true, maxArrayLength: null } as const;
  return [inspect(value, everything), JSON.stringify(value), Object.keys(value).join()].join('\n');
}

describe('an object that holds secrets shows none', () => {
  const deriver = new PasswordDeriver();
  const random = seededRandom('inside');
  const credentials = new Credentials({ deriver, random, scramIterations: 1 });
  const secret = parseSecret(PASSWORD);
  credentials.load(new Map([['u', secret]]));
  const plan = credentials.resolveLogin('plain', 'u');
  const onResume = (): void => {};

  it.each<[string, object]>([
    ['Credentials', credentials],
    ['PasswordDeriver', deriver],
    ['ClientAuthenticator', new ClientAuthenticator({ plan, deriver, random, onResume })],
    [
      'ServerAuthenticator',
      new ServerAuthenticator({ user: 'u', secret, keys: null, deriver, random, onResume }),
    ],
  ])('%s', (_name, value) => {
    expect(shownOf(value)).not.toContain(PASSWORD);
  });

  it('as against the secret itself', () => {
    expect(shownOf(secret)).toContain(PASSWORD);
  });
});
