function checkOneHost(text: string): string | null {
  if (text === '') {
    return 'has a comma with no host beside it';
  }
  if (text.startsWith('@')) {
    return 'abstract Unix sockets are not supported yet';
  }
  return !text.startsWith('/') && /\s/.test(text) ? 'must not contain white space' : null;
}

/**
 * Checks a database's `host`: names, IPv4 or IPv6 addresses, or directories of Unix sockets, with
 * commas between.
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
 * Checks `unix_socket_dir`: empty for none, or a directory.
 *
 * @param text - The value as written.
 * @returns What is wrong as a clause, or `null`.
 */
export function checkSocketDir(text: string): string | null {
  return text.startsWith('@') ? 'abstract Unix sockets are not supported yet' : null;
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

/**
 * Checks `auth_dbname`: the console cannot run `auth_query`.
 *
 * @param text - The value as written.
 * @returns What is wrong as a clause, or `null`.
 */
export function checkAuthDatabase(text: string): string | null {
  return text === 'pgbouncer'
    ? 'cannot use the reserved "pgbouncer" database as an auth_dbname'
    : null;
}
