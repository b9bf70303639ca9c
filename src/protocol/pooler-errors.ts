import type { ReportFields } from './backend-writer.ts';
import { SqlState } from './sqlstate.ts';

/** What an error does to the client that gets it: `FATAL` ends the connection. */
export type Severity = 'ERROR' | 'FATAL';

interface ErrorRow {
  readonly severity: Severity;
  readonly sqlstate: SqlState;
  readonly text: string;
  /** When it is sent, for docs/ERRORS.md. */
  readonly when: string;
  readonly hint?: string;
}

function row(severity: Severity, sqlstate: SqlState, text: string, when: string): ErrorRow {
  return { severity, sqlstate, text, when };
}

const S = SqlState;

/**
 * Every error that maitred itself sends to a client. `%` in a text stands for a value given when
 * the error is made. Texts are PgBouncer's where it has one, since operators search logs for them;
 * SQLSTATEs are the true ones, since drivers and pools decide by them. The console's errors are
 * made where its commands are.
 */
export const POOLER_ERRORS = {
  // Startup packet and transport
  badPacketHeader: row(
    'FATAL',
    S.ProtocolViolation,
    "bad packet header: '%'",
    'message header that cannot be right, or in the wrong phase',
  ),
  packetTooLarge: row(
    'FATAL',
    S.ProgramLimitExceeded,
    'message of % bytes exceeds max_packet_size',
    'client message over max_packet_size',
  ),
  oldProtocol: row(
    'FATAL',
    S.FeatureNotSupported,
    'old V2 protocol not supported',
    'startup packet of protocol 2 or 1',
  ),
  unsupportedProtocol: row(
    'FATAL',
    S.FeatureNotSupported,
    'unsupported frontend protocol %',
    'startup packet of an unknown major version',
  ),
  badStartupLayout: row(
    'FATAL',
    S.ProtocolViolation,
    'invalid startup packet layout: expected terminator as last byte',
    'malformed startup packet',
  ),
  nameNotUtf8: row(
    'FATAL',
    S.CharacterNotInRepertoire,
    'names of users and databases must be valid UTF-8',
    'startup packet with a user or database that is not UTF-8',
  ),
  noUser: row(
    'FATAL',
    S.InvalidAuthorization,
    'no username supplied',
    'startup packet without a user',
  ),
  unsupportedStartupParameter: row(
    'FATAL',
    S.FeatureNotSupported,
    'unsupported startup parameter: %',
    'parameter neither tracked nor in ignore_startup_parameters',
  ),
  unsupportedOptionsParameter: row(
    'FATAL',
    S.FeatureNotSupported,
    'unsupported startup parameter in options: %',
    'the same inside options',
  ),
  badOptions: row(
    'FATAL',
    S.FeatureNotSupported,
    "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed",
    'options in any other form',
  ),
  userTooLong: row(
    'FATAL',
    S.InvalidAuthorization,
    'username too long',
    'user name of 128 bytes or more',
  ),
  startupRepeated: row(
    'FATAL',
    S.ProtocolViolation,
    'client re-sent startup pkt',
    'second startup packet',
  ),
  unencryptedDataAfterRequest: row(
    'FATAL',
    S.ProtocolViolation,
    'received unencrypted data after % request',
    'bytes behind SSLRequest or GSSENCRequest',
  ),
  tlsRequired: row(
    'FATAL',
    S.InvalidAuthorization,
    'SSL required',
    'startup packet in the clear, and client_tls_sslmode is `require` or stricter',
  ),
  loginTimeout: row(
    'FATAL',
    S.QueryCanceled,
    'client_login_timeout',
    'login not finished within client_login_timeout',
  ),
  loginTimeoutServerDown: row(
    'FATAL',
    S.ConnectionFailure,
    'client_login_timeout (server down)',
    'authenticated, but no server connection came up within client_login_timeout',
  ),
  // Authentication and admission
  tooManyClients: row(
    'FATAL',
    S.TooManyConnections,
    'no more connections allowed (max_client_conn)',
    'max_client_conn reached',
  ),
  tooManyDbClients: row(
    'FATAL',
    S.TooManyConnections,
    'client connections exceeded (max_db_client_connections)',
    'max_db_client_connections reached',
  ),
  tooManyUserClients: row(
    'FATAL',
    S.TooManyConnections,
    'client connections exceeded (max_user_client_connections)',
    'max_user_client_connections reached',
  ),
  tooManyLogins: row(
    'FATAL',
    S.TooManyConnections,
    'no more connections allowed (max_unauthenticated_conn)',
    'max_unauthenticated_conn reached, and this one was the oldest of the busiest address',
  ),
  tooMuchLoginData: row(
    'FATAL',
    S.TooManyConnections,
    'too much data before the end of the login',
    'clients that have not logged in have sent too much, and this one has waited longest',
  ),
  authenticationFailed: row(
    'FATAL',
    S.InvalidPassword,
    '%',
    'wrong password or unknown user; the text names the method only',
  ),
  loginRejected: row(
    'FATAL',
    S.InvalidAuthorization,
    'login rejected',
    'line of auth_hba_file with the method reject',
  ),
  noLoginMethod: row(
    'FATAL',
    S.InvalidAuthorization,
    'no authentication method is found',
    'no line of auth_hba_file matches',
  ),
  certificateRefused: row(
    'FATAL',
    S.InvalidAuthorization,
    'certificate authentication failed',
    'method cert: no TLS, no certificate, or one for another user',
  ),
  peerRefused: row(
    'FATAL',
    S.InvalidAuthorization,
    'unix socket login rejected',
    'method peer: not on a Unix socket, or another system user',
  ),
  notAllowed: row(
    'FATAL',
    S.InsufficientPrivilege,
    'not allowed',
    'console user in neither admin_users nor stats_users',
  ),
  badConfiguration: row(
    'FATAL',
    S.InvalidAuthorization,
    'bouncer config error',
    'auth_type any without a forced user, or ldap without options; auth_query failed or gave something else than one row of name and secret; auth_dbname names no database; auth_user could not log in',
  ),
  authDatabaseDisabled: row(
    'FATAL',
    S.CannotConnectNow,
    'authentication database "%" is disabled',
    'auth_query would have to run in a database switched off by DISABLE',
  ),
  authQueryTimeout: row(
    'FATAL',
    S.ConnectionFailure,
    'auth_query_timeout',
    'auth_query had no result within auth_query_timeout',
  ),
  resourcesExhausted: row(
    'FATAL',
    S.TooManyConnections,
    'bouncer resources exhaustion',
    'too many runs of auth_query under way at once',
  ),
  noSuchDatabase: row(
    'FATAL',
    S.InvalidCatalogName,
    'no such database: %',
    'unknown database, told after authentication only',
  ),
  databaseDisabled: row(
    'FATAL',
    S.CannotConnectNow,
    'database "%" is disabled',
    'login to a database switched off by DISABLE',
  ),
  shuttingDown: row('FATAL', S.AdminShutdown, 'pooler is shutting down', 'login during a shutdown'),
  replicationLoginFailed: row(
    'FATAL',
    S.ConnectionFailure,
    'login failed',
    'the server connection of a replication client could not be opened; what the server itself says is passed on instead',
  ),
  // While working
  queryWaitTimeout: row(
    'FATAL',
    S.TooManyConnections,
    'query_wait_timeout',
    'queued longer than query_wait_timeout',
  ),
  queryTimeoutQueued: row(
    'FATAL',
    S.QueryCanceled,
    'query_timeout',
    'queued longer than query_timeout',
  ),
  queryTimeout: row(
    'FATAL',
    S.QueryCanceled,
    'query timeout',
    'query running longer than query_timeout',
  ),
  idleTransactionTimeout: row(
    'FATAL',
    S.IdleInTransactionTimeout,
    'idle transaction timeout',
    'idle in transaction longer than idle_transaction_timeout',
  ),
  transactionTimeout: row(
    'FATAL',
    S.TransactionTimeout,
    'transaction timeout',
    'transaction longer than transaction_timeout',
  ),
  clientIdleTimeout: row(
    'FATAL',
    S.IdleSessionTimeout,
    'client_idle_timeout',
    'client idle longer than client_idle_timeout',
  ),
  serverCrashed: row(
    'FATAL',
    S.ConnectionFailure,
    'server conn crashed?',
    'server connection lost while linked, and the server did not say why',
  ),
  serverProtocolViolation: row(
    'FATAL',
    S.ConnectionFailure,
    'unexpected message from server: %',
    'the server sent what it may not send at this point',
  ),
  statementModeTransaction: row(
    'FATAL',
    S.FeatureNotSupported,
    'transaction blocks not allowed in statement pooling mode',
    'transaction opened in statement mode',
  ),
  invalidServerParameter: row(
    'FATAL',
    S.ConnectionFailure,
    'invalid server parameter',
    'the server refused the value of a tracked parameter',
  ),
  unknownMessage: row(
    'FATAL',
    S.ProtocolViolation,
    'unknown pkt',
    'unknown message type from a client',
  ),
  pqexecDisallowed: row(
    'FATAL',
    S.FeatureNotSupported,
    'PQexec disallowed',
    'simple query with disable_pqexec',
  ),
  databaseChanged: row(
    'FATAL',
    S.AdminShutdown,
    'database configuration changed',
    'server_fast_close and a retired server connection',
  ),
  databaseRemoved: row(
    'FATAL',
    S.AdminShutdown,
    'database removed',
    'KILL, or a reload that dropped the database',
  ),
  adminDisconnect: row('FATAL', S.AdminShutdown, 'admin forced disconnect', 'KILL_CLIENT'),
  serverShuttingDown: row(
    'FATAL',
    S.AdminShutdown,
    'server shutting down',
    'queued during SHUTDOWN WAIT_FOR_SERVERS',
  ),
  suspendTimeout: row(
    'FATAL',
    S.AdminShutdown,
    'suspend_timeout',
    'not at rest within suspend_timeout of SUSPEND',
  ),
  drained: row(
    'FATAL',
    S.AdminShutdown,
    'terminating connection due to administrator command',
    'between two transactions during a shutdown that waits, with drain_period; the text is that of PostgreSQL',
  ),
  canceledInQueue: row(
    'ERROR',
    S.QueryCanceled,
    'canceling statement due to user request',
    'cancel request for a client that waits in the queue',
  ),
  serverLoginFailed: row(
    'FATAL',
    S.ConnectionFailure,
    'server login failed: %',
    'login to the server failed for a reason found by maitred',
  ),
  serverUnreachable: row(
    'FATAL',
    S.ConnectionFailure,
    '%',
    'no connection to the server: it has no address, cannot be reached, or not in time',
  ),
  serverLoginRetry: row(
    'FATAL',
    S.ConnectionFailure,
    'server login has been failing, cached error: % (server_login_retry)',
    'server login failed and server_login_retry has not passed',
  ),
  internalError: row(
    'FATAL',
    S.InternalError,
    'internal error',
    'a bug in maitred; the log names it',
  ),
} as const satisfies Record<string, ErrorRow>;

/** Name of a row of {@link POOLER_ERRORS}; also the `reason` in logs. */
export type PoolerErrorName = keyof typeof POOLER_ERRORS;

/** An error as a value, ready to be sent to a client and logged. */
export interface PoolerError extends ReportFields {
  readonly severity: Severity;
  readonly reason: PoolerErrorName | 'server_error';
}

/**
 * Makes the error `name`, filling `%` of its text with `value`.
 *
 * @param value - May come from a peer: it is cut to 127 characters.
 */
export function poolerError(
  name: PoolerErrorName,
  value = '',
  extra: { readonly detail?: string; readonly hint?: string } = {},
): PoolerError {
  const { severity, sqlstate, text } = POOLER_ERRORS[name];
  // A function as replacement, so that `$&` in a value is nothing special.
  const filled = text.replace('%', () => value.slice(0, 127));
  return { severity, sqlstate, message: filled, reason: name, ...extra };
}
