import { assertNever } from '../base/assert.ts';
import { EMPTY_QUERY_RESPONSE } from '../protocol/backend-writer.ts';
import { FrontendCode } from '../protocol/codes.ts';
import { SqlState } from '../protocol/sqlstate.ts';
import { type ConsoleCommand, parseCommand } from './command-parser.ts';
import {
  type ActionCommand,
  auditText,
  commandTag,
  type ConsoleRole,
  isPermitted,
  runCommand,
} from './commands.ts';
import { adminAccessNeeded, canceled } from './console-errors.ts';
import {
  CONSOLE_READY,
  replyDone,
  replyError,
  replyFatal,
  replyHelp,
  replyParameter,
  replyTable,
} from './console-replies.ts';
import type { Actor, Control, SettledOutcome } from './control.ts';

/** Messages kept while a command waits for its answer. */
export const MAX_QUEUED_MESSAGES = 100;
/** Characters of query text kept while a command waits for its answer, over all messages. */
export const MAX_QUEUED_CHARACTERS = 65_536;

/** What a console session needs from around it. */
export interface ConsoleSessionOptions {
  readonly control: Control;
  readonly actor: Actor;
  readonly role: ConsoleRole;
  /** Sends whole messages to the client; the session does not touch the buffer afterwards. */
  readonly send: (messages: Buffer) => void;
  /** Logs a command that acts on the pooler, before it is carried out. */
  readonly audit: (commandText: string, actor: Actor) => void;
}

type Input =
  | { readonly kind: 'query'; readonly sql: string }
  | { readonly kind: 'message'; readonly code: number };

/** A command whose outcome is not known yet. */
interface PendingCommand {
  readonly command: ActionCommand;
  /** `null` until the command has said that it waits. */
  abandon: (() => void) | null;
}

const IGNORED_CODES: ReadonlySet<number> = new Set([
  FrontendCode.CopyData,
  FrontendCode.CopyDone,
  FrontendCode.CopyFail,
  // Every reply is sent at once, so there is never anything to flush.
  FrontendCode.Flush,
]);

const KNOWN_CODES: ReadonlySet<number> = new Set([
  FrontendCode.Bind,
  FrontendCode.Close,
  FrontendCode.Describe,
  FrontendCode.Execute,
  FrontendCode.FunctionCall,
  FrontendCode.Parse,
  FrontendCode.Sync,
]);

/** These three have a text of their own in PgBouncer. */
const STATEMENT_CODES: ReadonlySet<number> = new Set([
  FrontendCode.Parse,
  FrontendCode.Bind,
  FrontendCode.Execute,
]);

function isGlobalPause(command: ActionCommand): boolean {
  return command.kind === 'database' && command.verb === 'pause' && command.database === null;
}

/**
 * The console's side of one client connection after login.
 *
 * Answers strictly in the order in which messages arrive. A command may take its time (PAUSE,
 * WAIT_CLOSE): what arrives meanwhile is kept, up to a limit, and answered after it.
 *
 * COMPAT: PgBouncer closes the connection on any message of the extended query protocol. Here an
 * ERROR answers it, messages are skipped until Sync, and the session goes on.
 */
export class ConsoleSession {
  readonly #options: ConsoleSessionOptions;
  readonly #queue: Input[] = [];
  #queuedCharacters = 0;
  #pending: PendingCommand | null = null;
  #isPumping = false;
  #isSkippingToSync = false;
  #isClosed = false;

  constructor(options: ConsoleSessionOptions) {
    this.#options = options;
  }

  /**
   * Takes a Query message.
   *
   * @param sql - its text without the final zero byte.
   * @returns `false` if the session is over and the connection is to be closed.
   */
  onQuery(sql: string): boolean {
    return this.#accept({ kind: 'query', sql }, sql.length);
  }

  /**
   * Takes any message but Query and Terminate.
   *
   * @param code - its type byte.
   * @returns `false` if the session is over and the connection is to be closed.
   */
  onMessage(code: number): boolean {
    if (IGNORED_CODES.has(code)) {
      return !this.#isClosed;
    }
    if (!KNOWN_CODES.has(code)) {
      return this.#fail(SqlState.ProtocolViolation, 'unknown pkt');
    }
    return this.#accept({ kind: 'message', code }, 0);
  }

  /**
   * Takes a cancel request with this session's key: ends the command that waits, if any.
   *
   * A PAUSE of the whole pooler that is still under way is undone by a RESUME.
   *
   * COMPAT: PgBouncer leaves the waiting command without a reply, and does the RESUME whoever
   * paused the pooler and whatever this client waits for, so that even a read-only user ends a
   * pause. Here a cancel undoes nothing but the command it ends.
   */
  onCancel(): void {
    const pending = this.#takePending();
    if (pending === null) {
      return;
    }
    if (isGlobalPause(pending.command)) {
      const { control, actor, audit } = this.#options;
      audit('PAUSE canceled, doing RESUME', actor);
      // Refused during a shutdown, which is as it should be: nobody is to be told.
      control.resume(null, { actor, settle: () => undefined });
    }
    this.#reply(replyError(canceled()));
    this.#pump();
  }

