import { describe, expect, it } from 'vitest';
import type { FoundUser } from '../../../src/auth/auth-query.ts';
import { Credentials } from '../../../src/auth/credentials.ts';
import type { LoginMethod, StoredPlan } from '../../../src/auth/login-plan.ts';
import { md5Digest } from '../../../src/auth/md5.ts';
import { PasswordDeriver } from '../../../src/auth/password-derivation.ts';
import type { ScramKeys } from '../../../src/auth/scram-crypto.ts';
import { NO_SECRET } from '../../../src/auth/secret.ts';
import { SecretShapes } from '../../../src/auth/secret-shapes.ts';
import type { Secret } from '../../../src/auth/secret.ts';
import { makeVerifier, seededRandom, TEST_ITERATIONS } from './support.ts';
import { keysFromSaltedPassword } from '../../../src/auth/scram-crypto.ts';
import { pbkdf2Sync } from 'node:crypto';

const VERIFIER = makeVerifier('pencil');
const PLAIN: Secret = { kind: 'plain', password: 'pencil' };
const MD5: Secret = { kind: 'md5', digest: md5Digest('pencil', 'md5-user') };

function makeCredentials(users: readonly (readonly [string, Secret])[], seed = 'x'): Credentials {
  const credentials = new Credentials({
    deriver: new PasswordDeriver(),
    random: seededRandom(seed),
    scramIterations: TEST_ITERATIONS,
  });
  credentials.load(new Map(users));
  return credentials;
}

const ALL = [
  ['plain-user', PLAIN],
  ['md5-user', MD5],
  ['scram-user', VERIFIER],
  ['empty-user', NO_SECRET],
] as const;

function keysOf(password: string): ScramKeys {
  const { salt, iterations } = VERIFIER;
  const keys = keysFromSaltedPassword(pbkdf2Sync(password, salt, iterations, 32, 'sha256'));
  return { clientKey: keys.clientKey, serverKey: keys.serverKey, salt, iterations };
}

function refusalOf(plan: StoredPlan): string | null {
  return plan.method === 'trust' ? null : plan.refusal;
}

/** What a client sees of a plan before it proves anything. */
function challengeOf(plan: StoredPlan): unknown {
  if (plan.method === 'scram' && plan.source.kind === 'stored') {
    const { salt, iterations } = plan.source.verifier;
    return { method: plan.method, saltBytes: salt.length, iterations };
  }
  return { method: plan.method };
}

