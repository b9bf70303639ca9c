import type { AbandonQuestion, AuthQuerySource, LookupAnswer } from '../auth/auth-query.ts';
import { questionKey } from '../auth/user-lookups.ts';
import type { Settings } from '../config/config.ts';
import type { Logger } from '../log/logger.ts';
import type { Database } from '../pool/database.ts';
import type { PoolRegistry } from '../pool/pool-registry.ts';
import { poolerError, type PoolerError } from '../protocol/pooler-errors.ts';
import type { ClientEnd, RelayPool, ServerEnd } from '../relay/ends.ts';
import { AuthQueryClient } from './auth-query-client.ts';

/** What {@link AuthQueries} needs from around it. */
export interface AuthQueriesHost {
  readonly registry: PoolRegistry<ClientEnd, ServerEnd>;
  readonly logger: Logger;
  /** The settings now. */
  settings(): Pick<Settings, 'authQueryTimeoutMs'>;
  nowMs(): number;
}

/** Runs `auth_query` on server connections of its own, and watches that it ends. */
export class AuthQueries {
  readonly #host: AuthQueriesHost;
  /** Under way, oldest first. */
  readonly #running = new Map<
    AuthQueryClient,
    { readonly pool: RelayPool; readonly key: string }
  >();

  constructor(host: AuthQueriesHost) {
    this.#host = host;
  }

  /** Asks for one user; see `RunAuthQuery`. */
  run(
    source: AuthQuerySource,
    user: string,
    done: (answer: LookupAnswer) => void,
  ): AbandonQuestion {
    const { registry } = this.#host;
    const database = registry.findDatabase(source.database);
    if (database === null) {
      const error = poolerError('badConfiguration');
      done({ kind: 'failed', error, reason: `auth_dbname "${source.database}" is unknown` });
      return () => true;
    }
    const nowMs = this.#host.nowMs();
    database.lastUsedMs = nowMs;
    const pool = registry.authPool(database, source.user);
    const { query } = source;
    const client = new AuthQueryClient(pool, { query, user }, nowMs, (answer) => {
      this.#running.delete(client);
      this.#log(source, answer);
      done(answer);
    });
    this.#running.set(client, { pool, key: questionKey(source, user) });
    client.start();
    return () => this.#abandon(client);
  }

  /** One that has been sent is watched to its end, or it could keep its connection for ever. */
  #abandon(client: AuthQueryClient): boolean {
    if (client.link !== null && this.#host.settings().authQueryTimeoutMs > 0) {
      return false;
    }
    this.#running.delete(client);
    client.giveUp(null);
    return true;
  }

  #log(source: AuthQuerySource, answer: LookupAnswer): void {
    if (answer.kind === 'failed') {
      const { database, user } = source;
      this.#host.logger.error('auth_query_failed', { database, user, error: answer.reason });
    }
  }

  /** The pools of questions that wait for a server connection, by their keys. */
  queued(): ReadonlyMap<string, RelayPool> {
    const waiting = [...this.#running].filter(([{ link }]) => link === null);
    return new Map(waiting.map(([, { key, pool }]) => [key, pool]));
  }

  /** Once per tick: ends what takes too long, and forgets pools that are not needed any more. */
  onTick(): void {
    const { registry } = this.#host;
    const { authQueryTimeoutMs } = this.#host.settings();
    const nowMs = this.#host.nowMs();
    for (const [client, { pool }] of this.#running) {
      if (authQueryTimeoutMs === 0 || nowMs - client.connectedAtMs <= authQueryTimeoutMs) {
        break;
      }
      client.giveUp(timeoutError(pool));
    }
    for (const pool of [...registry.pools]) {
      // Anybody can make up databases where there is a `*`, and each would leave a pool behind.
      if (pool.purpose === 'auth_query' && pool.database.isAuto && isEmpty(pool)) {
        registry.dropPool(pool);
        this.#forgetDatabase(pool.database);
      }
    }
  }

  #forgetDatabase(database: Database): void {
    this.#host.registry.forgetUnusedDatabase(database);
  }
}

function isEmpty(pool: RelayPool): boolean {
  return pool.serverCount === 0 && pool.clientCount === 0;
}

/** Why there was no answer: mostly since there is no server to ask. */
function timeoutError(pool: RelayPool): PoolerError {
  const cause = pool.lastLoginError;
  return cause === null
    ? poolerError('authQueryTimeout')
    : poolerError('serverLoginRetry', cause.message);
}
