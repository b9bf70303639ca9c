import { createHash } from 'node:crypto';
import { derHex, DerTag, readDer, readDerChildren, type DerElement } from './der.ts';

/** Who a certificate was made for. */
export interface CertificateNames {
  /** The common name of the subject; null when there is none, or more than one. */
  readonly commonName: string | null;
  /** DNS names, e-mail addresses and URIs of the extension subjectAltName, in its order. */
  readonly subjectAltNames: readonly string[];
}

const NO_NAMES: CertificateNames = { commonName: null, subjectAltNames: [] };

/** 2.5.4.3 */
const COMMON_NAME = '550403';
/** 2.5.29.17 */
const SUBJECT_ALT_NAME = '551d11';
/** Tag of the extensions inside of a TBSCertificate: [3]. */
const EXTENSIONS_TAG = 0xa3;
/** Tag of the optional version: [0]. */
const VERSION_TAG = 0xa0;
/** Tags of a GeneralName that are text: rfc822Name, dNSName, uniformResourceIdentifier. */
const TEXT_NAME_TAGS: ReadonlySet<number> = new Set([0x81, 0x82, 0x86]);
/** Fields of a TBSCertificate before the subject: serial number, signature, issuer, validity. */
const FIELDS_BEFORE_SUBJECT = 4;

interface CertificateParts {
  readonly tbs: readonly DerElement[];
  readonly signatureAlgorithm: readonly DerElement[];
}

function readCertificate(der: Buffer): CertificateParts | null {
  const whole = readDer(der, 0, der.length);
  const [tbs, algorithm] = whole === null ? [] : (readDerChildren(der, whole) ?? []);
  if (tbs === undefined || algorithm === undefined) {
    return null;
  }
  const fields = readDerChildren(der, tbs);
  const signatureAlgorithm = readDerChildren(der, algorithm);
  return fields === null || signatureAlgorithm === null
    ? null
    : { tbs: fields, signatureAlgorithm };
}

/**
 * Reads the names that a certificate vouches for, from its DER: no text form of them is unambiguous.
 * Names with a zero byte are left out, as nobody has such a name for a good reason.
 *
 * @param der - a certificate that has been verified, borrowed. Never throws.
 * @source RFC 5280, "Certificate and Certificate Extensions Profile"
 */
export function readCertificateNames(der: Buffer): CertificateNames {
  const parts = readCertificate(der);
  if (parts === null) {
    return NO_NAMES;
  }
  const { tbs } = parts;
  const skipped = (tbs[0]?.tag === VERSION_TAG ? 1 : 0) + FIELDS_BEFORE_SUBJECT;
  const subject = tbs[skipped];
  const extensions = tbs.find(({ tag }) => tag === EXTENSIONS_TAG);
  const commonNames = subject === undefined ? [] : readCommonNames(der, subject);
  const [first, second] = commonNames;
  return {
    commonName: first !== undefined && second === undefined ? first : null,
    subjectAltNames: extensions === undefined ? [] : readSubjectAltNames(der, extensions),
  };
}

/** An unreadable one counts as a name that nobody has. */
function readCommonNames(der: Buffer, subject: DerElement): string[] {
  const names: string[] = [];
  for (const set of readDerChildren(der, subject) ?? []) {
    for (const attribute of readDerChildren(der, set) ?? []) {
      const [type, value] = readDerChildren(der, attribute) ?? [];
      if (type !== undefined && value !== undefined && derHex(der, type) === COMMON_NAME) {
        names.push(readText(der, value) ?? '');
      }
    }
  }
  return names;
}

function readText(der: Buffer, { tag, start, end }: DerElement): string | null {
  const text = decodeText(der, tag, start, end);
  return text === null || text.includes('\0') || text.includes('\ufffd') ? null : text;
}

function decodeText(der: Buffer, tag: number, start: number, end: number): string | null {
  switch (tag) {
    case DerTag.Utf8String:
    case DerTag.PrintableString:
    case DerTag.Ia5String:
      return der.toString('utf8', start, end);
    case DerTag.TeletexString:
      return der.toString('latin1', start, end);
    case DerTag.BmpString:
      // Big-endian, unlike Node's utf16le.
      return (end - start) % 2 === 0
        ? Buffer.from(der.subarray(start, end)).swap16().toString('utf16le')
        : null;
    default:
      return null;
  }
}

