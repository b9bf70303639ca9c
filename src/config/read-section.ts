import { keyForMessage } from './config-error.ts';
import type { Place, ProblemList } from './config-error.ts';
import { DATABASE_KEYS } from './database-keys.ts';
import type { ReadContext, Scope } from './dialect.ts';
import { GLOBAL_SETTINGS } from './global-settings.ts';
import { describeWithoutNative, needsNative } from './native-need.ts';
import { nearestName } from './nearest-name.ts';
import { PEER_KEYS } from './peer-keys.ts';
import type { RawEntry, RawMap, RawNode } from './raw-node.ts';
import type { Setting, SettingTable, SettingValue } from './setting.ts';
import { resolveSecret } from './secret-reference.ts';
import { USER_KEYS } from './user-keys.ts';
import { parseListValue } from './value-text.ts';
import type { ParsedValue } from './value-text.ts';

/** What a secret looks like in a message. */
const MASK = '***';

/** A section whose keys are those of one table. */
export interface Section {
  readonly name: Scope;
  /** Stands before its keys in messages, such as `databases.app`; empty for the global settings. */
  readonly prefix: string;
  readonly table: SettingTable;
}

const TABLES: Readonly<Record<Scope, SettingTable>> = {
  maitred: GLOBAL_SETTINGS,
  databases: DATABASE_KEYS,
  users: USER_KEYS,
  peers: PEER_KEYS,
};

/**
 * Finds the row of a name in a table, by its name or an alias.
 *
 * @param table - The settings of one scope.
 * @param key - As written; case matters, as in PgBouncer.
 * @returns The canonical name and the row, or `null` for an unknown name.
 */
export function findSetting(
  table: SettingTable,
  key: string,
): { readonly name: string; readonly setting: Setting } | null {
  for (const [name, setting] of Object.entries(table)) {
    if (name === key || setting.aliases.includes(key)) {
      return { name, setting };
    }
  }
  return null;
}

/**
 * Reports a key that was there before.
 *
 * @param canonical - What makes two keys the same.
 * @param entry - The entry being read.
 * @param places - The keys so far; the new one is added.
 * @param problems - Where the problem goes.
 * @returns Whether it was a repetition, which is not to be read.
 */
export function reportRepeated(
  canonical: string,
  entry: RawEntry,
  places: Map<string, Place>,
  problems: ProblemList,
): boolean {
  const first = places.get(canonical);
  if (first === undefined) {
    places.set(canonical, entry.keyPlace);
    return false;
  }
  const line = String(first.line);
  problems.add(
    entry.keyPlace,
    canonical,
    `${keyForMessage(canonical)} is given twice, first on line ${line}`,
  );
  return true;
}

function inSection({ prefix }: Section, key: string): string {
  return prefix === '' ? key : `${prefix}.${key}`;
}

/** Says what an unknown key was probably meant to be. */
function suggest(section: Section, key: string): string {
  for (const [name, table] of Object.entries(TABLES)) {
    if (name !== section.name && findSetting(table, key) !== null) {
      return ` (it belongs under ${name})`;
    }
  }
  const names = Object.entries(section.table).flatMap(([name, row]) => [name, ...row.aliases]);
  const nearest = nearestName(key, names);
  return nearest === null ? '' : ` (did you mean ${nearest}?)`;
}

function parseText(
  text: string,
  setting: Setting,
  section: Section,
  context: ReadContext,
): ParsedValue {
  return context.dialect.parse(text, setting, section.name);
}

function parseMap(
  map: RawMap,
  setting: Setting,
  section: Section,
  context: ReadContext,
): ParsedValue {
  if (!setting.secret) {
    return { wrong: 'keys where one value is expected' };
  }
  const secret = resolveSecret(map, context.sources);
  return 'wrong' in secret ? secret : parseText(secret.text, setting, section, context);
}

function parseNode(
  node: RawNode,
  setting: Setting,
  section: Section,
  context: ReadContext,
): ParsedValue {
  switch (node.kind) {
    case 'text':
      return parseText(node.text, setting, section, context);
    case 'empty':
      return { wrong: "no value; write '' for an empty text, or leave the key out" };
    case 'map':
      return parseMap(node, setting, section, context);
    case 'list': {
      const words = node.items.flatMap((item) => (item.kind === 'text' ? [item.text] : []));
      return words.length === node.items.length
        ? parseListValue(words, setting)
        : { wrong: 'an item is not a single word' };
    }
  }
}

/** What of a value may be repeated in a message. */
function shownValue(node: RawNode, setting: Setting): string {
  if (node.kind === 'empty') {
    return '';
  }
  if (setting.secret || node.kind !== 'text' || node.isHidden === true) {
    return MASK;
  }
  return node.text;
}

function nativeProblem({ sources }: ReadContext): string | null {
  return sources.nativeProblem?.() ?? null;
}

/** Reads one value by its row; `undefined` when it has a problem, which is reported. */
function readValue(
  entry: RawEntry,
  found: { readonly name: string; readonly setting: Setting },
  section: Section,
  context: ReadContext,
): SettingValue | undefined {
  const { problems, dialect } = context;
  const fullKey = inSection(section, entry.key);
  const parsed = parseNode(entry.value, found.setting, section, context);
  if ('wrong' in parsed) {
    const shown = shownValue(entry.value, found.setting);
    const wrong = dialect.describeWrong(section.name, found.name, shown, parsed.wrong);
    const allowed = dialect.describeAllowed(found.setting, section.name);
    problems.addValue(entry.value.place, fullKey, shown, wrong, allowed);
    return undefined;
  }
  const problem = needsNative(found.setting, parsed.value) ? nativeProblem(context) : null;
  if (problem !== null) {
    const shown = shownValue(entry.value, found.setting);
    const wrong = dialect.describeWrong(section.name, found.name, shown, problem);
    problems.addValue(
      entry.value.place,
      fullKey,
      shown,
      wrong,
      describeWithoutNative(found.setting),
    );
    return undefined;
  }
  if (parsed.warning !== undefined) {
    problems.warn(entry.value.place, `${keyForMessage(fullKey)}: ${parsed.warning}`);
  }
  if (found.setting.support === 'ignored') {
    problems.warn(entry.keyPlace, `${fullKey} has no effect: ${found.setting.ignoredBecause}`);
  }
  return parsed.value;
}

/**
 * Reads the keys of a section by its table, reporting all that is wrong.
 *
 * @param section - Which keys there are and how to name them.
 * @param map - The section as written.
 * @param context - How to read, and where problems and warnings go.
 * @returns The parsed values by canonical name; keys with problems are missing.
 */
export function readSection(
  section: Section,
  map: RawMap,
  context: ReadContext,
): ReadonlyMap<string, SettingValue> {
  const { problems, dialect } = context;
  const values = new Map<string, SettingValue>();
  const places = new Map<string, Place>();
  for (const entry of map.entries) {
    const found = findSetting(section.table, entry.key);
    if (found === null) {
      const key = dialect.showKey(section.name, entry.key);
      const fullKey = inSection(section, key);
      const unknown = dialect.describeUnknown(section.name, key, fullKey);
      const where = problems.inConfiguration(entry.keyPlace);
      problems.add(entry.keyPlace, fullKey, `${unknown}${where}${suggest(section, entry.key)}`);
    } else {
      const key = inSection(section, found.name);
      const isRefused = !dialect.isLastWinning && reportRepeated(key, entry, places, problems);
      const value = isRefused ? undefined : readValue(entry, found, section, context);
      if (value !== undefined) {
        values.set(found.name, value);
      }
    }
  }
  return values;
}
