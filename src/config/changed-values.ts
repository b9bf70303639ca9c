import { databaseConfig, DEFAULT_SETTINGS, peerConfig, userConfig } from './config.ts';
import type { Config, DatabaseConfig, PeerConfig, UserConfig } from './config.ts';
import { DATABASE_KEYS } from './database-keys.ts';
import { SETTINGS_IN_SHOW_ORDER } from './global-settings.ts';
import { PEER_KEYS } from './peer-keys.ts';
import { propertyName } from './setting.ts';
import type { Setting, SettingValue } from './setting.ts';
import { USER_KEYS } from './user-keys.ts';
import { sameValue } from './value-text.ts';

/** A setting that is not at its default. */
export interface ChangedValue {
  /** PgBouncer's name. */
  readonly name: string;
  readonly setting: Setting;
  readonly value: SettingValue;
  readonly default: SettingValue;
}

function changedValues(
  rows: readonly (readonly [string, Setting])[],
  values: object,
  defaults: object,
): readonly ChangedValue[] {
  const now = values as Readonly<Record<string, SettingValue>>;
  const usual = defaults as Readonly<Record<string, SettingValue>>;
  return rows
    .map(([name, setting]) => {
      const property = propertyName(name, setting);
      const value = now[property] ?? null;
      return { name, setting, value, default: usual[property] ?? null };
    })
    .filter((row) => !sameValue(row.value, row.default));
}

/** Lists the global settings that are not at their default, in the order of SHOW CONFIG. */
export function changedSettings(config: Config): readonly ChangedValue[] {
  return changedValues(SETTINGS_IN_SHOW_ORDER, config.settings, DEFAULT_SETTINGS);
}

/** Lists the keys of a database that differ from those of an entry without any. */
export function changedDatabaseKeys(database: DatabaseConfig): readonly ChangedValue[] {
  return changedValues(Object.entries(DATABASE_KEYS), database, databaseConfig(database.name));
}

/** Lists the keys of a user that differ from those of an entry without any. */
export function changedUserKeys(user: UserConfig): readonly ChangedValue[] {
  return changedValues(Object.entries(USER_KEYS), user, userConfig(user.name));
}

/** Lists the keys of a peer that differ from those of an entry without any. */
export function changedPeerKeys(peer: PeerConfig): readonly ChangedValue[] {
  return changedValues(Object.entries(PEER_KEYS), peer, peerConfig(peer.id));
}
