import { SqlState } from '../protocol/sqlstate.ts';
import { ConsoleSqlState } from './console-sqlstate.ts';
import type { CommandError } from './control.ts';

/** Longest part of a query or name that an error text repeats, in UTF-16 units. */
export const MAX_QUOTED_LENGTH = 127;

function commandError(sqlstate: ConsoleSqlState, message: string): CommandError {
  return { kind: 'error', sqlstate, message };
}

/** Cuts `text` to {@link MAX_QUOTED_LENGTH}, never through the middle of a character. */
function cut(text: string): string {
  if (text.length <= MAX_QUOTED_LENGTH) {
    return text;
  }
  const last = text.charCodeAt(MAX_QUOTED_LENGTH - 1);
  const isSplitPair = last >= 0xd800 && last <= 0xdbff;
  return text.slice(0, isSplitPair ? MAX_QUOTED_LENGTH - 1 : MAX_QUOTED_LENGTH);
}

/** A query that is no command. */
export function invalidCommand(query: string): CommandError {
  return commandError(SqlState.SyntaxError, `invalid command '${cut(query)}', use SHOW HELP;`);
}

/** A command name, argument or value that is too long. */
export function badArguments(): CommandError {
  return commandError(SqlState.SyntaxError, 'bad arguments');
}

/** A command that this role may not give. */
export function adminAccessNeeded(): CommandError {
  return commandError(SqlState.InsufficientPrivilege, 'admin access needed');
}

/** A command of PgBouncer that maitred knows but cannot carry out. */
export function notSupportedYet(command: string): CommandError {
  return commandError(SqlState.FeatureNotSupported, `${command} is not supported yet`);
}

/** A message that the console does not answer. */
export function functionCallsNotSupported(): CommandError {
  return commandError(
    SqlState.FeatureNotSupported,
    'unsupported packet type for admin console: 70',
  );
}

/** DISABLE or ENABLE without a name. */
export function databaseRequired(): CommandError {
  return commandError(SqlState.SyntaxError, 'a database is required');
}

/** A command aimed at the console's own database. @param verb - as in `cannot pause admin db`. */
export function adminDatabase(verb: string, database: string): CommandError {
  return commandError(SqlState.InsufficientPrivilege, `cannot ${verb} admin db: ${cut(database)}`);
}

/** KILL_CLIENT with something that is no number. */
export function invalidClientPointer(): CommandError {
  return commandError(SqlState.SyntaxError, 'invalid client pointer supplied');
}

/** KILL_CLIENT with a number that belongs to no client. */
export function clientNotFound(): CommandError {
  return commandError(SqlState.UndefinedObject, 'client not found');
}

/** KILL_SERVER with something that is no number. */
export function invalidServerPointer(): CommandError {
  return commandError(SqlState.SyntaxError, 'invalid server pointer supplied');
}

/** KILL_SERVER with a number that belongs to no server connection. */
export function serverNotFound(): CommandError {
  return commandError(SqlState.UndefinedObject, 'server not found');
}

/** A command aimed at a database that does not exist. */
export function noSuchDatabase(database: string): CommandError {
  return commandError(SqlState.InvalidCatalogName, `no such database: ${cut(database)}`);
}

/** PAUSE or KILL while the pooler is paused. */
export function alreadyPaused(): CommandError {
  return commandError(SqlState.ObjectNotInPrerequisiteState, 'already suspended/paused');
}

/** SUSPEND while a database is paused. */
export function pausedDatabases(): CommandError {
  return commandError(
    SqlState.ObjectNotInPrerequisiteState,
    'cannot suspend with paused databases',
  );
}

/** RESUME while the pooler is not paused. */
export function notPaused(): CommandError {
  return commandError(SqlState.ObjectNotInPrerequisiteState, 'pooler is not paused/suspended');
}

/** RESUME of a database that is not paused. */
export function databaseNotPaused(database: string): CommandError {
  return commandError(
    SqlState.ObjectNotInPrerequisiteState,
    `database ${cut(database)} is not paused`,
  );
}

