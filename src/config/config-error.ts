import { systemErrorText } from '../base/system-error-text.ts';

/** A place in a file; line and column count from 1, and are 0 when the whole file is meant. */
export interface Place {
  readonly line: number;
  readonly column: number;
  /** Where the line stands when it is not in the main file: an included file, or a variable. */
  readonly file?: string;
}

/** One thing that is wrong with a configuration. */
export interface ConfigProblem extends Place {
  readonly file: string;
  /** The setting, with its section for entries (`databases.app.port`); empty for the file itself. */
  readonly key: string;
  /** The value as written, `***` for a secret; `null` when the value is not what is wrong. */
  readonly value: string | null;
  /** The whole sentence: place, key, value and what is allowed. Never holds a secret. */
  readonly message: string;
  /** What would be accepted; empty when there is nothing to say. */
  readonly allowed: string;
}

/** The place of problems that concern the whole file. */
export const WHOLE_FILE: Place = { line: 0, column: 0 };

/** Most problems that are gathered: a file with more is something else than a configuration. */
const MOST_PROBLEMS = 1_000;

/** Longest piece of a value that is repeated in a message. */
const SHOWN_LENGTH = 80;

/**
 * Quotes a text from the file for a message: control characters escaped, long texts cut, so that a
 * value cannot forge lines of the log.
 *
 * @param text - Any text that is not a secret.
 */
export function quoteForMessage(text: string): string {
  const shown = text.length > SHOWN_LENGTH ? `${text.slice(0, SHOWN_LENGTH)}…` : text;
  return JSON.stringify(shown);
}

/** Prints a key for a message: as it is when it is an ordinary name, quoted otherwise. */
export function keyForMessage(key: string): string {
  return /^[\w.*@-]{1,80}$/.test(key) ? key : quoteForMessage(key);
}

/** Prints a place as `file:line:column`, or the file alone when it is not about a line. */
function formatPlace(mainFile: string, place: Place): string {
  const file = place.file ?? mainFile;
  return place.line === 0 ? file : `${file}:${String(place.line)}:${String(place.column)}`;
}

/**
 * Says that a file cannot be read.
 *
 * @param file - As it was named.
 * @param cause - What the system reported.
 */
export function couldNotLoad(file: string, cause: unknown): string {
  return `could not load file "${file}": ${systemErrorText(cause)}`;
}

/** Tells everything that is wrong with a configuration, in the order of the file. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly ConfigProblem[];

  /**
   * Makes the error; its message is one line per problem.
   *
   * @param problems - At least one, in the order of the file.
   * @param cause - What the system reported, when there is such a thing.
   */
  constructor(problems: readonly ConfigProblem[], cause?: unknown) {
    super(
      problems.map((problem) => problem.message).join('\n'),
      cause === undefined ? undefined : { cause },
    );
    this.problems = problems;
  }
}

/**
 * Gathers the problems and warnings of one file while it is read. Adding a problem throws the
 * {@link ConfigError} at once when there are too many already.
 */
export class ProblemList {
  readonly #file: string;
  readonly #namesConfiguration: boolean;
  readonly #problems: ConfigProblem[] = [];
  readonly #warnings: string[] = [];

  /**
   * Starts an empty list.
   *
   * @param file - The file as the operator named it.
   * @param namesConfiguration - Whether messages also have PgBouncer's
   * `in configuration (FILE:LINE)`, which people search logs for.
   */
  constructor(file: string, namesConfiguration = false) {
    this.#file = file;
    this.#namesConfiguration = namesConfiguration;
  }

  /** The file being read, as the operator named it. */
  get file(): string {
    return this.#file;
  }

  /** Warnings so far, each naming its place. */
  get warnings(): readonly string[] {
    return this.#warnings;
  }

  /** Prints PgBouncer's ` in configuration (FILE:LINE)` where messages have it, else nothing. */
  inConfiguration(place: Place): string {
    return this.#namesConfiguration && place.line > 0
      ? ` in configuration (${place.file ?? this.#file}:${String(place.line)})`
      : '';
  }

  /** Adds a problem of the file's shape, or of a key. */
  add(place: Place, key: string, sentence: string, allowed = ''): void {
    const tail = allowed === '' ? '' : `; allowed: ${allowed}`;
    this.#push(place, { key, value: null, text: `${sentence}${tail}`, allowed });
  }

  /**
   * Adds a problem of a value.
   *
   * @param place - Where the value stands.
   * @param key - Full name of the setting.
   * @param value - As it may be shown: a secret is already masked.
   * @param wrong - What is wrong, as a clause.
   * @param allowed - What would be accepted.
   */
  addValue(place: Place, key: string, value: string, wrong: string, allowed: string): void {
    const where = this.inConfiguration(place);
    const text = `invalid value ${quoteForMessage(value)} for parameter ${keyForMessage(key)}${where}: ${wrong}; allowed: ${allowed}`;
    this.#push(place, { key, value, text, allowed });
  }

  /** Adds a warning: the configuration is used all the same. */
  warn(place: Place, sentence: string): void {
    this.#warnings.push(`${formatPlace(this.#file, place)}: ${sentence}`);
  }

  /**
   * Ends the reading when anything was wrong.
   *
   * @throws {@link ConfigError} with all problems in the order of the file.
   */
  throwIfAny(): void {
    if (this.#problems.length > 0) {
      this.fail();
    }
  }

  /**
   * Ends the reading.
   *
   * @throws {@link ConfigError} always, with all problems file by file, in the order of each.
   */
  fail(): never {
    const files = [...new Set([this.#file, ...this.#problems.map((problem) => problem.file)])];
    const rank = new Map(files.map((file, index) => [file, index]));
    const rankOf = (problem: ConfigProblem): number => rank.get(problem.file) ?? 0;
    throw new ConfigError(
      this.#problems.toSorted(
        (a, b) => rankOf(a) - rankOf(b) || a.line - b.line || a.column - b.column,
      ),
    );
  }

  #push(
    place: Place,
    { text, ...rest }: { key: string; value: string | null; text: string; allowed: string },
  ): void {
    if (this.#problems.length === MOST_PROBLEMS) {
      this.#problems.push({
        ...{ file: this.#file, ...WHOLE_FILE, key: '', value: null, allowed: '' },
        message: `${this.#file}: too many problems; the first ${String(MOST_PROBLEMS)} are listed`,
      });
      this.fail();
    }
    const message = `${formatPlace(this.#file, place)}: ${text}`;
    const { line, column } = place;
    this.#problems.push({ file: place.file ?? this.#file, line, column, ...rest, message });
  }
}
