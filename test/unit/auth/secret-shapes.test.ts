import { describe, expect, it } from 'vitest';
import { md5Digest } from '../../../src/auth/md5.ts';
import { MockSecrets } from '../../../src/auth/mock-secrets.ts';
import { NO_SECRET } from '../../../src/auth/secret.ts';
import type { Secret } from '../../../src/auth/secret.ts';
import { MAX_SHAPES, SecretShapes } from '../../../src/auth/secret-shapes.ts';
import type { SecretShape } from '../../../src/auth/secret-shapes.ts';
import { makeVerifier, seededRandom } from './support.ts';

const PLAIN: Secret = { kind: 'plain', password: 'x' };
const MD5: Secret = { kind: 'md5', digest: md5Digest('x', 'u') };
const SCRAM = makeVerifier('x');

function shapesOf(...secrets: readonly Secret[]): SecretShapes {
  const shapes = new SecretShapes();
  for (const secret of secrets) {
    shapes.add(secret);
  }
  return shapes;
}

function picks(shapes: SecretShapes): SecretShape[] {
  return [0, 0.25, 0.5, 0.75].map((fraction) => shapes.pick(fraction));
}

describe('SecretShapes', () => {
  it('chooses each shape as often as it was counted', () => {
    const more = { ...SCRAM, iterations: 9999 };
    expect(picks(shapesOf(SCRAM, PLAIN, SCRAM, more))).toEqual([
      { kind: 'scram', iterations: SCRAM.iterations },
      { kind: 'scram', iterations: SCRAM.iterations },
      { kind: 'plain' },
      { kind: 'scram', iterations: 9999 },
    ]);
  });

  it('takes the cheapest where nobody has a password', () => {
    expect(shapesOf(NO_SECRET).pick(0)).toEqual({ kind: 'md5' });
  });

  it('tells apart a bounded number', () => {
    const shapes = shapesOf(
      ...Array.from({ length: MAX_SHAPES + 9 }, (_, i) => ({ ...SCRAM, iterations: i + 1 })),
    );
    expect(shapes.pick(0.9999)).toEqual({ kind: 'scram', iterations: MAX_SHAPES });
  });
});

describe('MockSecrets', () => {
  const mocks = new MockSecrets(seededRandom('process')(32));

  it.each([
    ['plain', PLAIN, { kind: 'plain' }],
    ['md5', MD5, { kind: 'md5' }],
    ['scram', SCRAM, { kind: 'scram', iterations: SCRAM.iterations }],
  ] as const)('makes a %s secret where the real ones are', (_kind, secret, expected) => {
    const made = mocks.secret('nobody', shapesOf(secret));
    expect(made).toMatchObject(expected);
    expect(mocks.secret('nobody', shapesOf(secret))).toEqual(made);
    expect(mocks.secret('somebody', shapesOf(secret))).not.toEqual(made);
    const others = new MockSecrets(seededRandom('another process')(32));
    expect(others.secret('nobody', shapesOf(secret))).not.toEqual(made);
  });
});
