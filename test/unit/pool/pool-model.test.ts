import { describe, expect, it } from 'vitest';
import { PoolModel, SeededRandom } from './pool-model.ts';

/** A failure names its seed; run it alone with `POOL_MODEL_SEED=<seed>`. */
const GIVEN_SEED = process.env['POOL_MODEL_SEED'];
const SEEDS =
  GIVEN_SEED === undefined ? Array.from({ length: 25 }, (_, n) => n + 1) : [Number(GIVEN_SEED)];
const STEPS = 1000;

describe('pools that share limits', () => {
  it.each(SEEDS)('keep their promises whatever happens, seed %i', (seed) => {
    const model = new PoolModel(seed);
    try {
      for (let count = 0; count < STEPS; count++) {
        model.step();
        model.check();
      }
      const { assigned } = model.host;
      expect(assigned.length, 'the model is busy').toBeGreaterThan(STEPS / 20);
      model.drain();
    } catch (error) {
      const { history } = model;
      const last = history.slice(-10).join(', ');
      const place = `seed ${String(seed)}, step ${String(history.length)} (... ${last})`;
      throw new Error(place, { cause: error });
    }
  });
});

describe('the numbers of the model', () => {
  it('follow from the seed and are spread evenly', () => {
    const draw = (seed: number): number[] => {
      const random = new SeededRandom(seed);
      return Array.from({ length: 2000 }, () => random.below(10));
    };
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    for (let digit = 0; digit < 10; digit++) {
      const share = draw(7).filter((drawn) => drawn === digit).length / 2000;
      expect(share).toBeGreaterThan(0.07);
      expect(share).toBeLessThan(0.13);
    }
  });
});
