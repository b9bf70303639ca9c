import type { TLSSocket } from 'node:tls';
import { describeFault } from '../base/describe-fault.ts';
import type { LinkedList } from '../base/linked-list.ts';
import type { PeerCredential } from '../net/peer-credential.ts';
import type { AcceptedSocket } from '../net/raw-socket.ts';
import { SocketStream } from '../net/socket-stream.ts';
import type { StreamHandler } from '../net/stream-handler.ts';
import type { StreamOutput } from '../net/stream-output.ts';
import type { Replication } from '../pool/members.ts';
import { ClientState } from '../pool/states.ts';
import { writeErrorResponse } from '../protocol/backend-writer.ts';
import { poolerError, type PoolerError } from '../protocol/pooler-errors.ts';
import type { ClientEnd, RelayPool, ServerEnd } from '../relay/ends.ts';
import type { Link } from '../relay/link.ts';
import type { ParameterValues } from '../relay/parameter-cache.ts';
import { RequestFramer } from '../relay/request-framer.ts';
import { ClientArrival } from './client-arrival.ts';
import type { CancelProgress, ClientHost, ConsoleDialogue, Identity } from './client-host.ts';
import { clientLogFields, logClientClosed, logErrorSent } from './client-log.ts';
import { requestError, WAIT_NOTICE, type RequestProblem } from './client-texts.ts';
import { ClientSecurity } from './client-tls.ts';
import { ConsoleCarrier } from './console-carrier.ts';
import { ReadingGate } from './reading-gate.ts';
import { RequestIntake } from './request-intake.ts';

/** How long a closing connection may linger, so that the last error reaches the client, in ms. */
export const LINGER_MS = 1000;

/**
 * One connection of an application: login, then requests that go to a link, to the wait queue or
 * to the console.
 */
export class ClientConnection implements ClientEnd, StreamHandler {
  // Membership in a list of the host or the pool
  listPrev: ClientEnd | null = null;
  listNext: ClientEnd | null = null;
  list: LinkedList<ClientEnd> | null = null;
  state: ClientState = ClientState.Login;

  readonly id: number;
  readonly framer = new RequestFramer();
  readonly connectedAtMs: number;
  /** Name of the unix socket it came by; null for TCP. */
  readonly unixPath: string | null;
  readonly security: ClientSecurity;
  parameters: ParameterValues = [];
  replication: Replication | null = null;
  link: Link | null = null;
  pool: RelayPool | null = null;
  /** Who it is; null until its startup message has been accepted. */
  identity: Identity | null = null;
  queryStartMs = 0;
  xactStartMs = 0;
  queuedSinceMs = 0;
  lastRequestMs: number;
  lastReplyMs = 0;
  waitStartMs = 0;
  isWaitNotified = false;
  isLeaving = false;
  isClosed = false;
  /** When it was closed, in clock ms, while it lingers. */
  closedAtMs = 0;
  /** Process id of its cancel key; 0 until it has one. */
  keyProcessId = 0;
  /** Null unless it has sent a cancel request; kept by who deals with that. */
  cancelProgress: CancelProgress | null = null;
  /** Whether it counts towards the limits of clients. */
  isCounted = false;

  readonly #host: ClientHost;
  readonly #peer: PeerCredential | null;
  readonly #stream: SocketStream;
  /** The writing half of the stream. */
  readonly #output: StreamOutput;
  readonly #arrival: ClientArrival;
  #console: ConsoleCarrier | null = null;
  #intake: RequestIntake | null = null;
  readonly #reading: ReadingGate;
  #isSuspendWanted = false;

