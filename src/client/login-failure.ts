import type { PoolerError, PoolerErrorName } from '../protocol/pooler-errors.ts';
import { SqlState } from '../protocol/sqlstate.ts';

/**
 * Why logins fail, as counted: a closed list, so that no client can make time series. The values
 * say when, for the documentation.
 */
export const LOGIN_FAILURES = {
  wrong_password: 'the password, or its proof, was wrong',
  unknown_user: 'no user of that name',
  no_password: 'the user has no password, or an empty one was sent',
  unusable_secret: 'the stored secret does not suit the method',
  rejected: 'another proof that was not accepted, such as one by LDAP or PAM',
  backoff: 'too many failed logins from this address before',
  malformed: 'malformed authentication message',
  overloaded: 'a limit of clients, logins or their data',
  not_allowed: 'not a user of the console, or not allowed by a rule or a certificate',
  no_such_database: 'database unknown or disabled, told after the proof',
  protocol: 'anything but a login, or an unsupported startup packet',
  proxy_header: 'PROXY header missing, malformed or not allowed',
  timeout: 'client_login_timeout',
  unavailable: 'shutting down, misconfigured, or the server cannot be reached',
} as const satisfies Record<string, string>;

/** A reason as counted. */
export type LoginFailure = keyof typeof LOGIN_FAILURES;

/** The true reasons of failed authentication, as the log tells them. */
const BY_TRUE_REASON: ReadonlyMap<string, LoginFailure> = new Map<string, LoginFailure>([
  ['wrong password', 'wrong_password'],
  ['no such user', 'unknown_user'],
  ['user has no password', 'no_password'],
  ['empty password', 'no_password'],
  ['the md5 secret of this user cannot check SCRAM', 'unusable_secret'],
]);

const BY_ERROR: ReadonlyMap<PoolerError['reason'], LoginFailure> = new Map<
  PoolerErrorName,
  LoginFailure
>([
  ['tooManyClients', 'overloaded'],
  ['tooManyDbClients', 'overloaded'],
  ['tooManyUserClients', 'overloaded'],
  ['tooManyLogins', 'overloaded'],
  ['tooMuchLoginData', 'overloaded'],
  ['notAllowed', 'not_allowed'],
  ['noSuchDatabase', 'no_such_database'],
  ['databaseDisabled', 'no_such_database'],
  ['databaseRemoved', 'no_such_database'],
  ['loginTimeout', 'timeout'],
  ['loginTimeoutServerDown', 'timeout'],
  ['badConfiguration', 'unavailable'],
  ['shuttingDown', 'unavailable'],
  ['internalError', 'unavailable'],
]);

/**
 * Sorts a refused login.
 *
 * @param error - what the client is told.
 * @param reason - the true reason, as in the log.
 */
export function classifyLoginFailure(error: PoolerError, reason: string): LoginFailure {
  if (error.reason !== 'authenticationFailed') {
    return BY_ERROR.get(error.reason) ?? 'protocol';
  }
  switch (error.sqlstate) {
    case SqlState.ProtocolViolation:
      return 'malformed';
    case SqlState.TooManyConnections:
      return 'overloaded';
    case SqlState.InvalidAuthorization:
      return 'not_allowed';
    default:
      return BY_TRUE_REASON.get(reason) ?? 'rejected';
  }
}

/** Whether a failure is one of a guess, so that it counts towards the back-off. */
export function isGuess(failure: LoginFailure): boolean {
  switch (failure) {
    case 'wrong_password':
    case 'unknown_user':
    case 'no_password':
    case 'unusable_secret':
    case 'rejected':
    case 'malformed':
      return true;
    default:
      return false;
  }
}
