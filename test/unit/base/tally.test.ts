import { describe, expect, it } from 'vitest';
import { InvariantError } from '../../../src/base/assert.ts';
import { Tally } from '../../../src/base/tally.ts';

describe('Tally', () => {
  it('counts each key on its own', () => {
    const tally = new Tally<string>();
    tally.add('a');
    tally.add('b');
    tally.add('a');
    expect([tally.of('a'), tally.of('b'), tally.of('c')]).toEqual([2, 1, 0]);
    tally.remove('a');
    expect([tally.of('a'), tally.of('b')]).toEqual([1, 1]);
  });

  it('does not take back what was not counted', () => {
    const tally = new Tally<string>();
    tally.add('a');
    tally.remove('a');
    expect(() => {
      tally.remove('a');
    }).toThrow(InvariantError);
    expect(tally.of('a')).toBe(0);
  });

  it('names the key with the highest count, the first of equals', () => {
    const tally = new Tally<string>();
    expect(tally.most()).toBeNull();
    for (const key of ['a', 'b', 'c', 'c', 'b']) {
      tally.add(key);
    }
    expect(tally.most()).toBe('b');
    tally.remove('b');
    expect(tally.most()).toBe('c');
  });
});
