import { describe, expect, it } from 'vitest';
import { ClientAuthenticator } from '../../../src/auth/client-authenticator.ts';
import type { AuthStep } from '../../../src/auth/auth-step.ts';
import { Credentials } from '../../../src/auth/credentials.ts';
import type { LoginMethod } from '../../../src/auth/login-plan.ts';
import { md5Digest, md5Response } from '../../../src/auth/md5.ts';
import { PasswordDeriver } from '../../../src/auth/password-derivation.ts';
import { writeSaslInitialResponse } from '../../../src/auth/password-message.ts';
import type { ScramKeys } from '../../../src/auth/scram-crypto.ts';
import { NO_SECRET } from '../../../src/auth/secret.ts';
import type { Secret } from '../../../src/auth/secret.ts';
import { ServerAuthenticator } from '../../../src/auth/server-authenticator.ts';
import type { ServerAuthStep } from '../../../src/auth/server-authenticator.ts';
import { continueData, expectKind, makeVerifier, mutate, passwordBody } from './support.ts';
import { seededRandom, Side, TEST_ITERATIONS } from './support.ts';

const SECRETS: Readonly<Record<string, Secret>> = {
  plain: { kind: 'plain', password: 'pencil' },
  md5: { kind: 'md5', digest: md5Digest('pencil', 'md5') },
  scram: makeVerifier('pencil'),
  none: NO_SECRET,
};

const Code = { ok: 0, cleartext: 3, md5: 5, sasl: 10, saslContinue: 11, saslFinal: 12 };
const MECHANISMS = Buffer.from('SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0');
const NOTHING = Buffer.alloc(0);

interface ClientSide extends Side<AuthStep> {
  readonly auth: ClientAuthenticator;
}
interface ServerSide extends Side<ServerAuthStep> {
  readonly auth: ServerAuthenticator;
}

function makeCredentials(): Credentials {
  const credentials = new Credentials({
    deriver: new PasswordDeriver(),
    random: seededRandom('credentials'),
    scramIterations: TEST_ITERATIONS,
  });
  credentials.load(new Map(Object.entries(SECRETS)));
  return credentials;
}

function clientSide(
  method: LoginMethod,
  user: string,
  credentials = makeCredentials(),
  deriver = new PasswordDeriver(),
  channelBinding: Buffer | null = null,
): ClientSide {
  const side = new Side<AuthStep>();
  const plan = credentials.resolveLogin(method, user);
  const { onResume } = side;
  const random = seededRandom('client');
  const auth = new ClientAuthenticator({ plan, channelBinding, deriver, random, onResume });
  return Object.assign(side, { auth });
}

function serverSide(secret: Secret, keys: ScramKeys | null = null, user = 'md5'): ServerSide {
  const side = new Side<ServerAuthStep>();
  const deriver = new PasswordDeriver();
  const { onResume } = side;
  const random = seededRandom('server');
  const auth = new ServerAuthenticator({ user, secret, keys, deriver, random, onResume });
  return Object.assign(side, { auth });
}

/** Lets `client` log in with the authenticator that maitred uses against PostgreSQL. */
async function logIn(client: ClientSide, server: ServerSide): Promise<AuthStep> {
  let step = client.auth.start();
  for (let round = 0; round < 5; round++) {
    if (step.kind !== 'send') {
      return step;
    }
    const request = step.authentication;
    const [code, body] =
      request.type === 'cleartext'
        ? [Code.cleartext, NOTHING]
        : request.type === 'md5'
          ? [Code.md5, request.salt]
          : request.type === 'sasl'
            ? [Code.sasl, Buffer.from(`${request.mechanisms.join('\0')}\0\0`)]
            : [Code.saslContinue, Buffer.from(request.data, 'latin1')];
    const answer = await server.settled(server.auth.onAuthentication(code, body));
    step = await client.settled(client.auth.onMessage(expectKind(answer, 'send').body));
  }
  throw new Error('the exchange does not end');
}

