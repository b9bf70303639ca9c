import { createHash, timingSafeEqual } from 'node:crypto';

/** Compares in a time that depends on the lengths only. Different lengths are unequal. */
export function isEqualConstantTime(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/**
 * Compares secrets whose lengths are secret too, by their SHA-256 digests.
 *
 * @param given - Bytes from a peer. Borrowed.
 */
export function isSecretEqual(given: Buffer, expected: Buffer): boolean {
  return timingSafeEqual(
    createHash('sha256').update(given).digest(),
    createHash('sha256').update(expected).digest(),
  );
}
