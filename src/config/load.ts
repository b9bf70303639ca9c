import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, Parser } from 'yaml';
import type { Alias, Document, ParsedNode, Scalar, YAMLMap } from 'yaml';
import { buildConfig, sectionsOf } from './build-config.ts';
import { ConfigError, couldNotLoad, ProblemList, WHOLE_FILE } from './config-error.ts';
import type { Place } from './config-error.ts';
import type { Config } from './config.ts';
import { YAML_DIALECT } from './dialect.ts';
import type { Sources } from './dialect.ts';
import { parseIniText } from './ini-load.ts';
import type { RawEntry, RawNode } from './raw-node.ts';
import { substituteVariables } from './substitute.ts';
import { explainSyntaxError } from './yaml-errors.ts';

/**
 * Deepest nesting that is read. The settings need four levels; the parser is recursive, and a file
 * nested thousands deep would exhaust the stack of a running pooler on reload.
 */
const DEEPEST_NESTING = 32;

/** Largest file that is read, in characters: far above any real one. */
const LARGEST_FILE = 16 * 1024 * 1024;

interface Nested {
  readonly token: unknown;
  readonly depth: number;
}

/** Tells whether a concrete syntax tree is nested too deeply, without recursion. */
function isTooDeep(text: string): boolean {
  const pending: Nested[] = [...new Parser().parse(text)].map((token) => ({ token, depth: 0 }));
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { token, depth } = next;
    if (depth > DEEPEST_NESTING) {
      return true;
    }
    if (typeof token === 'object' && token !== null) {
      const { key, value, items } = token as { key?: unknown; value?: unknown; items?: unknown };
      pending.push({ token: key, depth }, { token: value, depth });
      for (const item of Array.isArray(items) ? (items as unknown[]) : []) {
        pending.push({ token: item, depth: depth + 1 });
      }
    }
  }
  return false;
}

/** Tells `<<` from a quoted text of these characters, which is a name. */
function isMergeKey(key: ParsedNode | null): boolean {
  return isScalar(key) && key.type === 'PLAIN' && key.value === '<<';
}

/** Turns the nodes of one YAML document into raw nodes, gathering what cannot be used. */
class NodeReader {
  readonly #document: Document.Parsed;
  readonly #lines: LineCounter;
  readonly #problems: ProblemList;
  readonly #env: Sources['env'];
  /**
   * Targets of aliases read so far, `null` while one is being read: a target is read once however
   * often it is named, and an alias inside its own target is found.
   */
  readonly #targets = new Map<unknown, RawNode | null>();

  constructor(
    document: Document.Parsed,
    lines: LineCounter,
    problems: ProblemList,
    env: Sources['env'],
  ) {
    this.#document = document;
    this.#lines = lines;
    this.#problems = problems;
    this.#env = env;
  }

  place(offset: number): Place {
    const { line, col } = this.#lines.linePos(offset);
    return { line, column: col };
  }

  /**
   * Reads a node.
   *
   * @param node - The node, or `null` for nothing.
   * @param fallback - The place to name when the node has none.
   * @param level - Nesting so far: an alias can point to what surrounds it.
   */
  read(node: ParsedNode | null, fallback: Place, level: number): RawNode {
    if (node === null || level > DEEPEST_NESTING) {
      return { kind: 'empty', place: fallback };
    }
    const place = this.place(node.range[0]);
    if (isAlias(node)) {
      return this.#readAlias(node, place, level);
    }
    if (isMap(node)) {
      return { kind: 'map', place, entries: this.#readEntries(node, place, level) };
    }
    if (isSeq(node)) {
      const items = node.items.map((item) => this.read(item, place, level + 1));
      return { kind: 'list', place, items };
    }
    return this.#readScalar(node, place);
  }

  /** Reads the keys of a map; what it merges from others stands behind its own, which win. */
  #readEntries(node: YAMLMap.Parsed, place: Place, level: number): readonly RawEntry[] {
    const own: RawEntry[] = [];
    const merged: RawEntry[] = [];
    for (const pair of node.items) {
      const entry = this.#readPair(pair, place, level);
      if (entry !== null && isMergeKey(pair.key)) {
        merged.push(...this.#mergedEntries(entry));
      } else if (entry !== null) {
        own.push(entry);
      }
    }
    const known = new Set(own.map(({ key }) => key));
    for (const entry of merged) {
      if (!known.has(entry.key)) {
        known.add(entry.key);
        own.push(entry);
      }
    }
    return own;
  }

  /** Tells what `<<` adds to a map: the keys of one other map, or of several of which earlier win. */
  #mergedEntries({ value, keyPlace }: RawEntry): readonly RawEntry[] {
    const sources = value.kind === 'list' ? value.items : [value];
    return sources.flatMap((source) => {
      if (source.kind === 'map') {
        return source.entries;
      }
      this.#problems.add(
        keyPlace,
        '',
        'a merge key (<<) needs an alias (*name) of keys with values',
      );
      return [];
    });
  }

  #readAlias(alias: Alias, place: Place, level: number): RawNode {
    const target = alias.resolve(this.#document);
    const known = this.#targets.get(target);
    if (target === undefined || known === null) {
      const sentence =
        'an alias (*name) names nothing written before it; write the value in quotes if no alias is meant';
      this.#problems.add(place, '', sentence);
      return { kind: 'empty', place };
    }
    if (known !== undefined) {
      return { ...known, place };
    }
    this.#targets.set(target, null);
    const read = this.read(target as ParsedNode, place, level + 1);
    this.#targets.set(target, read);
    return { ...read, place };
  }

  #readScalar(node: Scalar, place: Place): RawNode {
    const isPlain = node.type === 'PLAIN';
    const text = typeof node.value === 'string' ? node.value : '';
    if (isPlain && /^(?:|~|null|Null|NULL)$/.test(text)) {
      return { kind: 'empty', place };
    }
    const replaced = substituteVariables(text, this.#env);
    for (const problem of replaced.problems) {
      this.#problems.add(place, '', problem);
    }
    return { kind: 'text', place, text: replaced.text, isHidden: replaced.isReplaced };
  }

  #readPair(
    pair: { key: ParsedNode | null; value: ParsedNode | null },
    mapPlace: Place,
    level: number,
  ): RawEntry | null {
    const { key } = pair;
    const keyPlace = key === null ? mapPlace : this.place(key.range[0]);
    if (!isScalar(key) || typeof key.value !== 'string') {
      this.#problems.add(keyPlace, '', 'a key must be a single word or a quoted text');
      return null;
    }
    return { key: key.value, keyPlace, value: this.read(pair.value, keyPlace, level + 1) };
  }
}

