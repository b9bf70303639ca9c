/** One piece of a line of an HBA or ident file. */
export type HbaToken =
  | {
      readonly kind: 'word';
      readonly text: string;
      /** A quoted word is never a keyword. */
      readonly isQuoted: boolean;
    }
  | { readonly kind: 'comma' };

/** A word of {@link HbaToken}. */
export type HbaWord = Extract<HbaToken, { kind: 'word' }>;

/** A line with something in it. */
export interface HbaLine {
  /** Counted from 1. */
  readonly number: number;
  readonly text: string;
}

/** What separates words, from where one has ended. */
const SPACE = /[ \t\v\f\r]*/y;
/** A word without quotes, from where it begins. */
const BARE_WORD = /[^ \t\v\f\r,#"]*/y;

/** Splits a file into those of its lines that are neither empty nor a comment. */
export function hbaLines(text: string): HbaLine[] {
  const lines = text.replace(/^\ufeff/, '').split('\n');
  return lines
    .map((line, index) => ({ number: index + 1, text: line }))
    .filter((line) => /^[ \t\v\f\r]*[^ \t\v\f\r#]/.test(line.text));
}

/**
 * Reads a line of an HBA or ident file piece by piece: words, words in double quotes with `""` for a
 * quote, commas, and a comment from `#` on.
 *
 * Never throws.
 *
 * @source PgBouncer `hba.c`, `next_token`
 */
export class HbaTokenizer {
  readonly #text: string;
  #offset = 0;
  #isBroken = false;
  /** A piece that was looked at, and where it ends. */
  #peeked: { readonly token: HbaToken | null; readonly end: number } | null = null;

  constructor(text: string) {
    this.#text = text;
  }

  /** Whether a quote was opened and not closed; there is nothing to read behind it. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Whether nothing is left but perhaps a comment; false when a quote is not closed. */
  get isAtEnd(): boolean {
    return this.peek() === null && !this.#isBroken;
  }

  /** Looks at the next piece without taking it; `null` at the end of the line. */
  peek(): HbaToken | null {
    if (this.#peeked === null) {
      const offset = this.#offset;
      const token = this.#read();
      this.#peeked = { token, end: this.#offset };
      this.#offset = offset;
    }
    return this.#peeked.token;
  }

  /** Takes the next piece; `null` at the end of the line. */
  next(): HbaToken | null {
    const peeked = this.#peeked;
    if (peeked === null) {
      return this.#read();
    }
    this.#offset = peeked.end;
    this.#peeked = null;
    return peeked.token;
  }

  #read(): HbaToken | null {
    this.#offset = endOf(SPACE, this.#text, this.#offset);
    const first = this.#text.charAt(this.#offset);
    if (first === '' || first === '#' || this.#isBroken) {
      return null;
    }
    if (first === ',') {
      this.#offset += 1;
      return { kind: 'comma' };
    }
    return first === '"' ? this.#quoted() : this.#bare();
  }

  /** Takes the next piece if it is a word. */
  word(): HbaWord | null {
    const token = this.peek();
    if (token?.kind !== 'word') {
      return null;
    }
    this.next();
    return token;
  }

  /** Takes the next piece if it is a comma. */
  comma(): boolean {
    const isComma = this.peek()?.kind === 'comma';
    if (isComma) {
      this.next();
    }
    return isComma;
  }

  /** Takes all the rest of the line as it is written, its comment included. */
  rest(): string {
    const rest = this.#text.slice(this.#offset);
    this.#offset = this.#text.length;
    this.#peeked = null;
    return rest;
  }

  #quoted(): HbaWord | null {
    const start = this.#offset + 1;
    let end = this.#text.indexOf('"', start);
    while (end >= 0 && this.#text.charAt(end + 1) === '"') {
      end = this.#text.indexOf('"', end + 2);
    }
    if (end < 0) {
      this.#isBroken = true;
      return null;
    }
    this.#offset = end + 1;
    return {
      kind: 'word',
      text: this.#text.slice(start, end).replaceAll('""', '"'),
      isQuoted: true,
    };
  }

  #bare(): HbaWord {
    const start = this.#offset;
    this.#offset = endOf(BARE_WORD, this.#text, start);
    return { kind: 'word', text: this.#text.slice(start, this.#offset), isQuoted: false };
  }
}

/** Where what `pattern` matches from `start` on ends. */
function endOf(pattern: RegExp, text: string, start: number): number {
  pattern.lastIndex = start;
  pattern.test(text);
  return pattern.lastIndex;
}
