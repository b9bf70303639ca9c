import { createHash } from 'node:crypto';
import { isEqualConstantTime } from './constant-time.ts';

/** Bytes of the salt of AuthenticationMD5Password. */
export const MD5_SALT_BYTES = 4;

/**
 * Computes PostgreSQL's stored md5 hash of a password.
 *
 * @param password - Text, or its bytes (borrowed).
 * @returns `md5` and 32 lower-case hexadecimal digits.
 * @throws Error when the Node build has no md5 (FIPS mode).
 * @source PostgreSQL manual, "Password Authentication"
 */
export function md5Digest(password: string | Buffer, user: string): string {
  return `md5${createHash('md5').update(password).update(user, 'utf8').digest('hex')}`;
}

/**
 * Computes the answer to AuthenticationMD5Password.
 *
 * @param digest - The result of {@link md5Digest}, or the same from storage.
 * @param salt - {@link MD5_SALT_BYTES} bytes from the message. Borrowed.
 * @returns `md5` and 32 lower-case hexadecimal digits.
 * @throws Error when the Node build has no md5 (FIPS mode).
 * @source PostgreSQL manual, "Message Flow: Start-up"
 */
export function md5Response(digest: string, salt: Buffer): string {
  return `md5${createHash('md5').update(digest.slice(3), 'latin1').update(salt).digest('hex')}`;
}

/**
 * Tells whether `response` answers the challenge `salt` for a user stored as `digest`. The time
 * taken does not depend on how much of the response is right.
 *
 * @param response - Without its terminating NUL. Borrowed.
 * @throws Error when the Node build has no md5 (FIPS mode).
 */
export function isMd5ResponseValid(response: Buffer, digest: string, salt: Buffer): boolean {
  return isEqualConstantTime(response, Buffer.from(md5Response(digest, salt), 'latin1'));
}