describe('Credentials.resolveLogin', () => {
  it.each([
    ['trust', 'plain-user', { method: 'trust', isKnown: true }],
    ['trust', 'empty-user', { method: 'trust', isKnown: true }],
    ['trust', 'nobody', { method: 'trust', isKnown: false }],
    ['any', 'nobody', { method: 'trust', isKnown: true }],
    ['plain', 'plain-user', { method: 'plain', secret: PLAIN, refusal: null }],
    ['plain', 'md5-user', { method: 'plain', secret: MD5, refusal: null }],
    ['plain', 'scram-user', { method: 'plain', secret: VERIFIER, refusal: null }],
    ['md5', 'plain-user', { method: 'md5', digest: md5Digest('pencil', 'plain-user') }],
    ['md5', 'md5-user', { method: 'md5', digest: MD5.digest, refusal: null }],
    ['md5', 'scram-user', { method: 'scram', source: { kind: 'stored', verifier: VERIFIER } }],
    ['scram-sha-256', 'scram-user', { source: { kind: 'stored', verifier: VERIFIER } }],
    ['scram-sha-256', 'plain-user', { source: { kind: 'derived' }, refusal: null }],
    ['scram-sha-256', 'md5-user', { refusal: 'the md5 secret of this user cannot check SCRAM' }],
  ] as const)('plans %s for %s', (method, user, expected) => {
    expect(makeCredentials(ALL).resolveLogin(method, user)).toMatchObject(expected);
  });

  it.each(['plain', 'md5', 'scram-sha-256'] as const)(
    'refuses unknown users, and those without a password, under %s',
    (method) => {
      const credentials = makeCredentials(ALL);
      expect(refusalOf(credentials.resolveLogin(method, 'nobody'))).toBe('no such user');
      expect(refusalOf(credentials.resolveLogin(method, '__proto__'))).toBe('no such user');
      expect(refusalOf(credentials.resolveLogin(method, 'empty-user'))).toBe(
        'user has no password',
      );
    },
  );

  it.each([
    ['plain', 'plain-user'],
    ['md5', 'plain-user'],
    ['md5', 'md5-user'],
    ['md5', 'scram-user'],
    ['scram-sha-256', 'scram-user'],
  ] as const)('shows unknown users the %s challenge of %s', (method: LoginMethod, user) => {
    const credentials = makeCredentials(ALL.filter(([name]) => name === user));
    const real = credentials.resolveLogin(method, user);
    const mock = credentials.resolveLogin(method, 'nobody');
    expect(challengeOf(mock)).toEqual(challengeOf(real));
  });

  it('gives unknown users each challenge about as often as known ones, and always the same', () => {
    const credentials = makeCredentials([
      ['a', VERIFIER],
      ['b', MD5],
      ['c', PLAIN],
      ['d', VERIFIER],
    ]);
    const methods = (): string[] =>
      Array.from(
        { length: 400 },
        (_, i) => credentials.resolveLogin('md5', `u${String(i)}`).method,
      );
    const scramCount = methods().filter((method) => method === 'scram').length;
    expect(scramCount).toBeGreaterThan(150);
    expect(scramCount).toBeLessThan(250);
    expect(methods()).toEqual(methods());
  });

  it('makes one verifier per user with a plain password, until the file is read again', () => {
    const credentials = makeCredentials(ALL);
    const lazy = (user: string): unknown => {
      const plan = credentials.resolveLogin('scram-sha-256', user);
      return plan.method === 'scram' && plan.source.kind === 'derived' ? plan.source.lazy : null;
    };
    const first = lazy('plain-user');
    expect(first).not.toBeNull();
    expect(lazy('plain-user')).toBe(first);
    credentials.load(new Map<string, Secret>(ALL));
    expect(lazy('plain-user')).not.toBe(first);
  });

  it('keeps the salt of a user with a plain password, as that of one who does not exist', async () => {
    const credentials = makeCredentials([['plain-user', PLAIN]]);
    const saltOf = (user: string): Promise<string> =>
      new Promise((resolve) => {
        const plan = credentials.resolveLogin('scram-sha-256', user);
        if (plan.method === 'scram' && plan.source.kind === 'derived') {
          plan.source.lazy.resolve((outcome) => {
            resolve(outcome.kind === 'verifier' ? outcome.verifier.salt.toString('hex') : '');
          });
        }
      });
    const salts = [await saltOf('plain-user'), await saltOf('nobody')];
    expect(new Set(salts).size).toBe(2);
    credentials.load(new Map([['plain-user', PLAIN]]));
    expect([await saltOf('plain-user'), await saltOf('nobody')]).toEqual(salts);
  });
});

describe('Credentials.load', () => {
  it('keeps a user that is gone from the file known, without a password', () => {
    const credentials = makeCredentials(ALL);
    credentials.load(new Map());
    expect(credentials.isKnown('plain-user')).toBe(true);
    expect(credentials.serverSecret('plain-user').secret).toEqual(NO_SECRET);
    expect(credentials.resolveLogin('trust', 'plain-user')).toMatchObject({ isKnown: true });
    expect(refusalOf(credentials.resolveLogin('md5', 'plain-user'))).toBe('user has no password');
  });

  it('takes new iterations for mock logins', () => {
    const credentials = makeCredentials([]);
    credentials.load(new Map(), 99);
    expect(challengeOf(credentials.resolveLogin('scram-sha-256', 'nobody'))).toMatchObject({
      iterations: 99,
    });
  });
});

