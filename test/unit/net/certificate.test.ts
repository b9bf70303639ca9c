import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { endPointHash, readCertificateNames } from '../../../src/net/certificate.ts';
import { makeAuthority } from '../../support/certificates.ts';
import { SeededRandom, testSeed } from '../../support/seeded-random.ts';

const authority = makeAuthority();
const seed = testSeed('certificate');

describe('the names of a certificate', () => {
  it('are the common name, and DNS names, addresses and URIs of subjectAltName', () => {
    const { der } = authority.issue({
      commonName: 'älice',
      dnsNames: ['a.example', 'b'],
      emails: ['c@d'],
      ipAddresses: ['10.0.0.1'],
    });
    expect(readCertificateNames(der)).toEqual({
      commonName: 'älice',
      subjectAltNames: ['a.example', 'b', 'c@d'],
    });
  });

  it('may be none', () => {
    const { der } = authority.issue({});
    expect(readCertificateNames(der)).toEqual({ commonName: null, subjectAltNames: [] });
  });

  it('never have a zero byte, behind which another name may hide', () => {
    const { der } = authority.issue({ commonName: 'root\0.evil', dnsNames: ['root\0', 'x'] });
    const { commonName, subjectAltNames } = readCertificateNames(der);
    expect(commonName).toBe('');
    expect(subjectAltNames).toEqual(['x']);
  });

  it('do not contain what only looks like another name', () => {
    const { der } = authority.issue({ commonName: 'x\nCN=root', dnsNames: ['a, DNS:root'] });
    expect(readCertificateNames(der)).toEqual({
      commonName: 'x\nCN=root',
      subjectAltNames: ['a, DNS:root'],
    });
  });
});

describe('the hash of tls-server-end-point', () => {
  it.each([
    ['ecdsa-sha256', 'sha256'],
    ['ecdsa-sha384', 'sha384'],
    ['rsa-sha256', 'sha256'],
    ['rsa-sha1', 'sha256'],
    ['rsa-pss-sha384', 'sha384'],
  ] as const)('follows the signature: %s', (signature, hash) => {
    const { der } = makeAuthority({ signature });
    expect(endPointHash(der)).toEqual(createHash(hash).update(der).digest());
  });

  it('is none for Ed25519, which names no hash function', () => {
    expect(endPointHash(makeAuthority({ signature: 'ed25519' }).der)).toBeNull();
  });
});

describe('bytes that are no certificate', () => {
  it(`are read without an exception (seed ${String(seed)})`, () => {
    const random = new SeededRandom(seed);
    const { der } = authority.issue({ commonName: 'a', dnsNames: ['b'] });
    for (let round = 0; round < 3000; round++) {
      const bytes = Buffer.from(der.subarray(0, random.below(der.length + 1)));
      for (let change = random.below(6); change > 0 && bytes.length > 0; change--) {
        bytes[random.below(bytes.length)] = random.below(256);
      }
      expect(() => readCertificateNames(bytes)).not.toThrow();
      expect(() => endPointHash(bytes)).not.toThrow();
    }
  });
});
