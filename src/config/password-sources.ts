import type { DatabaseConfig } from './config.ts';

/**
 * Checks where the password of a database's forced user comes from.
 *
 * @param config - The entry.
 * @returns What is wrong as a clause, or `null`.
 */
export function checkPasswordSources(config: DatabaseConfig): string | null {
  const { user, password, passwordFile, passwordCommand } = config;
  const given = [
    ...(password === '' ? [] : ['password']),
    ...(passwordFile === null ? [] : ['password_file']),
    ...(passwordCommand === null ? [] : ['password_command']),
  ];
  if (given.length > 1) {
    return `${given.join(' and ')} are given, which exclude each other`;
  }
  const isOutside = passwordFile !== null || passwordCommand !== null;
  return isOutside && user === null ? `${given.join('')} needs user, whose password it is` : null;
}