describe('Credentials.serverSecret', () => {
  it('has no secret for an unknown user', () => {
    const credentials = makeCredentials(ALL);
    expect(credentials.serverSecret('constructor')).toEqual({ secret: NO_SECRET, keys: null });
  });

  it('hands out keys that a client has proved', () => {
    const credentials = makeCredentials(ALL);
    expect(credentials.serverSecret('scram-user').keys).toBeNull();
    expect(credentials.learnKeys('scram-user', keysOf('pencil'))).toBe(true);
    expect(credentials.serverSecret('scram-user').keys).toEqual(keysOf('pencil'));
  });

  it('refuses keys that do not fit the secret', () => {
    const credentials = makeCredentials(ALL);
    const keys = keysOf('pencil');
    expect(credentials.learnKeys('scram-user', keysOf('pencils'))).toBe(false);
    expect(credentials.learnKeys('scram-user', { ...keys, iterations: 1 })).toBe(false);
    expect(credentials.learnKeys('scram-user', { ...keys, salt: Buffer.from('x') })).toBe(false);
    expect(credentials.learnKeys('scram-user', { ...keys, serverKey: keys.clientKey })).toBe(false);
    expect(credentials.learnKeys('plain-user', keys)).toBe(false);
    expect(credentials.learnKeys('nobody', keys)).toBe(false);
    expect(credentials.serverSecret('scram-user').keys).toBeNull();
  });

  it('keeps learnt keys over a reload of the same secret, and drops them with another', () => {
    const credentials = makeCredentials(ALL);
    credentials.learnKeys('scram-user', keysOf('pencil'));
    credentials.load(new Map<string, Secret>(ALL));
    expect(credentials.serverSecret('scram-user').keys).not.toBeNull();
    credentials.load(new Map([['scram-user', makeVerifier('other')]]));
    expect(credentials.serverSecret('scram-user').keys).toBeNull();
  });
});

describe('a password that somebody else has found right', () => {
  it('serves to log in to the server, before what the users file has', () => {
    const credentials = makeCredentials(ALL);
    credentials.learnPassword('scram-user', 'typed');
    credentials.learnPassword('nobody', 'other');
    expect(credentials.serverSecret('scram-user')).toEqual({
      secret: { kind: 'plain', password: 'typed' },
      keys: null,
    });
    expect(credentials.serverSecret('nobody').secret).toEqual({ kind: 'plain', password: 'other' });
    expect(credentials.isKnown('nobody')).toBe(false);
  });

  it('lets nobody in here, and is forgotten when told so', () => {
    const credentials = makeCredentials(ALL);
    credentials.learnPassword('nobody', 'other');
    expect(refusalOf(credentials.resolveLogin('plain', 'nobody'))).toBe('no such user');
    credentials.forgetPasswords();
    expect(credentials.serverSecret('nobody').secret).toEqual(NO_SECRET);
  });
});