describe('ClientAuthenticator', () => {
  it.each([
    ['plain', 'plain'],
    ['plain', 'md5'],
    ['plain', 'scram'],
    ['md5', 'plain'],
    ['md5', 'md5'],
    ['md5', 'scram'],
    ['scram-sha-256', 'plain'],
    ['scram-sha-256', 'scram'],
  ] as const)('admits under %s by a stored %s secret', async (method, user) => {
    const right = serverSide({ kind: 'plain', password: 'pencil' }, null, user);
    expect(await logIn(clientSide(method, user), right)).toMatchObject({ kind: 'ok' });
  });

  it.each([
    ['plain', 'plain', 'wrong password'],
    ['plain', 'md5', 'wrong password'],
    ['plain', 'scram', 'wrong password'],
    ['plain', 'none', 'user has no password'],
    ['plain', 'nobody', 'no such user'],
    ['md5', 'plain', 'wrong password'],
    ['md5', 'md5', 'wrong password'],
    ['md5', 'scram', 'wrong password'],
    ['md5', 'none', 'user has no password'],
    ['md5', 'nobody', 'no such user'],
    ['scram-sha-256', 'plain', 'wrong password'],
    ['scram-sha-256', 'scram', 'wrong password'],
    ['scram-sha-256', 'md5', 'the md5 secret of this user cannot check SCRAM'],
    ['scram-sha-256', 'none', 'user has no password'],
    ['scram-sha-256', 'nobody', 'no such user'],
  ] as const)('refuses under %s for %s by %s', async (method, user, reason) => {
    for (const password of ['wrong', 'md5', 'SCRAM-SHA-256', 'none']) {
      const wrong = serverSide({ kind: 'plain', password }, null, user);
      const step = expectKind(await logIn(clientSide(method, user), wrong), 'failed');
      expect(step).toMatchObject({ reason, sqlstate: '28P01' });
      expect(step.message).toMatch(/^(password|SASL) authentication failed$/);
      expect(step.message).not.toContain(reason);
    }
  });

  it('refuses an md5 secret under SCRAM also with the right password', async () => {
    const right = serverSide({ kind: 'plain', password: 'pencil' });
    const step = await logIn(clientSide('scram-sha-256', 'md5'), right);
    expect(step).toMatchObject({ kind: 'failed', message: 'SASL authentication failed' });
  });

  it.each([
    ['any', 'nobody', { kind: 'ok', saslFinal: null, scramKeys: null }],
    ['trust', 'none', { kind: 'ok' }],
    ['trust', 'nobody', { kind: 'failed', message: '"trust" authentication failed' }],
  ] as const)('under %s lets %s start with %o', (method, user, expected) => {
    expect(clientSide(method, user).auth.start()).toMatchObject(expected);
  });

  it('proves the server to the client, and yields keys that log in to PostgreSQL', async () => {
    const credentials = makeCredentials();
    const server = serverSide({ kind: 'plain', password: 'pencil' });
    const step = await logIn(clientSide('scram-sha-256', 'scram', credentials), server);
    const { saslFinal, scramKeys } = expectKind(step, 'ok');
    const final = Buffer.from(saslFinal ?? '');
    expect(server.auth.onAuthentication(Code.saslFinal, final)).toEqual({ kind: 'wait' });
    expect(server.auth.onAuthentication(Code.ok, NOTHING)).toEqual({ kind: 'ok' });
    expect(scramKeys !== null && credentials.learnKeys('scram', scramKeys)).toBe(true);

    const { secret, keys } = credentials.serverSecret('scram');
    const passThrough = serverSide(secret, keys);
    const again = await logIn(clientSide('scram-sha-256', 'scram', credentials), passThrough);
    expect(again).toMatchObject({ kind: 'ok' });
  });

  it('yields keys for a clear text login against a stored verifier, none for a derived one', async () => {
    const pencil: Secret = { kind: 'plain', password: 'pencil' };
    const credentials = makeCredentials();
    const plain = await logIn(clientSide('plain', 'scram', credentials), serverSide(pencil));
    const { scramKeys } = expectKind(plain, 'ok');
    expect(scramKeys !== null && credentials.learnKeys('scram', scramKeys)).toBe(true);
    const derived = await logIn(clientSide('scram-sha-256', 'plain'), serverSide(pencil));
    expect(expectKind(derived, 'ok').scramKeys).toBeNull();
  });

  it.each(['plain', 'md5'] as const)(
    'refuses an empty or malformed password under %s',
    (method) => {
      const answer = (body: Buffer): AuthStep => {
        const { auth } = clientSide(method, 'md5');
        auth.start();
        return auth.onMessage(body);
      };
      expect(answer(passwordBody(''))).toMatchObject({
        message: 'empty password returned by client',
        sqlstate: '28P01',
      });
      for (const body of ['', 'pencil', 'pencil\0\0', 'pen\0cil\0', '\0pencil']) {
        expect(answer(Buffer.from(body))).toMatchObject({ kind: 'failed', sqlstate: '08P01' });
      }
      expect(answer(Buffer.alloc(65_536, 'x'))).toMatchObject({
        reason: 'authentication message too long',
      });
    },
  );

  function initialResponse(length: number, data = 'n,,n=,r=abc'): Buffer {
    const body = writeSaslInitialResponse('SCRAM-SHA-256', data);
    body.writeInt32BE(length | 0, 14);
    return body;
  }

  it.each([0, -1, -2, 10, 12, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0])(
    'refuses a SASLInitialResponse of 11 bytes that announces %d',
    (length) => {
      const { auth } = clientSide('scram-sha-256', 'scram');
      auth.start();
      expect(auth.onMessage(initialResponse(length))).toMatchObject({
        kind: 'failed',
        message: 'SASL authentication failed',
        sqlstate: '08P01',
      });
    },
  );

  it.each(['', '\0', 'SCRAM-SHA-256', 'SCRAM-SHA-256\0', 'SCRAM-SHA-256\0\0\0\0'])(
    'refuses the cut SASLInitialResponse %j',
    (text) => {
      const { auth } = clientSide('scram-sha-256', 'scram');
      auth.start();
      expect(auth.onMessage(Buffer.from(text)).kind).toBe('failed');
    },
  );

  it('asks again when the initial response has no data, once', () => {
    const { auth } = clientSide('scram-sha-256', 'scram');
    auth.start();
    expect(continueData(auth.onMessage(initialResponse(-1, '')))).toHaveLength(0);
    expect(continueData(auth.onMessage(Buffer.from('n,,n=,r=abc'))).toString()).toMatch(/^r=abc/);
    const other = clientSide('scram-sha-256', 'scram').auth;
    other.start();
    other.onMessage(initialResponse(-1, ''));
    expect(other.onMessage(initialResponse(-1, '')).kind).toBe('failed');
  });

  it.each(['SCRAM-SHA-256-PLUS', 'scram-sha-256', 'PLAIN', ''])(
    'refuses the mechanism %j',
    (mechanism) => {
      const { auth } = clientSide('scram-sha-256', 'scram');
      auth.start();
      expect(auth.onMessage(writeSaslInitialResponse(mechanism, 'n,,n=,r=abc'))).toMatchObject({
        message: 'client selected an invalid SASL authentication mechanism',
      });
    },
  );

  it('refuses messages before the start, after the end and while a derivation runs', async () => {
    const early = clientSide('plain', 'plain').auth;
    expect(early.onMessage(passwordBody('pencil')).kind).toBe('failed');
    const late = clientSide('plain', 'plain').auth;
    late.start();
    expect(late.onMessage(passwordBody('pencil')).kind).toBe('ok');
    expect(late.onMessage(passwordBody('pencil')).kind).toBe('failed');
    const busy = clientSide('plain', 'scram');
    busy.auth.start();
    expect(busy.auth.onMessage(passwordBody('pencil')).kind).toBe('pending');
    expect(busy.auth.onMessage(passwordBody('pencil')).kind).toBe('failed');
    await new Promise((resolve) => setImmediate(resolve));
    expect(busy.resumed).toEqual([]);
  });

  it('cancels its derivation when disposed', () => {
    const deriver = new PasswordDeriver({ maxInFlight: 0 });
    const { auth } = clientSide('plain', 'scram', makeCredentials(), deriver);
    auth.start();
    auth.onMessage(passwordBody('pencil'));
    expect(deriver.queuedCount).toBe(1);
    auth.dispose();
    expect(deriver.queuedCount).toBe(0);
  });

  it('fails cleanly when the derivation is refused', async () => {
    const deriver = new PasswordDeriver({ maxInFlight: 0, maxQueued: 0 });
    const side = clientSide('plain', 'scram', makeCredentials(), deriver);
    side.auth.start();
    expect(await side.settled(side.auth.onMessage(passwordBody('pencil')))).toMatchObject({
      kind: 'failed',
      message: 'bouncer resources exhaustion',
      sqlstate: '53300',
    });
  });

  it('never throws and never admits on random messages', () => {
    const random = seededRandom('fuzz');
    const seeds = [
      initialResponse(11),
      passwordBody('pencils'),
      Buffer.from('c=biws,r=abc,p=AAAA'),
    ];
    for (const method of ['plain', 'md5', 'scram-sha-256'] as const) {
      for (const user of ['plain', 'md5', 'scram', 'nobody']) {
        const credentials = makeCredentials();
        for (let round = 0; round < 100; round++) {
          const { auth } = clientSide(method, user, credentials);
          auth.start();
          for (const seed of seeds) {
            expect(['send', 'failed', 'pending']).toContain(
              auth.onMessage(mutate(seed, random)).kind,
            );
          }
          auth.dispose();
        }
      }
    }
  });
});