  constructor(
    id: number,
    accepted: AcceptedSocket,
    unixPath: string | null,
    host: ClientHost,
    peer: PeerCredential | null = null,
  ) {
    this.id = id;
    this.#host = host;
    this.unixPath = unixPath;
    this.#peer = peer;
    this.security = new ClientSecurity(this, host);
    this.connectedAtMs = host.nowMs();
    this.lastRequestMs = this.connectedAtMs;
    this.#arrival = new ClientArrival(this, host);
    host.logins.push(this);
    this.#stream = SocketStream.adopt(accepted, this);
    this.#output = this.#stream.output;
    this.#reading = new ReadingGate(this.#stream, this);
    if (host.logger.isDebug) {
      host.logger.debug('client_connected', { ...this.logFields(), local: this.local });
    }
  }

  /** Begins the login, once the host knows the connection. May end it, or another one, at once. */
  begin(): void {
    this.#arrival.open();
  }

  /** Address and port of the client, as a PROXY header says; `unix` on a unix socket. */
  get remote(): { readonly address: string; readonly port: number } {
    const own = this.unixPath === null ? this.#stream.remote : { address: 'unix', port: 0 };
    return this.#arrival.proxiedFrom ?? own;
  }

  /** Whether the client is on a unix socket, be it that of a proxy: it has no port then. */
  get isRemoteUnix(): boolean {
    return this.remote.address === 'unix';
  }

  /** Who the client says it is; `null` before its startup packet. For the log alone. */
  get claim(): { readonly user: string; readonly database: string } | null {
    return this.#arrival.claim;
  }

  /** Whether a proxy stands between: what the system tells of the peer is told of the proxy. */
  get isProxied(): boolean {
    return this.#arrival.proxiedFrom !== null;
  }

  /** The process at the other end of a unix socket; null where it cannot be told, or is a proxy. */
  get peer(): PeerCredential | null {
    return this.isProxied ? null : this.#peer;
  }

  /** Address and port it connected to. */
  get local(): { readonly address: string; readonly port: number } {
    return this.#stream.local;
  }

  /** File descriptor of its socket; -1 where there is none to tell. */
  get fd(): number {
    return this.#stream.fd;
  }

  get pendingBytes(): number {
    return this.#output.pendingBytes;
  }

  /** Bytes written that the kernel has not taken yet. */
  get unsentBytes(): number {
    return this.#output.unsentBytes;
  }

  // ---- login ----

  /** The turn of a login that was held has come. */
  proceedLogin(): void {
    this.resumeReading();
    this.#arrival.proceed();
  }

  /** Ends a login on account of what others do. */
  refuseLogin(error: PoolerError): void {
    this.#arrival.refuse(error, error.message);
  }

  /** Writes what is owed before any request. @param message - owned. */
  send(message: Buffer): void {
    this.#output.write(message);
  }

  /** Goes on inside TLS. @param hello - owned bytes of its handshake that have been read, or null. */
  startTls(hello: Buffer | null): void {
    this.security.begin(this.#stream, hello);
  }

  onStreamSecure(socket: TLSSocket): void {
    this.security.onSecure(socket);
  }

  onWelcomeKnown(): void {
    if (this.pool !== null && this.pool.welcome !== null) {
      this.#arrival.enter(this.pool, null, this.pool.welcome);
    }
  }

  onOwnServer(server: ServerEnd, welcome: ReadonlyMap<string, string>): void {
    server.link.pairWithOwner(this);
    // The server has had its parameters from the start, and has told what became of them.
    this.parameters = this.#host.link.tracked.emptyValues();
    this.#arrival.enter(server.pool, null, welcome);
  }

  /** Requests go to `pool` from now on. */
  serve(pool: RelayPool): void {
    this.#intake = new RequestIntake(this, pool, this.#host.link);
  }

  /** Requests go to the console from now on. */
  openConsole(dialogue: ConsoleDialogue): void {
    this.list?.remove(this);
    this.state = ClientState.Active;
    this.#console = new ConsoleCarrier(dialogue, this, this.#reading, this.#host.settings);
  }

  // ---- bytes ----

  onStreamData(chunk: Buffer, end: number): void {
    if (this.isClosed) {
      return;
    }
    const { link } = this;
    const intake = this.#intake;
    if (intake === null) {
      this.#onUnservedData(chunk.subarray(0, end));
    } else if (link !== null && intake.isDone) {
      link.onClientData(chunk, 0, end);
    } else {
      if (link === null) {
        intake.take(chunk, end);
      } else {
        intake.hold(chunk, 0, end);
      }
      this.#reading.holdByIntake(intake.isFull);
    }
    if (this.#isSuspendWanted) {
      this.suspend();
    }
  }

  #onUnservedData(bytes: Buffer): void {
    if (this.#console === null) {
      this.#arrival.take(bytes);
    } else {
      this.#console.take(bytes);
    }
  }

