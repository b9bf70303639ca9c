import { describe, expect, it } from 'vitest';
import { ByteRing } from '../../../src/base/byte-ring.ts';
import { SeededRandom, testSeed } from '../../support/seeded-random.ts';

function contents(ring: ByteRing): number[] {
  return Array.from({ length: ring.length }, (_value, index) => ring.at(index));
}

describe('ByteRing', () => {
  it('is a queue', () => {
    const ring = new ByteRing();
    for (const value of [1, 2, 255, 3]) {
      ring.push(value);
    }
    expect(contents(ring)).toEqual([1, 2, 255, 3]);
    ring.shift();
    expect(contents(ring)).toEqual([2, 255, 3]);
  });

  it('keeps the order when it grows with its head in the middle', () => {
    for (let head = 0; head < 20; head++) {
      const ring = new ByteRing();
      ring.push(98);
      for (let count = 0; count < head; count++) {
        ring.push(99);
        ring.shift();
      }
      ring.shift();
      const values = Array.from({ length: 40 }, (_value, index) => index + 1);
      for (const value of values) {
        ring.push(value);
      }
      expect(contents(ring)).toEqual(values);
    }
  });

  it('is empty once cleared, also after a long queue', () => {
    const ring = new ByteRing();
    for (let count = 0; count < 5000; count++) {
      ring.push(1 + (count % 255));
    }
    ring.clear();
    expect(ring.length).toBe(0);
    ring.push(7);
    expect(contents(ring)).toEqual([7]);
  });

  it('agrees with an array on random operations', () => {
    const seed = testSeed('byte ring');
    const random = new SeededRandom(seed);
    const ring = new ByteRing();
    let model: number[] = [];
    for (let step = 0; step < 20_000; step++) {
      const dice = random.below(20);
      if (dice < 10) {
        const value = 1 + random.below(255);
        ring.push(value);
        model.push(value);
      } else if (dice < 17 && model.length > 0) {
        ring.shift();
        model.shift();
      } else if (dice === 17 && model.length > 0) {
        const index = random.below(model.length);
        ring.set(index, 42);
        model[index] = 42;
      } else if (dice === 18) {
        const count = random.below(model.length + 1);
        ring.truncate(count);
        model = model.slice(0, count);
      } else if (dice === 19 && random.chance(0.01)) {
        ring.clear();
        model = [];
      }
      expect(ring.length).toBe(model.length);
      expect(ring.head).toBe(model[0] ?? 0);
      if (step % 97 === 0) {
        expect(contents(ring), `seed ${String(seed)}`).toEqual(model);
      }
    }
  });
});
