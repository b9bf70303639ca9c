import type { Config } from './config.ts';
import { DATABASE_KEYS } from './database-keys.ts';
import { diffConfigs, type ChangedUser } from './diff.ts';
import { GLOBAL_SETTINGS } from './global-settings.ts';
import { PEER_KEYS } from './peer-keys.ts';
import { propertyName } from './setting.ts';
import type { SettingTable, SettingValue } from './setting.ts';
import { USER_KEYS } from './user-keys.ts';
import { showValue } from './value-text.ts';

/** One difference between two configurations, as text in PgBouncer's spelling. */
export interface ReloadChange {
  readonly kind: 'setting' | 'database' | 'user' | 'peer';
  /** Of the setting, or of the entry. */
  readonly name: string;
  /** The changed key of an entry; null for settings and for whole entries. */
  readonly key: string | null;
  readonly change: 'changed' | 'added' | 'removed';
  /** Null where there is no value. Secrets are `***`. */
  readonly old: string | null;
  readonly new: string | null;
  readonly needsRestart: boolean;
}

interface EntryChanges {
  readonly kind: 'database' | 'user' | 'peer';
  readonly table: SettingTable;
  readonly before: ReadonlyMap<string, object>;
  readonly after: ReadonlyMap<string, object>;
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly ChangedUser[];
}

/** A value as SHOW CONFIG has it, secrets hidden. */
function shown(table: SettingTable, name: string, values: object): string | null {
  const setting = table[name];
  if (setting === undefined) {
    return null;
  }
  const all = values as Readonly<Record<string, SettingValue>>;
  const text = showValue(all[propertyName(name, setting)] ?? null, setting);
  return setting.secret && text !== null && text !== '' ? '***' : text;
}

/** Peers have numbers for names. */
function namedByText<T>(entries: ReadonlyMap<number, T>): ReadonlyMap<string, T> {
  return new Map([...entries].map(([id, entry]) => [String(id), entry]));
}

function entryChanges(entries: EntryChanges): ReloadChange[] {
  const { kind, table, before, after, added, removed, changed } = entries;
  const whole = { kind, key: null, old: null, new: null, needsRestart: false } as const;
  return [
    ...added.map((name) => ({ ...whole, name, change: 'added' as const })),
    ...removed.map((name) => ({ ...whole, name, change: 'removed' as const })),
    ...changed.flatMap(({ name, keys }) =>
      keys.map((key) => ({
        ...whole,
        name,
        key,
        change: 'changed' as const,
        old: shown(table, key, before.get(name) ?? {}),
        new: shown(table, key, after.get(name) ?? {}),
      })),
    ),
  ];
}

/**
 * Lists what a reload changes, or would change.
 *
 * @param old - The configuration in use.
 * @param next - The one just read.
 * @returns settings first, by name, then databases, users and peers.
 */
export function listReloadChanges(old: Config, next: Config): ReloadChange[] {
  const diff = diffConfigs(old, next);
  const names = new Set([...diff.changedSettings, ...diff.needsRestart]);
  const settings = [...names].toSorted().map((name) => ({
    kind: 'setting' as const,
    name,
    key: null,
    change: 'changed' as const,
    old: shown(GLOBAL_SETTINGS, name, old.settings),
    new: shown(GLOBAL_SETTINGS, name, next.settings),
    needsRestart: diff.needsRestart.includes(name),
  }));
  return [
    ...settings,
    ...entryChanges({
      kind: 'database',
      table: DATABASE_KEYS,
      before: old.databases,
      after: next.databases,
      added: diff.addedDatabases,
      removed: diff.removedDatabases,
      changed: diff.changedDatabases,
    }),
    ...entryChanges({
      kind: 'user',
      table: USER_KEYS,
      before: old.users,
      after: next.users,
      added: diff.addedUsers,
      removed: diff.removedUsers,
      changed: diff.changedUsers,
    }),
    ...entryChanges({
      kind: 'peer',
      table: PEER_KEYS,
      before: namedByText(old.peers),
      after: namedByText(next.peers),
      added: diff.addedPeers.map(String),
      removed: diff.removedPeers.map(String),
      changed: diff.changedPeers.map(({ name, keys }) => ({ name: String(name), keys })),
    }),
  ];
}
