import { findAuthProblems } from './auth-rules.ts';
import { keyForMessage, WHOLE_FILE } from './config-error.ts';
import type { Place, ProblemList } from './config-error.ts';
import { databaseConfig, peerConfig, userConfig, valuesOf } from './config.ts';
import type { Config, DatabaseConfig, PeerConfig, Settings, UserConfig } from './config.ts';
import { adviseOn } from './config-advice.ts';
import { DATABASE_KEYS } from './database-keys.ts';
import { YAML_DIALECT } from './dialect.ts';
import type { ReadContext } from './dialect.ts';
import { checkEntryName } from './entry-name.ts';
import { readEnvironment } from './environment.ts';
import { GLOBAL_SETTINGS, SETTINGS_IN_SHOW_ORDER } from './global-settings.ts';
import { needsNative, valueWithoutNative } from './native-need.ts';
import { parsePeerId, PEER_KEYS } from './peer-keys.ts';
import type { RawEntry, RawMap, RawNode } from './raw-node.ts';
import { checkPasswordSources } from './password-sources.ts';
import { findSetting, readSection, reportRepeated } from './read-section.ts';
import type { SettingValue } from './setting.ts';
import { findTlsProblems } from './tls-rules.ts';
import { USER_KEYS } from './user-keys.ts';

const GLOBAL_SECTIONS: readonly string[] = ['maitred', 'pgbouncer'];
const SECTIONS = 'maitred (or pgbouncer), databases, users, peers';

/** The sections of a file as written. */
export interface RawSections {
  /** The global settings; a later map starts again from the defaults. */
  readonly settings: readonly RawMap[];
  readonly databases: RawMap;
  readonly users: RawMap;
  readonly peers: RawMap;
}

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

/** Reads the named entries of `databases`, `users` or `peers`. */
function readEntries<T>(
  section: 'databases' | 'users' | 'peers',
  map: RawMap,
  context: ReadContext,
  readEntry: (entry: RawEntry, prefix: string) => T,
): ReadonlyMap<string, T> {
  const { problems, dialect } = context;
  const results = new Map<string, T>();
  const places = new Map<string, Place>();
  for (const entry of map.entries) {
    const key = `${section}.${entry.key}`;
    if (dialect.isLastWinning || !reportRepeated(key, entry, places, problems)) {
      const wrong = checkEntryName(section, entry.key);
      if (wrong !== null) {
        const where = section === 'peers' ? problems.inConfiguration(entry.keyPlace) : '';
        problems.add(entry.keyPlace, key, `${wrong}${where}`);
      }
      results.set(entry.key, readEntry(entry, key));
    }
  }
  return results;
}

function readDatabases(map: RawMap, context: ReadContext): ReadonlyMap<string, DatabaseConfig> {
  return readEntries('databases', map, context, (entry, prefix) => {
    const keys = asMap(entry.value, prefix, context.problems);
    const section = { name: 'databases', prefix, table: DATABASE_KEYS } as const;
    const config = databaseConfig(entry.key, readSection(section, keys, context));
    const wrong = checkPasswordSources(config);
    if (wrong !== null) {
      context.problems.add(entry.keyPlace, prefix, `${keyForMessage(prefix)}: ${wrong}`);
    }
    return config;
  });
}

function readUsers(map: RawMap, context: ReadContext): ReadonlyMap<string, UserConfig> {
  return readEntries('users', map, context, (entry, prefix) => {
    const keys = asMap(entry.value, prefix, context.problems);
    const section = { name: 'users', prefix, table: USER_KEYS } as const;
    return userConfig(entry.key, readSection(section, keys, context));
  });
}

function readPeers(map: RawMap, context: ReadContext): ReadonlyMap<number, PeerConfig> {
  const { problems } = context;
  const entries = readEntries('peers', map, context, (entry, prefix) => {
    const keys = asMap(entry.value, prefix, problems);
    const section = { name: 'peers', prefix, table: PEER_KEYS } as const;
    const given = readSection(section, keys, context);
    const id = parsePeerId(entry.key);
    if (id !== null && !keys.entries.some(({ key }) => key === 'host')) {
      const where = problems.inConfiguration(entry.keyPlace);
      problems.add(entry.keyPlace, prefix, `host was not provided for peer ${entry.key}${where}`);
    }
    return peerConfig(id ?? 0, given);
  });
  return new Map([...entries.values()].map((peer) => [peer.id, peer]));
}

