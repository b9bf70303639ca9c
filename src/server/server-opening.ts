import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Secret } from '../auth/secret.ts';
import { ResolveError } from '../net/resolver.ts';
import { judgeSslAnswer, SSL_REQUEST } from '../net/ssl-request.ts';
import {
  beginOpenedTls,
  describeHandshakeError,
  describeTls,
  judgeOpenedTls,
  peerEndPointHash,
  type OpenedTls,
} from '../net/tls-upgrade.ts';
import type { CancelKey, ServerReport } from '../protocol/backend-reader.ts';
import { PROTOCOL_3_0 } from '../protocol/codes.ts';
import { poolerError, type PoolerError } from '../protocol/pooler-errors.ts';
import { errorOfServer } from '../protocol/server-error.ts';
import { writeStartupMessage } from '../protocol/startup-writer.ts';
import type { ClientEnd, RelayPool } from '../relay/ends.ts';
import type { ServerHost } from './server-host.ts';
import { ServerLogin, type LoginResult } from './server-login.ts';
import { questionStartupParameters, serverStartupParameters } from './server-startup.ts';
import { describeConnectError } from './server-target.ts';

/** SQLSTATEs by which a server refuses a user and a password. */
const CREDENTIAL_REFUSED: ReadonlySet<string> = new Set(['28P01', '28000']);

/** What a server has told by the end of its login. */
export interface OpenedServer {
  readonly cancelKey: CancelKey | null;
  /** What it reports about itself. */
  readonly parameters: ReadonlyMap<string, string>;
  /** Owned bytes behind the login, or null. */
  readonly rest: Buffer | null;
}

/** The connection that is opened. */
export interface OpeningPort {
  readonly pool: RelayPool;
  readonly owner: ClientEnd | null;
  /** How TLS is to be spoken; null for a connection in the clear. */
  readonly openedTls: OpenedTls | null;
  readonly isClosed: boolean;
  /** @param message - owned. */
  write(message: Buffer): boolean;
  /** Goes on inside TLS. @param begin - wraps the socket. */
  startTls(begin: (socket: Socket) => TLSSocket): void;
  /** TLS stands. @param text - what it has agreed on, as SHOW SERVERS has it. */
  onSecured(text: string): void;
  onOpened(opened: OpenedServer): void;
  /**
   * The connection cannot be opened.
   *
   * @param error - what to tell clients, or null when they shall rather wait on.
   * @param fallback - what to tell those who cannot wait.
   */
  onOpeningFailed(error: PoolerError | null, fallback: PoolerError, reason: string): void;
  disconnect(cause: string): void;
  /** Fields of a line in the log. */
  logFields(): object;
}

/** How far it has come. */
type Stage = 'ssl_answer' | 'handshake' | 'login';

/** The way of a server connection from connected to logged in: TLS, credential, startup, login. */
export class ServerOpening {
  readonly #port: OpeningPort;
  readonly #host: ServerHost;
  readonly #login: ServerLogin;
  #stage: Stage = 'login';
  /** What it logs in with. */
  #secret: Secret;
  #channelBinding: Buffer | null = null;