  /** The console has gone on with a long answer: once it is whole, what follows is read. */
  onConsoleProgress(): void {
    this.#console?.proceed();
  }

  /** Writes what the console has to say. */
  writeConsole(messages: Buffer): void {
    if (!this.isClosed && !this.write(messages)) {
      this.#reading.update();
    }
  }

  /** A cancel request with the key of this client. @returns false when there is nothing to cancel. */
  cancelConsole(): boolean {
    this.#console?.dialogue.onCancel();
    return this.#console !== null;
  }

  onStreamDrain(): void {
    this.#reading.isOutputFull = false;
    if (this.link === null) {
      this.#reading.update();
      this.#console?.proceed();
    } else {
      this.link.onClientDrain();
    }
  }

  onStreamEnd(): void {
    this.close('client unexpected eof');
    if (this.#output.unsentBytes === 0) {
      // Nothing can come late, and nothing is left to be sent.
      this.#stream.destroy();
    }
  }

  onStreamClosed(error: Error | null): void {
    this.security.onLost(error);
    this.close(error === null ? 'client unexpected eof' : error.message);
    this.#host.onGone(this);
  }

  onStreamFault(error: unknown): void {
    const text = describeFault(error);
    this.#host.logger.error('invariant_broken', { ...this.logFields(), error: text });
    const server = this.link?.server ?? null;
    this.disconnect(poolerError('internalError'));
    server?.disconnect('internal error');
  }

  write(chunk: Buffer): boolean {
    const mayGoOn = this.#output.write(chunk);
    if (!mayGoOn) {
      this.#reading.isOutputFull = true;
    }
    return mayGoOn;
  }

  detachReadBuffer(chunk: Buffer): Buffer | null {
    return this.#stream.detachReadBuffer(chunk);
  }

  keepUntilDrained(buffer: Buffer): void {
    this.#output.keepUntilDrained(buffer);
  }

  get isReadBufferOwn(): boolean {
    return this.#stream.isReadBufferOwn;
  }

  set isReadBufferOwn(isOwn: boolean) {
    this.#stream.isReadBufferOwn = isOwn;
  }

  pauseReading(): void {
    this.#reading.isHeldByLink = true;
    this.#reading.update();
  }

  resumeReading(): void {
    this.#reading.isHeldByLink = false;
    this.#reading.update();
  }

  /**
   * Stops reading at the end of a message, with nothing left to write: now, or as soon as it can.
   *
   * @returns whether it has stopped.
   */
  suspend(): boolean {
    this.#isSuspendWanted = true;
    // What a client in the queue has sent is all there, as much as will be taken.
    const isQueued = this.state === ClientState.Waiting;
    const isRequestWhole = isQueued || this.#intake?.isHolding !== true;
    if (this.framer.isAtBoundary && isRequestWhole && this.pendingBytes === 0) {
      this.#reading.isSuspended = true;
      this.#reading.update();
    }
    return this.#reading.isSuspended;
  }

  /** Goes on after {@link suspend}. */
  endSuspension(): void {
    this.#isSuspendWanted = false;
    if (this.#reading.isSuspended) {
      this.#reading.isSuspended = false;
      this.#reading.update();
    }
  }