  /** Ends the session when its client has gone. A command that waits goes on without it. */
  onClosed(): void {
    this.#isClosed = true;
    this.#queue.length = 0;
    this.#queuedCharacters = 0;
    this.#takePending();
  }

  #accept(input: Input, characters: number): boolean {
    if (this.#isClosed) {
      return false;
    }
    // An error in between would be taken for the answer to the command that waits.
    const isWaiting = this.#pending !== null;
    const isTooMuch =
      this.#queue.length >= MAX_QUEUED_MESSAGES ||
      characters > MAX_QUEUED_CHARACTERS - this.#queuedCharacters;
    if (isWaiting && isTooMuch) {
      return this.#fail(
        SqlState.ProgramLimitExceeded,
        'too many queries while a command is waiting',
      );
    }
    this.#queue.push(input);
    this.#queuedCharacters += characters;
    this.#pump();
    return !this.#isClosed;
  }

  /** Works through the queue until it is empty or a command waits. */
  #pump(): void {
    if (this.#isPumping) {
      return;
    }
    this.#isPumping = true;
    try {
      while (this.#pending === null) {
        const input = this.#queue.shift();
        if (input === undefined) {
          break;
        }
        this.#process(input);
      }
    } finally {
      this.#isPumping = false;
    }
  }

  #process(input: Input): void {
    if (input.kind === 'message') {
      this.#processMessage(input.code);
      return;
    }
    this.#queuedCharacters -= input.sql.length;
    if (!this.#isSkippingToSync) {
      this.#processQuery(input.sql);
    }
  }

  #processMessage(code: number): void {
    if (code === FrontendCode.Sync) {
      this.#isSkippingToSync = false;
      this.#options.send(CONSOLE_READY);
      return;
    }
    if (this.#isSkippingToSync) {
      return;
    }
    const message = STATEMENT_CODES.has(code)
      ? 'extended query protocol not supported by admin console'
      : `unsupported packet type for admin console: ${String(code)}`;
    const error = replyError({ kind: 'error', sqlstate: SqlState.FeatureNotSupported, message });
    if (code === FrontendCode.FunctionCall) {
      // Not part of the extended query protocol: no Sync follows it.
      this.#reply(error);
      return;
    }
    this.#isSkippingToSync = true;
    this.#options.send(error);
  }

  #processQuery(sql: string): void {
    const command = parseCommand(sql);
    if (command.kind === 'error') {
      this.#reply(replyError(command));
    } else if (isPermitted(command, this.#options.role)) {
      this.#execute(command);
    } else {
      this.#reply(replyError(adminAccessNeeded()));
    }
  }

  #execute(command: ConsoleCommand): void {
    switch (command.kind) {
      case 'empty':
        this.#reply(EMPTY_QUERY_RESPONSE);
        return;
      case 'show':
        this.#reply(
          command.topic === 'help' ? replyHelp() : replyTable(command.topic, this.#options.control),
        );
        return;
      case 'show_parameter':
        this.#reply(replyParameter(command.name, command.value));
        return;
      case 'set_ignored':
        this.#reply(replyDone({ kind: 'done', notices: ['SET ignored'] }, 'SET'));
        return;
      case 'unsupported':
        this.#reply(replyError(command.refusal));
        return;
      case 'set':
      case 'reload':
      case 'database':
      case 'kill_client':
      case 'shutdown':
        this.#act(command);
        return;
      default:
        assertNever(command);
    }
  }

  #act(command: ActionCommand): void {
    const { control, actor, audit } = this.#options;
    const pending: PendingCommand = { command, abandon: null };
    this.#pending = pending;
    audit(auditText(command), actor);
    const settle = (outcome: SettledOutcome): void => {
      this.#settle(pending, outcome);
    };
    const outcome = runCommand(command, control, { actor, settle });
    if (outcome.kind === 'waiting') {
      pending.abandon = outcome.abandon;
    } else {
      this.#settle(pending, outcome);
    }
  }

  /** Answers `pending`, unless it has been answered, cancelled or left behind by its client. */
  #settle(pending: PendingCommand, outcome: SettledOutcome): void {
    if (this.#pending !== pending) {
      return;
    }
    this.#pending = null;
    const { command } = pending;
    if (outcome.kind === 'error') {
      this.#reply(replyError(outcome));
    } else if (command.kind === 'shutdown' && command.mode === 'immediate') {
      // The connection just closes; a tag would promise that the session goes on.
      this.onClosed();
    } else {
      this.#reply(replyDone(outcome, commandTag(command)));
    }
    this.#pump();
  }

  /** Forgets the command that waits. @returns it, or `null` if there is none. */
  #takePending(): PendingCommand | null {
    const pending = this.#pending;
    this.#pending = null;
    pending?.abandon?.();
    return pending;
  }

  #reply(messages: Buffer): void {
    this.#options.send(Buffer.concat([messages, CONSOLE_READY]));
  }

  /** Ends the session with a FATAL error. @returns `false`: the connection is to be closed. */
  #fail(sqlstate: SqlState, message: string): boolean {
    if (!this.#isClosed) {
      this.#options.send(replyFatal(sqlstate, message));
      this.onClosed();
    }
    return false;
  }
}
