import type { Place } from './config-error.ts';

/** One thing a line of an ini file says; comments and blank lines say nothing. */
export type IniItem =
  | { readonly kind: 'section'; readonly place: Place; readonly name: string }
  | {
      readonly kind: 'pair';
      readonly place: Place;
      readonly key: string;
      readonly value: string;
      readonly valuePlace: Place;
    }
  | { readonly kind: 'include'; readonly place: Place; readonly file: string }
  /** `why` is a clause, empty when there is nothing to add to "syntax error". */
  | { readonly kind: 'broken'; readonly place: Place; readonly why: string };

/** White space as C's isspace has it: not that of Unicode, which may be part of a value. */
const SPACES = ' \t\n\v\f\r';
const BLANKS = ' \t';
const INCLUDE = '%include';
const UNQUOTED_KEY = /[\w.*-]*/y;

function skip(text: string, start: number, characters: string): number {
  let at = start;
  while (at < text.length && characters.includes(text.charAt(at))) {
    at += 1;
  }
  return at;
}

function withoutSpaceAtEnd(text: string): string {
  let end = text.length;
  while (end > 0 && SPACES.includes(text.charAt(end - 1))) {
    end -= 1;
  }
  return text.slice(0, end);
}

/** Reads the lines of one file. */
class LineReader {
  readonly items: IniItem[] = [];
  readonly #file: string;
  #line = 0;

  constructor(file: string) {
    this.#file = file;
  }

  /** Reads one line, without its end; more than one thing may stand on it after a section. */
  readLine(text: string): void {
    this.#line += 1;
    const zero = text.indexOf('\0');
    if (zero >= 0) {
      this.#broken(zero, 'a zero byte');
      return;
    }
    let at = skip(text, 0, SPACES);
    while (text.charAt(at) === '[') {
      const end = text.indexOf(']', at);
      if (end < 0) {
        this.#broken(at, 'a section name without its ]');
        return;
      }
      const name = text.slice(at + 1, end);
      this.items.push({ kind: 'section', place: this.#place(at), name });
      at = skip(text, end + 1, SPACES);
    }
    if (at === text.length || text.charAt(at) === ';' || text.charAt(at) === '#') {
      return;
    }
    if (text.startsWith(INCLUDE, at) && skip(text, at + INCLUDE.length, BLANKS) > at + 8) {
      const file = withoutSpaceAtEnd(text.slice(skip(text, at + INCLUDE.length, BLANKS)));
      this.items.push({ kind: 'include', place: this.#place(at), file });
      return;
    }
    this.#readPair(text, at);
  }

  #readPair(text: string, start: number): void {
    const found = this.#readKey(text, start);
    if (found === null) {
      this.#broken(start, "a key in quotes without its closing '");
      return;
    }
    const equals = skip(text, found.end, BLANKS);
    if (text.charAt(equals) !== '=') {
      const isQuoted = text.charAt(start) === '"';
      this.#broken(equals, isQuoted ? 'a key is quoted with single quotes' : '= is missing');
      return;
    }
    const valueStart = skip(text, equals + 1, BLANKS);
    this.items.push({
      kind: 'pair',
      place: this.#place(start),
      key: found.key,
      value: withoutSpaceAtEnd(text.slice(valueStart)),
      valuePlace: this.#place(valueStart),
    });
  }

  #readKey(text: string, start: number): { key: string; end: number } | null {
    if (text.charAt(start) === "'") {
      const end = text.indexOf("'", start + 1);
      return end < 0 ? null : { key: text.slice(start + 1, end), end: end + 1 };
    }
    UNQUOTED_KEY.lastIndex = start;
    const key = UNQUOTED_KEY.exec(text)?.[0] ?? '';
    return { key, end: start + key.length };
  }

  #broken(offset: number, why: string): void {
    this.items.push({ kind: 'broken', place: this.#place(offset), why });
  }

  #place(offset: number): Place {
    return { line: this.#line, column: offset + 1, file: this.#file };
  }
}

/**
 * Splits the text of an ini file into what its lines say, in time linear in its length. A line that
 * cannot be read gives a `broken` item and the next one is read all the same.
 *
 * @param text - The whole file; a byte order mark is skipped.
 * @param file - The name to put into the places.
 * @source PgBouncer manual, "Generic settings" and "Include directive"; values run to the end of the
 * line, and a comment starts only where the first non-blank character is `;` or `#`.
 */
export function parseIniLines(text: string, file: string): readonly IniItem[] {
  const reader = new LineReader(file);
  let start = text.startsWith('\ufeff') ? 1 : 0;
  while (start < text.length) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    reader.readLine(text.slice(start, end));
    start = end + 1;
  }
  return reader.items;
}