/** RESUME during a shutdown. */
export function shuttingDown(): CommandError {
  return commandError(SqlState.ObjectNotInPrerequisiteState, 'pooler is shutting down');
}

/** RELOAD with a configuration that cannot be used. */
export function reloadFailed(): CommandError {
  return commandError(SqlState.ConfigFileError, 'RELOAD failed, see logs for additional details');
}

/** SET of an unknown setting, or to a value that it cannot have. */
export function setFailed(): CommandError {
  return commandError(SqlState.UndefinedObject, 'SET failed');
}

/** A waiting command that was ended by a cancel request. */
export function canceled(): CommandError {
  return commandError(SqlState.QueryCanceled, 'canceling statement due to user request');
}

/** A command after an error inside a transaction block. */
export function inFailedTransaction(): CommandError {
  return commandError(
    ConsoleSqlState.InFailedTransaction,
    'current transaction is aborted, commands ignored until end of transaction block',
  );
}

/** SAVEPOINT and its like outside of a transaction block. */
export function transactionBlockNeeded(command: string): CommandError {
  return commandError(
    ConsoleSqlState.NoActiveTransaction,
    `${command} can only be used in transaction blocks`,
  );
}

/** A savepoint that was never set, or is gone. */
export function noSuchSavepoint(name: string): CommandError {
  return commandError(ConsoleSqlState.InvalidSavepoint, `savepoint "${cut(name)}" does not exist`);
}

/** More savepoints, statements or portals than a session keeps. */
export function tooMany(what: string): CommandError {
  return commandError(SqlState.ProgramLimitExceeded, `too many ${what} on the console`);
}

/** A parameter, which no command has. @param symbol - as `$1`. */
export function undefinedParameter(symbol: string): CommandError {
  return commandError(
    ConsoleSqlState.UndefinedParameter,
    `there is no parameter ${symbol}: console commands take none`,
  );
}

/** Parse with types of parameters. */
export function parametersNotSupported(): CommandError {
  return commandError(SqlState.FeatureNotSupported, 'console commands take no parameters');
}

/** A query that reads PostgreSQL's catalogs. */
export function catalogsNotSupported(): CommandError {
  return commandError(
    SqlState.FeatureNotSupported,
    'the console has no system catalogs, use SHOW HELP;',
  );
}

/** Parse of several statements at once. */
export function multipleCommands(): CommandError {
  return commandError(
    SqlState.SyntaxError,
    'cannot insert multiple commands into a prepared statement',
  );
}

/** A prepared statement that does not exist. */
export function noSuchStatement(name: string): CommandError {
  const subject = name === '' ? 'unnamed prepared statement' : `prepared statement "${cut(name)}"`;
  return commandError(ConsoleSqlState.InvalidStatementName, `${subject} does not exist`);
}

/** Parse under a name that is taken. */
export function statementExists(name: string): CommandError {
  return commandError(
    ConsoleSqlState.DuplicateStatement,
    `prepared statement "${cut(name)}" already exists`,
  );
}

/** A portal that does not exist. */
export function noSuchPortal(name: string): CommandError {
  return commandError(ConsoleSqlState.InvalidCursorName, `portal "${cut(name)}" does not exist`);
}

/** Bind under a name that is taken. */
export function portalExists(name: string): CommandError {
  return commandError(ConsoleSqlState.DuplicateCursor, `cursor "${cut(name)}" already exists`);
}

/** A second Execute of a portal that has acted. */
export function portalCannotRun(name: string): CommandError {
  return commandError(
    SqlState.ObjectNotInPrerequisiteState,
    `portal "${cut(name)}" cannot be run anymore`,
  );
}

/** Messages that contradict what went before, or themselves. */
export function protocolViolation(message: string): CommandError {
  return commandError(SqlState.ProtocolViolation, message);
}