const SETTINGS_SECTION = { name: 'maitred', prefix: '', table: GLOBAL_SETTINGS } as const;

/** Names the settings that a further `[pgbouncer]` header leaves alone: they have no default. */
const KEPT_SETTINGS: ReadonlySet<string> = new Set(
  SETTINGS_IN_SHOW_ORDER.filter(([, row]) => !row.hasDefault).map(([name]) => name),
);

/** Reads the global settings; each further map first puts back what has a default. */
function readSettings(sections: RawSections, context: ReadContext): Settings {
  let given = new Map<string, SettingValue>();
  for (const map of sections.settings) {
    const kept = [...given].filter(([name]) => KEPT_SETTINGS.has(name));
    given = new Map([...kept, ...readSection(SETTINGS_SECTION, map, context)]);
  }
  const { env } = context.sources;
  const overrides = readEnvironment(env, context.problems);
  const environmentContext = { ...context, dialect: YAML_DIALECT };
  for (const [name, value] of readSection(SETTINGS_SECTION, overrides, environmentContext)) {
    given.set(name, value);
  }
  if ((context.sources.nativeProblem?.() ?? null) !== null) {
    for (const [name, value] of defaultsWithoutNative()) {
      given.set(name, given.get(name) ?? value);
    }
  }
  return valuesOf(GLOBAL_SETTINGS, given);
}

/** The settings whose default needs system calls, with the value that does without. */
function defaultsWithoutNative(): readonly (readonly [string, SettingValue])[] {
  return SETTINGS_IN_SHOW_ORDER.filter(([, row]) => needsNative(row, row.default)).map(
    ([name, row]) => [name, valueWithoutNative(row)],
  );
}

/** Sorts the sections of a file by what they are, reporting unknown and repeated ones. */
function splitSections(root: RawMap, problems: ProblemList): ReadonlyMap<string, RawNode> {
  const sections = new Map<string, RawNode>();
  const places = new Map<string, Place>();
  for (const entry of root.entries) {
    const name = GLOBAL_SECTIONS.includes(entry.key) ? 'maitred' : entry.key;
    if (!['maitred', 'databases', 'users', 'peers'].includes(name)) {
      const sentence = `unknown section: ${keyForMessage(entry.key)}`;
      problems.add(entry.keyPlace, entry.key, sentence, SECTIONS);
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
 * Finds the sections of a file whose format nests everything below its root.
 *
 * @param root - The file.
 * @param problems - Where problems go.
 * @throws `ConfigError` when there are no sections at all.
 */
export function sectionsOf(root: RawNode, problems: ProblemList): RawSections {
  const map = requireSections(root, problems);
  const sections = splitSections(map, problems);
  const section = (name: string): RawMap =>
    asMap(sections.get(name) ?? { kind: 'empty', place: map.place }, name, problems);
  return {
    settings: [section('maitred')],
    databases: section('databases'),
    users: section('users'),
    peers: section('peers'),
  };
}

/** Where a global setting was written last; the whole file when it was not. */
function placeOf(name: string, sections: RawSections): Place {
  const entries = sections.settings.flatMap((map) => map.entries);
  const isNamed = ({ key }: RawEntry): boolean => findSetting(GLOBAL_SETTINGS, key)?.name === name;
  return entries.findLast(isNamed)?.keyPlace ?? WHOLE_FILE;
}

/**
 * Gives a file as written its meaning: checks every key and value against the settings table, and
 * applies what the environment overrides.
 *
 * @param sections - The file.
 * @param context - How to read it, and where problems go; there may be some already.
 * @returns The typed configuration.
 * @throws `ConfigError` with every problem found.
 */
export function buildConfig(sections: RawSections, context: ReadContext): Config {
  const { problems } = context;
  const parts = {
    file: problems.file,
    settings: readSettings(sections, context),
    databases: readDatabases(sections.databases, context),
    users: readUsers(sections.users, context),
    peers: readPeers(sections.peers, context),
  };
  problems.throwIfAny();
  const conflicts = [...findAuthProblems(parts.settings), ...findTlsProblems(parts.settings)];
  for (const { key, problem } of conflicts) {
    problems.add(placeOf(key, sections), key, problem);
  }
  problems.throwIfAny();
  return { ...parts, warnings: [...problems.warnings, ...adviseOn(parts)] };
}