describe('Credentials with an answer of auth_query', () => {
  const found = (secret: Secret, name = 'asked'): FoundUser => ({ kind: 'found', name, secret });
  const UNKNOWN = { kind: 'unknown' } as const;

  it.each([
    ['trust', PLAIN, { method: 'trust', isKnown: true }],
    ['trust', NO_SECRET, { method: 'trust', isKnown: true }],
    ['plain', MD5, { method: 'plain', secret: MD5, refusal: null }],
    ['md5', VERIFIER, { method: 'scram', source: { kind: 'stored', verifier: VERIFIER } }],
    ['md5', PLAIN, { method: 'md5', digest: md5Digest('pencil', 'asked'), refusal: null }],
    ['scram-sha-256', PLAIN, { source: { kind: 'derived' }, refusal: null }],
    ['scram-sha-256', MD5, { refusal: 'the md5 secret of this user cannot check SCRAM' }],
    ['plain', NO_SECRET, { refusal: 'user has no password' }],
    ['md5', NO_SECRET, { refusal: 'user has no password' }],
    ['scram-sha-256', NO_SECRET, { refusal: 'user has no password' }],
  ] as const)('plans %s by the secret that was found (%#)', (method, secret, expected) => {
    const plan = makeCredentials(ALL).resolveLogin(method, 'asked', found(secret));
    expect(plan).toMatchObject(expected);
  });

  it('checks a password in clear text against the md5 hash of the name that was found', () => {
    const plan = makeCredentials([]).resolveLogin('plain', 'Asked', found(MD5));
    expect(plan).toMatchObject({ method: 'plain', user: 'asked', secret: MD5 });
  });

  it('knows nobody whom the query does not know, though the file did', () => {
    const credentials = makeCredentials(ALL);
    credentials.load(new Map());
    expect(credentials.isInFile('plain-user')).toBe(false);
    expect(credentials.resolveLogin('trust', 'plain-user', UNKNOWN)).toMatchObject({
      isKnown: false,
    });
    expect(refusalOf(credentials.resolveLogin('md5', 'plain-user', UNKNOWN))).toBe('no such user');
  });

  it('gives a plain secret the same salt at each login, that of an unknown user', async () => {
    const credentials = makeCredentials([]);
    const saltOf = async (answer: FoundUser | typeof UNKNOWN): Promise<Buffer | null> => {
      const plan = credentials.resolveLogin('scram-sha-256', 'asked', answer);
      if (plan.method !== 'scram') {
        return null;
      }
      const { source } = plan;
      if (source.kind === 'stored') {
        return source.verifier.salt;
      }
      return new Promise((resolve) => {
        source.lazy.resolve((outcome) => {
          resolve(outcome.kind === 'verifier' ? outcome.verifier.salt : null);
        });
      });
    };
    const salts = [await saltOf(found(PLAIN)), await saltOf(found(PLAIN)), await saltOf(UNKNOWN)];
    expect(salts[0]).not.toBeNull();
    expect(salts[1]).toEqual(salts[0]);
    expect(salts[2]).toEqual(salts[0]);
  });

  it('imitates the users that were found, not those of the file', () => {
    const credentials = makeCredentials([['a', MD5]]);
    const methodOf = (): string => credentials.resolveLogin('md5', 'nobody', UNKNOWN).method;
    expect(methodOf()).toBe('scram');
    const shapes = new SecretShapes();
    shapes.add(MD5);
    credentials.setAskedShapes(shapes);
    expect(methodOf()).toBe('md5');
  });

  it('keeps secret and keys of who has logged in, for one database', () => {
    const credentials = makeCredentials([]);
    const keys = keysOf('pencil');
    expect(credentials.keepProved('app', found(VERIFIER), keys)).toBe(true);
    expect(credentials.serverSecret('asked', 'app')).toEqual({ secret: VERIFIER, keys });
    expect(credentials.serverSecret('asked', 'other').secret).toEqual(NO_SECRET);
    // A later login by another method teaches nothing, and takes nothing away.
    expect(credentials.keepProved('app', found(VERIFIER), null)).toBe(false);
    expect(credentials.serverSecret('asked', 'app').keys).toEqual(keys);
    credentials.forgetDatabase('app');
    expect(credentials.serverSecret('asked', 'app').secret).toEqual(NO_SECRET);
  });

  it('gives up keys of an old secret, and takes none that do not fit', () => {
    const credentials = makeCredentials([]);
    credentials.keepProved('app', found(VERIFIER), keysOf('pencil'));
    const other = makeVerifier('changed');
    expect(credentials.keepProved('app', found(other), keysOf('pencil'))).toBe(true);
    expect(credentials.serverSecret('asked', 'app')).toEqual({ secret: other, keys: null });
    expect(credentials.keepProved('app', found(other), keysOf('changed'))).toBe(true);
    expect(credentials.serverSecret('asked', 'app').keys).not.toBeNull();
  });

  it('goes behind the file', () => {
    const credentials = makeCredentials([]);
    credentials.keepProved('app', found(PLAIN), null);
    credentials.load(new Map<string, Secret>([['asked', MD5]]));
    expect(credentials.serverSecret('asked', 'app').secret).toEqual(MD5);
  });

  it('names the users of the file by the kind of their secret', () => {
    const credentials = makeCredentials(ALL);
    expect(credentials.usersWith('md5')).toEqual(['md5-user']);
    credentials.load(new Map());
    expect(credentials.usersWith('md5')).toEqual([]);
  });
});
