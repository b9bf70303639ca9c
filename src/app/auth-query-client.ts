import type { LookupAnswer } from '../auth/auth-query.ts';
import { AuthQueryReply } from '../auth/auth-query-reply.ts';
import type { LinkedList } from '../base/linked-list.ts';
import { ClientState } from '../pool/states.ts';
import { writeParameterQuery } from '../protocol/pg-protocol.ts';
import { poolerError, type PoolerError } from '../protocol/pooler-errors.ts';
import type { ClientEnd, RelayPool, ServerEnd } from '../relay/ends.ts';
import type { Link } from '../relay/link.ts';
import type { ParameterValues } from '../relay/parameter-cache.ts';
import { RequestFramer } from '../relay/request-framer.ts';

/** Rows after which the server stops: two are one too many already. */
const MOST_ROWS = 2;
/** SQLSTATE class of a login that was refused. */
const REFUSED_LOGIN = '28';
/** SQLSTATEs of functions and tables that are not there, or in another schema. */
const NOT_FOUND: ReadonlySet<string> = new Set(['42883', '42P01']);
/** A query that works in PgBouncer may find nothing here. */
const SEARCH_PATH_HINT =
  ': name its schema in auth_query, or name the schema in auth_query_search_path';
/** Failures that say something of auth_user, which is nobody else's business. */
const OWN_MATTERS: ReadonlySet<PoolerError['reason']> = new Set([
  'serverLoginFailed',
  'serverProtocolViolation',
]);

/** What one run of `auth_query` is about. */
export interface AuthQuestion {
  /** The setting `auth_query`. */
  readonly query: string;
  /** The name to ask for. */
  readonly user: string;
}

/**
 * One run of `auth_query`, as a client of its pool that has no socket: it queues, is linked, times
 * out and is disconnected as any other.
 */
export class AuthQueryClient implements ClientEnd {
  listPrev: ClientEnd | null = null;
  listNext: ClientEnd | null = null;
  list: LinkedList<ClientEnd> | null = null;
  state: ClientState = ClientState.Login;

  readonly framer = new RequestFramer();
  readonly connectedAtMs: number;
  /** Those of the server connection once there is one: nothing is ever set for a question. */
  parameters: ParameterValues = [];
  link: Link | null = null;
  queryStartMs = 0;
  xactStartMs = 0;
  queuedSinceMs = 0;
  lastRequestMs: number;
  lastReplyMs = 0;
  waitStartMs = 0;
  isWaitNotified = false;
  isReadBufferOwn = false;
  readonly pendingBytes = 0;
  readonly replication = null;
  readonly isLeaving = false;

  readonly #pool: RelayPool;
  readonly #request: Buffer;
  readonly #reply = new AuthQueryReply();
  readonly #done: (answer: LookupAnswer) => void;
  #isOver = false;

  /** Prepares the question; `start` asks it. */
  constructor(
    pool: RelayPool,
    question: AuthQuestion,
    nowMs: number,
    done: (answer: LookupAnswer) => void,
  ) {
    this.#pool = pool;
    this.connectedAtMs = nowMs;
    this.lastRequestMs = nowMs;
    this.#request = writeParameterQuery(question.query, question.user, MOST_ROWS);
    this.#done = done;
  }

  /** Looks for a server connection; `done` may be called before this returns. */
  start(): void {
    this.#pool.addClient(this);
    const server = this.#pool.acquire(this);
    if (server !== null) {
      this.onServerAssigned(server);
    }
  }

  /**
   * Ends the question. A server connection that is still at work on it is closed, after a cancel
   * request: whoever asks next shall not wait for a server that does not answer.
   *
   * @param error - null where nobody waits for the answer any more: `done` will not be called.
   */
  giveUp(error: PoolerError | null): void {
    const server = this.link?.server ?? null;
    if (error === null) {
      this.#end(null);
    } else {
      this.disconnect(error);
    }
    if (server?.link.isCleaningUp === true) {
      server.disconnect('auth_query_timeout');
    }
  }

  onServerAssigned(server: ServerEnd): void {
    this.parameters = server.parameters;
    server.link.begin(this);
    server.link.onClientData(this.#request, 0, this.#request.length);
  }

  write(chunk: Buffer): boolean {
    this.#reply.feed(chunk);
    if (this.#reply.outcome !== null && !this.#reply.isClean) {
      const server = this.link?.server;
      // The relay is still at work on the chunk.
      queueMicrotask(() => {
        server?.disconnect('unexpected response from auth_query');
      });
    }
    return true;
  }

  onReleased(): void {
    this.#end(this.#answer());
  }

  /** The connection, or the wait for one, has come to an end before the reply. */
  disconnect(error: PoolerError): void {
    const { outcome } = this.#reply;
    if (outcome?.kind === 'malformed') {
      this.#end(this.#answer());
      return;
    }
    // An error that is repeated is as much a matter of auth_user as it was the first time.
    const cause = error.reason === 'serverLoginRetry' ? this.#pool.lastLoginError : null;
    const shown = isOwnMatter(cause ?? error)
      ? poolerError('badConfiguration')
      : withoutPlace(error);
    this.#end({ kind: 'failed', error: shown, reason: describe(error) });
  }

  disconnectSilently(reason: string): void {
    this.disconnect(poolerError('serverCrashed', '', { detail: reason }));
  }

  /** What the complete reply means for who asks. */
  #answer(): LookupAnswer {
    const { outcome } = this.#reply;
    const error = poolerError('badConfiguration');
    switch (outcome?.kind) {
      case 'found':
      case 'unknown':
        return outcome;
      case 'refused': {
        const { severity, sqlstate, message } = outcome.report;
        const hint = NOT_FOUND.has(sqlstate) ? SEARCH_PATH_HINT : '';
        return { kind: 'failed', error, reason: `${severity}: ${message} (${sqlstate})${hint}` };
      }
      case 'malformed':
        return { kind: 'failed', error, reason: outcome.reason };
      case undefined:
        return { kind: 'failed', error, reason: 'the reply is not complete' };
    }
  }

  #end(answer: LookupAnswer | null): void {
    if (this.#isOver) {
      return;
    }
    this.#isOver = true;
    this.#pool.onClientClosed(this);
    this.link?.onClientGone(false);
    if (answer !== null) {
      this.#done(answer);
    }
  }

  // What only clients with a socket need.

  pauseReading(): void {
    // The question is sent whole.
  }

  resumeReading(): void {
    // The question is sent whole.
  }

  detachReadBuffer(): Buffer | null {
    return null;
  }

  keepUntilDrained(): void {
    // Nothing is ever pending.
  }

  keepRequest(): void {
    // A question is no pipeline.
  }

  onLinkReady(): void {
    // Nothing is set ahead of a question.
  }

  onOwnServer(): void {
    // A question is no replication.
  }

  onWelcomeKnown(): void {
    // A question needs no welcome.
  }

  notifyWait(): void {
    // Nobody reads notices here.
  }

  onTerminate(): void {
    // A question does not say goodbye.
  }

  onBadRequest(): void {
    this.disconnect(poolerError('internalError'));
  }
}

function isOwnMatter({ sqlstate, reason }: PoolerError): boolean {
  return sqlstate.startsWith(REFUSED_LOGIN) || OWN_MATTERS.has(reason);
}

/** An error as it is for a client that has not logged in: it does not learn where the server is. */
function withoutPlace(error: PoolerError): PoolerError {
  return { ...error, detail: undefined, hint: undefined };
}

function describe({ message, detail }: PoolerError): string {
  return detail === undefined ? message : `${message} (${detail})`;
}
