import type { Config, DatabaseConfig, PeerConfig, Settings, UserConfig } from './config.ts';
import { DATABASE_KEYS } from './database-keys.ts';
import { GLOBAL_SETTINGS, SETTINGS_IN_SHOW_ORDER } from './global-settings.ts';
import { PEER_KEYS } from './peer-keys.ts';
import { propertyName } from './setting.ts';
import type { SettingTable, SettingValue } from './setting.ts';
import { USER_KEYS } from './user-keys.ts';
import { sameValue } from './value-text.ts';

/** A database entry that is in both configurations with different values. */
export interface ChangedDatabase {
  readonly name: string;
  /** The changed keys by PgBouncer's names. */
  readonly keys: readonly string[];
  /** Whether existing server connections lead to the wrong place now and must be replaced. */
  readonly reconnect: boolean;
}

/** A peer entry that is in both configurations with different values. */
export interface ChangedPeer {
  readonly name: number;
  readonly keys: readonly string[];
}

/** A user entry that is in both configurations with different values. */
export interface ChangedUser {
  readonly name: string;
  readonly keys: readonly string[];
}

/** What a reload changes. Names are PgBouncer's. */
export interface ConfigDiff {
  /** Changed global settings that take effect at once. */
  readonly changedSettings: readonly string[];
  /** Changed global settings that keep their old value until a restart. */
  readonly needsRestart: readonly string[];
  readonly addedDatabases: readonly string[];
  readonly removedDatabases: readonly string[];
  readonly changedDatabases: readonly ChangedDatabase[];
  readonly addedUsers: readonly string[];
  readonly removedUsers: readonly string[];
  readonly changedUsers: readonly ChangedUser[];
  /** Peers by their ids. */
  readonly addedPeers: readonly number[];
  readonly removedPeers: readonly number[];
  readonly changedPeers: readonly ChangedPeer[];
}

/**
 * Database keys that say where a server connection leads and as whom.
 *
 * @source PgBouncer, RELOAD: these mark the pools of a database for replacement.
 */
const RECONNECT_KEYS: readonly string[] = [
  'dbname',
  'host',
  'port',
  'user',
  'connect_query',
  'load_balance_hosts',
];

function changedKeys(table: SettingTable, oldValues: object, nextValues: object): string[] {
  const before = oldValues as Readonly<Record<string, SettingValue>>;
  const after = nextValues as Readonly<Record<string, SettingValue>>;
  return Object.entries(table)
    .filter(([name, setting]) => {
      const property = propertyName(name, setting);
      return !sameValue(before[property] ?? null, after[property] ?? null);
    })
    .map(([name]) => name);
}

interface EntryDiff<K> {
  readonly added: readonly K[];
  readonly removed: readonly K[];
  readonly changed: readonly { readonly name: K; readonly keys: readonly string[] }[];
}

function diffEntries<K, T extends DatabaseConfig | UserConfig | PeerConfig>(
  table: SettingTable,
  before: ReadonlyMap<K, T>,
  after: ReadonlyMap<K, T>,
): EntryDiff<K> {
  const changed: { name: K; keys: readonly string[] }[] = [];
  for (const [name, next] of after) {
    const old = before.get(name);
    const keys = old === undefined ? [] : changedKeys(table, old, next);
    if (keys.length > 0) {
      changed.push({ name, keys });
    }
  }
  return {
    added: [...after.keys()].filter((name) => !before.has(name)),
    removed: [...before.keys()].filter((name) => !after.has(name)),
    changed,
  };
}

/**
 * Compares two configurations for a reload.
 *
 * @param old - The configuration in use.
 * @param next - The one just read.
 */
export function diffConfigs(old: Config, next: Config): ConfigDiff {
  const names = new Set(changedKeys(GLOBAL_SETTINGS, old.settings, next.settings));
  const inOrder = SETTINGS_IN_SHOW_ORDER.filter(([name]) => names.has(name));
  const databases = diffEntries(DATABASE_KEYS, old.databases, next.databases);
  const users = diffEntries(USER_KEYS, old.users, next.users);
  const peers = diffEntries(PEER_KEYS, old.peers, next.peers);
  return {
    changedSettings: inOrder.filter(([, row]) => row.reloadable).map(([name]) => name),
    needsRestart: inOrder.filter(([, row]) => !row.reloadable).map(([name]) => name),
    addedDatabases: databases.added,
    removedDatabases: databases.removed,
    changedDatabases: databases.changed.map((change) => ({
      ...change,
      reconnect: change.keys.some((key) => RECONNECT_KEYS.includes(key)),
    })),
    addedUsers: users.added,
    removedUsers: users.removed,
    changedUsers: users.changed,
    addedPeers: peers.added,
    removedPeers: peers.removed,
    changedPeers: peers.changed,
  };
}

/**
 * Makes the configuration to run with after a reload: the new one, with the old values of the
 * settings that only a restart can change.
 *
 * @param old - The configuration in use.
 * @param next - The one just read.
 */
export function configAfterReload(old: Config, next: Config): Config {
  const before: Readonly<Record<string, SettingValue>> = old.settings;
  const kept: Record<string, SettingValue> = {};
  for (const [name, setting] of SETTINGS_IN_SHOW_ORDER) {
    const property = propertyName(name, setting);
    const value = before[property];
    if (!setting.reloadable && value !== undefined) {
      kept[property] = value;
    }
  }
  // Safe: every kept value comes from the same property of a Settings object.
  return { ...next, settings: { ...next.settings, ...(kept as Partial<Settings>) } };
}
