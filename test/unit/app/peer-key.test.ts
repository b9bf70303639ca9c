import { describe, expect, it } from 'vitest';
import { CancelKeys } from '../../../src/app/cancel-keys.ts';
import { peerIdOf, ttlOf, withFullTtl, withPeerId, withTtl } from '../../../src/app/peer-key.ts';
import type { ClientConnection } from '../../../src/client/client-connection.ts';
import { PROTOCOL_3_0, PROTOCOL_3_2 } from '../../../src/protocol/codes.ts';
import { SeededRandom, testSeed } from '../../support/seeded-random.ts';

/** The bytes of a key as they are on the wire. */
function wire(processId: number, secret: Buffer): Buffer {
  const bytes = Buffer.alloc(4 + secret.length);
  bytes.writeUInt32BE(processId);
  secret.copy(bytes, 4);
  return bytes;
}

/** A client as far as keys are concerned. */
function fakeClient(version = PROTOCOL_3_0): ClientConnection {
  return { keyProcessId: 0, identity: { version } } as unknown as ClientConnection;
}

const random = new SeededRandom(testSeed('peer keys'));
const randomBytes = (bytes: number): Buffer =>
  Buffer.from(Array.from({ length: bytes }, () => random.below(256)));

describe('the layout of a key', () => {
  it.each([
    [0x00000000, 1, '00010000'],
    [0xffffffff, 1, '7f0100ff'],
    [0xffffffff, 0x1234, '7f3412ff'],
    [0x01020304, 65_535, '01ffff04'],
  ])('has the id of the peer in bytes 1 and 2, low byte first: %s', (processId, id, hex) => {
    const marked = withPeerId(processId, id);
    expect(wire(marked, Buffer.alloc(0)).toString('hex')).toBe(hex);
    expect(peerIdOf(marked)).toBe(id);
  });

  it('has the TTL in the lowest two bits of byte 7, and leaves the others alone', () => {
    const secret = Buffer.from('fffffff4ff', 'hex');
    expect(wire(0, withTtl(secret, 2)).toString('hex')).toBe('00000000fffffff6ff');
    expect(wire(0, withFullTtl(secret)).toString('hex')).toBe('00000000fffffff7ff');
    expect([0, 1, 2, 3].map((ttl) => ttlOf(withTtl(secret, ttl)))).toEqual([0, 1, 2, 3]);
    expect(secret.toString('hex')).toBe('fffffff4ff');
  });
});

describe('CancelKeys', () => {
  it.each([
    [PROTOCOL_3_0, 8],
    [PROTOCOL_3_2, 36],
  ])('issues keys of peer 513 with that layout, in version %i of %i bytes', (version, bytes) => {
    const keys = new CancelKeys(randomBytes, () => 513);
    for (let count = 0; count < 200; count++) {
      const { processId, secret } = keys.issue(fakeClient(version));
      const key = wire(processId, secret);
      expect(key).toHaveLength(bytes);
      expect(key.readUInt8(0) & 0x80).toBe(0);
      expect([key[1], key[2], key.readUInt8(7) & 3]).toEqual([1, 2, 3]);
    }
  });

  it('issues keys that are all random but for the sign without peers', () => {
    const keys = new CancelKeys(randomBytes);
    const issued = Array.from({ length: 500 }, () => keys.issue(fakeClient()));
    const ids = new Set(issued.map(({ processId }) => peerIdOf(processId)));
    const ttls = new Set(issued.map(({ secret }) => ttlOf(secret)));
    expect(ids.size).toBeGreaterThan(400);
    expect(ttls.size).toBe(4);
  });

  it('finds a client by its key, whatever TTL is left, and by no other key', () => {
    const keys = new CancelKeys(randomBytes, () => 7);
    const client = fakeClient();
    const { processId, secret } = keys.issue(client);
    for (const ttl of [0, 1, 2, 3]) {
      expect(keys.find(processId, withTtl(secret, ttl))).toBe(client);
    }
    const wrong = Buffer.from(secret);
    wrong.writeUInt8(secret.readUInt8(3) ^ 4, 3);
    expect(keys.find(processId, wrong)).toBeNull();
    expect(keys.find(processId ^ 1, secret)).toBeNull();
    expect(keys.find(processId, Buffer.concat([secret, secret]))).toBeNull();
  });

  it('takes no other TTL for a key that was issued without peers', () => {
    const keys = new CancelKeys(() => Buffer.from([1, 2, 3, 4]));
    const client = fakeClient();
    const { processId, secret } = keys.issue(client);
    expect(keys.find(processId, secret)).toBe(client);
    expect(keys.find(processId, withFullTtl(secret))).toBeNull();
  });

  it('gives more clients a key than there are process ids with a peer id in them', () => {
    const keys = new CancelKeys(randomBytes, () => 1);
    const issued = Array.from({ length: 40_000 }, () => {
      const client = fakeClient();
      return { client, ...keys.issue(client) };
    });
    expect(new Set(issued.map(({ processId }) => processId)).size).toBeLessThanOrEqual(32_768);
    for (const { client, processId, secret } of issued) {
      expect(keys.find(processId, secret)).toBe(client);
    }
    const half = issued.filter((_entry, index) => index % 2 === 0);
    for (const { client } of half) {
      keys.revoke(client);
    }
    for (const [index, { client, processId, secret }] of issued.entries()) {
      expect(keys.find(processId, secret)).toBe(index % 2 === 0 ? null : client);
    }
  });
});
