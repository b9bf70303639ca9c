import { createHash, createHmac } from 'node:crypto';

/** The SASL mechanism without channel binding. */
export const SCRAM_MECHANISM = 'SCRAM-SHA-256';
/** The SASL mechanism with channel binding: the proof is worth nothing on another TLS connection. */
export const SCRAM_PLUS_MECHANISM = 'SCRAM-SHA-256-PLUS';
/** The one type of channel binding, as a gs2 header names it. */
export const CHANNEL_BINDING_TYPE = 'tls-server-end-point';
/** Bytes of a SHA-256 digest, so of every SCRAM key, proof and signature. */
export const DIGEST_BYTES = 32;
/** Longest whole nonce accepted from a peer, in characters. Both parts counted. */
export const MAX_NONCE_CHARS = 1024;
/** Longest SCRAM message accepted from a peer, in bytes. Known drivers stay below 500. */
export const MAX_SCRAM_MESSAGE_BYTES = 4096;

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
/** RFC 5802 "printable": visible ASCII without the comma. */
const NONCE = /^[\x21-\x2b\x2d-\x7e]+$/;

/**
 * The two keys of a user for one salt and one iteration count. Whoever holds them can log in
 * without the password, so they are secrets.
 */
export interface ScramKeys {
  /** 32 bytes. */
  readonly clientKey: Buffer;
  /** 32 bytes. */
  readonly serverKey: Buffer;
  readonly salt: Buffer;
  readonly iterations: number;
}

/** Keys of {@link keysFromSaltedPassword}. */
export interface DerivedKeys {
  readonly clientKey: Buffer;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

/**
 * Computes the keys that follow from a salted password.
 *
 * @param saltedPassword - 32 bytes, the result of PBKDF2. Borrowed.
 * @source RFC 5802, "SCRAM Algorithm Overview"
 */
export function keysFromSaltedPassword(saltedPassword: Buffer): DerivedKeys {
  const clientKey = hmac(saltedPassword, 'Client Key');
  return {
    clientKey,
    storedKey: sha256(clientKey),
    serverKey: hmac(saltedPassword, 'Server Key'),
  };
}

/** Computes HMAC-SHA-256; a string counts as latin1, so that bytes read as latin1 come out again. */
export function hmac(key: Buffer, data: string | Buffer): Buffer {
  return createHmac('sha256', key)
    .update(typeof data === 'string' ? Buffer.from(data, 'latin1') : data)
    .digest();
}

/** Computes SHA-256. */
export function sha256(data: Buffer): Buffer {
  return createHash('sha256').update(data).digest();
}

/** Combines two buffers of one length by exclusive or: makes a proof, or takes it apart. */
export function xor(a: Buffer, b: Buffer): Buffer {
  const result = Buffer.from(a);
  b.forEach((byte, index) => {
    result[index] = (result[index] ?? 0) ^ byte;
  });
  return result;
}

/**
 * Decodes base64 in its one canonical alphabet and padding; Node's own decoder accepts anything.
 *
 * @returns `null` when `text` is not base64. Never throws.
 */
export function decodeBase64(text: string): Buffer | null {
  return BASE64.test(text) ? Buffer.from(text, 'base64') : null;
}

/** Tells whether `text` may stand as a nonce: printable ASCII without comma, not empty, bounded. */
export function isNonce(text: string): boolean {
  return text.length <= MAX_NONCE_CHARS && NONCE.test(text);
}

/** One attribute of a SCRAM message, `name=value`. */
export interface ScramAttribute {
  readonly name: string;
  readonly value: string;
}

/**
 * Splits a SCRAM message into attributes.
 *
 * @param text - The message as latin1, so that one character is one byte.
 * @returns `null` when a part is not one letter, `=` and a value, or holds a NUL. Never throws.
 */
export function splitAttributes(text: string): ScramAttribute[] | null {
  const attributes: ScramAttribute[] = [];
  for (const part of text.split(',')) {
    if (!/^[A-Za-z]=/.test(part) || part.includes('\0')) {
      return null;
    }
    attributes.push({ name: part.charAt(0), value: part.slice(2) });
  }
  return attributes;
}
