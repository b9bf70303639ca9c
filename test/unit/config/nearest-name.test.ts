import { describe, expect, it } from 'vitest';
import { nearestName } from '../../../src/config/nearest-name.ts';

const NAMES = ['pool_mode', 'pool_size', 'listen_port', 'user'];

describe('nearestName', () => {
  it.each([
    ['pool_mod', 'pool_mode'],
    ['poolsize', 'pool_size'],
    ['LISTEN-PORT', 'listen_port'],
    ['listenport', 'listen_port'],
    ['usr', 'user'],
  ])('finds for %s the name %s', (word, name) => {
    expect(nearestName(word, NAMES)).toBe(name);
  });

  it.each(['', 'xyz', 'completely_different', 'p'.repeat(100_000)])(
    'proposes nothing for a word unlike all names (%#)',
    (word) => {
      expect(nearestName(word, NAMES)).toBeNull();
    },
  );
});
