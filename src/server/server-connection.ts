import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { describeFault } from '../base/describe-fault.ts';
import type { LinkedList } from '../base/linked-list.ts';
import { SocketStream } from '../net/socket-stream.ts';
import type { StreamHandler } from '../net/stream-handler.ts';
import type { StreamOutput } from '../net/stream-output.ts';
import type { OpenedTls } from '../net/tls-upgrade.ts';
import { ServerState } from '../pool/states.ts';
import type { CancelKey, ServerReport } from '../protocol/backend-reader.ts';
import { TERMINATE } from '../protocol/pg-protocol.ts';
import { poolerError, type PoolerError } from '../protocol/pooler-errors.ts';
import type { ClientEnd, RelayPool, ServerEnd } from '../relay/ends.ts';
import { Link } from '../relay/link.ts';
import type { ParameterValues } from '../relay/parameter-cache.ts';
import type { ServerHost } from './server-host.ts';
import { ServerOpening, type OpenedServer, type OpeningPort } from './server-opening.ts';
import {
  logQueryFailed,
  logServerClosed,
  logServerConnected,
  logServerLaunched,
  logServerLoggedIn,
  logServerSecured,
  serverLogFields,
} from './server-log.ts';
import {
  connectOptions,
  openedTls,
  describeConnectError,
  serverAddress,
  type ServerTarget,
} from './server-target.ts';

/** Smallest part of `server_lifetime` that a connection lives: spreads the reconnects of a pool. */
const MIN_LIFETIME_SHARE = 0.8;

/** One connection to PostgreSQL. */
export class ServerConnection implements ServerEnd, StreamHandler, OpeningPort {
  // Membership in a list of the pool
  listPrev: ServerEnd | null = null;
  listNext: ServerEnd | null = null;
  list: LinkedList<ServerEnd> | null = null;
  state: ServerState = ServerState.Login;

  readonly id: number;
  readonly pool: RelayPool;
  readonly owner: ClientEnd | null;
  readonly link: Link;
  parameters: ParameterValues;
  isReported: readonly boolean[] = [];
  readonly connectedAtMs: number;
  readonly connectedWallMs: number;
  readonly lifetimeShare: number;
  lastActivityMs: number;
  testStartMs = 0;
  isCloseNeeded = false;
  cancelsInFlight = 0;
  isResetOwed = false;
  isClosed = false;
  cancelKey: CancelKey | null = null;
  /** Where it was sent: the entry of `host` as configured. */
  readonly target: ServerTarget;
  /** What TLS has agreed on, as SHOW SERVERS has it; empty without TLS. */
  tls = '';
  /** How TLS is to be spoken, also by cancel requests; null for a connection in the clear. */
  readonly openedTls: OpenedTls | null;

  readonly #host: ServerHost;
  readonly #stream: SocketStream;
  /** The writing half of the stream. */
  readonly #output: StreamOutput;
  /** As {@link target}, with the numeric address once connected. */
  #place: ServerTarget;
  readonly #opening: ServerOpening;
  /** Whether it has logged in. */
  #isOpen = false;
  /** Why the login has failed; null while it has not. */
  #failure: string | null = null;
  /** What the server reported at login, until the connect query is done. */
  #welcome: ReadonlyMap<string, string> = new Map();
  #isPausedByLink = false;
  #isSuspendWanted = false;
  #isSuspended = false;

