import { createHash, pbkdf2Sync } from 'node:crypto';
import type { AuthStep } from '../../../src/auth/auth-step.ts';
import { keysFromSaltedPassword } from '../../../src/auth/scram-crypto.ts';
import { preparePassword } from '../../../src/auth/saslprep.ts';
import type { ScramVerifier } from '../../../src/auth/secret.ts';

/** Few rounds: the tests are about the exchange, not about the cost. */
export const TEST_ITERATIONS = 16;

/** The verifier that PostgreSQL would store for `password`. */
export function makeVerifier(
  password: string,
  salt = Buffer.from('0123456789abcdef'),
  iterations = TEST_ITERATIONS,
): ScramVerifier {
  const salted = pbkdf2Sync(preparePassword(password), salt, iterations, 32, 'sha256');
  const { storedKey, serverKey } = keysFromSaltedPassword(salted);
  return { kind: 'scram', iterations, salt, storedKey, serverKey };
}

/** A reproducible source of bytes, each call different. */
export function seededRandom(seed: string): (bytes: number) => Buffer {
  let count = 0;
  return (bytes) => {
    const parts: Buffer[] = [];
    for (let length = 0; length < bytes; length += 32) {
      parts.push(
        createHash('sha256')
          .update(`${seed}:${String(count++)}`)
          .digest(),
      );
    }
    return Buffer.concat(parts).subarray(0, bytes);
  };
}

/** A PasswordMessage body. */
export function passwordBody(password: string): Buffer {
  return Buffer.from(`${password}\0`);
}

/** Narrows `step` to one kind; fails the test otherwise. */
export function expectKind<S extends { readonly kind: string }, K extends S['kind']>(
  step: S,
  kind: K,
): Extract<S, { readonly kind: K }> {
  if (step.kind !== kind) {
    throw new Error(`expected ${kind}, got ${JSON.stringify(step)}`);
  }
  return step as Extract<S, { readonly kind: K }>;
}

/** The data of a SASLContinue step; fails the test for any other step. */
export function continueData(step: AuthStep): Buffer {
  const { authentication } = expectKind(step, 'send');
  if (authentication.type !== 'sasl-continue') {
    throw new Error(`expected sasl-continue, got ${authentication.type}`);
  }
  return Buffer.from(authentication.data, 'latin1');
}

/** `text` with one to four bytes changed, inserted or cut, by `random`. */
export function mutate(text: Buffer, random: (bytes: number) => Buffer): Buffer {
  let result = Buffer.from(text);
  const rounds = 1 + ((random(1)[0] ?? 0) % 4);
  for (let i = 0; i < rounds; i++) {
    const dice = random(6);
    const at = result.length === 0 ? 0 : dice.readUInt16BE(0) % result.length;
    const byte = dice.subarray(2, 3);
    const tail = result.subarray(at + ((dice[3] ?? 0) % 2));
    result =
      (dice[4] ?? 0) % 8 === 0
        ? result.subarray(0, at)
        : Buffer.concat([result.subarray(0, at), byte, tail]);
  }
  return result;
}

/** An authenticator and a way to wait for the step behind a pending one. */
export class Side<S extends { readonly kind: string }> {
  readonly resumed: S[] = [];
  #wake: (() => void) | null = null;

  readonly onResume = (step: S): void => {
    this.resumed.push(step);
    this.#wake?.();
  };

  async settled(step: S): Promise<S> {
    if (step.kind !== 'pending') {
      return step;
    }
    while (this.resumed.length === 0) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    const [next] = this.resumed.splice(0, 1);
    if (next === undefined) {
      throw new Error('no step');
    }
    return next;
  }
}
