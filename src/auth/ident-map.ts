import { hbaLines, HbaTokenizer } from './hba-tokens.ts';
import type { HbaWord } from './hba-tokens.ts';
import { runWithinBudget } from './time-budget.ts';

/** Longest name of a certificate or of the system that is mapped, in characters. */
export const MAX_SYSTEM_NAME_LENGTH = 255;

/** Stands for all users; no name. */
const EVERYBODY = Symbol('all');

/** The user that an entry admits. */
type IdentUser =
  | { readonly kind: 'all' }
  /** `\1` in it stands for what the parentheses of the system name matched. */
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'pattern'; readonly pattern: RegExp };

type IdentSystemName =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'pattern'; readonly pattern: RegExp };

/** One line of an ident file. */
export interface IdentEntry {
  readonly systemName: IdentSystemName;
  readonly user: IdentUser;
}

/** What a map says of somebody; `too_slow` where an expression took too long for these names. */
export type Mapping = 'mapped' | 'unmapped' | 'too_slow';

/** The lines of one map. */
export class IdentMap {
  /** Entries without an expression, by system name: there may be one for each employee. */
  readonly #plain = new Map<string, Set<string | typeof EVERYBODY>>();
  /** Entries with one, in their order. */
  readonly #patterns: IdentEntry[] = [];

  /** Adds the next line. */
  add(entry: IdentEntry): void {
    const { systemName, user } = entry;
    if (systemName.kind === 'pattern' || user.kind === 'pattern') {
      this.#patterns.push(entry);
      return;
    }
    const users = this.#plain.get(systemName.name) ?? new Set();
    users.add(user.kind === 'all' ? EVERYBODY : user.name);
    this.#plain.set(systemName.name, users);
  }

  /**
   * Tells whether the map lets somebody log in as `user`. Lines with expressions are looked at after the
   * others, and have one budget of time for all of them together.
   *
   * @param systemNames - Who the client is to the system, or the names in its certificate.
   */
  find(systemNames: readonly string[], user: string): Mapping {
    const names = systemNames.filter((name) => name.length <= MAX_SYSTEM_NAME_LENGTH);
    for (const name of names) {
      const users = this.#plain.get(name);
      if (users?.has(user) === true || users?.has(EVERYBODY) === true) {
        return 'mapped';
      }
    }
    if (this.#patterns.length === 0 || names.length === 0) {
      return 'unmapped';
    }
    const isMapped = (entry: IdentEntry): boolean =>
      names.some((name) => isMapping(entry, name, user));
    const outcome = runWithinBudget(() => this.#patterns.some(isMapped));
    if (outcome.kind === 'too_slow') {
      return outcome.kind;
    }
    return outcome.result ? 'mapped' : 'unmapped';
  }
}

/** A line of an ident file that was left out, and why. */
export interface IdentProblem {
  /** Counted from 1. */
  readonly line: number;
  /** A clause. */
  readonly message: string;
}

/** Result of {@link parseIdentFile}. */
export interface IdentFile {
  readonly maps: ReadonlyMap<string, IdentMap>;
  readonly problems: readonly IdentProblem[];
}

/**
 * Reads a file of maps from names of the system, or of certificates, to users: on each line a map, a
 * name and a user. A name that begins with `/` is a regular expression, whose first pair of parentheses
 * `\1` in the user stands for; a user that begins with `/` is one, too; the user `all` is everybody.
 *
 * A line that cannot be used is left out and reported. Never throws.
 *
 * @source PostgreSQL manual, "User Name Maps"; PgBouncer manual, "Ident map file format"
 */
export function parseIdentFile(text: string): IdentFile {
  const maps = new Map<string, IdentMap>();
  const problems: IdentProblem[] = [];
  for (const { number, text: content } of hbaLines(text)) {
    const parsed = parseLine(new HbaTokenizer(content));
    if (typeof parsed === 'string') {
      problems.push({ line: number, message: parsed });
      continue;
    }
    const map = maps.get(parsed.map) ?? new IdentMap();
    map.add(parsed.entry);
    maps.set(parsed.map, map);
  }
  return { maps, problems };
}

function parseLine(line: HbaTokenizer): { map: string; entry: IdentEntry } | string {
  const [map, systemName, user] = [line.word(), line.word(), line.word()];
  if (line.isBroken) {
    return 'a quote is not closed';
  }
  if (map === null || systemName === null || user === null) {
    return 'expected a map, a system name and a database user';
  }
  if (!line.isAtEnd) {
    return 'unsupported parameters';
  }
  try {
    return { map: map.text, entry: makeEntry(systemName, user) };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** @throws Error saying what is wrong as a clause. */
function makeEntry(systemName: HbaWord, user: HbaWord): IdentEntry {
  const entry = { systemName: readSystemName(systemName.text), user: readUser(user) };
  const isReferring = entry.user.kind === 'name' && entry.user.name.includes('\\1');
  if (isReferring && entry.systemName.kind === 'pattern' && !hasGroup(entry.systemName.pattern)) {
    throw new Error(
      `regular expression "${systemName.text.slice(1)}" has no subexpressions as requested by backreference in "${user.text}"`,
    );
  }
  return entry;
}

function readSystemName(text: string): IdentSystemName {
  return text.startsWith('/')
    ? { kind: 'pattern', pattern: compile(text.slice(1)) }
    : { kind: 'name', name: text };
}

function readUser({ text, isQuoted }: HbaWord): IdentUser {
  if (!isQuoted && text === 'all') {
    return { kind: 'all' };
  }
  if (!isQuoted && text.startsWith('+')) {
    throw new Error(
      `${text}: groups are not supported: maitred does not know the members of roles`,
    );
  }
  return text.startsWith('/')
    ? { kind: 'pattern', pattern: compile(text.slice(1)) }
    : { kind: 'name', name: text };
}

/** @throws Error saying what is wrong as a clause. */
function compile(source: string): RegExp {
  try {
    return new RegExp(source, 'u');
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`could not compile regular expression "${source}": ${why}`, { cause });
  }
}

/** Whether an expression has a pair of parentheses that remembers what it matched. */
function hasGroup(pattern: RegExp): boolean {
  // The empty alternative matches anything, and the result has a place for each group.
  const probe = new RegExp(`${pattern.source}|`, 'u').exec('');
  return probe !== null && probe.length > 1;
}

function isMapping(
  { systemName, user: admitted }: IdentEntry,
  name: string,
  user: string,
): boolean {
  if (systemName.kind === 'name') {
    return systemName.name === name && isAdmitted(admitted, user, null);
  }
  const match = systemName.pattern.exec(name);
  return match !== null && isAdmitted(admitted, user, match[1] ?? '');
}

/** @param captured - What replaces `\1`; `null` when the system name is no expression. */
function isAdmitted(admitted: IdentUser, user: string, captured: string | null): boolean {
  switch (admitted.kind) {
    case 'all':
      return true;
    case 'pattern':
      return admitted.pattern.test(user);
    case 'name': {
      const { name } = admitted;
      return user === (captured === null ? name : name.replace('\\1', () => captured));
    }
  }
}
