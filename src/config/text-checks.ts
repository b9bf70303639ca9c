import { splitCommand } from './command-words.ts';

/**
 * Longest name in the abstract namespace, in bytes: what a socket address has room for, without the
 * NUL in front and `/.s.PGSQL.65535` behind.
 */
const ABSTRACT_NAME_BYTES_MAX = 107 - 15;

/** @param text - Begins with `@`. */
function checkAbstractName(text: string): string | null {
  const name = text.slice(1);
  if (name === '') {
    return 'has no name behind @';
  }
  return Buffer.byteLength(name) > ABSTRACT_NAME_BYTES_MAX
    ? `is longer than the ${String(ABSTRACT_NAME_BYTES_MAX)} bytes of an abstract name`
    : null;
}

function checkOneHost(text: string): string | null {
  if (text === '') {
    return 'has a comma with no host beside it';
  }
  if (text.startsWith('@')) {
    return checkAbstractName(text);
  }
  return !text.startsWith('/') && /\s/.test(text) ? 'must not contain white space' : null;
}

/**
 * Checks a database's `host`: names, IPv4 or IPv6 addresses, or directories or abstract names of
 * Unix sockets, with commas between.
 *
 * @param text - The value as written.
 * @returns What is wrong as a clause, or `null`.
 */
export function checkHost(text: string): string | null {
  if (text === '') {
    return 'must not be empty; leave the key out for a Unix socket in unix_socket_dir';
  }
  const problems = text.split(',').map(checkOneHost);
  return problems.find((problem) => problem !== null) ?? null;
}

/**
 * Checks `unix_socket_dir`: empty for none, a directory, or a name in the abstract namespace.
 *
 * @param text - The value as written.
 * @returns What is wrong as a clause, or `null`.
 */
export function checkSocketDir(text: string): string | null {
  return text.startsWith('@') ? checkAbstractName(text) : null;
}

/**
 * Checks a text that must have at least one character.
 *
 * @param text - The value as written.
 * @returns What is wrong as a clause, or `null`.
 */
export function checkNotEmpty(text: string): string | null {
  return text === '' ? 'must not be empty' : null;
}

/** Names of the console's own database: it cannot run queries. */
const CONSOLE_DATABASES: readonly string[] = ['pgbouncer', 'maitred'];

/**
 * Checks `auth_dbname`: the console cannot run `auth_query`.
 *
 * @param text - The value as written.
 * @returns What is wrong as a clause, or `null`.
 */
export function checkAuthDatabase(text: string): string | null {
  return CONSOLE_DATABASES.includes(text)
    ? `cannot use the reserved "${text}" database as an auth_dbname`
    : null;
}

/**
 * Checks `auth_query`: a query that does not ask for a name would give everybody the same secret.
 *
 * @param text - The value as written.
 * @returns What is wrong as a clause, or `null`.
 */
export function checkAuthQuery(text: string): string | null {
  return text.includes('$1') ? null : 'does not hold $1, the name of the user';
}

/**
 * Checks `password_command`.
 *
 * @param text - The value as written.
 * @returns What is wrong as a clause, or `null`.
 */
export function checkCommand(text: string): string | null {
  const words = splitCommand(text);
  if (words === null) {
    return 'a double quote is not closed';
  }
  return words.length === 0 || words[0] === '' ? 'names no program' : null;
}
