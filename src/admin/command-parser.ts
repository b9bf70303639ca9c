import { CommandScanner, type Token } from './command-scanner.ts';
import { badArguments, invalidCommand, notSupportedYet } from './console-errors.ts';
import type { CommandError, ShutdownMode } from './control.ts';
import { isIgnoredParameter, sessionParameter } from './session-parameters.ts';
import { parseSqlCommand, type SqlCommand } from './sql-command.ts';
import { withoutComments } from './sql-comments.ts';
import { SHOW_TOPICS, type ShowTopic, UNSUPPORTED_TOPICS } from './topics.ts';

/** Longest command name in bytes, quotes included. */
export const MAX_NAME_BYTES = 15;
/** Longest argument or setting name in bytes, quotes included. */
const MAX_ARGUMENT_BYTES = 63;
/** Longest value of SET in bytes, quotes included. */
const MAX_VALUE_BYTES = 255;

/** Commands that take the name of a database. */
const DATABASE_VERBS = [
  'disable',
  'enable',
  'kill',
  'pause',
  'reconnect',
  'resume',
  'wait_close',
] as const;
/** One of {@link DATABASE_VERBS}. */
export type DatabaseVerb = (typeof DATABASE_VERBS)[number];

/** A query of a console client, understood. */
export type ConsoleCommand =
  | { readonly kind: 'empty' }
  | { readonly kind: 'show'; readonly topic: ShowTopic }
  | {
      readonly kind: 'unsupported';
      /** The least role that is told so; others learn only that they may not. */
      readonly role: 'admin' | 'stats';
      readonly refusal: CommandError;
    }
  | SqlCommand
  | { readonly kind: 'set'; readonly key: string; readonly value: string }
  | { readonly kind: 'reload' }
  | { readonly kind: 'reload_dry_run' }
  | { readonly kind: 'suspend' }
  | {
      readonly kind: 'database';
      readonly verb: DatabaseVerb;
      /** `null` if none was named. An empty name is a name, of a database that does not exist. */
      readonly database: string | null;
    }
  | { readonly kind: 'kill_client' | 'kill_server'; readonly id: string | null }
  | { readonly kind: 'shutdown'; readonly mode: ShutdownMode };

/** A command, or the error that answers the query. */
export type ParsedCommand = ConsoleCommand | CommandError;

type ArgumentParser = (argument: string | null) => ConsoleCommand | null;

const SHOW_TOPIC_BY_NAME: ReadonlyMap<string, ShowTopic> = new Map(
  SHOW_TOPICS.map((topic) => [topic, topic]),
);
const UNSUPPORTED_TOPIC_NAMES: ReadonlySet<string> = new Set(UNSUPPORTED_TOPICS);

const SHUTDOWN_MODES: ReadonlyMap<string, ShutdownMode> = new Map([
  ['wait_for_servers', 'wait_for_servers'],
  ['wait_for_clients', 'wait_for_clients'],
]);

