import { TransactionStatus } from '../protocol/codes.ts';
import {
  readParameterStatus,
  readServerReport,
  type ServerReport,
} from '../protocol/backend-reader.ts';
import { poolerError } from '../protocol/pooler-errors.ts';
import { errorOfServer } from '../protocol/server-error.ts';
import { Cleanup } from './cleanup.ts';
import type { ClientEnd, ServerEnd } from './ends.ts';
import { Disposition, OutstandingRequests } from './outstanding-requests.ts';
import { InternalQueries } from './internal-queries.ts';
import type { LinkHost } from './link-host.ts';
import { timeoutOf } from './link-timeouts.ts';
import { ReplyRelay } from './reply-relay.ts';
import { RequestRelay } from './request-relay.ts';

/**
 * HOT PATH: guarded by `npm run bench`.
 *
 * The pairing of one server connection with one client at a time: keeps the ledger of what is owed
 * and gives the server connection back when nothing is. Each server connection has one link for
 * its whole life, so pairing allocates nothing.
 */
export class Link {
  readonly server: ServerEnd;
  readonly host: LinkHost;
  /** The client served now; null while free or clearing up. */
  client: ClientEnd | null = null;
  readonly ledger = new OutstandingRequests();
  readonly requests: RequestRelay;
  readonly replies: ReplyRelay;
  readonly #cleanup: Cleanup;
  /** Status byte of the last ReadyForQuery. */
  transactionStatus: number = TransactionStatus.Idle;
  /** The server has sent a FATAL: it is about to close. */
  #fatal: ServerReport | null = null;
  /** The client has got it; not when it answered a query of our own. */
  #isFatalTold = false;
  /** A client is gone whose last request has been forwarded in part. */
  #isRequestCutOff = false;
  /** Queries of maitred's own. */
  readonly internal: InternalQueries;

  constructor(server: ServerEnd, host: LinkHost) {
    this.server = server;
    this.host = host;
    this.internal = new InternalQueries(this);
    this.requests = new RequestRelay(this);
    this.replies = new ReplyRelay(this);
    this.#cleanup = new Cleanup(this);
  }

  /** Whether a reply has been forwarded in part, so that no error may be put in. */
  get isMidReply(): boolean {
    return this.replies.isMidReply;
  }

  /** Whether a request has been forwarded in part, so that whatever follows would become its rest. */
  get isMidRequest(): boolean {
    return this.#isRequestCutOff || (this.client !== null && this.client.framer.bodyRemaining > 0);
  }

  /** What the server said when it closed the connection by itself, or null. */
  get fatal(): ServerReport | null {
    return this.#fatal;
  }

  /** Whether the client is served but neither waits for a reply nor is inside a transaction. */
  get isBetweenTransactions(): boolean {
    return this.ledger.isEmpty && this.transactionStatus === TransactionStatus.Idle;
  }

  /** Whether the client could leave now with nothing cut off. */
  get mayPart(): boolean {
    return (
      this.isBetweenTransactions &&
      this.internal.running === 'none' &&
      this.client?.framer.bodyRemaining === 0 &&
      this.#mayRelease()
    );
  }

  // ---- pairing ----

  /**
   * Pairs with `client`, whose tracked parameters are set on the way.
   *
   * @returns whether requests may be sent now; otherwise `ClientEnd.onLinkReady` tells when.
   */
  begin(client: ClientEnd): boolean {
    this.client = client;
    client.link = this;
    return this.internal.setParameters(client);
  }

  /** Pairs for life with the client that the server connection was opened for. */
  pairWithOwner(client: ClientEnd): void {
    this.client = client;
    client.link = this;
  }

  /** Forwards requests of the client. @param chunk - borrowed. */
  onClientData(chunk: Buffer, start: number, end: number): void {
    const { client } = this;
    if (client === null) {
      return;
    }
    this.requests.forward(client, chunk, start, end);
    if (this.client === client && this.ledger.isEmpty) {
      // Flush and stray COPY messages have no reply that would bring about the release.
      this.#settle();
    }
  }

  /** The kernel has taken what was written to the client. */
  onClientDrain(): void {
    this.replies.resume();
  }

  /** The kernel has taken what was written to the server. */
  onServerDrain(): void {
    this.requests.onServerDrain();
  }

