import { expect, it } from 'vitest';
import { PoolStats } from '../../../src/pool/pool-stats.ts';

it('adds up every counter of statistics', () => {
  const names = Object.keys(new PoolStats());
  const first = Object.assign(new PoolStats(), Object.fromEntries(names.map((name) => [name, 1])));
  const sum = Object.assign(
    new PoolStats(),
    Object.fromEntries(names.map((name, index) => [name, index])),
  );
  sum.add(first);
  expect(Object.values(sum)).toEqual(names.map((_name, index) => index + 1));
});
