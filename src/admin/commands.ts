import { assertNever } from '../base/assert.ts';
import type { ConsoleCommand, DatabaseVerb } from './command-parser.ts';
import {
  adminDatabase,
  clientNotFound,
  databaseNotPaused,
  databaseRequired,
  invalidClientPointer,
  invalidServerPointer,
  serverNotFound,
} from './console-errors.ts';
import { isConsoleDatabase } from './console-welcome.ts';
import { ADMIN_TOPICS } from './topics.ts';
import type { CommandCall, CommandError, CommandOutcome, Control } from './control.ts';

/** What a console client may do: `stats` may look, `admin` may do anything. */
export type ConsoleRole = 'admin' | 'stats';

/** Commands that act on the pooler, as against those that only show or do nothing. */
export type ActionCommand = Extract<
  ConsoleCommand,
  {
    readonly kind:
      'set' | 'reload' | 'database' | 'kill_client' | 'kill_server' | 'suspend' | 'shutdown';
  }
>;

/**
 * Commands open to read-only users. Everything that is not named here needs an admin, so that a
 * command added later is closed until someone opens it.
 */
const STATS_KINDS: ReadonlySet<ConsoleCommand['kind']> = new Set<ConsoleCommand['kind']>([
  'empty',
  'show',
  'rows',
  'show_parameter',
  'set_ignored',
  'constants',
  'no_rows',
  'transaction',
  'deallocate',
  'harmless',
]);

/** Tells whether `role` may give `command`. */
export function isPermitted(command: ConsoleCommand, role: ConsoleRole): boolean {
  if (role === 'admin') {
    return true;
  }
  if (command.kind === 'sequence') {
    return command.commands.every((part) => isPermitted(part, role));
  }
  if (command.kind === 'show' || command.kind === 'rows') {
    return !ADMIN_TOPICS.has(command.kind === 'show' ? command.topic : command.query.topic);
  }
  return command.kind === 'unsupported' ? command.role === 'stats' : STATS_KINDS.has(command.kind);
}

/** The verb in `cannot pause admin db`; `null` where the console's database gets another answer. */
const ADMIN_DATABASE_VERBS: Readonly<Record<DatabaseVerb, string | null>> = {
  disable: 'disable',
  enable: 'enable',
  kill: 'kill',
  pause: 'pause',
  reconnect: 'reconnect',
  resume: null,
  wait_close: 'wait in',
};

/** Control characters would let a name start a line of its own in the log. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}

function auditSubject(command: ActionCommand): string {
  switch (command.kind) {
    case 'set':
      // The value may be a secret.
      return `SET '${command.key}'`;
    case 'reload':
      return 'RELOAD';
    case 'suspend':
      return 'SUSPEND';
    case 'database': {
      const verb = command.verb.toUpperCase();
      return command.database === null ? verb : `${verb} '${command.database}'`;
    }
    case 'kill_client':
    case 'kill_server': {
      const verb = command.kind.toUpperCase();
      return command.id === null ? verb : `${verb} '${command.id}'`;
    }
    case 'shutdown':
      return command.mode === 'immediate' ? 'SHUTDOWN' : `SHUTDOWN ${command.mode.toUpperCase()}`;
    default:
      return assertNever(command);
  }
}

/** The audit log's line for a command, in one line and without secrets. */
export function auditText(command: ActionCommand): string {
  return `${printable(auditSubject(command))} command issued`;
}

/** The command tag that a client gets unless the outcome brings its own. */
export function commandTag(command: ActionCommand): string {
  switch (command.kind) {
    case 'set':
      return `SET ${command.key}=${command.value}`;
    case 'database':
      return command.verb.toUpperCase();
    case 'reload':
    case 'suspend':
    case 'kill_client':
    case 'kill_server':
    case 'shutdown':
      return command.kind.toUpperCase();
    default:
      return assertNever(command);
  }
}

function refuseAdminDatabase(verb: DatabaseVerb, database: string): CommandError {
  const text = ADMIN_DATABASE_VERBS[verb];
  return text === null ? databaseNotPaused(database) : adminDatabase(text, database);
}

function runDatabaseCommand(
  verb: DatabaseVerb,
  database: string | null,
  control: Control,
  call: CommandCall,
): CommandOutcome {
  if (database !== null && isConsoleDatabase(database)) {
    return refuseAdminDatabase(verb, database);
  }
  switch (verb) {
    case 'disable':
      return database === null ? databaseRequired() : control.disable(database, call);
    case 'enable':
      return database === null ? databaseRequired() : control.enable(database, call);
    case 'kill':
      return control.kill(database, call);
    case 'pause':
      return control.pause(database, call);
    case 'reconnect':
      return control.reconnect(database, call);
    case 'resume':
      return control.resume(database, call);
    case 'wait_close':
      return control.waitClose(database, call);
    default:
      return assertNever(verb);
  }
}

/**
 * Reads an id in both forms that SHOW tells it in: `id` in decimal, `ptr` in hexadecimal.
 *
 * @returns `malformed` for anything else, `unknown` for a number that no connection has: past 2^53
 * neighbours share one number, and the wrong connection could be found.
 */
function readId(id: string | null): number | 'malformed' | 'unknown' {
  if (id === null || !/^(?:[0-9]+|0[xX][0-9a-fA-F]+)$/.test(id)) {
    return 'malformed';
  }
  const number = Number(id);
  return Number.isSafeInteger(number) ? number : 'unknown';
}

function runKillClient(id: string | null, control: Control, call: CommandCall): CommandOutcome {
  const number = readId(id);
  if (typeof number === 'number') {
    return control.killClient(number, call);
  }
  return number === 'malformed' ? invalidClientPointer() : clientNotFound();
}

function runKillServer(id: string | null, control: Control, call: CommandCall): CommandOutcome {
  const number = readId(id);
  if (typeof number === 'number') {
    return control.killServer(number, call);
  }
  return number === 'malformed' ? invalidServerPointer() : serverNotFound();
}

/** Carries out a command that the client is permitted to give. */
export function runCommand(
  command: ActionCommand,
  control: Control,
  call: CommandCall,
): CommandOutcome {
  switch (command.kind) {
    case 'set':
      return control.set(command.key, command.value, call);
    case 'reload':
      return control.reload(call);
    case 'database':
      return runDatabaseCommand(command.verb, command.database, control, call);
    case 'kill_client':
      return runKillClient(command.id, control, call);
    case 'kill_server':
      return runKillServer(command.id, control, call);
    case 'suspend':
      return control.suspend(call);
    case 'shutdown':
      return control.shutdown(command.mode, call);
    default:
      return assertNever(command);
  }
}

/** Whether a command holds up the whole pooler: PAUSE without a database, and SUSPEND. */
export function isGlobalPause(command: ActionCommand): boolean {
  const isPause =
    command.kind === 'database' && command.verb === 'pause' && command.database === null;
  return isPause || command.kind === 'suspend';
}
