import { buildConfig } from './build-config.ts';
import type { RawSections } from './build-config.ts';
import { couldNotLoad, keyForMessage, ProblemList, WHOLE_FILE } from './config-error.ts';
import type { Place } from './config-error.ts';
import type { Config } from './config.ts';
import { parseConnectionString } from './connection-string.ts';
import type { Sources } from './dialect.ts';
import { parseIniLines } from './ini-lines.ts';
import type { IniItem } from './ini-lines.ts';
import { INI_DIALECT } from './ini-values.ts';
import type { RawEntry, RawMap } from './raw-node.ts';

/** Deepest nesting of included files, as in PgBouncer. */
const DEEPEST_INCLUDE = 10;

/**
 * Most files that one configuration may consist of, and most characters in all of them: files that
 * include each other several times would otherwise be read ever more often.
 */
const MOST_FILES = 1_000;
const MOST_CHARACTERS = 16 * 1024 * 1024;

const SECTION_NAMES = ['pgbouncer', 'databases', 'users', 'peers'] as const;
type SectionName = (typeof SECTION_NAMES)[number];

type Pair = Extract<IniItem, { kind: 'pair' }>;
type Include = Extract<IniItem, { kind: 'include' }>;

function isSectionName(name: string): name is SectionName {
  return SECTION_NAMES.some((known) => known === name);
}

/** Moves a place to the right. */
function after(place: Place, columns: number): Place {
  return { ...place, column: place.column + columns };
}

/** Reads the lines of an ini file and of those it includes into sections. */
class IniReader {
  readonly #sources: Sources;
  readonly #problems: ProblemList;
  readonly #settings: RawEntry[][] = [];
  readonly #databases: RawEntry[] = [];
  readonly #users: RawEntry[] = [];
  readonly #peers: RawEntry[] = [];
  /** `null` before the first header, `'unknown'` below one that is refused already. */
  #section: SectionName | 'unknown' | null = null;
  #files = 0;
  #characters = 0;

  constructor(sources: Sources, problems: ProblemList) {
    this.#sources = sources;
    this.#problems = problems;
  }

  /** Returns what all files together say. */
  sections(): RawSections {
    if (this.#settings.length === 0) {
      const sentence = 'load_init_file: main section missing from config file';
      this.#problems.add(WHOLE_FILE, '', sentence, 'a section [pgbouncer]');
    }
    const map = (entries: readonly RawEntry[]): RawMap => ({
      kind: 'map',
      place: WHOLE_FILE,
      entries,
    });
    return {
      settings: this.#settings.map(map),
      databases: map(this.#databases),
      users: map(this.#users),
      peers: map(this.#peers),
    };
  }

  /**
   * Reads a file in the section where the one before left off.
   *
   * @param depth - How many files include it, one in the other.
   */
  readFile(file: string, text: string, depth: number): void {
    this.#files += 1;
    this.#characters += text.length;
    if (this.#files > MOST_FILES || this.#characters > MOST_CHARACTERS) {
      this.#problems.add(WHOLE_FILE, '', 'the file, with those it includes, is too large');
      this.#problems.fail();
    }
    if (text.includes('\ufffd')) {
      const sentence = 'some characters are unknown: the file should be UTF-8';
      this.#problems.warn({ ...WHOLE_FILE, file }, sentence);
    }
    for (const item of parseIniLines(text, file)) {
      switch (item.kind) {
        case 'section':
          this.#readHeader(item.name, item.place);
          break;
        case 'pair':
          this.#readPair(item);
          break;
        case 'include':
          this.#readInclude(item, depth + 1);
          break;
        case 'broken':
          this.#refuse(item.place, '', 'syntax error', item.why);
      }
    }
  }

  #refuse(place: Place, key: string, problem: string, why: string): void {
    const reason = why === '' ? '' : `: ${why}`;
    this.#problems.add(place, key, `${problem}${this.#problems.inConfiguration(place)}${reason}`);
  }

  #readHeader(name: string, place: Place): void {
    if (!isSectionName(name)) {
      this.#section = 'unknown';
      const allowed = `allowed: ${SECTION_NAMES.join(', ')}`;
      this.#refuse(place, name, `invalid section ${JSON.stringify(name.slice(0, 80))}`, allowed);
      return;
    }
    this.#section = name;
    if (name === 'pgbouncer') {
      if (this.#settings.some((entries) => entries.length > 0)) {
        const sentence =
          'this further [pgbouncer] sets everything given before back to its default';
        this.#problems.warn(place, sentence);
      }
      this.#settings.push([]);
    }
  }

  #readPair(pair: Pair): void {
    switch (this.#section) {
      case null: {
        const key = keyForMessage(pair.key);
        this.#refuse(pair.place, pair.key, `load_init_file: value without section: ${key}`, '');
        return;
      }
      case 'unknown':
        return;
      case 'pgbouncer': {
        const { key, place: keyPlace, value: text, valuePlace: place } = pair;
        this.#settings.at(-1)?.push({ key, keyPlace, value: { kind: 'text', place, text } });
        return;
      }
      case 'databases':
        this.#databases.push(this.#readEntry(pair, 'databases', 'connection string'));
        return;
      case 'users':
        this.#users.push(this.#readEntry(pair, 'users', 'user settings'));
        return;
      case 'peers':
        this.#peers.push(this.#readEntry(pair, 'peers', 'connection string'));
    }
  }

  /** Reads the pairs of an entry. What is wrong with it is told without its text: it has passwords. */
  #readEntry({ key, place, value, valuePlace }: Pair, section: string, what: string): RawEntry {
    const { pairs, errorOffset } = parseConnectionString(value);
    if (errorOffset !== null) {
      const errorPlace = after(valuePlace, errorOffset);
      const sentence = `invalid value for parameter ${keyForMessage(key)}`;
      this.#refuse(errorPlace, `${section}.${key}`, sentence, `syntax error in ${what}`);
    }
    const entries = pairs.map((pair) => ({
      key: pair.key,
      keyPlace: after(valuePlace, pair.keyOffset),
      value: {
        kind: 'text',
        place: after(valuePlace, pair.valueOffset),
        text: pair.value,
      } as const,
    }));
    return { key, keyPlace: place, value: { kind: 'map', place: valuePlace, entries } };
  }

  #readInclude({ file, place }: Include, depth: number): void {
    if (depth > DEEPEST_INCLUDE) {
      this.#refuse(place, '', 'include nesting level too deep', '');
      this.#problems.fail();
    }
    let text: string;
    try {
      text = this.#sources.readText(file);
    } catch (cause) {
      this.#refuse(place, '', 'error processing include file', couldNotLoad(file, cause));
      return;
    }
    this.readFile(file, text, depth);
  }
}

/**
 * Reads a configuration in PgBouncer's ini format.
 *
 * @param file - The name to use in messages; it is not opened.
 * @param text - The content of the file.
 * @param sources - Where included files and overrides come from.
 * @returns The whole configuration, checked and typed.
 * @throws `ConfigError` with every problem found.
 */
export function parseIniText(file: string, text: string, sources: Sources): Config {
  const problems = new ProblemList(file, true);
  const reader = new IniReader(sources, problems);
  reader.readFile(file, text, 0);
  return buildConfig(reader.sections(), { problems, dialect: INI_DIALECT, sources });
}