  constructor(port: OpeningPort, host: ServerHost) {
    this.#port = port;
    this.#host = host;
    const credential = host.serverCredentials.of(port.pool);
    this.#secret = credential.secret;
    this.#login = new ServerLogin(
      {
        user: port.pool.user.name,
        ...credential,
        channelBinding: () => this.#channelBinding,
        deriver: host.deriver,
        minIterations: host.settings.serverScramMinIterations,
        random: (bytes) => host.randomBytes(bytes),
      },
      (message) => port.write(message),
      (result) => {
        this.#onLoginResult(result);
      },
    );
  }

  /** The connection stands: asks for TLS, or logs in. */
  begin(): void {
    const { openedTls } = this.#port;
    if (openedTls === null) {
      this.#authenticate();
    } else if (openedTls.isDirect) {
      this.#startTls(openedTls);
    } else {
      this.#stage = 'ssl_answer';
      this.#port.write(SSL_REQUEST);
    }
  }

  /** @param bytes - borrowed; what the server says before its login is done. */
  onData(bytes: Buffer): void {
    const { openedTls } = this.#port;
    if (this.#stage === 'ssl_answer' && openedTls !== null) {
      this.#onSslAnswer(openedTls, bytes);
    } else {
      this.#onLoginResult(this.#login.onData(bytes));
    }
  }

  /** The connection has ended. @param error - null for an orderly end. */
  onLost(error: Error | null): void {
    if (this.#stage === 'handshake') {
      this.#failHandshake(describeHandshakeError(error));
    } else {
      this.#failConnecting(error);
    }
  }

  /** Nobody waits for it any more. */
  dispose(): void {
    this.#login.dispose();
  }

  // ---- TLS ----

  #onSslAnswer(tls: OpenedTls, bytes: Buffer): void {
    const answer = judgeSslAnswer(bytes, tls.isRequired);
    if (answer === 'begin_tls') {
      this.#startTls(tls);
    } else if (answer === 'go_on_plain') {
      this.#stage = 'login';
      this.#authenticate();
    } else {
      const error = answer.refusal;
      this.#host.logger.warn('server_connect_failed', { ...this.#port.logFields(), error });
      this.#failSecurity(error);
    }
  }

  #startTls(tls: OpenedTls): void {
    this.#stage = 'handshake';
    this.#port.startTls((socket) => beginOpenedTls(socket, tls));
  }

  /** The handshake of TLS is done. */
  onSecure(socket: TLSSocket): void {
    const { openedTls } = this.#port;
    if (openedTls === null || this.#port.isClosed) {
      return;
    }
    const problem = judgeOpenedTls(socket, openedTls);
    if (problem !== null) {
      this.#failHandshake(`handshake failed: ${problem}`);
      return;
    }
    this.#channelBinding = peerEndPointHash(socket);
    this.#stage = 'login';
    this.#port.onSecured(describeTls(socket).text);
    this.#authenticate();
  }

  // ---- login ----

  #authenticate(): void {
    this.#host.serverCredentials.fetch(this.#port.pool, (outcome) => {
      if (this.#port.isClosed) {
        return;
      }
      if ('problem' in outcome) {
        const error = poolerError('serverLoginFailed', outcome.problem);
        this.#port.onOpeningFailed(error, error, outcome.problem);
        return;
      }
      this.#secret = outcome.secret;
      this.#login.useCredential(outcome);
      this.#sendStartup();
    });
  }

  #sendStartup(): void {
    const { pool, owner } = this.#port;
    const parameters =
      pool.purpose === 'auth_query'
        ? questionStartupParameters(pool, this.#host.settings.authQuerySearchPath)
        : serverStartupParameters(pool, this.#host.link.tracked, owner);
    this.#port.write(writeStartupMessage(PROTOCOL_3_0, parameters));
  }

  #onLoginResult(result: LoginResult): void {
    if (this.#port.isClosed) {
      return;
    }
    switch (result.kind) {
      case 'going_on':
        return;
      case 'refused':
        this.#onRefused(result.report);
        return;
      case 'failed': {
        const { message, reason, hint } = result;
        const fields = { ...this.#port.logFields(), error: reason };
        this.#host.logger.warn('server_login_failed', hint === null ? fields : { ...fields, hint });
        const error = this.#loginError(message, reason, hint);
        this.#port.onOpeningFailed(error, error, message);
        return;
      }
      case 'done': {
        const { cancelKey, parameters } = this.#login;
        this.#host.serverCredentials.onAccepted(this.#port.pool, this.#secret);
        this.#port.onOpened({ cancelKey, parameters, rest: result.rest });
      }
    }
  }

  #onRefused(report: ServerReport): void {
    const { sqlstate, message, severity } = report;
    const { pool, owner } = this.#port;
    this.#host.logger.warn('server_login_failed', {
      ...this.#port.logFields(),
      sqlstate,
      error: `${severity} ${message}`,
    });
    const isWrong = owner === null && CREDENTIAL_REFUSED.has(sqlstate);
    if (isWrong && this.#host.serverCredentials.onRefused(pool, this.#secret)) {
      // Not a failure yet: who waits goes on waiting, and the next attempt begins at once.
      this.#port.disconnect(message);
      return;
    }
    const error = errorOfServer(report);
    this.#port.onOpeningFailed(error, error, message);
  }

  /** A credential that does not fit is for the operator to mend: who reads the error names it. */
  #loginError(message: string, reason: string, hint: string | null): PoolerError {
    if (hint === null) {
      return poolerError('serverLoginFailed', message);
    }
    const { user, database } = this.#port.pool;
    const detail = `User "${user.name}", database "${database.name}": ${reason}.`;
    return poolerError('serverLoginFailed', message, { detail, hint });
  }

  // ---- failures ----

  #failHandshake(error: string): void {
    this.#host.logger.warn('tls_handshake_failed', { ...this.#port.logFields(), error });
    this.#failSecurity('TLS startup failed');
  }

  /** Waiting does not help against this: whoever waits is told. */
  #failSecurity(problem: string): void {
    const error = poolerError('serverLoginFailed', problem);
    this.#port.onOpeningFailed(error, error, problem);
  }

  #failConnecting(error: Error | null): void {
    this.#host.logger.warn('server_connect_failed', {
      ...this.#port.logFields(),
      error: error === null ? 'server closed the connection' : describeConnectError(error),
    });
    const problem = error instanceof ResolveError ? 'server DNS lookup failed' : 'connect failed';
    this.#port.onOpeningFailed(null, poolerError('serverUnreachable', problem), problem);
  }
}
