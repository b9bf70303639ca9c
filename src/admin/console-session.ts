import { FrontendCode } from '../protocol/codes.ts';
import { SqlState } from '../protocol/sqlstate.ts';
import { type ConsoleCommand, parseCommand } from './command-parser.ts';
import {
  type ActionCommand,
  auditText,
  commandTag,
  type ConsoleRole,
  isGlobalPause,
  isPermitted,
  runCommand,
} from './commands.ts';
import {
  type Answer,
  answerCommand,
  isAction,
  type PassiveCommand,
  plainAnswer,
} from './console-answers.ts';
import {
  adminAccessNeeded,
  canceled,
  functionCallsNotSupported,
  inFailedTransaction,
  noSuchStatement,
  protocolViolation,
} from './console-errors.ts';
import { ConsoleInbox } from './console-inbox.ts';
import { replyAnswer, replyDone, replyError, replyFatal, replyReady } from './console-replies.ts';
import type { Actor, CommandError, Control, SettledOutcome } from './control.ts';
import { type ConsoleWork, ConsoleWorker } from './console-work.ts';
import { ExtendedProtocol, type ExtendedRequest } from './extended-protocol.ts';
import { type ConsoleRequest, decodeRequest } from './requests.ts';
import { StatementStore } from './statement-store.ts';
import { TransactionBlock, type TransactionCommand } from './transaction-block.ts';

/** What a console session needs from around it. */
export interface ConsoleSessionOptions {
  readonly control: Control;
  readonly actor: Actor;
  readonly role: ConsoleRole;
  /** Sends whole messages to the client; the session does not touch the buffer afterwards. */
  readonly send: (messages: Buffer) => void;
  /** Logs a command that acts on the pooler, before it is carried out. */
  readonly audit: (commandText: string, actor: Actor) => void;
  /** Logs a query as it came, for debugging. */
  readonly logQuery: (sql: string, actor: Actor) => void;
  /** Logs an error that was sent to the client. */
  readonly logError: (error: CommandError, actor: Actor) => void;
  /** Monotonic time in ms. */
  readonly nowMs: () => number;
  /** Calls back in a later turn of the event loop: long answers are made in slices. */
  readonly defer: (action: () => void) => void;
}

/** A command whose outcome is not known yet. */
interface PendingCommand {
  readonly command: ActionCommand;
  /** Whether Execute gave it, so that a Sync is still to come. */
  readonly isExtended: boolean;
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

/**
 * The console's side of one client connection after login.
 *
 * Answers strictly in the order in which messages arrive. A command may take its time (PAUSE,
 * WAIT_CLOSE): what arrives meanwhile is kept, up to a limit, and answered after it.
 *
 * COMPAT: PgBouncer closes the connection on any message of the extended query protocol, and knows
 * no BEGIN. Here drivers may use both.
 */
export class ConsoleSession {
  readonly #options: ConsoleSessionOptions;
  readonly #inbox = new ConsoleInbox();
  readonly #block = new TransactionBlock();
  readonly #store = new StatementStore();
  readonly #extended: ExtendedProtocol;
  readonly #worker: ConsoleWorker;
  #pending: PendingCommand | null = null;
  #isPumping = false;
  #isSkippingToSync = false;
  #isClosed = false;