function readSubjectAltNames(der: Buffer, wrapper: DerElement): string[] {
  const [list] = readDerChildren(der, wrapper) ?? [];
  for (const extension of list === undefined ? [] : (readDerChildren(der, list) ?? [])) {
    const fields = readDerChildren(der, extension) ?? [];
    const [id] = fields;
    const value = fields.at(-1);
    if (id === undefined || value === undefined || derHex(der, id) !== SUBJECT_ALT_NAME) {
      continue;
    }
    const names = readDer(der, value.start, value.end);
    return (
      (names === null ? null : (readDerChildren(der, names) ?? null))
        ?.filter(({ tag }) => TEXT_NAME_TAGS.has(tag))
        .map(({ start, end }) => der.toString('latin1', start, end))
        .filter((name) => name !== '' && !name.includes('\0')) ?? []
    );
  }
  return [];
}

/** Hash functions by the object identifier of the signature algorithm that uses them. */
const SIGNATURE_HASHES: ReadonlyMap<string, string> = new Map([
  // RSA with PKCS #1 v1.5: MD5, SHA-1, SHA-256, SHA-384, SHA-512, SHA-224
  ['2a864886f70d010104', 'md5'],
  ['2a864886f70d010105', 'sha1'],
  ['2a864886f70d01010b', 'sha256'],
  ['2a864886f70d01010c', 'sha384'],
  ['2a864886f70d01010d', 'sha512'],
  ['2a864886f70d01010e', 'sha224'],
  // ECDSA
  ['2a8648ce3d0401', 'sha1'],
  ['2a8648ce3d040301', 'sha224'],
  ['2a8648ce3d040302', 'sha256'],
  ['2a8648ce3d040303', 'sha384'],
  ['2a8648ce3d040304', 'sha512'],
]);

/** Hash functions by their own object identifier, as in the parameters of RSASSA-PSS. */
const HASHES: ReadonlyMap<string, string> = new Map([
  ['2b0e03021a', 'sha1'],
  ['608648016503040204', 'sha224'],
  ['608648016503040201', 'sha256'],
  ['608648016503040202', 'sha384'],
  ['608648016503040203', 'sha512'],
]);

const RSASSA_PSS = '2a864886f70d01010a';
/** Tag of the hash among the parameters of RSASSA-PSS: [0]. */
const PSS_HASH_TAG = 0xa0;

/**
 * Computes the data of the channel binding tls-server-end-point: a hash of the server's certificate
 * by the hash function of its own signature, or SHA-256 where that one is MD5 or SHA-1.
 *
 * @param der - the server's certificate, borrowed. Never throws.
 * @returns owned; null when the signature has no single hash function, as Ed25519, or an unknown
 *   one: then there is no channel binding.
 * @source RFC 5929, "The 'tls-server-end-point' Channel Binding Type"
 */
export function endPointHash(der: Buffer): Buffer | null {
  const algorithm = readCertificate(der)?.signatureAlgorithm ?? [];
  const [id, parameters] = algorithm;
  if (id === undefined) {
    return null;
  }
  const oid = derHex(der, id);
  const hash = oid === RSASSA_PSS ? readPssHash(der, parameters) : SIGNATURE_HASHES.get(oid);
  if (hash === undefined) {
    return null;
  }
  return createHash(hash === 'md5' || hash === 'sha1' ? 'sha256' : hash)
    .update(der)
    .digest();
}

/** SHA-1 unless the parameters say otherwise. */
function readPssHash(der: Buffer, parameters: DerElement | undefined): string | undefined {
  const fields = parameters === undefined ? [] : (readDerChildren(der, parameters) ?? []);
  const wrapper = fields.find(({ tag }) => tag === PSS_HASH_TAG);
  if (wrapper === undefined) {
    return 'sha1';
  }
  const algorithm = readDer(der, wrapper.start, wrapper.end);
  const id = algorithm === null ? null : readDer(der, algorithm.start, algorithm.end);
  return id === null ? undefined : HASHES.get(derHex(der, id));
}
