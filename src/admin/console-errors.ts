import { SqlState } from '../protocol/sqlstate.ts';
import type { CommandError } from './control.ts';

/** Longest part of a query or name that an error text repeats, in UTF-16 units. */
export const MAX_QUOTED_LENGTH = 127;

function commandError(sqlstate: SqlState, message: string): CommandError {
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

/** A command aimed at a database that does not exist. */
export function noSuchDatabase(database: string): CommandError {
  return commandError(SqlState.InvalidCatalogName, `no such database: ${cut(database)}`);
}

/** PAUSE or KILL while the pooler is paused. */
export function alreadyPaused(): CommandError {
  return commandError(SqlState.ObjectNotInPrerequisiteState, 'already suspended/paused');
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
