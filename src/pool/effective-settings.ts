import type { Settings } from '../config/config.ts';
import type { Database, User } from './database.ts';

/** What holds for one pool after user, database and global settings are laid over each other. */
export interface PoolSettings {
  readonly poolMode: 'session' | 'transaction' | 'statement';
  /** Server connections, 0 for no limit. */
  readonly poolSize: number;
  readonly minPoolSize: number;
  readonly reservePoolSize: number;
  readonly serverLifetimeMs: number;
  /** 0 for no limit. */
  readonly maxDbConnections: number;
  /** 0 for no limit. */
  readonly maxUserConnections: number;
  /** 0 for no limit; for linked clients. */
  readonly queryTimeoutMs: number;
  readonly idleTransactionTimeoutMs: number;
  readonly transactionTimeoutMs: number;
}

/** The first number above zero; for settings where zero and below mean "as above". */
export function positive(value: number | null | undefined, fallback: number): number {
  return value !== null && value !== undefined && value > 0 ? value : fallback;
}

/**
 * Lays user over database over global settings.
 *
 * @param user - the user that server connections of the pool log in as.
 * @source PgBouncer settings, precedence of `[users]` and `[databases]`
 */
export function resolvePoolSettings(
  settings: Settings,
  database: Database,
  user: User,
): PoolSettings {
  const db = database.config;
  const own = user.config;
  return {
    poolMode: own?.poolMode ?? db.poolMode ?? settings.poolMode,
    poolSize: own?.poolSize ?? db.poolSize ?? settings.defaultPoolSize,
    minPoolSize: db.minPoolSize ?? settings.minPoolSize,
    reservePoolSize: own?.reservePoolSize ?? db.reservePoolSize ?? settings.reservePoolSize,
    serverLifetimeMs: positive(db.serverLifetimeMs, settings.serverLifetimeMs),
    maxDbConnections: positive(db.maxDbConnections, settings.maxDbConnections),
    maxUserConnections: positive(own?.maxUserConnections, settings.maxUserConnections),
    queryTimeoutMs: positive(own?.queryTimeoutMs, settings.queryTimeoutMs),
    idleTransactionTimeoutMs: positive(
      own?.idleTransactionTimeoutMs,
      settings.idleTransactionTimeoutMs,
    ),
    transactionTimeoutMs: positive(own?.transactionTimeoutMs, settings.transactionTimeoutMs),
  };
}

/** Server connections of one database that run `auth_query`, most. */
const AUTH_POOL_SIZE = 2;

/**
 * What holds for the pool that runs `auth_query`: a small size of its own, none of the limits and
 * timeouts that are meant for clients.
 */
export function resolveAuthPoolSettings(settings: Settings, database: Database): PoolSettings {
  return {
    poolMode: 'transaction',
    poolSize: AUTH_POOL_SIZE,
    minPoolSize: 0,
    reservePoolSize: 0,
    serverLifetimeMs: positive(database.config.serverLifetimeMs, settings.serverLifetimeMs),
    maxDbConnections: 0,
    maxUserConnections: 0,
    queryTimeoutMs: 0,
    idleTransactionTimeoutMs: 0,
    transactionTimeoutMs: 0,
  };
}

/** What holds for the clients of one login user on one database. */
export interface ClientSettings {
  /** 0 for no limit. */
  readonly queryWaitTimeoutMs: number;
  readonly clientIdleTimeoutMs: number;
  readonly maxDbClientConnections: number;
  readonly maxUserClientConnections: number;
}

/** As {@link resolvePoolSettings}, for what goes by the user that logged in. */
export function resolveClientSettings(
  settings: Settings,
  database: Database,
  user: User,
): ClientSettings {
  const db = database.config;
  const own = user.config;
  return {
    queryWaitTimeoutMs:
      own?.queryWaitTimeoutMs ?? db.queryWaitTimeoutMs ?? settings.queryWaitTimeoutMs,
    clientIdleTimeoutMs: positive(own?.clientIdleTimeoutMs, settings.clientIdleTimeoutMs),
    maxDbClientConnections: positive(db.maxDbClientConnections, settings.maxDbClientConnections),
    maxUserClientConnections: positive(
      own?.maxUserClientConnections,
      settings.maxUserClientConnections,
    ),
  };
}
