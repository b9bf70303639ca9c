import { MAX_PASSWORD_BYTES, MAX_USER_BYTES } from './limits.ts';
import { parseSecret } from './secret.ts';
import type { Secret } from './secret.ts';

/** Something to tell the operator about a users file. Never holds a user name or a secret. */
export interface UsersFileProblem {
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
  readonly message: string;
  /** Whether the line counts nonetheless. */
  readonly isUsed: boolean;
}

/** Result of {@link parseUsersFile}. */
export interface UsersFile {
  /** By user name; a Map, so that `__proto__` is a name like any other. */
  readonly users: ReadonlyMap<string, Secret>;
  /** Empty when the whole file was understood. */
  readonly problems: readonly UsersFileProblem[];
}

const QUOTE = '"';

/** PgBouncer's text, and what would be right. */
const BROKEN =
  'broken auth file: a line has to be "user" "password", or a comment that begins with ;';

/**
 * Reads a PgBouncer auth_file: `"user" "password"` a line, `""` for a quote, `;` starts a comment line.
 *
 * Reading stops at the first broken line, the entries before it stay. Three things PgBouncer takes
 * without a word are reported: a name given twice (the last one counts), a password that stands on
 * a later line than its name (it is used, but the line of a forgotten password looks the same), and
 * an entry that is not valid UTF-8 (left out: after decoding, different names could be equal).
 *
 * Never throws.
 *
 * @param file - Name for the problems.
 * @param text - Content decoded as UTF-8.
 * @source PgBouncer manual, "Authentication file format"; PgBouncer `load_auth_file`
 */
export function parseUsersFile(file: string, text: string): UsersFile {
  const users = new Map<string, Secret>();
  const problems: UsersFileProblem[] = [];
  const scanner = new Scanner(text.startsWith('\ufeff') ? text.slice(1) : text);
  while (scanner.skipToEntry()) {
    const line = scanner.line;
    const entry = scanner.readEntry();
    if (typeof entry === 'string') {
      problems.push({ file, line, message: entry, isUsed: false });
      break;
    }
    const { user, password, passwordLine } = entry;
    if (user.includes('\ufffd') || password.includes('\ufffd')) {
      const message = 'entry is not valid UTF-8, ignored';
      problems.push({ file, line, message, isUsed: false });
      continue;
    }
    if (passwordLine !== line) {
      const message = `the password of this user was taken from line ${String(passwordLine)}`;
      problems.push({ file, line, message, isUsed: true });
    }
    if (users.has(user)) {
      const message = 'user was given before, this line counts';
      problems.push({ file, line, message, isUsed: true });
    }
    users.set(user, parseSecret(password));
  }
  return { users, problems };
}

interface Entry {
  readonly user: string;
  readonly password: string;
  readonly passwordLine: number;
}

class Scanner {
  readonly #text: string;
  #offset = 0;
  #line = 1;
  /** Where the current line ends; -1 in the last one. */
  #newline: number;

  constructor(text: string) {
    this.#text = text;
    this.#newline = text.indexOf('\n');
  }

  /** Line of the current offset, counted from 1. */
  get line(): number {
    return this.#line;
  }

  /** Skips white space and comment lines. False at the end of the text. */
  skipToEntry(): boolean {
    while (this.#offset < this.#text.length) {
      const character = this.#text.charAt(this.#offset);
      if (character === ';') {
        this.#skipLine();
      } else if (/[ \t\n\v\f\r]/.test(character)) {
        this.#advanceTo(this.#offset + 1);
      } else {
        return true;
      }
    }
    return false;
  }

  /** Reads one entry and the rest of its line. A string is the reason why it is broken. */
  readEntry(): Entry | string {
    if (this.#text.charAt(this.#offset) !== QUOTE) {
      return BROKEN;
    }
    const user = this.#readQuoted();
    if (user === null) {
      return BROKEN;
    }
    if (Buffer.byteLength(user) > MAX_USER_BYTES) {
      return 'username too long in auth file';
    }
    const passwordStart = this.#text.indexOf(QUOTE, this.#offset);
    if (passwordStart < 0) {
      return BROKEN;
    }
    this.#advanceTo(passwordStart);
    const passwordLine = this.#line;
    const password = this.#readQuoted();
    if (password === null || user.includes('\0') || password.includes('\0')) {
      return BROKEN;
    }
    if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) {
      return 'password too long in auth file';
    }
    this.#skipLine();
    return { user, password, passwordLine };
  }

  /** Reads from an opening quote to behind the closing one. Null when there is none. */
  #readQuoted(): string | null {
    const start = this.#offset + 1;
    let end = this.#text.indexOf(QUOTE, start);
    while (end >= 0 && this.#text.charAt(end + 1) === QUOTE) {
      end = this.#text.indexOf(QUOTE, end + 2);
    }
    if (end < 0) {
      return null;
    }
    this.#advanceTo(end + 1);
    return this.#text.slice(start, end).replaceAll('""', '"');
  }

  #skipLine(): void {
    const end = this.#text.indexOf('\n', this.#offset);
    this.#advanceTo(end < 0 ? this.#text.length : end + 1);
  }

  #advanceTo(offset: number): void {
    let newline = this.#newline;
    while (newline >= 0 && newline < offset) {
      this.#line += 1;
      newline = this.#text.indexOf('\n', newline + 1);
    }
    this.#newline = newline;
    this.#offset = offset;
  }
}
