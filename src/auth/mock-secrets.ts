import { createHmac } from 'node:crypto';
import { md5Digest } from './md5.ts';
import { mockVerifier } from './mock-verifier.ts';
import type { NoSecret, ScramVerifier, Secret } from './secret.ts';
import type { SecretShapes } from './secret-shapes.ts';

/**
 * Makes up secrets for users who have none. They are stable for a user, and over many users they
 * look like the real ones as often as those do: were they always the same, any other challenge would
 * betray a real user. No password fits them.
 */
export class MockSecrets {
  readonly #processSecret: Buffer;

  /** @param processSecret - Random bytes drawn once in the process, at least 16. Owned. */
  constructor(processSecret: Buffer) {
    this.#processSecret = processSecret;
  }

  /** A secret of one of the shapes, or of the cheapest one where there are none. */
  secret(user: string, shapes: SecretShapes): Exclude<Secret, NoSecret> {
    const shape = shapes.pick(this.#bytes('kind', user).readUInt32BE(0) / 2 ** 32);
    switch (shape.kind) {
      case 'scram':
        return this.verifier(user, shape.iterations);
      case 'md5':
        return { kind: 'md5', digest: md5Digest(this.#password(user), user) };
      case 'plain':
        return { kind: 'plain', password: this.#password(user) };
    }
  }

  /** A verifier that nothing fits. */
  verifier(user: string, iterations: number): ScramVerifier {
    return mockVerifier(this.#processSecret, user, iterations);
  }

  #password(user: string): string {
    return this.#bytes('password', user).toString('hex');
  }

  #bytes(label: string, user: string): Buffer {
    return createHmac('sha256', this.#processSecret).update(`${label}\0${user}`, 'utf8').digest();
  }
}
