import type { FoundUser } from '../auth/auth-query.ts';
import type { Credentials, ServerCredential } from '../auth/credentials.ts';
import type { ScramKeys } from '../auth/scram-crypto.ts';
import { parseSecret, type Secret } from '../auth/secret.ts';
import type { Database } from '../pool/database.ts';
import type { PoolRegistry } from '../pool/pool-registry.ts';
import type { ClientEnd, RelayPool, ServerEnd } from '../relay/ends.ts';
import type { CredentialPort } from '../server/server-host.ts';
import {
  passwordSourceOf,
  type CredentialOutcome,
  type PasswordSource,
  type ServerPasswords,
} from './server-passwords.ts';

/** What server credentials are made of. */
export interface ServerCredentialsHost {
  readonly credentials: Credentials;
  readonly passwords: ServerPasswords;
  readonly registry: PoolRegistry<ClientEnd, ServerEnd>;
}

/**
 * What pools log in to their servers with: the password of the database's line, one from a file or
 * a command, or what is known of the user, learned keys of SCRAM included.
 */
export class ServerCredentials implements CredentialPort {
  readonly #host: ServerCredentialsHost;

  constructor(host: ServerCredentialsHost) {
    this.#host = host;
  }

  of(pool: RelayPool): ServerCredential {
    const source = this.#sourceOf(pool);
    if (source !== null) {
      return this.#host.passwords.known(source);
    }
    const { user, password } = pool.database.config;
    // `auth_user` may be somebody else than who clients are at the server.
    if (user === pool.user.name && password !== '') {
      return { secret: parseSecret(password), keys: null };
    }
    return this.#host.credentials.serverSecret(pool.user.name, pool.database.name);
  }

  #sourceOf(pool: RelayPool): PasswordSource | null {
    const { config } = pool.database;
    return config.user === pool.user.name ? passwordSourceOf(config) : null;
  }

  fetch(pool: RelayPool, done: (outcome: CredentialOutcome) => void): void {
    const source = this.#sourceOf(pool);
    if (source === null) {
      done(this.of(pool));
    } else {
      this.#host.passwords.get(source, done);
    }
  }

  onAccepted(pool: RelayPool, secret: Secret): void {
    const source = this.#sourceOf(pool);
    if (source !== null) {
      this.#host.passwords.onAccepted(source, secret);
    }
  }

  onRefused(pool: RelayPool, secret: Secret): boolean {
    const source = this.#sourceOf(pool);
    return source !== null && this.#host.passwords.onRefused(source, secret);
  }

  /** A client has proved the keys of a user of `auth_file`. */
  learnKeys(user: string, keys: ScramKeys): void {
    const { credentials } = this.#host;
    const isNew = credentials.serverSecret(user).keys === null;
    if (credentials.learnKeys(user, keys) && isNew) {
      this.#retryLogins((pool) => pool.user.name === user);
    }
  }

  /** A client has logged in as a user whom `auth_query` found. */
  keepProved(database: Database, found: FoundUser, keys: ScramKeys | null): void {
    if (this.#host.credentials.keepProved(database.name, found, keys)) {
      this.#retryLogins((pool) => pool.database === database && pool.user.name === found.name);
    }
  }

  /** What is known now may let logins succeed that have failed before. */
  #retryLogins(isConcerned: (pool: RelayPool) => boolean): void {
    for (const pool of this.#host.registry.pools.filter(isConcerned)) {
      pool.forgetLoginFailure();
    }
  }

  /**
   * Whether a connection may be opened before a client asks for one. A SCRAM verifier alone logs in
   * to no server that asks for a password: the keys behind it come with the first client. One
   * attempt finds out whether this server asks.
   */
  mayWarmUp(pool: RelayPool): boolean {
    const { secret, keys } = this.of(pool);
    return secret.kind !== 'scram' || keys !== null || pool.lastLoginError === null;
  }
}
