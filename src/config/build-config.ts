import { keyForMessage } from './config-error.ts';
import type { Place, ProblemList } from './config-error.ts';
import { databaseConfig, userConfig, valuesOf } from './config.ts';
import type { Config, DatabaseConfig, Settings, UserConfig } from './config.ts';
import { adviseOn } from './config-advice.ts';
import { DATABASE_KEYS } from './database-keys.ts';
import { checkEntryName } from './entry-name.ts';
import { GLOBAL_SETTINGS } from './global-settings.ts';
import type { RawEntry, RawMap, RawNode } from './raw-node.ts';
import { readSection, reportRepeated } from './read-section.ts';
import { USER_KEYS } from './user-keys.ts';

const GLOBAL_SECTIONS: readonly string[] = ['maitred', 'pgbouncer'];
const SECTIONS = 'maitred (or pgbouncer), databases, users';

function describeNode(node: RawNode): string {
  return node.kind === 'text' ? 'a single value' : 'a list';
}

/** Returns the entries under a key; a key with nothing below it has none. */
function asMap(node: RawNode, key: string, problems: ProblemList): RawMap {
  if (node.kind === 'map') {
    return node;
  }
  if (node.kind !== 'empty') {
    // The value is not repeated: a connection string pasted here may hold a password.
    const found = describeNode(node);
    problems.add(node.place, key, `${keyForMessage(key)} is ${found}`, 'keys with values below it');
  }
  return { kind: 'map', place: node.place, entries: [] };
}

/** Reads the named entries of `databases` or `users`. */
function readEntries<T>(
  section: 'databases' | 'users',
  node: RawNode,
  problems: ProblemList,
  readEntry: (entry: RawEntry, prefix: string) => T,
): ReadonlyMap<string, T> {
  const results = new Map<string, T>();
  const places = new Map<string, Place>();
  for (const entry of asMap(node, section, problems).entries) {
    const key = `${section}.${entry.key}`;
    if (!reportRepeated(key, entry, places, problems)) {
      const wrong = checkEntryName(section, entry.key);
      if (wrong !== null) {
        problems.add(entry.keyPlace, key, wrong);
      }
      results.set(entry.key, readEntry(entry, key));
    }
  }
  return results;
}

function readDatabases(node: RawNode, problems: ProblemList): ReadonlyMap<string, DatabaseConfig> {
  return readEntries('databases', node, problems, (entry, prefix) => {
    const map = asMap(entry.value, prefix, problems);
    return databaseConfig(
      entry.key,
      readSection({ name: 'databases', prefix, table: DATABASE_KEYS }, map, problems),
    );
  });
}

function readUsers(node: RawNode, problems: ProblemList): ReadonlyMap<string, UserConfig> {
  return readEntries('users', node, problems, (entry, prefix) => {
    const map = asMap(entry.value, prefix, problems);
    return userConfig(
      entry.key,
      readSection({ name: 'users', prefix, table: USER_KEYS }, map, problems),
    );
  });
}

function readSettings(node: RawNode, problems: ProblemList): Settings {
  const map = asMap(node, 'maitred', problems);
  const section = { name: 'maitred', prefix: '', table: GLOBAL_SETTINGS } as const;
  return valuesOf(GLOBAL_SETTINGS, readSection(section, map, problems));
}

/** Sorts the sections of a file by what they are, reporting unknown and repeated ones. */
function splitSections(root: RawMap, problems: ProblemList): ReadonlyMap<string, RawNode> {
  const sections = new Map<string, RawNode>();
  const places = new Map<string, Place>();
  for (const entry of root.entries) {
    const name = GLOBAL_SECTIONS.includes(entry.key) ? 'maitred' : entry.key;
    if (!['maitred', 'databases', 'users'].includes(name)) {
      const known = entry.key === 'peers' ? 'section not supported yet' : 'unknown section';
      problems.add(entry.keyPlace, entry.key, `${known}: ${keyForMessage(entry.key)}`, SECTIONS);
    } else if (!reportRepeated(name, entry, places, problems)) {
      sections.set(name, entry.value);
    }
  }
  return sections;
}

/** Returns the sections of a file, or ends the reading when it has none. */
function requireSections(root: RawNode, problems: ProblemList): RawMap {
  if (root.kind === 'map' && root.entries.length > 0) {
    return root;
  }
  const isEmpty = root.kind === 'map' || root.kind === 'empty';
  const found = isEmpty ? 'no settings' : describeNode(root);
  problems.add(root.place, '', `the file holds ${found}`, SECTIONS);
  return problems.fail();
}

/**
 * Gives a file as written its meaning: checks every key and value against the settings table.
 *
 * @param root - The file.
 * @param problems - Where problems go; may hold some already.
 * @returns The typed configuration.
 * @throws `ConfigError` with every problem found.
 */
export function buildConfig(root: RawNode, problems: ProblemList): Config {
  const map = requireSections(root, problems);
  const sections = splitSections(map, problems);
  const section = (name: string): RawNode =>
    sections.get(name) ?? { kind: 'empty', place: map.place };
  const parts = {
    file: problems.file,
    settings: readSettings(section('maitred'), problems),
    databases: readDatabases(section('databases'), problems),
    users: readUsers(section('users'), problems),
  };
  problems.throwIfAny();
  return { ...parts, warnings: [...problems.warnings, ...adviseOn(parts)] };
}
