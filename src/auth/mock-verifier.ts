import { createHash, createHmac } from 'node:crypto';
import type { ScramVerifier } from './secret.ts';

/** Bytes of salt in verifiers made by maitred and by PostgreSQL. */
export const SALT_BYTES = 16;

/**
 * Makes the verifier shown to a login that must fail: unknown user, no secret, or a secret of
 * another kind. Salt and iterations stay the same for one user while the process lives, as those of
 * a real user do. No password fits it, short of inverting SHA-256.
 *
 * @param processSecret - Random bytes drawn once in the process, at least 16.
 * @param iterations - The setting `scram_iterations`.
 * @source PgBouncer `scram_iterations`; PostgreSQL `mock_scram_secret`
 */
export function mockVerifier(
  processSecret: Buffer,
  user: string,
  iterations: number,
): ScramVerifier {
  const salt = createHash('sha256').update(user, 'utf8').update(processSecret).digest();
  const key = (label: string): Buffer =>
    createHmac('sha256', processSecret).update(`${label}\0${user}`, 'utf8').digest();
  return {
    kind: 'scram',
    iterations,
    salt: salt.subarray(0, SALT_BYTES),
    storedKey: key('stored key'),
    serverKey: key('server key'),
  };
}
