import type { Secret } from './secret.ts';

/** What a login shows of a secret before anything has been proved. */
export type SecretShape =
  { readonly kind: 'plain' | 'md5' } | { readonly kind: 'scram'; readonly iterations: number };

/** That of what PostgreSQL stores by default. */
export const USUAL_SHAPE: SecretShape = { kind: 'scram', iterations: 4096 };

/** Shapes that are told apart; what differs from all of them is not counted. */
export const MAX_SHAPES = 100;

/** The shape of secrets where none is known: it costs least. */
const FALLBACK: SecretShape = { kind: 'md5' };

/** Counts what the secrets of real users look like, so that made-up ones can look the same. */
export class SecretShapes {
  readonly #counts = new Map<string, { readonly shape: SecretShape; count: number }>();
  #total = 0;

  /** @param initial - counted as that of one user; null for none. */
  constructor(initial: SecretShape | null = null) {
    this.#count(initial);
  }

  /** Counts a user. One without a password is not counted. */
  add(secret: Secret): void {
    this.#count(shapeOf(secret));
  }

  /**
   * Chooses a shape. Over all fractions each is chosen as often as it has been counted.
   *
   * @param fraction - From 0, below 1.
   */
  pick(fraction: number): SecretShape {
    let rest = fraction * this.#total;
    for (const { shape, count } of this.#counts.values()) {
      rest -= count;
      if (rest < 0) {
        return shape;
      }
    }
    return FALLBACK;
  }

  #count(shape: SecretShape | null): void {
    if (shape === null) {
      return;
    }
    const key = shape.kind === 'scram' ? String(shape.iterations) : shape.kind;
    let entry = this.#counts.get(key);
    if (entry === undefined) {
      if (this.#counts.size >= MAX_SHAPES) {
        return;
      }
      entry = { shape, count: 0 };
      this.#counts.set(key, entry);
    }
    entry.count += 1;
    this.#total += 1;
  }
}

function shapeOf(secret: Secret): SecretShape | null {
  switch (secret.kind) {
    case 'none':
      return null;
    case 'scram':
      return { kind: 'scram', iterations: secret.iterations };
    case 'plain':
    case 'md5':
      return { kind: secret.kind };
  }
}