  /**
   * Begins to connect and joins `pool`, whose permit must have been taken.
   *
   * @param owner - the replication client that it is for; null for all clients of the pool.
   */
  constructor(id: number, pool: RelayPool, host: ServerHost, owner: ClientEnd | null = null) {
    this.id = id;
    this.pool = pool;
    this.owner = owner;
    this.#host = host;
    this.link = new Link(this, host.link);
    this.parameters = host.link.tracked.emptyValues();
    this.connectedAtMs = host.nowMs();
    this.connectedWallMs = host.wallMs();
    this.lastActivityMs = this.connectedAtMs;
    this.lifetimeShare = 1 - (1 - MIN_LIFETIME_SHARE) * host.random();
    this.#opening = new ServerOpening(this, host);
    pool.addServer(this);
    this.target = host.hostTurns.next(pool);
    this.#place = this.target;
    this.openedTls = openedTls(this.target, host.serverTls);
    logServerLaunched(this, host);
    const options = connectOptions(this.target, host.settings, (name, done) => {
      host.lookup(name, done);
    });
    this.#stream = SocketStream.connect(options, this, () => {
      this.#onConnect();
    });
    this.#output = this.#stream.output;
  }

  /** Process id of the server process, 0 until known. */
  get processId(): number {
    return this.cancelKey?.processId ?? 0;
  }

  /** Address and port of our end. */
  get local(): { readonly address: string; readonly port: number } {
    return this.#stream.local;
  }

  /** The very server it is connected to, whatever its name stands for by now. */
  get place(): ServerTarget {
    return this.#place;
  }

  /** Address and port of the server: the resolved ones once connected. */
  get remote(): { readonly address: string; readonly port: number } {
    return serverAddress(this.#place);
  }

  describe(): string {
    const { address, port } = this.remote;
    const ageSeconds = Math.floor((this.#host.nowMs() - this.connectedAtMs) / 1000);
    return `server ${address}:${String(port)}, process ${String(this.processId)}, connected for ${String(ageSeconds)} s`;
  }

  // ---- login ----

  #onConnect(): void {
    const { address } = this.#stream.remote;
    if (address !== '') {
      this.#place = { host: address, port: this.target.port };
      this.#host.tune(this.#stream.socket);
    }
    logServerConnected(this, this.#host);
    this.#opening.begin();
  }

  startTls(begin: (socket: Socket) => TLSSocket): void {
    this.#stream.startTls(begin, null);
  }

  onStreamSecure(socket: TLSSocket): void {
    this.#opening.onSecure(socket);
  }

  onSecured(text: string): void {
    this.tls = text;
    logServerSecured(this, this.#host);
  }

  onOpeningFailed(error: PoolerError | null, fallback: PoolerError, reason: string): void {
    this.#failure = reason;
    this.#tellLoginFailed(error, fallback);
    this.disconnect(reason);
  }

  #tellLoginFailed(error: PoolerError | null, fallback: PoolerError): void {
    this.#host.hostTurns.onFailed(this.pool);
    if (this.owner === null) {
      this.pool.onServerLoginFailed(error, fallback);
    } else {
      const detail = fallback.message;
      this.owner.disconnect(error ?? poolerError('replicationLoginFailed', '', { detail }));
    }
  }

  onOpened({ cancelKey, parameters, rest }: OpenedServer): void {
    this.#isOpen = true;
    this.cancelKey = cancelKey;
    this.#welcome = parameters;
    const { tracked } = this.#host.link;
    const values = tracked.emptyValues();
    for (const [name, value] of parameters) {
      const index = tracked.indexOf(name);
      if (index !== -1) {
        values[index] = value;
      }
    }
    this.parameters = tracked.share(values);
    this.isReported = this.parameters.map((value) => value !== null);
    logServerLoggedIn(this, this.#host);
    const { connectQuery } = this.pool.database.config;
    const isQueryWanted = this.pool.purpose === 'clients' && connectQuery !== null;
    if (this.owner !== null) {
      this.pool.onOwnServerLoggedIn(this, this.#welcome);
    } else if (!isQueryWanted || connectQuery === '') {
      this.pool.onServerLoggedIn(this, this.#welcome);
    } else {
      this.link.internal.run('connect', connectQuery);
    }
    if (rest !== null && !this.isClosed) {
      this.link.onServerData(rest, rest.length);
    }
  }

  onParametersRefused(error: ServerReport): void {
    logQueryFailed(this, this.#host, 'set_parameters', error);
  }

  onUnexpectedMessage(found: string): void {
    const isLinked = this.link.client !== null;
    this.#host.logger.warn('server_message_unexpected', {
      ...this.logFields(),
      found,
      isLinked,
    });
  }

  onConnectQueryDone(error: ServerReport | null): void {
    if (error !== null) {
      logQueryFailed(this, this.#host, 'connect_query', error);
    }
    this.pool.onServerLoggedIn(this, this.#welcome);
  }

  // ---- bytes ----

  onStreamData(chunk: Buffer, end: number): void {
    if (this.isClosed) {
      return;
    }
    if (this.#isOpen) {
      this.link.onServerData(chunk, end);
      if (this.#isSuspendWanted) {
        this.suspend();
      }
    } else {
      this.lastActivityMs = this.#host.nowMs();
      this.#opening.onData(chunk.subarray(0, end));
    }
  }

  onStreamDrain(): void {
    this.link.onServerDrain();
  }

  onStreamEnd(): void {
    this.#onLost(null);
  }

  onStreamClosed(error: Error | null): void {
    this.#onLost(error);
  }

  #onLost(error: Error | null): void {
    if (this.isClosed) {
      return;
    }
    if (this.state === ServerState.Login) {
      this.#opening.onLost(error);
      return;
    }
    const cause = error === null ? 'server closed the connection' : describeConnectError(error);
    this.disconnect(this.link.fatal?.message ?? `server conn crashed? (${cause})`);
  }

  onStreamFault(error: unknown): void {
    this.#host.logger.error('invariant_broken', {
      ...this.logFields(),
      error: describeFault(error),
    });
    this.disconnect('internal error');
  }

  write(chunk: Buffer): boolean {
    return this.#output.write(chunk);
  }

  writeCopy(
    first: Buffer | null,
    second: Buffer | null,
    chunk: Buffer,
    start: number,
    end: number,
  ): boolean {
    return this.#output.writeCopy(first, second, chunk, start, end);
  }

  viewOf(chunk: Buffer, end: number): Buffer {
    return this.#stream.viewOf(chunk, end);
  }

  pauseReading(): void {
    this.#isPausedByLink = true;
    this.#stream.pause();
  }

  resumeReading(): void {
    this.#isPausedByLink = false;
    if (!this.#isSuspended) {
      this.#stream.resume();
    }
  }

  /** Whether its login is under way. */
  get isLoggingIn(): boolean {
    return this.state === ServerState.Login;
  }

  /**
   * Stops reading at the end of a message, with nothing left to write: now, or as soon as it can.
   *
   * @returns whether it has stopped.
   */
  suspend(): boolean {
    this.#isSuspendWanted = true;
    if (!this.#isSuspended && this.link.replies.isAtBoundary && this.pendingBytes === 0) {
      this.#isSuspended = true;
      this.#stream.pause();
    }
    return this.#isSuspended;
  }

  /** Goes on after {@link suspend}. */
  endSuspension(): void {
    this.#isSuspendWanted = false;
    this.#isSuspended = false;
    if (!this.#isPausedByLink) {
      this.#stream.resume();
    }
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

  detachReadBuffer(chunk: Buffer): Buffer | null {
    return this.#stream.detachReadBuffer(chunk);
  }

  keepUntilDrained(buffer: Buffer): void {
    this.#output.keepUntilDrained(buffer);
  }

  // ---- the pool's wishes ----

  startReset(): void {
    this.link.internal.run('reset', this.#host.settings.serverResetQuery);
  }

  startCheck(): void {
    this.link.internal.run('check', this.#host.settings.serverCheckQuery ?? '');
  }

  requestCancel(): void {
    this.#host.cancel(this);
  }

  disconnect(cause: string): void {
    if (this.isClosed) {
      return;
    }
    this.isClosed = true;
    const reason = this.#failure ?? cause;
    logServerClosed(this, this.#host, reason);
    if (reason === 'connect timeout') {
      this.#tellLoginFailed(null, poolerError('serverUnreachable', reason));
    }
    this.#opening.dispose();
    if (this.#isOpen && !this.link.isMidRequest) {
      this.#output.write(TERMINATE);
    }
    this.#stream.destroy();
    this.link.onServerGone(reason);
    this.pool.onServerClosed(this);
  }

  logFields(): object {
    return serverLogFields(this);
  }
}
