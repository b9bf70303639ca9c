import type { CancelDerivation, PasswordDeriver } from './password-derivation.ts';
import { keysFromSaltedPassword } from './scram-crypto.ts';
import type { ScramVerifier } from './secret.ts';

/** Outcome of {@link LazyVerifier.resolve}. */
export type VerifierOutcome =
  | { readonly kind: 'verifier'; readonly verifier: ScramVerifier }
  | { readonly kind: 'refused'; readonly reason: string };

/** What a {@link LazyVerifier} is made from. */
export interface LazyVerifierOptions {
  readonly deriver: PasswordDeriver;
  readonly password: string;
  /** Random, fresh for this verifier. Owned. */
  readonly salt: Buffer;
  readonly iterations: number;
}

/**
 * The SCRAM verifier of a user whose plain password is stored, derived when first asked for and
 * then kept.
 *
 * @source PgBouncer setting `scram_iterations`
 */
export class LazyVerifier {
  readonly #options: LazyVerifierOptions;
  #verifier: ScramVerifier | null = null;

  constructor(options: LazyVerifierOptions) {
    this.#options = options;
  }

  /** The verifier, or `null` while {@link resolve} has not yet succeeded. */
  get current(): ScramVerifier | null {
    return this.#verifier;
  }

  /** Derives the verifier. `done` is called once unless canceled, never before this returns. */
  resolve(done: (outcome: VerifierOutcome) => void): CancelDerivation {
    const { deriver, password, salt, iterations } = this.#options;
    return deriver.derive({ password, salt, iterations }, (derivation) => {
      if (derivation.kind === 'refused') {
        done(derivation);
        return;
      }
      if (this.#verifier === null) {
        const { storedKey, serverKey } = keysFromSaltedPassword(derivation.saltedPassword);
        this.#verifier = { kind: 'scram', iterations, salt, storedKey, serverKey };
      }
      done({ kind: 'verifier', verifier: this.#verifier });
    });
  }
}