describe('ServerAuthenticator', () => {
  const plain: Secret = { kind: 'plain', password: 'pencil' };
  const serverFirst = (auth: ServerAuthenticator, iterations = '16'): Buffer => {
    const sent = expectKind(auth.onAuthentication(Code.sasl, MECHANISMS), 'send').body.toString();
    return Buffer.from(`r=${sent.slice(sent.indexOf('r=') + 2)}xyz,s=MDEyMw==,i=${iterations}`);
  };

  it('accepts a server that asks for nothing', () => {
    expect(serverSide(NO_SECRET).auth.onAuthentication(Code.ok, NOTHING)).toEqual({ kind: 'ok' });
  });

  it('answers clear text and md5 requests', () => {
    const salt = Buffer.from([1, 2, 3, 4]);
    const digest = md5Digest('pencil', 'md5');
    for (const secret of [plain, { kind: 'md5', digest } as const]) {
      const { auth } = serverSide(secret);
      const body = passwordBody(md5Response(digest, salt));
      expect(auth.onAuthentication(Code.md5, salt)).toEqual({ kind: 'send', body });
      expect(auth.onAuthentication(Code.ok, NOTHING)).toEqual({ kind: 'ok' });
    }
    expect(serverSide(plain).auth.onAuthentication(Code.cleartext, NOTHING)).toEqual({
      kind: 'send',
      body: passwordBody('pencil'),
    });
  });

  it.each([
    ['md5', Code.cleartext, NOTHING],
    ['md5', Code.sasl, MECHANISMS],
    ['scram', Code.cleartext, NOTHING],
    ['scram', Code.md5, Buffer.alloc(4)],
    ['scram', Code.sasl, MECHANISMS],
    ['none', Code.cleartext, NOTHING],
    ['none', Code.md5, Buffer.alloc(4)],
    ['none', Code.sasl, MECHANISMS],
  ])('says wrong password type for a %s secret and request %d', (kind, code, body) => {
    const { auth } = serverSide(SECRETS[kind] ?? NO_SECRET);
    const step = expectKind(auth.onAuthentication(code, body), 'failed');
    expect(step.message).toBe('wrong password type');
    expect(auth.onAuthentication(Code.ok, NOTHING).kind).toBe('failed');
  });

  it.each([1, 2, 4, 6, 7, 8, 9, 13, -1, 0x7fff_ffff])('does not know method %d', (code) => {
    const message = `unknown/unsupported auth method: ${String(code)}`;
    expect(serverSide(plain).auth.onAuthentication(code, NOTHING)).toMatchObject({ message });
  });

  it.each([
    ['', 'failed to answer authreq'],
    ['\0', 'failed to answer authreq'],
    ['SCRAM-SHA-256', 'failed to answer authreq'],
    ['SCRAM-SHA-256\0', 'failed to answer authreq'],
    ['SCRAM-SHA-256-PLUS\0\0', "none of the server's SASL authentication mechanisms are supported"],
    ['SCRAM-SHA-1\0OTHER\0\0', "none of the server's SASL authentication mechanisms are supported"],
  ])('refuses the mechanisms %j', (list, message) => {
    const { auth } = serverSide(plain);
    expect(auth.onAuthentication(Code.sasl, Buffer.from(list))).toMatchObject({ message });
  });

  it('refuses AuthenticationOk at every stage before the server has proved itself', async () => {
    const message = 'failed to verify server signature';
    const first = serverSide(plain);
    serverFirst(first.auth);
    expect(first.auth.onAuthentication(Code.ok, NOTHING)).toMatchObject({ message });
    const pending = serverSide(plain);
    const challenge = serverFirst(pending.auth);
    expect(pending.auth.onAuthentication(Code.saslContinue, challenge).kind).toBe('pending');
    expect(pending.auth.onAuthentication(Code.ok, NOTHING)).toMatchObject({ message });
    const final = serverSide(plain);
    const asked = final.auth.onAuthentication(Code.saslContinue, serverFirst(final.auth));
    expect((await final.settled(asked)).kind).toBe('send');
    expect(final.auth.onAuthentication(Code.ok, NOTHING)).toMatchObject({ message });
  });

  it.each([
    [`v=${Buffer.alloc(32).toString('base64')}`, 'invalid server signature'],
    ['v=AAAA', 'failed to verify server signature'],
    ['e=invalid-proof', 'failed to verify server signature'],
    ['', 'failed to verify server signature'],
  ])('refuses server-final-message %j', async (text, message) => {
    const server = serverSide(plain);
    const { auth } = server;
    await server.settled(auth.onAuthentication(Code.saslContinue, serverFirst(auth)));
    expect(auth.onAuthentication(Code.saslFinal, Buffer.from(text))).toMatchObject({ message });
    expect(auth.onAuthentication(Code.ok, NOTHING).kind).toBe('failed');
  });

  it('refuses two billion iterations at once', () => {
    const { auth } = serverSide(plain);
    const step = auth.onAuthentication(Code.saslContinue, serverFirst(auth, '2000000000'));
    expect(step).toMatchObject({ kind: 'failed' });
  });

  it('refuses fewer iterations than it was told to accept', async () => {
    for (const [iterations, kind] of [
      ['4095', 'failed'],
      ['4096', 'send'],
    ]) {
      const side = new Side<ServerAuthStep>();
      const auth = new ServerAuthenticator({
        user: 'u',
        secret: plain,
        keys: null,
        deriver: new PasswordDeriver(),
        minIterations: 4096,
        random: seededRandom('few'),
        onResume: side.onResume,
      });
      const step = auth.onAuthentication(Code.saslContinue, serverFirst(auth, iterations));
      expect((await side.settled(step)).kind).toBe(kind);
    }
  });

  it('refuses pass-through to a server whose secret has another salt or iteration count', () => {
    const verifier = makeVerifier('pencil');
    const { salt, iterations } = verifier;
    const keys = { clientKey: Buffer.alloc(32), serverKey: Buffer.alloc(32), salt, iterations };
    const { auth } = serverSide(verifier, keys);
    expect(auth.onAuthentication(Code.saslContinue, serverFirst(auth))).toMatchObject({
      message: 'wrong password type',
    });
  });

  it.each([
    ['a second request', [Code.cleartext, Code.cleartext]],
    ['another method', [Code.cleartext, Code.sasl]],
    ['SASLContinue first', [Code.saslContinue]],
    ['SASLFinal first', [Code.saslFinal]],
    ['SASL twice', [Code.sasl, Code.sasl]],
    ['SASLFinal for SASLContinue', [Code.sasl, Code.saslFinal]],
    ['clear text during SASL', [Code.sasl, Code.cleartext]],
    ['a message after the end', [Code.ok, Code.ok]],
  ])('refuses %s', (_what, codes) => {
    const { auth } = serverSide(plain);
    const steps = codes.map((code) => auth.onAuthentication(code, MECHANISMS));
    expect(steps.at(-1)?.kind).toBe('failed');
  });

  it('never throws and never believes random messages', async () => {
    const random = seededRandom('fuzz-server');
    for (let round = 0; round < 300; round++) {
      const server = serverSide(plain);
      const first = mutate(serverFirst(server.auth), random);
      const step = await server.settled(server.auth.onAuthentication(Code.saslContinue, first));
      expect(['send', 'failed']).toContain(step.kind);
      const final = server.auth.onAuthentication(Code.saslFinal, mutate(first, random));
      expect(final.kind).toBe('failed');
    }
  });
});
