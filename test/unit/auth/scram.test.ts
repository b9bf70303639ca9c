import { describe, expect, it } from 'vitest';
import { mockVerifier } from '../../../src/auth/mock-verifier.ts';
import { MAX_SCRAM_ITERATIONS, ScramClient } from '../../../src/auth/scram-client.ts';
import { hmac, keysFromSaltedPassword, MAX_NONCE_CHARS } from '../../../src/auth/scram-crypto.ts';
import { ScramServer } from '../../../src/auth/scram-server.ts';
import { expectKind, makeVerifier, mutate, seededRandom } from './support.ts';
import { pbkdf2Sync } from 'node:crypto';

/** RFC 7677, section 3. */
const RFC = {
  clientFirst: 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
  serverNonce: '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
  serverFirst:
    'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
  clientFinal:
    'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  serverFinal: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
  verifier: makeVerifier('pencil', Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'), 4096),
};

const VERIFIER = makeVerifier('pencil');
const SERVER_NONCE = 'c2VydmVyLW5vbmNlLTEyMzQ1Njc4';
const CLIENT_NONCE = 'Y2xpZW50LW5vbmNlLTEyMzQ1Njc4';

function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

function keysOf(password: string): ReturnType<typeof keysFromSaltedPassword> {
  const { salt, iterations } = VERIFIER;
  return keysFromSaltedPassword(pbkdf2Sync(password, salt, iterations, 32, 'sha256'));
}

/** A server that has answered `clientFirst`, and its answer. */
function begun(clientFirst = `n,,n=,r=${CLIENT_NONCE}`): { server: ScramServer; first: string } {
  const server = new ScramServer(VERIFIER, SERVER_NONCE);
  const { serverFirst } = expectKind(server.onClientFirst(bytes(clientFirst)), 'server-first');
  return { server, first: serverFirst };
}

describe('ScramServer', () => {
  it('follows the exchange of RFC 7677', () => {
    const server = new ScramServer(RFC.verifier, RFC.serverNonce);
    const first = server.onClientFirst(bytes(RFC.clientFirst));
    expect(first).toEqual({ kind: 'server-first', serverFirst: RFC.serverFirst });
    const final = expectKind(server.onClientFinal(bytes(RFC.clientFinal)), 'server-final');
    expect(final.serverFinal).toBe(RFC.serverFinal);
    const salted = pbkdf2Sync('pencil', RFC.verifier.salt, 4096, 32, 'sha256');
    expect(final.clientKey).toEqual(hmac(salted, 'Client Key'));
  });

  it.each([
    ['', 'malformed gs2 header in client-first-message'],
    ['n', 'malformed gs2 header in client-first-message'],
    ['n,', 'malformed gs2 header in client-first-message'],
    ['x,,n=,r=abc', 'malformed gs2 header in client-first-message'],
    [
      'p=tls-server-end-point,,n=,r=abc',
      'client requires channel binding, which it did not choose',
    ],
    ['n,a=admin,n=,r=abc', 'client asks for an authorization identity'],
    ['n,,', 'malformed client-first-message'],
    ['n,,r=abc', 'malformed client-first-message'],
    ['n,,n=,x=abc', 'malformed client-first-message'],
    ['n,,n=,r=abc,', 'malformed client-first-message'],
    ['n,,n=\0,r=abc', 'malformed client-first-message'],
    ['n,,m=x,n=,r=abc', 'client requires an unsupported SCRAM extension'],
    ['n,,n=,r=', 'malformed nonce in client-first-message'],
    ['n,,n=,r=a b', 'malformed nonce in client-first-message'],
    ['n,,n=,r=a\x7f', 'malformed nonce in client-first-message'],
    ['n,,n=,r=\xe9', 'malformed nonce in client-first-message'],
    [`n,,n=,r=${'a'.repeat(513)}`, 'malformed nonce in client-first-message'],
    [`n,,n=${'a'.repeat(4096)},r=abc`, 'client-first-message too long'],
  ])('refuses client-first-message %j', (message, reason) => {
    const server = new ScramServer(VERIFIER, SERVER_NONCE);
    const refusal = { kind: 'failed', reason, isMalformed: true };
    expect(server.onClientFirst(bytes(message))).toEqual(refusal);
    expect(server.onClientFirst(bytes(`n,,n=,r=abc`)).kind).toBe('failed');
  });

  it.each([
    `n,,n=,r=${'a'.repeat(512)}`,
    'n,,n=\xc3\xa9=2C,r=abc',
    'y,,n=,r=abc',
    'n,,n=,r=abc,x=extension',
  ])('accepts client-first-message %j', (message) => {
    expect(begun(message).first).toContain(SERVER_NONCE);
  });

  it.each(['n', 'y'])('binds the gs2 header %s,, into the final message', (flag) => {
    const other = flag === 'n' ? 'eSws' : 'biws';
    const { server, first } = begun(`${flag},,n=,r=abc`);
    const nonce = first.slice(0, first.indexOf(',s='));
    const proof = Buffer.alloc(32).toString('base64');
    expect(server.onClientFinal(bytes(`c=${other},${nonce},p=${proof}`))).toMatchObject({
      kind: 'failed',
      isMalformed: true,
    });
  });

  const nonce = `${CLIENT_NONCE}${SERVER_NONCE}`;
  const proof = Buffer.alloc(32, 7).toString('base64');
  it.each([
    ['', 'malformed client-final-message'],
    ['c=biws', 'malformed client-final-message'],
    [`c=biws,r=${nonce}`, 'malformed client-final-message'],
    [`c=biws,p=${proof}`, 'malformed client-final-message'],
    [`r=${nonce},c=biws,p=${proof}`, 'malformed client-final-message'],
    [`c=biws,r=${nonce},m=x,p=${proof}`, 'malformed client-final-message'],
    [`c=biws,r=${nonce},p=${proof},x=y`, 'malformed client-final-message'],
    [`c=biws,r=${nonce},p=${proof},`, 'malformed client-final-message'],
    [`c=biws,r=${nonce}x,p=${proof}`, 'nonce of client-final-message is not the one sent'],
    [
      `c=biws,r=${nonce.slice(0, -1)},p=${proof}`,
      'nonce of client-final-message is not the one sent',
    ],
    [`c=biws,r=${SERVER_NONCE},p=${proof}`, 'nonce of client-final-message is not the one sent'],
    [`c=biws,r=${nonce},p=`, 'malformed proof in client-final-message'],
    [`c=biws,r=${nonce},p=AAAA`, 'malformed proof in client-final-message'],
    [`c=biws,r=${nonce},p=${proof.slice(0, -1)}`, 'malformed proof in client-final-message'],
    [`c=biws,r=${nonce},p=${proof}\0`, 'malformed client-final-message'],
    [`c=biws,r=${nonce},p=${'A'.repeat(4096)}`, 'client-final-message too long'],
  ])('refuses client-final-message %j', (message, reason) => {
    const refusal = { kind: 'failed', reason, isMalformed: true };
    expect(begun().server.onClientFinal(bytes(message))).toEqual(refusal);
  });

  it('refuses a well-formed but wrong proof as a wrong password, and then everything', () => {
    const { server } = begun();
    const wrong = server.onClientFinal(bytes(`c=biws,r=${nonce},p=${proof}`));
    expect(wrong).toEqual({ kind: 'failed', reason: 'wrong password', isMalformed: false });
    expect(server.onClientFinal(bytes(`c=biws,r=${nonce},p=${proof}`)).kind).toBe('failed');
  });

  it('refuses client-final-message before client-first-message', () => {
    const server = new ScramServer(RFC.verifier, RFC.serverNonce);
    expect(server.onClientFinal(bytes(RFC.clientFinal)).kind).toBe('failed');
    expect(server.onClientFirst(bytes(RFC.clientFirst)).kind).toBe('failed');
  });

  it('refuses a right proof that was sent in an earlier exchange', () => {
    const server = new ScramServer(RFC.verifier, 'fresh');
    server.onClientFirst(bytes(RFC.clientFirst));
    expect(server.onClientFinal(bytes(RFC.clientFinal)).kind).toBe('failed');
  });

  it('never throws and never admits on changed messages', () => {
    const random = seededRandom('scram-server');
    for (let round = 0; round < 3000; round++) {
      const server = new ScramServer(RFC.verifier, RFC.serverNonce);
      const clientFirst = bytes(RFC.clientFirst);
      const clientFinal = bytes(RFC.clientFinal);
      const first = round % 2 === 0 ? clientFirst : mutate(clientFirst, random);
      const final = round % 2 === 0 ? mutate(clientFinal, random) : clientFinal;
      const isSame = first.equals(clientFirst) && final.equals(clientFinal);
      server.onClientFirst(first);
      expect(server.onClientFinal(final).kind, `round ${String(round)}`).toBe(
        isSame ? 'server-final' : 'failed',
      );
    }
  });
});

describe('ScramClient', () => {
  function challenge(nonceTail: string, salt = 'MDEyMw==', iterations = '16'): Buffer {
    return bytes(`r=${CLIENT_NONCE}${nonceTail},s=${salt},i=${iterations}`);
  }

  it('logs in to the server role, and verifies it', () => {
    const client = new ScramClient(CLIENT_NONCE);
    const { server, first } = begun(client.clientFirst());
    const asked = client.onServerFirst(bytes(first));
    expect(asked).toEqual({ kind: 'challenge', salt: VERIFIER.salt, iterations: 16 });
    const final = expectKind(
      server.onClientFinal(bytes(client.prove(keysOf('pencil')) ?? '')),
      'server-final',
    );
    expect(final.clientKey).toEqual(keysOf('pencil').clientKey);
    expect(client.onServerFinal(bytes(final.serverFinal))).toEqual({ kind: 'verified' });
  });

  it('is refused by the server role with another password', () => {
    const client = new ScramClient(CLIENT_NONCE);
    const { server, first } = begun(client.clientFirst());
    client.onServerFirst(bytes(first));
    expect(server.onClientFinal(bytes(client.prove(keysOf('pencils')) ?? ''))).toMatchObject({
      reason: 'wrong password',
    });
  });

  it.each([
    ['nothing', bytes('')],
    ['an error', bytes('e=other-error')],
    ['a required extension', bytes(`m=x,r=${CLIENT_NONCE}x,s=MDEyMw==,i=16`)],
    ['another order', bytes(`s=MDEyMw==,r=${CLIENT_NONCE}x,i=16`)],
    ['a missing salt', bytes(`r=${CLIENT_NONCE}x,i=16`)],
    ['our nonce alone', challenge('')],
    ['another nonce', bytes('r=abcdef,s=MDEyMw==,i=16')],
    ['a nonce that only ends like ours', bytes(`r=x${CLIENT_NONCE},s=MDEyMw==,i=16`)],
    ['a nonce with a blank', challenge(' x')],
    ['a nonce over the limit', challenge('x'.repeat(MAX_NONCE_CHARS - CLIENT_NONCE.length + 1))],
    ['an empty salt', challenge('x', '')],
    ['a salt that is not base64', challenge('x', 'MDEyMw')],
    ['a salt over the limit', challenge('x', Buffer.alloc(1025).toString('base64'))],
    ['no iterations', challenge('x', 'MDEyMw==', '0')],
    ['negative iterations', challenge('x', 'MDEyMw==', '-1')],
    ['iterations with a sign', challenge('x', 'MDEyMw==', '+16')],
    ['iterations with text', challenge('x', 'MDEyMw==', '16x')],
    ['hexadecimal iterations', challenge('x', 'MDEyMw==', '0x10')],
    ['too many iterations', challenge('x', 'MDEyMw==', String(MAX_SCRAM_ITERATIONS + 1))],
    ['two billion iterations', challenge('x', 'MDEyMw==', '2000000000')],
    ['very many iterations', challenge('x', 'MDEyMw==', '9'.repeat(400))],
    ['a message over the limit', challenge(`x,${'y=z,'.repeat(1024)}`)],
  ])('refuses a server-first-message with %s', (_what, message) => {
    const client = new ScramClient(CLIENT_NONCE);
    expect(client.onServerFirst(message).kind).toBe('failed');
    expect(client.prove(keysOf('pencil'))).toBeNull();
  });

  it.each([
    ['a nonce of the longest size', challenge('x'.repeat(MAX_NONCE_CHARS - CLIENT_NONCE.length))],
    ['a salt of the longest size', challenge('x', Buffer.alloc(1024).toString('base64'))],
    ['a salt of one byte', challenge('x', 'MA==')],
    ['the fewest iterations', challenge('x', 'MDEyMw==', '1')],
    ['the most iterations', challenge('x', 'MDEyMw==', String(MAX_SCRAM_ITERATIONS))],
  ])('accepts a server-first-message with %s', (_what, message) => {
    expect(new ScramClient(CLIENT_NONCE).onServerFirst(message).kind).toBe('challenge');
  });

  it.each([
    ['another signature', `v=${Buffer.alloc(32).toString('base64')}`, 'wrong-signature'],
    ['a short signature', 'v=AAAA', 'failed'],
    ['an error', 'e=invalid-proof', 'failed'],
    ['nothing', '', 'failed'],
    ['too much', `v=${'A'.repeat(5000)}`, 'failed'],
  ])('does not trust a server-final-message with %s', (_what, message, kind) => {
    const client = new ScramClient(CLIENT_NONCE);
    client.onServerFirst(challenge('x'));
    client.prove(keysOf('pencil'));
    expect(client.onServerFinal(bytes(message)).kind).toBe(kind);
  });

  it('refuses messages out of order', () => {
    expect(new ScramClient(CLIENT_NONCE).onServerFinal(bytes('v=AAAA')).kind).toBe('failed');
    expect(new ScramClient(CLIENT_NONCE).prove(keysOf('pencil'))).toBeNull();
    const client = new ScramClient(CLIENT_NONCE);
    client.onServerFirst(challenge('x'));
    expect(client.onServerFirst(challenge('x')).kind).toBe('failed');
  });

  it('never throws on changed messages', () => {
    const random = seededRandom('scram-client');
    for (let round = 0; round < 3000; round++) {
      const client = new ScramClient(CLIENT_NONCE);
      const asked = client.onServerFirst(mutate(challenge('abc'), random));
      expect(['challenge', 'failed']).toContain(asked.kind);
      if (asked.kind === 'challenge') {
        client.prove(keysOf('pencil'));
        const verdict = client.onServerFinal(mutate(bytes(RFC.serverFinal), random));
        expect(verdict.kind).not.toBe('verified');
      }
    }
  });
});

describe('mockVerifier', () => {
  const secret = Buffer.alloc(32, 1);

  it('is stable for a user in one process and differs between users and processes', () => {
    const verifier = mockVerifier(secret, 'bob', 4096);
    expect(mockVerifier(secret, 'bob', 4096)).toEqual(verifier);
    expect(mockVerifier(secret, 'eve', 4096).salt).not.toEqual(verifier.salt);
    expect(mockVerifier(Buffer.alloc(32, 2), 'bob', 4096).salt).not.toEqual(verifier.salt);
  });

  it('has the shape of a real one', () => {
    const { salt, storedKey, serverKey, iterations } = mockVerifier(secret, 'bob', 4096);
    expect([salt.length, storedKey.length, serverKey.length]).toEqual([16, 32, 32]);
    expect(iterations).toBe(4096);
  });
});
