import {
  BIND_COMPLETE,
  CLOSE_COMPLETE,
  NO_DATA_RESPONSE,
  PARSE_COMPLETE,
  writeParameterDescription,
} from '../protocol/backend-writer.ts';
import type { ConsoleCommand } from './command-parser.ts';
import type { ActionCommand } from './commands.ts';
import { type Answer, isAction, type PassiveCommand } from './console-answers.ts';
import {
  inFailedTransaction,
  multipleCommands,
  parametersNotSupported,
  portalCannotRun,
  tooMany,
} from './console-errors.ts';
import { replyNotice, replyRows, replyTag } from './console-replies.ts';
import type { CommandError } from './control.ts';
import { describeColumns, PORTAL_SUSPENDED } from './extended-replies.ts';
import type { ColumnFormats } from './format-codes.ts';
import type { ConsoleWork } from './console-work.ts';
import type { ConsoleRequest } from './requests.ts';
import type { Row } from './row-condition.ts';
import type { Portal, Statement, StatementStore } from './statement-store.ts';
import type { TransactionBlock } from './transaction-block.ts';

/** Most rows that the portals of one session keep for a later Execute. */
const MAX_KEPT_ROWS = 100_000;

/** A message of the extended query protocol but Sync. */
export type ExtendedRequest = Extract<
  ConsoleRequest,
  { readonly kind: 'parse' | 'bind' | 'describe' | 'execute' | 'close' }
>;

/** What becomes of a message: bytes to send, an error, a command to carry out, or rows to make. */
export type ExtendedOutcome =
  | { readonly kind: 'reply'; readonly messages: Buffer }
  | { readonly kind: 'act'; readonly command: ActionCommand }
  | { readonly kind: 'work'; readonly work: ConsoleWork }
  | CommandError;

/** What the extended protocol needs of its session. */
export interface ExtendedHost {
  readonly store: StatementStore;
  readonly block: TransactionBlock;
  /** Reads a query and checks that its client may give it. */
  understand(sql: string): ConsoleCommand | CommandError;
  answer(command: PassiveCommand): Answer | CommandError;
}

const NO_PARAMETERS: Buffer = writeParameterDescription([]);

function reply(...messages: readonly Buffer[]): ExtendedOutcome {
  return { kind: 'reply', messages: Buffer.concat(messages) };
}

function describeResult(columns: Statement['columns'], formats: ColumnFormats): Buffer {
  return columns === null ? NO_DATA_RESPONSE : describeColumns(columns, formats);
}

function isError(value: object): value is CommandError {
  return 'kind' in value && value.kind === 'error';
}

/** Answers the messages of the extended query protocol, but for Sync and for carrying out. */
export class ExtendedProtocol {
  readonly #host: ExtendedHost;

  constructor(host: ExtendedHost) {
    this.#host = host;
  }

  /** Takes one message. An error means that the session skips to Sync. */
  onRequest(request: ExtendedRequest): ExtendedOutcome {
    switch (request.kind) {
      case 'parse':
        return this.#parse(request.statement, request.sql, request.parameterCount);
      case 'bind': {
        const { store } = this.#host;
        const statement = store.statement(request.statement);
        const error = isError(statement) ? statement : this.#refusal(statement);
        const bound = error ?? store.bind(request);
        return isError(bound) ? bound : reply(BIND_COMPLETE);
      }
      case 'describe':
        return this.#describe(request.target, request.name);
      case 'execute':
        return this.#execute(request.portal, request.maxRows);
      case 'close':
        if (request.target === 'statement') {
          this.#host.store.closeStatement(request.name);
        } else {
          this.#host.store.closePortal(request.name);
        }
        return reply(CLOSE_COMPLETE);
    }
  }

  /** A failed transaction block refuses all but its end. */
  #refusal({ command }: Pick<Statement, 'command'>): CommandError | null {
    const actual = command.kind === 'transaction' ? command.command : command;
    return this.#host.block.isAllowed(actual) ? null : inFailedTransaction();
  }

  #parse(name: string, sql: string, parameterCount: number): ExtendedOutcome {
    const { store } = this.#host;
    const command = this.#host.understand(sql);
    if (command.kind === 'error') {
      return command;
    }
    if (command.kind === 'sequence') {
      return multipleCommands();
    }
    if (parameterCount > 0) {
      return parametersNotSupported();
    }
    return this.#refusal({ command }) ?? store.prepare(name, command) ?? reply(PARSE_COMPLETE);
  }

  #describe(target: 'statement' | 'portal', name: string): ExtendedOutcome {
    const { store } = this.#host;
    if (target === 'statement') {
      const statement = store.statement(name);
      return isError(statement)
        ? statement
        : reply(NO_PARAMETERS, describeResult(statement.columns, []));
    }
    const portal = store.portal(name);
    return isError(portal) ? portal : reply(describeResult(portal.columns, portal.formats));
  }

  #execute(name: string, maxRows: number): ExtendedOutcome {
    const portal = this.#host.store.portal(name);
    if (isError(portal)) {
      return portal;
    }
    const refusal = this.#refusal(portal);
    if (refusal !== null) {
      return refusal;
    }
    const { command } = portal;
    if (portal.hasRun && portal.columns === null) {
      return portalCannotRun(name);
    }
    const isFirst = !portal.hasRun;
    portal.hasRun = true;
    if (isAction(command)) {
      return { kind: 'act', command };
    }
    const answer = portal.answer ?? this.#host.answer(command);
    return isError(answer)
      ? answer
      : { kind: 'work', work: this.#sendRows(portal, answer, { isFirst, maxRows }) };
  }

  /** The first Execute of a portal makes all rows: a later one goes on where it has ended. */
  *#sendRows(
    portal: Portal,
    answer: Answer,
    { isFirst, maxRows }: { readonly isFirst: boolean; readonly maxRows: number },
  ): ConsoleWork {
    if (portal.rows === null) {
      const all: Row[] = [];
      for (const row of answer.rows) {
        if (row !== null) {
          all.push(row);
        }
        yield null;
      }
      portal.rows = all;
    }
    const start = portal.sentCount;
    const rows = portal.rows.slice(start, maxRows === 0 ? undefined : start + maxRows);
    portal.sentCount += rows.length;
    portal.answer = answer;
    // As PostgreSQL, which does not look whether the last row wanted is the last one there is.
    const isSuspended = answer.columns !== null && maxRows > 0 && rows.length === maxRows;
    if (!isSuspended) {
      // What has been sent is not kept.
      portal.rows = [];
      portal.sentCount = 0;
    } else if (this.#host.store.keptRows > MAX_KEPT_ROWS) {
      return tooMany('rows of suspended portals');
    }
    yield* isFirst ? answer.notices.map(replyNotice) : [];
    yield* replyRows(answer.columns, rows, portal.formats);
    yield isSuspended ? PORTAL_SUSPENDED : replyTag(answer, rows.length);
    return null;
  }
}
