import { dropOldest } from './drop-oldest.ts';

/**
 * Gives what a table has for `key`; makes and keeps it where there is nothing.
 *
 * @param most - keys that are kept: those that were put in first are forgotten.
 */
export function remember<K, V>(
  table: Map<K, V>,
  most: number,
  key: K,
  make: () => V & NonNullable<unknown>,
): V {
  const known = table.get(key);
  if (known !== undefined) {
    return known;
  }
  const made = make();
  table.set(key, made);
  dropOldest(table, most);
  return made;
}
