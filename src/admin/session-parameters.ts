/** Parameters of a PostgreSQL session that PgBouncer answers for, with its answers. */
const CLIENT_PARAMETERS: ReadonlyMap<string, string> = new Map([
  ['client_encoding', 'UTF-8'],
  ['default_transaction_isolation', 'read committed'],
  ['standard_conforming_strings', 'on'],
  ['datestyle', 'ISO'],
  ['timezone', 'GMT'],
]);

/**
 * Parameters that drivers ask for besides, with answers that keep them going.
 *
 * COMPAT: PgBouncer knows none of these.
 */
const DRIVER_PARAMETERS: ReadonlyMap<string, string> = new Map([
  ['application_name', ''],
  ['bytea_output', 'hex'],
  ['client_min_messages', 'notice'],
  ['default_transaction_read_only', 'off'],
  ['extra_float_digits', '1'],
  ['idle_in_transaction_session_timeout', '0'],
  ['in_hot_standby', 'off'],
  ['integer_datetimes', 'on'],
  ['intervalstyle', 'postgres'],
  ['is_superuser', 'on'],
  ['jit', 'off'],
  ['lock_timeout', '0'],
  ['max_identifier_length', '63'],
  ['row_security', 'on'],
  ['search_path', 'public'],
  ['server_encoding', 'UTF8'],
  ['server_version', '1.25.2/bouncer'],
  ['statement_timeout', '0'],
  ['transaction_isolation', 'read committed'],
  ['transaction_read_only', 'off'],
]);

/** Parameters that report something: nobody sets them. */
const READ_ONLY_PARAMETERS: ReadonlySet<string> = new Set([
  'in_hot_standby',
  'integer_datetimes',
  'is_superuser',
  'max_identifier_length',
  'server_encoding',
  'server_version',
]);

/** What SHOW answers for a parameter of the session, by its lower-case name. */
export function sessionParameter(name: string): string | null {
  return CLIENT_PARAMETERS.get(name) ?? DRIVER_PARAMETERS.get(name) ?? null;
}

/**
 * Tells whether SET of this lower-case name is for the session, of which the console takes no
 * notice. None of them is a setting of the pooler.
 */
export function isIgnoredParameter(name: string): boolean {
  return sessionParameter(name) !== null && !READ_ONLY_PARAMETERS.has(name);
}
