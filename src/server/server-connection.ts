import type { TLSSocket } from 'node:tls';
import type { Secret } from '../auth/secret.ts';
import type { LinkedList } from '../base/linked-list.ts';
import { ResolveError } from '../net/resolver.ts';
import { SocketStream } from '../net/socket-stream.ts';
import type { StreamHandler } from '../net/stream-handler.ts';
import { judgeSslAnswer, SSL_REQUEST } from '../net/ssl-request.ts';
import {
  beginOpenedTls,
  describeHandshakeError,
  describeTls,
  judgeOpenedTls,
  peerEndPointHash,
  type OpenedTls,
} from '../net/tls-upgrade.ts';
import { ServerState } from '../pool/states.ts';
import type { CancelKey, ServerReport } from '../protocol/backend-reader.ts';
import { PROTOCOL_3_0 } from '../protocol/codes.ts';
import { TERMINATE } from '../protocol/pg-protocol.ts';
import { poolerError, type PoolerError } from '../protocol/pooler-errors.ts';
import { writeStartupMessage } from '../protocol/startup-writer.ts';
import type { ClientEnd, RelayPool, ServerEnd } from '../relay/ends.ts';
import { Link } from '../relay/link.ts';
import type { ParameterValues } from '../relay/parameter-cache.ts';
import type { ServerHost } from './server-host.ts';
import { ServerLogin, type LoginResult } from './server-login.ts';
import { questionStartupParameters, serverStartupParameters } from './server-startup.ts';
import {
  connectOptions,
  openedTls,
  describeConnectError,
  serverAddress,
  type ServerTarget,
} from './server-target.ts';

/** SQLSTATEs by which a server refuses a user and a password. */
const CREDENTIAL_REFUSED: ReadonlySet<string> = new Set(['28P01', '28000']);

/** Smallest part of `server_lifetime` that a connection lives: spreads the reconnects of a pool. */
const MIN_LIFETIME_SHARE = 0.8;

/** One connection to PostgreSQL. */
export class ServerConnection implements ServerEnd, StreamHandler {
  // Membership in a list of the pool
  listPrev: ServerEnd | null = null;
  listNext: ServerEnd | null = null;
  list: LinkedList<ServerEnd> | null = null;
  state: ServerState = ServerState.Login;

