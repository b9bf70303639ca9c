/** Names under which clients reach the console as if it were a database. */
export const CONSOLE_DATABASES: readonly string[] = ['pgbouncer', 'maitred'];

/** A run-time parameter as ParameterStatus tells it. */
export type ParameterPair = readonly [name: string, value: string];

/**
 * What the console tells of itself after login.
 *
 * The number at the start of `server_version` is what drivers choose their features by.
 *
 * @source PgBouncer, the welcome of the admin console
 */
const CONSOLE_PARAMETERS: readonly ParameterPair[] = [
  ['server_version', '1.25.2/bouncer'],
  ['client_encoding', 'UTF8'],
  ['server_encoding', 'UTF8'],
  ['DateStyle', 'ISO'],
  ['TimeZone', 'GMT'],
  ['standard_conforming_strings', 'on'],
  ['is_superuser', 'on'],
];

/**
 * Lists the ParameterStatus messages for a console client, in the order in which they are sent
 * between AuthenticationOk and BackendKeyData.
 *
 * @param clientParameters - tracked parameters that the client sent in its startup packet; they
 * come last, so that the client's own value is the one it remembers.
 */
export function consoleWelcome(
  clientParameters: readonly ParameterPair[],
): readonly ParameterPair[] {
  return [...CONSOLE_PARAMETERS, ...clientParameters];
}

/** Tells whether `database`, taken as written, is a name of the console. */
export function isConsoleDatabase(database: string): boolean {
  return CONSOLE_DATABASES.includes(database);
}
