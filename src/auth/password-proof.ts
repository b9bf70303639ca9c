import { assertNever } from '../base/assert.ts';
import { isEqualConstantTime, isSecretEqual } from './constant-time.ts';
import type { PlainPlan } from './login-plan.ts';
import { md5Digest } from './md5.ts';
import type { CancelDerivation, PasswordDeriver } from './password-derivation.ts';
import { keysFromSaltedPassword } from './scram-crypto.ts';
import type { ScramKeys } from './scram-crypto.ts';
import type { ScramVerifier } from './secret.ts';

/** What became of a proof that was held against a secret. */
export interface JudgedProof {
  readonly isRight: boolean;
  /** Keys of the stored SCRAM verifier that belong to the proof, right or not; `null` for none. */
  readonly keys: ScramKeys | null;
}

/** Outcome of a check that takes its time; `reason` says what there is too much of. */
export type ProofOutcome =
  | { readonly kind: 'judged'; readonly proof: JudgedProof }
  | { readonly kind: 'refused'; readonly reason: string };

/** A check of a password: done, or one that has to be begun. */
export type PasswordCheck =
  | { readonly kind: 'judged'; readonly proof: JudgedProof }
  | {
      readonly kind: 'later';
      /** @param done - Called once unless canceled, never before this returns. */
      readonly begin: (done: (outcome: ProofOutcome) => void) => CancelDerivation;
    };

/**
 * Holds a password in clear text against the secret of a plan, in a time that does not tell how much of
 * it is right.
 *
 * @param password - Not changed until the check is over.
 */
export function checkCleartext(
  { secret, user }: PlainPlan,
  password: Buffer,
  deriver: PasswordDeriver,
): PasswordCheck {
  switch (secret.kind) {
    case 'plain':
      return judged(isSecretEqual(password, Buffer.from(secret.password, 'utf8')));
    case 'md5': {
      const digest = Buffer.from(md5Digest(password, user), 'latin1');
      return judged(isEqualConstantTime(digest, Buffer.from(secret.digest, 'latin1')));
    }
    case 'scram': {
      const request = { password, salt: secret.salt, iterations: secret.iterations };
      return {
        kind: 'later',
        begin: (done) =>
          deriver.derive(request, (derivation) => {
            done(
              derivation.kind === 'refused'
                ? derivation
                : { kind: 'judged', proof: judgeDerived(derivation.saltedPassword, secret) },
            );
          }),
      };
    }
    default:
      return assertNever(secret);
  }
}

function judged(isRight: boolean): PasswordCheck {
  return { kind: 'judged', proof: { isRight, keys: null } };
}

function judgeDerived(saltedPassword: Buffer, verifier: ScramVerifier): JudgedProof {
  const keys = keysFromSaltedPassword(saltedPassword);
  const { clientKey, serverKey } = keys;
  const { salt, iterations } = verifier;
  return {
    isRight: isEqualConstantTime(keys.storedKey, verifier.storedKey),
    keys: { clientKey, serverKey, salt, iterations },
  };
}
