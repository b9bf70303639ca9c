import { createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

/** How a certificate is signed. */
export type SignatureKind =
  'ecdsa-sha256' | 'ecdsa-sha384' | 'rsa-sha256' | 'rsa-sha1' | 'rsa-pss-sha384' | 'ed25519';

/** What to put into a certificate. */
export interface CertificateRequest {
  readonly commonName?: string;
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  readonly emails?: readonly string[];
  readonly isAuthority?: boolean;
  /** In days from now; may be negative. */
  readonly validDays?: number;
  readonly signature?: SignatureKind;
}

/** A certificate and its key. */
export interface Certificate {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
  readonly der: Buffer;
  /** Makes a certificate signed by this one. */
  issue(request: CertificateRequest): Certificate;
}

interface Issuer {
  readonly name: Buffer;
  readonly key: KeyObject;
}

const DAY_MS = 24 * 3600 * 1000;

/** Makes a certificate that signs itself: an authority unless the request says otherwise. */
export function makeAuthority(request: CertificateRequest = {}): Certificate {
  return makeCertificate({ commonName: 'Test Root', isAuthority: true, ...request }, null);
}

function makeCertificate(request: CertificateRequest, issuer: Issuer | null): Certificate {
  const { publicKey, privateKey } = makeKeys(request.signature ?? 'ecdsa-sha256');
  const name = nameOf(request.commonName);
  const signer = issuer ?? { name, key: privateKey };
  const kind = request.signature ?? 'ecdsa-sha256';
  // The kind of signature is that of the signing key.
  const algorithm = signatureAlgorithm(issuer === null ? kind : kindOf(signer.key, kind));
  const now = Date.now();
  const tbs = sequence(
    tagged(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([0x01]), randomBytes(15)])),
    algorithm.identifier,
    signer.name,
    sequence(time(now - 365 * DAY_MS), time(now + (request.validDays ?? 365) * DAY_MS)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(...extensionsOf(request))),
  );
  const signature = algorithm.sign(tbs, signer.key);
  const der = sequence(
    tbs,
    algorithm.identifier,
    tagged(0x03, Buffer.concat([Buffer.from([0]), signature])),
  );
  return {
    cert: pem('CERTIFICATE', der),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    der,
    issue: (next) => makeCertificate(next, { name, key: privateKey }),
  };
}

/** A test key of the kind that a signature needs. */
function makeKeys(kind: SignatureKind): { publicKey: KeyObject; privateKey: KeyObject } {
  if (kind === 'ed25519') {
    return generateKeyPairSync('ed25519');
  }
  return kind.startsWith('rsa')
    ? generateKeyPairSync('rsa', { modulusLength: 2048 })
    : generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
}

function kindOf(key: KeyObject, wanted: SignatureKind): SignatureKind {
  const type = createPublicKey(key).asymmetricKeyType;
  if (type === 'ed25519') {
    return 'ed25519';
  }
  const isRsa = type === 'rsa';
  if (isRsa === wanted.startsWith('rsa') && wanted !== 'ed25519') {
    return wanted;
  }
  return isRsa ? 'rsa-sha256' : 'ecdsa-sha256';
}

interface SignatureAlgorithm {
  readonly identifier: Buffer;
  readonly sign: (data: Buffer, key: KeyObject) => Buffer;
}

function signatureAlgorithm(kind: SignatureKind): SignatureAlgorithm {
  const nothing = Buffer.from([0x05, 0]);
  switch (kind) {
    case 'ecdsa-sha256':
      return plain('2a8648ce3d040302', [], 'sha256');
    case 'ecdsa-sha384':
      return plain('2a8648ce3d040303', [], 'sha384');
    case 'rsa-sha256':
      return plain('2a864886f70d01010b', [nothing], 'sha256');
    case 'rsa-sha1':
      return plain('2a864886f70d010105', [nothing], 'sha1');
    case 'ed25519':
      return plain('2b6570', [], null);
    case 'rsa-pss-sha384': {
      const hash = sequence(oid('608648016503040202'), nothing);
      const mask = sequence(oid('2a864886f70d010108'), hash);
      const parameters = sequence(
        tagged(0xa0, hash),
        tagged(0xa1, mask),
        tagged(0xa2, integer(Buffer.from([48]))),
      );
      return {
        identifier: sequence(oid('2a864886f70d01010a'), parameters),
        // 6 is RSA_PKCS1_PSS_PADDING.
        sign: (data, key) => sign('sha384', data, { key, padding: 6, saltLength: 48 }),
      };
    }
  }
}

function plain(id: string, parameters: readonly Buffer[], hash: string | null): SignatureAlgorithm {
  return {
    identifier: sequence(oid(id), ...parameters),
    sign: (data, key) => sign(hash, data, key),
  };
}

function nameOf(commonName: string | undefined): Buffer {
  if (commonName === undefined) {
    return sequence();
  }
  const attribute = sequence(oid('550403'), tagged(0x0c, Buffer.from(commonName)));
  return sequence(tagged(0x31, attribute));
}

function extensionsOf(request: CertificateRequest): Buffer[] {
  const { dnsNames = [], emails = [], ipAddresses = [], isAuthority = false } = request;
  const names = [
    ...dnsNames.map((text) => tagged(0x82, Buffer.from(text))),
    ...emails.map((text) => tagged(0x81, Buffer.from(text))),
    ...ipAddresses.map((text) => tagged(0x87, Buffer.from(text.split('.').map(Number)))),
  ];
  const constraints = isAuthority ? sequence(tagged(0x01, Buffer.from([0xff]))) : sequence();
  return [
    sequence(oid('551d13'), tagged(0x01, Buffer.from([0xff])), tagged(0x04, constraints)),
    ...(names.length === 0 ? [] : [sequence(oid('551d11'), tagged(0x04, sequence(...names)))]),
  ];
}

function tagged(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const octets = length < 0x80 ? [length] : [];
  for (let rest = length; length >= 0x80 && rest > 0; rest >>= 8) {
    octets.unshift(rest & 0xff);
  }
  const header = length < 0x80 ? octets : [0x80 + octets.length, ...octets];
  return Buffer.concat([Buffer.from([tag, ...header]), content]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts));
}

function integer(bytes: Buffer): Buffer {
  return tagged(0x02, bytes);
}

function oid(hex: string): Buffer {
  return tagged(0x06, Buffer.from(hex, 'hex'));
}

function time(ms: number): Buffer {
  const text = new Date(ms).toISOString().replace(/[-:T]/g, '').slice(0, 14);
  return tagged(0x18, Buffer.from(`${text}Z`));
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').replace(/.{64}/g, '$&\n').trimEnd();
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}
