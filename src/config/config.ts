import { DATABASE_KEYS } from './database-keys.ts';
import { GLOBAL_SETTINGS } from './global-settings.ts';
import { PEER_KEYS } from './peer-keys.ts';
import { propertyName } from './setting.ts';
import type { SettingTable, SettingValue, ValuesOf } from './setting.ts';
import type { POOL_MODES } from './settings-pooling.ts';
import { USER_KEYS } from './user-keys.ts';

/** When a server connection is given back to its pool. */
export type PoolMode = (typeof POOL_MODES)[number];

/**
 * The global settings, typed after the table: camelCase names with the unit last, times in ms
 * (`queryWaitTimeoutMs`), sizes in bytes (`maxPacketSizeBytes`), switches as booleans. Settings that
 * are not supported yet have no property. `serverCheckQuery` is `null` for no check and `''` for an
 * empty query.
 */
export type Settings = ValuesOf<typeof GLOBAL_SETTINGS>;

/** Names the ways of logging in that are supported. */
export type AuthType = Settings['authType'];

/**
 * One entry of `databases`. `null` inherits from the global settings; `host` `null` is the Unix
 * socket in `unix_socket_dir`; `dbname` is `null` only in the `*` entry, for the name the client
 * asks for.
 */
export type DatabaseConfig = { readonly name: string } & ValuesOf<typeof DATABASE_KEYS>;

/** One entry of `users`. `null` inherits from the database, or from the global settings. */
export type UserConfig = { readonly name: string } & ValuesOf<typeof USER_KEYS>;

/** One entry of `peers`. `poolSize` `null` inherits `default_pool_size`. */
export type PeerConfig = { readonly id: number; readonly host: string } & Omit<
  ValuesOf<typeof PEER_KEYS>,
  'host'
>;

/** A whole configuration, immutable: a reload makes a new one. */
export interface Config {
  /** The file it was read from, as given. */
  readonly file: string;
  readonly settings: Settings;
  /** By name; the template for unknown names is `*`. */
  readonly databases: ReadonlyMap<string, DatabaseConfig>;
  readonly users: ReadonlyMap<string, UserConfig>;
  /** Processes that cancel requests are passed on to, by their `peer_id`. */
  readonly peers: ReadonlyMap<number, PeerConfig>;
  /** Sentences for the log about values that were accepted but look wrong or do nothing. */
  readonly warnings: readonly string[];
}

/**
 * Builds the typed values of a table from those that were given.
 *
 * @param table - The settings of the scope.
 * @param given - Parsed values by PgBouncer's name; what is missing takes its default. Values must
 * have come from the table's own parser, which is what makes the result's type true.
 */
export function valuesOf<Table extends SettingTable>(
  table: Table,
  given: ReadonlyMap<string, SettingValue>,
): ValuesOf<Table> {
  const values: Record<string, SettingValue> = {};
  for (const [name, setting] of Object.entries(table)) {
    if (setting.support !== 'not-yet') {
      const value = given.get(name);
      values[propertyName(name, setting)] = value === undefined ? setting.default : value;
    }
  }
  return values as ValuesOf<Table>;
}

/** The global settings of an empty configuration. */
export const DEFAULT_SETTINGS: Settings = valuesOf(GLOBAL_SETTINGS, new Map());

/**
 * Builds a database entry from parsed values.
 *
 * @param name - The entry's name; `*` for the template.
 * @param given - Parsed values by PgBouncer's name.
 */
export function databaseConfig(
  name: string,
  given: ReadonlyMap<string, SettingValue> = new Map(),
): DatabaseConfig {
  const values = valuesOf(DATABASE_KEYS, given);
  return { name, ...values, dbname: values.dbname ?? (name === '*' ? null : name) };
}

/**
 * Builds a user entry from parsed values.
 *
 * @param name - The user's name.
 * @param given - Parsed values by PgBouncer's name.
 */
export function userConfig(
  name: string,
  given: ReadonlyMap<string, SettingValue> = new Map(),
): UserConfig {
  return { name, ...valuesOf(USER_KEYS, given) };
}

/**
 * Builds a peer entry from parsed values.
 *
 * @param id - 1 to 65535.
 * @param given - Parsed values by PgBouncer's name; `host` counts as empty when it is missing.
 */
export function peerConfig(
  id: number,
  given: ReadonlyMap<string, SettingValue> = new Map(),
): PeerConfig {
  const values = valuesOf(PEER_KEYS, given);
  return { id, ...values, host: values.host ?? '' };
}
