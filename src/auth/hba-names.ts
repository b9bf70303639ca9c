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

/** Reads a column of databases or users, with the files that it names. */
export class HbaNamesReader {
  readonly #column: NameColumn;
  readonly #files: NameFileReader;
  readonly #found: Collected = {
    isAll: false,
    isSameUser: false,
    isReplication: false,
    names: new Set(),
  };

  constructor(column: NameColumn, files: NameFileReader) {
    this.#column = column;
    this.#files = files;
  }

  /**
   * Takes the column from a line: words with commas between.
   *
   * @param file - The file that the line stands in.
   * @throws HbaNamesError saying what is wrong as a clause.
   */
  read(line: HbaTokenizer, file: string): HbaNames {
    do {
      const word = line.word();
      if (word === null) {
        throw new HbaNamesError(missing(line, this.#column));
      }
      this.#take(word, file, 0);
    } while (line.comma());
    return this.#found;
  }

  #take(word: HbaWord, file: string, depth: number): void {
    const { text, isQuoted } = word;
    if (isQuoted) {
      this.#found.names.add(text);
    } else if (text.startsWith('@')) {
      this.#takeFile(this.#files.resolve(file, text.slice(1)), depth + 1);
    } else if (!this.#takeKeyword(text)) {
      this.#found.names.add(text);
    }
  }

  #takeKeyword(text: string): boolean {
    switch (text) {
      case 'all':
        this.#found.isAll = true;
        return true;
      // COMPAT: in the column of users as well, as in PgBouncer.
      case 'sameuser':
        this.#found.isSameUser = true;
        return true;
      case 'replication':
        this.#found.isReplication = true;
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

  #takeFile(file: string, depth: number): void {
    if (depth > DEEPEST_FILE) {
      throw new HbaNamesError(`files of names include each other too deeply at ${file}`);
    }
    let text: string;
    try {
      text = this.#files.readText(file);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new HbaNamesError(`could not open names file ${file}: ${why}`, { cause });
    }
    for (const { number, text: content } of hbaLines(text)) {
      this.#takeFileLine(new HbaTokenizer(content), `${file} line ${String(number)}`, file, depth);
    }
  }

  /** Words of a file may stand apart by commas or by spaces. */
  #takeFileLine(line: HbaTokenizer, place: string, file: string, depth: number): void {
    for (let token = line.next(); token !== null; token = line.next()) {
      if (token.kind === 'word') {
        this.#take(token, file, depth);
      }
    }
    if (line.isBroken) {
      throw new HbaNamesError(`${place}: a quote is not closed`);
    }
  }
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
