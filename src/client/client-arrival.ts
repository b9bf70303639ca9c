import type { AuthSuccess } from '../auth/auth-step.ts';
import { poolerError, type PoolerError } from '../protocol/pooler-errors.ts';
import type { RelayPool } from '../relay/ends.ts';
import type { ClientConnection } from './client-connection.ts';
import type { ClientHost } from './client-host.ts';
import { ClientLogin, type LoginPort } from './client-login.ts';
import { Entrance } from './entrance.ts';
import { judgeStartup } from './judge-startup.ts';
import { RequestIntake } from './request-intake.ts';
import { sessionParameters, writeAuthenticated, writeParameters, writeWelcome } from './welcome.ts';

/** The way of a client from its first byte to its welcome, by a pool or by the console. */
export class ClientArrival {
  readonly #client: ClientConnection;
  readonly #host: ClientHost;
  readonly #entrance: Entrance;
  #login: ClientLogin | null;
  /** Bytes that came behind the last message of the login. */
  #early: Buffer | null = null;

  constructor(client: ClientConnection, host: ClientHost) {
    this.#client = client;
    this.#host = host;
    this.#entrance = new Entrance(client, host);
    this.#login = new ClientLogin(this.#loginPort(), host);
  }

  /** Begins the login. May end the connection, or another one, at once. */
  open(): void {
    this.#entrance.open();
  }

  /** Where the client is, as a PROXY header said; null without one. */
  get proxiedFrom(): { readonly address: string; readonly port: number } | null {
    return this.#entrance.proxiedFrom;
  }

  /** See {@link Entrance.claim}. */
  get claim(): Entrance['claim'] {
    return this.#entrance.claim;
  }

  /** Whether the login is over. */
  get isLoginOver(): boolean {
    return this.#login === null;
  }

  /** The turn of a login that was held has come. */
  proceed(): void {
    this.#login?.proceed();
  }

  /** Takes bytes of a client that is not served yet. @param bytes - borrowed. */
  take(bytes: Buffer): void {
    const login = this.#login;
    if (login === null) {
      this.#keepEarly(bytes);
      return;
    }
    const rest = this.#entrance.take(bytes);
    if (rest !== null) {
      login.onData(rest);
      this.#host.guard.onHeldBytes(this.#client, login.heldBytes);
    }
  }

  /** A client that talks before its welcome may do so within reason. */
  #keepEarly(bytes: Buffer): void {
    this.#early = this.#early === null ? Buffer.from(bytes) : Buffer.concat([this.#early, bytes]);
    if (this.#early.length > RequestIntake.MAX_HELD_BYTES) {
      this.#client.disconnect(
        poolerError('badPacketHeader', 'requests before the end of the login'),
      );
    }
  }

  /** The connection is over. */
  dispose(): void {
    this.#login?.dispose();
    this.#login = null;
    this.#early = null;
  }

  // ---- login ----

  #loginPort(): LoginPort {
    const client = this.#client;
    const host = this.#host;
    return {
      security: client.security,
      send: (message) => {
        client.send(message);
      },
      startTls: (hello) => {
        client.startTls(hello);
      },
      gate: (startup) => this.#entrance.ask(startup),
      onStartup: (startup) => judgeStartup(client, host, startup),
      onCancelRequest: (processId, secret) => {
        host.cancel(client, processId, secret);
      },
      onAuthenticated: (success, rest) => {
        this.#onAuthenticated(success, rest);
      },
      onRefused: (error, reason) => {
        this.refuse(error, reason);
      },
    };
  }

  #onAuthenticated(success: AuthSuccess, rest: Buffer | null): void {
    const client = this.#client;
    const host = this.#host;
    if (client.isClosed) {
      return;
    }
    this.#early = rest;
    this.#login = null;
    host.onAuthenticated(client, success);
    if (host.logger.isDebug) {
      host.logger.debug('client_logged_in', client.logFields());
    }
    const authenticated = writeAuthenticated(success.saslFinal);
    const role = client.identity?.consoleRole ?? null;
    if (role !== null) {
      client.openConsole(host.openConsole(client, role));
      this.#welcome([authenticated, writeParameters(host.consoleParameters(client))]);
      return;
    }
    const pool = host.enter(client);
    if ('error' in pool) {
      this.refuse(pool.error, pool.error.message);
      return;
    }
    client.pool = pool;
    if (pool.welcome === null || client.replication !== null) {
      client.send(authenticated);
      pool.addWelcomeClient(client);
    } else {
      this.enter(pool, authenticated, pool.welcome);
    }
  }

  /** Refuses the client. @param reason - the true one, for the log. */
  refuse(error: PoolerError, reason: string): void {
    const client = this.#client;
    if (!client.isClosed) {
      this.#host.logger.warn('client_login_failed', { ...client.logFields(), reason });
      this.#host.guard.onRefused(client, error, reason);
      this.dispose();
      client.disconnect(error);
    }
  }

  // ---- welcome ----

  /**
   * The client is served from now on.
   *
   * @param authenticated - goes out in the same write as the welcome; null when it has gone.
   * @param reported - what the server says about itself.
   */
  enter(
    pool: RelayPool,
    authenticated: Buffer | null,
    reported: ReadonlyMap<string, string>,
  ): void {
    const client = this.#client;
    pool.addClient(client);
    client.serve(pool);
    pool.stats.clientLoginCount++;
    const session = sessionParameters(reported, this.#host.link.tracked, client.parameters);
    client.parameters = session.values;
    this.#welcome([...(authenticated === null ? [] : [authenticated]), session.messages]);
  }

  #welcome(pieces: readonly Buffer[]): void {
    const key = this.#host.issueKey(this.#client);
    this.#client.send(writeWelcome(pieces, key, this.#host.settings.loginNotifyMessage));
    const early = this.#early;
    this.#early = null;
    if (early !== null) {
      this.#client.onStreamData(early, early.length);
    }
  }
}