/** Reads YAML text into raw nodes, or ends the reading: a broken file is not looked into further. */
function readYaml(text: string, problems: ProblemList, env: Sources['env']): RawNode {
  if (text.length > LARGEST_FILE || isTooDeep(text)) {
    problems.add(WHOLE_FILE, '', 'the file is too large or nested too deeply');
    return problems.fail();
  }
  const lines = new LineCounter();
  // With the failsafe schema every value stays the text that was written: the settings table, not
  // YAML, decides that 0777 is octal here and a password there. Repeated keys are reported later.
  const document = parseDocument(text, {
    schema: 'failsafe',
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
  });
  const reader = new NodeReader(document, lines, problems, env);
  const faults = [...document.errors, ...document.warnings];
  for (const { code, pos } of faults) {
    problems.add(reader.place(pos[0]), '', explainSyntaxError(code));
  }
  problems.throwIfAny();
  return reader.read(document.contents, { line: 1, column: 1 }, 0);
}

/** No files and no variables: what a text says by itself. */
const NO_SOURCES: Sources = {
  readText: () => {
    throw new Error('no file can be read here');
  },
  env: {},
};

/**
 * Tells whether a file holds YAML, by its name. All others are ini files: PgBouncer does not care
 * how its file is called.
 */
export function isYamlFile(file: string): boolean {
  return /\.ya?ml$/i.test(file);
}

/**
 * Reads a configuration from text: YAML when the name ends in `.yaml` or `.yml`, else PgBouncer's
 * ini format.
 *
 * @param file - The name to use in messages; it is not opened.
 * @param text - The content of the file.
 * @param sources - Where included files, secrets and variables come from.
 * @returns The whole configuration, checked and typed.
 * @throws {@link ConfigError} with every problem found.
 */
export function parseConfigText(file: string, text: string, sources = NO_SOURCES): Config {
  if (!isYamlFile(file)) {
    return parseIniText(file, text, sources);
  }
  const problems = new ProblemList(file);
  const sections = sectionsOf(readYaml(text, problems, sources.env), problems);
  return buildConfig(sections, { problems, dialect: YAML_DIALECT, sources });
}

/**
 * Reads a configuration file, with the overrides of the environment.
 *
 * @param file - The path as the operator gave it.
 * @param readText - Reads a file whole as UTF-8; may throw.
 * @param env - Environment variables: `MAITRED_<NAME>` overrides a global setting, and values of a
 * YAML file may name any of them.
 * @param nativeProblem - Why there are no system calls; `null` when there are.
 * @returns The whole configuration, checked and typed.
 * @throws {@link ConfigError} with every problem found; a file that cannot be read is one problem.
 */
export function loadConfig(
  file: string,
  readText: (file: string) => string,
  env: Sources['env'] = {},
  nativeProblem: () => string | null = () => null,
): Config {
  let text: string;
  try {
    text = readText(file);
  } catch (cause) {
    const message = couldNotLoad(file, cause);
    const problem = { file, ...WHOLE_FILE, key: '', value: null, message, allowed: '' };
    throw new ConfigError([problem], cause);
  }
  return parseConfigText(file, text, { readText, env, nativeProblem });
}
