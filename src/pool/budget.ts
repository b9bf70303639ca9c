import type { Database, User } from './database.ts';
import type { PoolSettings } from './effective-settings.ts';

/** What a pool asks a permit for. */
export interface PermitRequest {
  readonly database: Database;
  /** The user that the server connection logs in as. */
  readonly user: User;
  readonly limits: PoolSettings;
}

/** Which limit stands in the way of a permit; null when none does. */
export type BlockedBy = 'max_db_connections' | 'max_user_connections' | 'auth_connections' | null;

/**
 * Grants server connections. Each needs a permit that is held until the connection is closed, so
 * the limits per database and per user hold over all pools. In one process the answer is at once;
 * a supervisor of several processes can stand behind the same interface.
 */
export interface Budget {
  /** Takes a permit if the limits allow it; tells which limit does not. */
  acquire(request: PermitRequest): BlockedBy;
  /** Gives a permit back. */
  release(request: PermitRequest): void;
}

/** The budget of a single process. */
export class LocalBudget implements Budget {
  acquire({ database, user, limits }: PermitRequest): BlockedBy {
    if (limits.maxDbConnections > 0 && database.serverCount >= limits.maxDbConnections) {
      return 'max_db_connections';
    }
    if (limits.maxUserConnections > 0 && user.serverCount >= limits.maxUserConnections) {
      return 'max_user_connections';
    }
    database.serverCount++;
    user.serverCount++;
    return null;
  }

  release({ database, user }: PermitRequest): void {
    database.serverCount--;
    user.serverCount--;
  }
}

/** Server connections of all databases that run `auth_query`, most. */
const MAX_AUTH_CONNECTIONS = 50;

/**
 * The budget of the connections that run `auth_query`: they take no place of the clients' ones, and
 * a database whose places are all taken can still be logged in to.
 */
export class AuthBudget implements Budget {
  #count = 0;

  acquire(): BlockedBy {
    if (this.#count >= MAX_AUTH_CONNECTIONS) {
      return 'auth_connections';
    }
    this.#count++;
    return null;
  }

  release(): void {
    this.#count--;
  }
}
