import { DIGEST_BYTES, decodeBase64 } from './scram-crypto.ts';

/** What PostgreSQL stores in place of a password for SCRAM-SHA-256: enough to check, not to log in. */
export interface ScramVerifier {
  readonly kind: 'scram';
  /** Rounds of PBKDF2, 1 to 2^31 - 1. */
  readonly iterations: number;
  /** At least 1 byte. */
  readonly salt: Buffer;
  /** 32 bytes: SHA-256 of the client key. */
  readonly storedKey: Buffer;
  /** 32 bytes. */
  readonly serverKey: Buffer;
}

/** No password is known. Admits nobody under any method that asks for one. */
export interface NoSecret {
  readonly kind: 'none';
}

/** The password itself. */
export interface PlainSecret {
  readonly kind: 'plain';
  /** At least 1 character. */
  readonly password: string;
}

/** PostgreSQL's md5 hash of password and user name. */
export interface Md5Secret {
  readonly kind: 'md5';
  /** `md5` and 32 lower-case hexadecimal digits. */
  readonly digest: string;
}

/** A stored password in one of the forms PgBouncer's auth_file and PostgreSQL's `rolpassword` have. */
export type Secret = NoSecret | PlainSecret | Md5Secret | ScramVerifier;

/** The only value of {@link NoSecret}. */
export const NO_SECRET: NoSecret = { kind: 'none' };

const MD5_DIGEST = /^md5[0-9a-f]{32}$/;
const SCRAM_VERIFIER = /^SCRAM-SHA-256\$([0-9]{1,10}):([A-Za-z0-9+/=]+)\$([^$:]+):([^$:]+)$/;
const MAX_INT32 = 0x7fff_ffff;

/**
 * Reads a stored password.
 *
 * COMPAT: PgBouncer takes the bare words `md5` and `SCRAM-SHA-256` for plain passwords, so a script
 * that lost the rest of a secret opens the account to whoever types that word. Here they are
 * {@link NoSecret}, as is the empty text. Other malformed secrets are plain passwords, as there.
 *
 * Never throws.
 *
 * @source PgBouncer manual, "Authentication file format"; PostgreSQL manual, "pg_authid"
 */
export function parseSecret(text: string): Secret {
  if (text === '' || text === 'md5' || text === 'SCRAM-SHA-256') {
    return NO_SECRET;
  }
  if (MD5_DIGEST.test(text)) {
    return { kind: 'md5', digest: text };
  }
  return parseVerifier(text) ?? { kind: 'plain', password: text };
}

function parseVerifier(text: string): ScramVerifier | null {
  const match = SCRAM_VERIFIER.exec(text);
  if (match === null) {
    return null;
  }
  const iterations = Number(match[1]);
  const salt = decodeBase64(match[2] ?? '');
  const storedKey = decodeBase64(match[3] ?? '');
  const serverKey = decodeBase64(match[4] ?? '');
  if (salt === null || salt.length === 0 || iterations < 1 || iterations > MAX_INT32) {
    return null;
  }
  if (storedKey?.length !== DIGEST_BYTES || serverKey?.length !== DIGEST_BYTES) {
    return null;
  }
  return { kind: 'scram', iterations, salt, storedKey, serverKey };
}