  constructor(options: ConsoleSessionOptions) {
    this.#options = options;
    this.#worker = new ConsoleWorker(options);
    this.#extended = new ExtendedProtocol({
      store: this.#store,
      block: this.#block,
      understand: (sql) => this.#understand(sql),
      answer: (command) => this.#answer(command),
    });
  }

  /** Whether a long answer is being made. */
  get isBusy(): boolean {
    return this.#worker.isBusy;
  }

  /**
   * Takes any message but Terminate.
   *
   * @param code - its type byte.
   * @param body - what follows its length; borrowed.
   * @returns `false` if the session is over and the connection is to be closed.
   */
  onMessage(code: number, body: Buffer): boolean {
    if (IGNORED_CODES.has(code)) {
      return !this.#isClosed;
    }
    const request = decodeRequest(code, body);
    if (request === null) {
      return this.#fail(SqlState.ProtocolViolation, 'unknown pkt');
    }
    return this.#accept(request, body.length);
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
      audit(`${commandTag(pending.command)} canceled, doing RESUME`, actor);
      // Refused during a shutdown, which is as it should be: nobody is to be told.
      control.resume(null, { actor, settle: () => undefined });
    }
    this.#replyError(canceled(), pending.isExtended);
    this.#pump();
  }

  /** Ends the session when its client has gone. A command that waits goes on without it. */
  onClosed(): void {
    this.#isClosed = true;
    this.#inbox.clear();
    this.#worker.abandon();
    this.#takePending();
  }

  #accept(request: ConsoleRequest, bytes: number): boolean {
    if (this.#isClosed) {
      return false;
    }
    // An error in between would be taken for the answer to the command that waits.
    const isWaiting = this.#pending !== null || this.#worker.isBusy;
    if (isWaiting && !this.#inbox.hasRoomFor(bytes)) {
      return this.#fail(
        SqlState.ProgramLimitExceeded,
        'too many queries while a command is waiting',
      );
    }
    this.#inbox.push(request, bytes);
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
      while (this.#pending === null && !this.#worker.isBusy) {
        const request = this.#inbox.shift();
        if (request === null) {
          break;
        }
        this.#process(request);
      }
    } finally {
      this.#isPumping = false;
    }
  }

  #process(request: ConsoleRequest): void {
    if (request.kind === 'sync') {
      this.#onSync();
      return;
    }
    if (this.#isSkippingToSync) {
      return;
    }
    switch (request.kind) {
      case 'query':
        this.#onQuery(request.sql);
        return;
      case 'function_call':
        // Not part of the extended query protocol: no Sync follows it.
        this.#replyError(functionCallsNotSupported(), false);
        return;
      case 'malformed':
        this.#replyError(protocolViolation(request.problem), !request.isQuery);
        return;
      default:
        this.#onExtended(request);
    }
  }

  #onSync(): void {
    this.#isSkippingToSync = false;
    if (!this.#block.isOpen) {
      this.#store.closePortals();
    }
    this.#options.send(this.#ready());
  }

  #onExtended(request: ExtendedRequest): void {
    const outcome = this.#extended.onRequest(request);
    if (outcome.kind === 'reply') {
      this.#options.send(outcome.messages);
    } else if (outcome.kind === 'error') {
      this.#replyError(outcome, true);
    } else if (outcome.kind === 'work') {
      this.#work(outcome.work, true);
    } else {
      this.#act(outcome.command, true);
    }
  }

  #onQuery(sql: string): void {
    this.#store.closeUnnamed();
    const command = this.#understand(sql);
    if (command.kind === 'error') {
      this.#replyError(command, false);
    } else if (!isAction(command)) {
      this.#work(
        this.#answerAll(command.kind === 'sequence' ? command.commands : [command]),
        false,
      );
    } else if (this.#block.isFailed) {
      this.#replyError(inFailedTransaction(), false);
    } else {
      this.#act(command, false);
    }
  }

  /** Answers the commands of one simple query, up to the first that fails. */
  *#answerAll(commands: readonly PassiveCommand[]): ConsoleWork {
    for (const command of commands) {
      const answer = this.#answer(command);
      if ('kind' in answer) {
        return answer;
      }
      yield* replyAnswer(answer);
    }
    return null;
  }

  /** Sends an answer in slices; what arrives meanwhile waits. */
  #work(work: ConsoleWork, isExtended: boolean): void {
    this.#worker.run(work, (error, unsent) => {
      if (error !== null) {
        this.#replyError(error, isExtended, unsent);
      } else {
        this.#options.send(Buffer.concat(isExtended ? unsent : [...unsent, this.#ready()]));
      }
      this.#pump();
    });
  }

  /** Reads a query and checks that this client may give it. */
  #understand(sql: string): ConsoleCommand | CommandError {
    this.#options.logQuery(sql, this.#options.actor);
    const command = parseCommand(sql);
    return command.kind === 'error' || isPermitted(command, this.#options.role)
      ? command
      : adminAccessNeeded();
  }

  #answer(command: PassiveCommand): Answer | CommandError {
    if (command.kind === 'transaction') {
      return this.#controlTransaction(command.command);
    }
    // An empty query is no command, and answered in any state.
    if (this.#block.isFailed && command.kind !== 'empty') {
      return inFailedTransaction();
    }
    if (command.kind === 'reload_dry_run') {
      this.#options.audit('RELOAD DRY RUN command issued', this.#options.actor);
    }
    if (command.kind !== 'deallocate') {
      return answerCommand(command, this.#options);
    }
    const { name, tag } = command;
    const isFound = this.#store.closeStatement(name);
    return isFound || name === null ? plainAnswer(tag) : noSuchStatement(name);
  }

  #controlTransaction(command: TransactionCommand): Answer | CommandError {
    const outcome = this.#block.run(command);
    if (outcome.kind === 'error') {
      return outcome;
    }
    if (!this.#block.isOpen) {
      this.#store.closePortals();
    }
    const { tag, warning } = outcome;
    return plainAnswer(
      tag,
      ...(warning === null ? [] : [{ severity: 'WARNING' as const, ...warning }]),
    );
  }

  #act(command: ActionCommand, isExtended: boolean): void {
    const { control, actor, audit } = this.#options;
    const pending: PendingCommand = { command, isExtended, abandon: null };
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
    const { command, isExtended } = pending;
    if (outcome.kind === 'error') {
      this.#replyError(outcome, isExtended);
    } else if (command.kind === 'shutdown' && command.mode === 'immediate') {
      // The connection just closes; a tag would promise that the session goes on.
      this.onClosed();
    } else {
      const ready = isExtended ? [] : [this.#ready()];
      this.#options.send(Buffer.concat([replyDone(outcome, commandTag(command)), ...ready]));
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

  /**
   * Sends an error; ReadyForQuery follows at once, or at the Sync up to which all is skipped.
   *
   * @param before - what goes out in front of it.
   */
  #replyError(error: CommandError, isExtended: boolean, before: readonly Buffer[] = []): void {
    this.#options.logError(error, this.#options.actor);
    this.#block.onError();
    this.#store.closePortals();
    this.#isSkippingToSync = isExtended;
    const ready = isExtended ? [] : [this.#ready()];
    this.#options.send(Buffer.concat([...before, replyError(error), ...ready]));
  }

  #ready(): Buffer {
    return replyReady(this.#block.status);
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
