import { parsePeerId } from './peer-keys.ts';

/** Names of the console's own database. */
const RESERVED_DATABASES: readonly string[] = ['pgbouncer', 'maitred'];

/** Longest names in bytes of UTF-8, as PgBouncer limits them. */
const LONGEST_NAME = { databases: 63, users: 127 } as const;

/**
 * Checks the name of an entry.
 *
 * @param section - The kind of the entry.
 * @param name - As written.
 * @returns What is wrong as a sentence, or `null`.
 */
export function checkEntryName(
  section: 'databases' | 'users' | 'peers',
  name: string,
): string | null {
  if (section === 'peers') {
    // COMPAT: PgBouncer's own text; the largest id that it takes is 65535 all the same.
    return parsePeerId(name) === null
      ? 'ids of peers must be a number larger than 0 and at most 65536'
      : null;
  }
  const noun = section === 'databases' ? 'database' : 'user';
  if (name === '') {
    return `a ${noun} name must not be empty`;
  }
  if (name.includes('\0')) {
    return `a ${noun} name must not hold a zero byte`;
  }
  if (section === 'databases' && RESERVED_DATABASES.includes(name)) {
    return `database name "${name}" is reserved`;
  }
  const longest = LONGEST_NAME[section];
  return Buffer.byteLength(name) > longest
    ? `too long ${section === 'databases' ? 'db' : 'user'} name: at most ${String(longest)} bytes`
    : null;
}