/** Lower-cases A to Z alone: other letters never make a command name (U+212A is no `k`). */
function lowerAscii(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function parseShow(argument: string | null): ConsoleCommand | null {
  const name = lowerAscii(argument ?? '');
  const topic = SHOW_TOPIC_BY_NAME.get(name);
  if (topic !== undefined) {
    return { kind: 'show', topic };
  }
  const value = sessionParameter(name);
  if (value !== null) {
    return { kind: 'show_parameter', name, value };
  }
  if (UNSUPPORTED_TOPIC_NAMES.has(name)) {
    const refusal = notSupportedYet(`SHOW ${name.toUpperCase()}`);
    return { kind: 'unsupported', role: 'stats', refusal };
  }
  return null;
}

function parseShutdown(argument: string | null): ConsoleCommand | null {
  if (argument === null) {
    return { kind: 'shutdown', mode: 'immediate' };
  }
  const mode = SHUTDOWN_MODES.get(lowerAscii(argument));
  return mode === undefined ? null : { kind: 'shutdown', mode };
}

function databaseEntry(verb: DatabaseVerb): [string, ArgumentParser] {
  return [verb, (database) => ({ kind: 'database', verb, database })];
}

/** The commands but SET, whose arguments have a form of their own. `null` refuses an argument. */
const COMMANDS: ReadonlyMap<string, ArgumentParser> = new Map<string, ArgumentParser>([
  ['show', parseShow],
  ['select', parseShow],
  ['reload', (argument) => (argument === null ? { kind: 'reload' } : null)],
  ['kill_client', (id) => ({ kind: 'kill_client', id })],
  ['kill_server', (id) => ({ kind: 'kill_server', id })],
  ['suspend', (argument) => (argument === null ? { kind: 'suspend' } : null)],
  ['shutdown', parseShutdown],
  ...DATABASE_VERBS.map(databaseEntry),
]);

function takeAssignment(scanner: CommandScanner): boolean {
  scanner.skipSpace();
  if (scanner.take('=')) {
    return true;
  }
  const word = scanner.takeWord(MAX_NAME_BYTES);
  return word !== null && isWord(word, 'to');
}

function takeSet(scanner: CommandScanner): { key: Token; value: Token } | null {
  if (!scanner.skipSpace()) {
    return null;
  }
  const key = scanner.takeWord(MAX_ARGUMENT_BYTES);
  if (key === null || !takeAssignment(scanner)) {
    return null;
  }
  scanner.skipSpace();
  const value = scanner.takeValue(MAX_VALUE_BYTES);
  return value !== null && scanner.takeEnd() ? { key, value } : null;
}

function parseSet(query: string, scanner: CommandScanner): ParsedCommand {
  const assignment = takeSet(scanner);
  if (assignment === null) {
    return invalidCommand(query);
  }
  const { key, value } = assignment;
  if (key.isTooLong || value.isTooLong) {
    return badArguments();
  }
  if (isIgnoredParameter(lowerAscii(key.text))) {
    return { kind: 'set_ignored' };
  }
  return { kind: 'set', key: key.text, value: value.text };
}

/**
 * Reads one query as a console command: `NAME [ARGUMENT] [;]` or `SET key {= | TO} value [;]`.
 *
 * Names of commands, SHOW topics and ignored parameters may have any case; names of databases and
 * settings are taken as written. A second statement makes the query invalid, so that nothing is
 * that acts is ever carried out in part. Takes time linear in the length of the query. Never throws.
 *
 * What PgBouncer's grammar refuses is read as SQL: see {@link parseSqlCommand}.
 *
 * COMPAT: an empty query is no error, since drivers send one to see whether a connection lives; nor are
 * comments, which some put into it, and tools in front of what they send.
 *
 * @param query - text of a Query message without its final zero byte; may be anything.
 */
export function parseCommand(query: string): ParsedCommand {
  if (query.includes('\0')) {
    return invalidCommand(query);
  }
  const command = parseBare(query);
  if (command.kind !== 'error') {
    return command;
  }
  const bare = withoutComments(query);
  const bareCommand = bare === null || bare === query ? command : parseBare(bare);
  return bareCommand.kind === 'error' ? command : bareCommand;
}

/** Reads a query that has no comments. */
function parseBare(query: string): ParsedCommand {
  if (new CommandScanner(query).takeEnd()) {
    return { kind: 'empty' };
  }
  const command = parseNamed(query);
  return command.kind === 'error' ? (parseSqlCommand(query) ?? command) : command;
}

function isWord(token: Token, word: string): boolean {
  return !token.isQuoted && lowerAscii(token.text) === word;
}

/** Reads what follows `RELOAD DRY`. */
function parseDryRun(query: string, scanner: CommandScanner): ParsedCommand {
  const word = scanner.skipSpace() ? scanner.takeWord(MAX_ARGUMENT_BYTES) : null;
  return word !== null && isWord(word, 'run') && scanner.takeEnd()
    ? { kind: 'reload_dry_run' }
    : invalidCommand(query);
}

function parseNamed(query: string): ParsedCommand {
  const scanner = new CommandScanner(query);
  scanner.skipSpace();
  const name = scanner.takeWord(MAX_NAME_BYTES);
  if (name === null) {
    return invalidCommand(query);
  }
  const nameText = lowerAscii(name.text);
  if (nameText === 'set') {
    return parseSet(query, scanner);
  }
  const argument = scanner.skipSpace() ? scanner.takeWord(MAX_ARGUMENT_BYTES) : null;
  if (nameText === 'reload' && argument !== null && isWord(argument, 'dry')) {
    return parseDryRun(query, scanner);
  }
  if (!scanner.takeEnd()) {
    return invalidCommand(query);
  }
  if (name.isTooLong || argument?.isTooLong === true) {
    return badArguments();
  }
  return (
    COMMANDS.get(nameText)?.(argument === null ? null : argument.text) ?? invalidCommand(query)
  );
}
