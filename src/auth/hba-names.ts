import { systemErrorText } from '../base/system-error-text.ts';
import { hbaLines, HbaTokenizer } from './hba-tokens.ts';
import type { HbaWord } from './hba-tokens.ts';

/** The databases or the users that a rule is about. */
export interface HbaNames {
  readonly isAll: boolean;
  /** The database named like the user. */
  readonly isSameUser: boolean;
  /** Physical replication; says nothing about other connections. */
  readonly isReplication: boolean;
  readonly names: ReadonlySet<string>;
}

/** Which column is read: what is a keyword there differs. */
export type NameColumn = 'database' | 'user';

/** Reads a file named by `@file`, relative to the one that names it. */
export interface NameFileReader {
  /** The text of the file. @throws the error of the system. */
  readText(file: string): string;
  /** Path of `name` as seen from `file`. */
  resolve(file: string, name: string): string;
}

/** Deepest nesting of files of names: one that includes itself must come to an end. */
const DEEPEST_FILE = 10;

/** Tells what is wrong with a column, for the log. */
export class HbaNamesError extends Error {}

interface Collected {
  isAll: boolean;
  isSameUser: boolean;
  isReplication: boolean;
  readonly names: Set<string>;
}

const ALL: HbaNames = {
  isAll: true,
  isSameUser: false,
  isReplication: false,
  names: new Set(),
};

/** Reads the columns of databases and users of one HBA file, with the files that they name. */
export class HbaNamesReader {
  readonly #files: NameFileReader;
  /** What files say that have been read: thousands of lines may name the same one. */
  readonly #read = new Map<string, HbaNames>();

  constructor(files: NameFileReader) {
    this.#files = files;
  }

  /**
   * Takes a column from a line: words with commas between.
   *
   * @param file - The file that the line stands in.
   * @returns what may be shared with other lines.
   * @throws HbaNamesError saying what is wrong as a clause.
   */
  read(column: NameColumn, line: HbaTokenizer, file: string): HbaNames {
    const words: HbaWord[] = [];
    do {
      const word = line.word();
      if (word === null) {
        throw new HbaNamesError(missing(line, column));
      }
      words.push(word);
    } while (line.comma());
    const [first, second] = words;
    if (first !== undefined && second === undefined && !first.isQuoted) {
      if (first.text === 'all') {
        return ALL;
      }
      if (first.text.startsWith('@')) {
        return this.#readFile(this.#files.resolve(file, first.text.slice(1)), 1);
      }
    }
    const found = nothing();
    for (const word of words) {
      this.#take(word, file, 0, found);
    }
    return found;
  }

  #take({ text, isQuoted }: HbaWord, file: string, depth: number, found: Collected): void {
    if (isQuoted) {
      found.names.add(text);
    } else if (text.startsWith('@')) {
      add(found, this.#readFile(this.#files.resolve(file, text.slice(1)), depth + 1));
    } else if (!takeKeyword(text, found)) {
      found.names.add(text);
    }
  }

  #readFile(file: string, depth: number): HbaNames {
    const known = this.#read.get(file);
    if (known !== undefined) {
      return known;
    }
    if (depth > DEEPEST_FILE) {
      throw new HbaNamesError(`files of names include each other too deeply at ${file}`);
    }
    let text: string;
    try {
      text = this.#files.readText(file);
    } catch (cause) {
      throw new HbaNamesError(`could not open names file ${file}: ${systemErrorText(cause)}`, {
        cause,
      });
    }
    const found = nothing();
    for (const { number, text: content } of hbaLines(text)) {
      const line = new HbaTokenizer(content);
      // Words of a file may stand apart by commas or by spaces.
      for (let token = line.next(); token !== null; token = line.next()) {
        if (token.kind === 'word') {
          this.#take(token, file, depth, found);
        }
      }
      if (line.isBroken) {
        throw new HbaNamesError(`${file} line ${String(number)}: a quote is not closed`);
      }
    }
    this.#read.set(file, found);
    return found;
  }
}

function nothing(): Collected {
  return { isAll: false, isSameUser: false, isReplication: false, names: new Set() };
}

function add(found: Collected, more: HbaNames): void {
  found.isAll ||= more.isAll;
  found.isSameUser ||= more.isSameUser;
  found.isReplication ||= more.isReplication;
  for (const name of more.names) {
    found.names.add(name);
  }
}

function takeKeyword(text: string, found: Collected): boolean {
  switch (text) {
    case 'all':
      found.isAll = true;
      return true;
    // COMPAT: in the column of users as well, as in PgBouncer.
    case 'sameuser':
      found.isSameUser = true;
      return true;
    case 'replication':
      found.isReplication = true;
      return true;
    case 'samerole':
    case 'samegroup':
      throw new HbaNamesError(
        `${text} is not supported: maitred does not know the roles of the server`,
      );
    default:
      break;
  }
  if (text.startsWith('+')) {
    throw new HbaNamesError(
      `${text}: groups are not supported: maitred does not know the members of roles; name the users, or list them in a file (@file)`,
    );
  }
  return false;
}

function missing(line: HbaTokenizer, column: NameColumn): string {
  if (line.isBroken) {
    return 'a quote is not closed';
  }
  return line.peek() === null ? `did not find ${column}` : `expected a ${column} before the comma`;
}

/**
 * Tells whether a column names `name`.
 *
 * @param other - The name in the other column, for `sameuser`.
 */
export function isNamed(column: HbaNames, name: string, other: string): boolean {
  return column.isAll || (column.isSameUser && name === other) || column.names.has(name);
}