  /**
   * Forwards replies of the server and gives it back when nothing more is owed.
   *
   * @param chunk - borrowed from the server connection's own read buffer.
   */
  onServerData(chunk: Buffer, end: number): void {
    const { server } = this;
    server.pool.stats.sentBytes += end;
    server.lastActivityMs = this.host.nowMs();
    this.replies.forward(chunk, end);
    if (server.isClosed) {
      return;
    }
    const { violation } = this.replies;
    if (violation !== null) {
      this.#onViolation(violation);
      return;
    }
    if (this.internal.ended !== 'none') {
      this.internal.settle();
    }
    if (this.ledger.isEmpty) {
      this.#settle();
    } else {
      this.requests.onProgress();
    }
  }

  #onViolation(found: string): void {
    const { client } = this;
    this.server.onUnexpectedMessage(found);
    if (client !== null) {
      this.#isRequestCutOff = this.isMidRequest;
      this.#detach(client);
      client.disconnect(poolerError('serverProtocolViolation', found));
    }
    this.server.disconnect(`unexpected message from server: ${found}`);
  }

  /** Gives the server connection back if it owes nothing and is outside of a transaction. */
  #settle(): void {
    if (!this.ledger.isEmpty || this.server.isClosed) {
      return;
    }
    if (this.#fatal !== null && this.client === null) {
      this.server.disconnect(this.#fatal.message);
      return;
    }
    if (this.#cleanup.isActive) {
      this.#cleanup.proceed();
      return;
    }
    const { client } = this;
    if (client === null || this.internal.running !== 'none') {
      return;
    }
    if (this.server.owner !== null) {
      this.requests.stopHoldingBack();
      return;
    }
    const { poolMode } = this.server.pool.limits;
    const isIdle = this.transactionStatus === TransactionStatus.Idle;
    if (client.isLeaving && this.mayPart) {
      client.disconnect(poolerError('drained'));
    } else if (
      isIdle &&
      poolMode !== 'session' &&
      client.framer.bodyRemaining === 0 &&
      this.#mayRelease()
    ) {
      if (client.framer.savedBytes > 0) {
        // The begin of a header has gone nowhere: who stalls there occupies no server connection.
        const saved = client.framer.takeSaved();
        client.keepRequest(saved, 0, saved.length);
      }
      this.release(false);
    } else {
      this.requests.stopHoldingBack();
    }
  }

  /** Only at a message boundary of the server, and when nothing of ours waits to be sent. */
  #mayRelease(): boolean {
    return this.replies.isAtBoundary && this.requests.prefix === null;
  }

  /** Unpairs and gives the server connection back. It must owe nothing. */
  release(isResetNeeded: boolean): void {
    const { client } = this;
    const { isReusable } = this.ledger;
    if (client !== null) {
      this.#detach(client);
    }
    this.ledger.clear();
    if (this.#fatal !== null) {
      this.server.disconnect(this.#fatal.message);
    } else if (!isReusable) {
      this.server.disconnect('state left by the client is unclear');
    } else {
      this.server.pool.release(this.server, isResetNeeded);
    }
    client?.onReleased();
  }

  #detach(client: ClientEnd): void {
    this.client = null;
    client.link = null;
    client.queuedSinceMs = 0;
    this.requests.reset();
    this.replies.resume();
  }

  // ---- messages that matter here ----

  /**
   * Whether the client is disconnected for being in a transaction. It must not get the
   * ReadyForQuery that says so: it would take the transaction for begun.
   */
  refuses(status: number): boolean {
    const { owner, pool } = this.server;
    const isStatementMode = pool.limits.poolMode === 'statement';
    return isStatementMode && status !== TransactionStatus.Idle && owner === null;
  }

  /** @returns false when the message is malformed. */
  onReadyForQuery(status: number, disposition: number): boolean {
    if (
      status !== TransactionStatus.Idle &&
      status !== TransactionStatus.InTransaction &&
      status !== TransactionStatus.Failed
    ) {
      return false;
    }
    this.transactionStatus = status;
    if (disposition === Disposition.Skip) {
      this.internal.onReady();
      return true;
    }
    const { client } = this;
    if (client === null) {
      return true;
    }
    if (this.refuses(status)) {
      // At once: of a pipeline, the client would get replies without the ReadyForQuery left out.
      client.disconnect(poolerError('statementModeTransaction'));
    } else {
      this.#countTime(client);
    }
    return true;
  }

  /** A query has ended, and the next one of a pipeline begins. */
  #countTime(client: ClientEnd): void {
    const { stats } = this.server.pool;
    // Just set, when the chunk came.
    const nowMs = this.server.lastActivityMs;
    const nextStartMs = this.ledger.isEmpty ? 0 : nowMs;
    client.lastReplyMs = nowMs;
    if (client.queryStartMs > 0) {
      stats.queryTimeMs += nowMs - client.queryStartMs;
      client.queryStartMs = nextStartMs;
    }
    if (this.transactionStatus === TransactionStatus.Idle && client.xactStartMs > 0) {
      stats.xactTimeMs += nowMs - client.xactStartMs;
      client.xactStartMs = nextStartMs;
    }
  }

  /** Remembers what the server reports, for itself and for the client it serves. */
  onParameterStatus(body: Buffer): void {
    const parameter = readParameterStatus(body);
    if (parameter === null) {
      // Malformed, or too long to be held whole: nobody knows what holds on the server now.
      this.server.isCloseNeeded ||= this.server.owner === null;
      return;
    }
    const index = this.host.tracked.indexOf(parameter.name);
    if (index === -1) {
      return;
    }
    const { client, server } = this;
    const { tracked } = this.host;
    server.parameters = tracked.withValue(server.parameters, index, parameter.value);
    if (client !== null && this.internal.running === 'none') {
      client.parameters = tracked.withValue(client.parameters, index, parameter.value);
    }
  }

  /** Notes errors that concern maitred: of its own queries, and those that end the connection. */
  onErrorResponse(body: Buffer, disposition: number): void {
    const report = readServerReport(body);
    if (report.severity === 'FATAL' || report.severity === 'PANIC') {
      this.#fatal = report;
      this.#isFatalTold = disposition === Disposition.Forward && this.client !== null;
    }
    if (disposition === Disposition.Skip) {
      this.internal.onError(report);
    } else if (this.client === null && this.ledger.isEmpty) {
      this.#fatal ??= report;
    }
  }

  /** The server waits for COPY data: a client held back must be heard again. */
  onCopyInResponse(): void {
    this.requests.stopHoldingBack();
    this.#cleanup.onCopyInResponse();
  }

  // ---- ends ----

  /**
   * The client is gone. The server connection is brought back to a clean state if that can be done
   * safely, and closed otherwise.
   *
   * @param isGoodbye - the client said Terminate: what it has asked for may go on for a moment.
   */
  onClientGone(isGoodbye: boolean): void {
    const { client } = this;
    if (client === null) {
      return;
    }
    // A header that was cut off has not been forwarded: only a body can be missing a part.
    this.#isRequestCutOff = this.isMidRequest;
    this.#detach(client);
    if (this.server.isClosed) {
      return;
    }
    if (this.server.owner !== null) {
      this.server.disconnect('replication client was closed');
    } else if (this.#isRequestCutOff) {
      this.server.disconnect('client disconnect before everything was sent to the server');
    } else if (
      this.ledger.isEmpty &&
      this.transactionStatus === TransactionStatus.Idle &&
      this.replies.isAtBoundary
    ) {
      this.release(false);
    } else {
      this.#cleanup.begin(isGoodbye);
    }
  }

  /** Whether the server connection is being brought back to a clean state after its client. */
  get isCleaningUp(): boolean {
    return this.#cleanup.isActive;
  }

  /** The server connection is gone. A client that it served learns why. */
  onServerGone(reason: string): void {
    const { client } = this;
    this.#cleanup.end();
    if (client === null) {
      return;
    }
    this.#detach(client);
    if (this.#isFatalTold || this.isMidReply || this.ledger.isStreamOver) {
      // An error in the middle of a row would be read as part of it; the end of a stream is none.
      client.disconnectSilently(this.#fatal?.message ?? reason);
    } else if (this.#fatal !== null) {
      client.disconnect(errorOfServer(this.#fatal));
    } else {
      const detail = `${this.server.describe()}: ${reason}`;
      client.disconnect(poolerError('serverCrashed', '', { detail }));
    }
  }

  /** Watches the timeouts of a linked pair and of the clearing up; once per tick. */
  checkTimeouts(nowMs: number): void {
    if (this.#cleanup.isActive) {
      this.#cleanup.checkDeadline(nowMs);
      return;
    }
    const { client } = this;
    const timeout = client === null ? null : timeoutOf(this, client, nowMs);
    if (timeout !== null) {
      client?.disconnect(poolerError(timeout));
    }
  }
}