  readonly id: number;
  readonly pool: RelayPool;
  readonly owner: ClientEnd | null;
  readonly link: Link;
  readonly parameters: ParameterValues;
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
  /** As {@link target}, with the numeric address once connected. */
  #place: ServerTarget;
  #login: ServerLogin | null;
  /** Why the login has failed; null while it has not. */
  #failure: string | null = null;
  /** What it logs in with. */
  #secret: Secret;
  /** What comes before the login: the answer to SSLRequest, then the handshake. */
  #opening: 'ssl_answer' | 'handshake' | 'done' = 'done';
  #channelBinding: Buffer | null = null;
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
    const credential = host.credentialOf(pool);
    this.#secret = credential.secret;
    this.#login = new ServerLogin(
      {
        user: pool.user.name,
        ...credential,
        channelBinding: () => this.#channelBinding,
        deriver: host.deriver,
        minIterations: host.settings.serverScramMinIterations,
        random: (bytes) => host.randomBytes(bytes),
      },
      (message) => this.#stream.write(message),
      (result) => {
        this.#onLoginResult(result);
      },
    );
    pool.addServer(this);
    this.target = host.hostTurns.next(pool);
    this.#place = this.target;
    this.openedTls = openedTls(this.target, host.serverTls);
    if (host.logger.isDebug) {
      host.logger.debug('server_launched', this.#logFields());
    }
    const options = connectOptions(this.target, host.settings, (name, done) => {
      host.lookup(name, done);
    });
    this.#stream = SocketStream.connect(options, this, () => {
      this.#onConnect();
    });
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
    if (this.#host.settings.logConnections) {
      this.#host.logger.info('server_connected', { ...this.#logFields(), ...this.#localFields() });
    }
    const tls = this.openedTls;
    if (tls === null) {
      this.#authenticate();
    } else if (tls.isDirect) {
      this.#startTls(tls);
    } else {
      this.#opening = 'ssl_answer';
      this.#stream.write(SSL_REQUEST);
    }
  }

  #onSslAnswer(tls: OpenedTls, chunk: Buffer): void {
    const answer = judgeSslAnswer(chunk, tls.isRequired);
    if (answer === 'begin_tls') {
      this.#startTls(tls);
    } else if (answer === 'go_on_plain') {
      this.#opening = 'done';
      this.#authenticate();
    } else {
      this.#host.logger.warn('server_connect_failed', {
        ...this.#logFields(),
        error: answer.refusal,
      });
      this.#failSecurity(answer.refusal);
    }
  }

  #startTls(tls: OpenedTls): void {
    this.#opening = 'handshake';
    this.#stream.startTls((socket) => beginOpenedTls(socket, tls), null);
  }

  onStreamSecure(socket: TLSSocket): void {
    const tls = this.openedTls;
    if (tls === null || this.isClosed) {
      return;
    }
    const problem = judgeOpenedTls(socket, tls);
    if (problem !== null) {
      this.#failHandshake(`handshake failed: ${problem}`);
      return;
    }
    this.tls = describeTls(socket).text;
    this.#channelBinding = peerEndPointHash(socket);
    this.#opening = 'done';
    if (this.#host.settings.logConnections) {
      this.#host.logger.info('tls_established', { ...this.#logFields(), tls: this.tls });
    }
    this.#authenticate();
  }

  #failHandshake(error: string): void {
    this.#host.logger.warn('tls_handshake_failed', { ...this.#logFields(), error });
    this.#failSecurity('TLS startup failed');
  }

  /** Waiting does not help against this: whoever waits is told. */
  #failSecurity(problem: string): void {
    const error = poolerError('serverLoginFailed', problem);
    this.#failLogin(error, error, problem);
  }

  #failOpening(problem: string): void {
    const fallback = poolerError('serverLoginFailed', problem);
    this.#failLogin(null, { ...fallback, message: problem }, problem);
  }

  #authenticate(): void {
    this.#host.fetchCredential(this.pool, (outcome) => {
      if (this.isClosed) {
        return;
      }
      if ('problem' in outcome) {
        const error = poolerError('serverLoginFailed', outcome.problem);
        this.#failLogin(error, error, outcome.problem);
        return;
      }
      this.#secret = outcome.secret;
      this.#login?.useCredential(outcome);
      this.#sendStartup();
    });
  }

  #sendStartup(): void {
    const parameters =
      this.pool.purpose === 'auth_query'
        ? questionStartupParameters(this.pool, this.#host.settings.authQuerySearchPath)
        : serverStartupParameters(this.pool, this.#host.link.tracked, this.owner);
    this.#stream.write(writeStartupMessage(PROTOCOL_3_0, parameters));
  }

  #onLoginResult(result: LoginResult): void {
    if (this.isClosed) {
      return;
    }
    switch (result.kind) {
      case 'going_on':
        return;
      case 'refused': {
        const { sqlstate, message, detail, hint, severity } = result.report;
        this.#host.logger.warn('server_login_failed', {
          ...this.#logFields(),
          sqlstate,
          error: `${severity} ${message}`,
        });
        const isWrong = this.owner === null && CREDENTIAL_REFUSED.has(sqlstate);
        if (isWrong && this.#host.onCredentialRefused(this.pool, this.#secret)) {
          // Not a failure yet: who waits goes on waiting, and the next attempt begins at once.
          this.disconnect(message);
          return;
        }
        const error: PoolerError = {
          severity: 'FATAL',
          sqlstate,
          message,
          reason: 'server_error',
          detail: detail === '' ? undefined : detail,
          hint: hint === '' ? undefined : hint,
        };
        this.#failLogin(error, error, message);
        return;
      }
      case 'failed': {
        const { message, reason, hint } = result;
        const fields = { ...this.#logFields(), error: reason };
        this.#host.logger.warn('server_login_failed', hint === null ? fields : { ...fields, hint });
        const error = this.#loginError(message, reason, hint);
        this.#failLogin(error, error, message);
        return;
      }
      case 'done':
        this.#onLoggedIn(result.rest);
    }
  }

  /** A credential that does not fit is for the operator to mend: who reads the error names it. */
  #loginError(message: string, reason: string, hint: string | null): PoolerError {
    if (hint === null) {
      return poolerError('serverLoginFailed', message);
    }
    const { user, database } = this.pool;
    const detail = `User "${user.name}", database "${database.name}": ${reason}.`;
    return poolerError('serverLoginFailed', message, { detail, hint });
  }

  #failLogin(error: PoolerError | null, fallback: PoolerError, reason: string): void {
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

  #onLoggedIn(rest: Buffer | null): void {
    const login = this.#login;
    if (login === null) {
      return;
    }
    this.#login = null;
    this.#host.onCredentialAccepted(this.pool, this.#secret);
    this.cancelKey = login.cancelKey;
    this.#welcome = login.parameters;
    for (const [name, value] of login.parameters) {
      const index = this.#host.link.tracked.indexOf(name);
      if (index !== -1) {
        this.parameters[index] = value;
      }
    }
    this.isReported = this.parameters.map((value) => value !== null);
    if (this.#host.logger.isDebug) {
      this.#host.logger.debug('server_logged_in', this.#logFields());
    }
    const { connectQuery } = this.pool.database.config;
    const isQueryWanted = this.pool.purpose === 'clients' && connectQuery !== null;
    if (this.owner !== null) {
      this.pool.onOwnServerLoggedIn(this, this.#welcome);
    } else if (!isQueryWanted || connectQuery === '') {
      this.pool.onServerLoggedIn(this, this.#welcome);
    } else {
      this.link.runInternal('connect', connectQuery);
    }
    if (rest !== null && !this.isClosed) {
      this.link.onServerData(rest, rest.length);
    }
  }

  onParametersRefused({ severity, message }: ServerReport): void {
    this.#host.logger.error('server_query_failed', {
      ...this.#logFields(),
      query: 'set_parameters',
      error: `${severity}: ${message}`,
    });
  }

  onUnexpectedMessage(found: string): void {
    const isLinked = this.link.client !== null;
    this.#host.logger.warn('server_message_unexpected', {
      ...this.#logFields(),
      found,
      isLinked,
    });
  }

  onConnectQueryDone(error: ServerReport | null): void {
    if (error !== null) {
      this.#host.logger.error('server_query_failed', {
        ...this.#logFields(),
        query: 'connect_query',
        error: `${error.severity}: ${error.message}`,
      });
    }
    this.pool.onServerLoggedIn(this, this.#welcome);
  }

  // ---- bytes ----

  onStreamData(chunk: Buffer, end: number): void {
    if (this.isClosed) {
      return;
    }
    if (this.#login === null) {
      this.link.onServerData(chunk, end);
      if (this.#isSuspendWanted) {
        this.suspend();
      }
    } else if (this.#opening === 'ssl_answer' && this.openedTls !== null) {
      this.lastActivityMs = this.#host.nowMs();
      this.#onSslAnswer(this.openedTls, chunk.subarray(0, end));
    } else {
      this.lastActivityMs = this.#host.nowMs();
      this.#onLoginResult(this.#login.onData(chunk.subarray(0, end)));
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
    const cause = error === null ? 'server closed the connection' : describeConnectError(error);
    if (this.#login === null && this.state !== ServerState.Login) {
      this.disconnect(this.link.fatal?.message ?? `server conn crashed? (${cause})`);
      return;
    }
    if (this.#opening === 'handshake') {
      this.#failHandshake(describeHandshakeError(error));
      return;
    }
    this.#host.logger.warn('server_connect_failed', { ...this.#logFields(), error: cause });
    this.#failOpening(
      error instanceof ResolveError ? 'server DNS lookup failed' : 'connect failed',
    );
  }

  onStreamFault(error: unknown): void {
    this.#host.logger.error('invariant_broken', {
      ...this.#logFields(),
      error: describeFault(error),
    });
    this.disconnect('internal error');
  }

  write(chunk: Buffer): boolean {
    return this.#stream.write(chunk);
  }

  writeCopy(
    first: Buffer | null,
    second: Buffer | null,
    chunk: Buffer,
    start: number,
    end: number,
  ): boolean {
    return this.#stream.writeCopy(first, second, chunk, start, end);
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
    return this.#stream.pendingBytes;
  }

  /** Bytes written that the kernel has not taken yet. */
  get unsentBytes(): number {
    return this.#stream.unsentBytes;
  }

  detachReadBuffer(): Buffer | null {
    return this.#stream.detachReadBuffer();
  }

  keepUntilDrained(buffer: Buffer): void {
    this.#stream.keepUntilDrained(buffer);
  }

  // ---- the pool's wishes ----

  startReset(): void {
    this.link.runInternal('reset', this.#host.settings.serverResetQuery);
  }

  startCheck(): void {
    this.link.runInternal('check', this.#host.settings.serverCheckQuery ?? '');
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
    if (this.#host.settings.logDisconnections) {
      const ageMs = this.#host.nowMs() - this.connectedAtMs;
      this.#host.logger.info('server_disconnected', {
        ...this.#logFields(),
        reason,
        ageSeconds: Math.floor(ageMs / 1000),
      });
    }
    if (reason === 'connect timeout') {
      this.#tellLoginFailed(null, { ...poolerError('serverLoginFailed', reason), message: reason });
    }
    this.#login?.dispose();
    if (this.#login === null) {
      this.#stream.write(TERMINATE);
    }
    this.#stream.destroy();
    this.link.onServerGone(reason);
    this.pool.onServerClosed(this);
  }

  /** Our end of a TCP connection; a unix socket has no address of its own. */
  #localFields(): object {
    const { address, port } = this.local;
    return address === '' ? {} : { localAddress: address, localPort: port };
  }

  #logFields(): object {
    const { address, port } = this.remote;
    return {
      server: this.id,
      database: this.pool.database.name,
      user: this.pool.user.name,
      address,
      port,
      process: this.processId,
    };
  }
}

/** Turns what was thrown into text for the log: the stack names the bug. */
function describeFault(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