  // ---- the link's and the pool's wishes ----

  onServerAssigned(server: ServerEnd): void {
    if (this.#host.logger.isNoise) {
      this.#host.logger.debug('client_wait_ended', {
        ...this.logFields(),
        to: server.describe(),
      });
    }
    if (server.link.begin(this)) {
      this.onLinkReady();
    }
  }

  keepRequest(chunk: Buffer, start: number, end: number): void {
    this.#intake?.hold(chunk, start, end);
  }

  onLinkReady(): void {
    const held = this.#intake?.takeHeld() ?? null;
    if (held !== null) {
      this.link?.onClientData(held, 0, held.length);
    }
    if (this.#intake !== null) {
      this.#reading.holdByIntake(this.#intake.isFull);
    }
  }

  onReleased(): void {
    if (this.#reading.isHeldByLink || this.#reading.isOutputFull) {
      this.#reading.isHeldByLink = false;
      this.#reading.update();
    }
  }

  /** Ends the wait of a queued client as if its request had been cancelled. */
  cancelWait(): boolean {
    const intake = this.#intake;
    if (this.state !== ClientState.Waiting || intake === null || this.pool === null) {
      return false;
    }
    this.pool.withdraw(this);
    intake.cancelFirst();
    this.#reading.holdByIntake(intake.isFull);
    return true;
  }

  notifyWait(): void {
    this.#output.write(WAIT_NOTICE);
  }

  onTerminate(): void {
    this.close('client close request', true);
  }

  onBadRequest(problem: RequestProblem, header: Buffer): void {
    this.disconnect(requestError(problem, header));
  }

  // ---- ends ----

  disconnect(error: PoolerError): void {
    if (this.isClosed) {
      return;
    }
    // An error in the middle of a row would be read as part of it.
    if (this.link?.isMidReply !== true) {
      this.#output.write(writeErrorResponse({ ...error, severity: 'FATAL' }));
    }
    this.close(error.message);
    logErrorSent(this, this.#host, error);
  }

  /** Ends the connection between two transactions: now, or when the one under way has ended. */
  askToLeave(): void {
    this.isLeaving = true;
    const isBusy = this.link === null ? this.state === ClientState.Waiting : !this.link.mayPart;
    if (!isBusy) {
      this.disconnect(poolerError('drained'));
    }
  }

  disconnectSilently(reason: string): void {
    this.close(reason);
  }

  /**
   * Ends the connection; what it left behind on a server connection is cleared up.
   *
   * @param isGoodbye - the client said Terminate.
   */
  close(reason: string, isGoodbye = false): void {
    if (this.isClosed) {
      return;
    }
    this.isClosed = true;
    this.closedAtMs = this.#host.nowMs();
    logClientClosed(this, this.#host, { reason, isWorthLogging: this.#isWorthLogging });
    this.#arrival.dispose();
    this.#console?.dialogue.onClosed();
    this.#console = null;
    this.#intake = null;
    if (this.pool === null || this.state === ClientState.Login) {
      this.list?.remove(this);
      this.state = ClientState.Closed;
    } else {
      this.pool.onClientClosed(this);
    }
    this.link?.onClientGone(isGoodbye);
    this.#host.onClosed(this);
    if (isGoodbye) {
      this.#stream.destroy();
    } else {
      // Read on, so that late bytes do not turn the end into a reset that drops the last message.
      this.#stream.end();
      this.#stream.resume();
    }
  }

  /** A bare connect and close, as health checks do, is not worth a line. */
  get #isWorthLogging(): boolean {
    return this.identity !== null || this.#arrival.isLoginOver || this.cancelProgress !== null;
  }

  /** Closes the socket at once; the end of lingering. */
  destroy(): void {
    this.#stream.destroy();
  }

  /** Who it is, as the fields of a line in the log. */
  logFields(): object {
    return clientLogFields(this, this.#host.settings);
  }
}
