import { expect, it } from 'vitest';
import { remember } from '../../../src/base/remember.ts';

it('makes what is remembered once, until many others have come', () => {
  const table = new Map<string, boolean>();
  const made: string[] = [];
  const ask = (key: string): boolean =>
    remember(table, 2, key, () => {
      made.push(key);
      return key === 'a';
    });
  expect(['a', 'b', 'a', 'b'].map(ask)).toEqual([true, false, true, false]);
  expect(made).toEqual(['a', 'b']);
  ask('c');
  ask('b');
  expect(made).toEqual(['a', 'b', 'c']);
  expect(ask('a')).toBe(true);
  expect(made).toEqual(['a', 'b', 'c', 'a']);
  expect(table.size).toBe(2);
});
