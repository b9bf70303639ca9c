/** A word or quoted string of a console command. */
export interface Token {
  /** The text without quotes, doubled quotes made single. Empty if the token is too long. */
  readonly text: string;
  readonly isQuoted: boolean;
  /** Whether the token, quotes included, has more bytes than it may have. */
  readonly isTooLong: boolean;
}

const DOUBLE_QUOTE = 0x22;
const SINGLE_QUOTE = 0x27;
const SEMICOLON = 0x3b;

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0d || code === 0x0a;
}

function isWordCharacter(code: number): boolean {
  return (
    (code >= 0x30 && code <= 0x39) || // 0-9
    (code >= 0x41 && code <= 0x5a) || // A-Z
    (code >= 0x61 && code <= 0x7a) || // a-z
    code === 0x5f // _
  );
}

/**
 * Reads the tokens of one console command from left to right.
 *
 * Each character is looked at a fixed number of times, whatever the text, and nothing longer than
 * a token may be is ever copied.
 *
 * @source PgBouncer manual, "Admin console"
 */
export class CommandScanner {
  readonly #text: string;
  #offset = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** Skips white space. @returns whether there was any. */
  skipSpace(): boolean {
    const start = this.#offset;
    while (isSpace(this.#text.charCodeAt(this.#offset))) {
      this.#offset += 1;
    }
    return this.#offset > start;
  }

  /** Takes the character `symbol` if it is next. @returns whether it was. */
  take(symbol: string): boolean {
    const isNext = this.#text.startsWith(symbol, this.#offset);
    if (isNext) {
      this.#offset += symbol.length;
    }
    return isNext;
  }

  /** Takes white space and at most one semicolon. @returns whether that ends the text. */
  takeEnd(): boolean {
    this.skipSpace();
    if (this.#text.charCodeAt(this.#offset) === SEMICOLON) {
      this.#offset += 1;
      this.skipSpace();
    }
    return this.#offset === this.#text.length;
  }

  /**
   * Takes a word of letters, digits and underscores, or one in double quotes.
   *
   * @param maxBytes - limit of the length, quotes included.
   * @returns `null` if there is none, with nothing taken, or if its closing quote is missing.
   */
  takeWord(maxBytes: number): Token | null {
    const start = this.#offset;
    if (this.#text.charCodeAt(start) === DOUBLE_QUOTE) {
      return this.#takeQuoted(DOUBLE_QUOTE, maxBytes);
    }
    let end = start;
    while (isWordCharacter(this.#text.charCodeAt(end))) {
      end += 1;
    }
    this.#offset = end;
    if (end === start) {
      return null;
    }
    const isTooLong = end - start > maxBytes;
    const text = isTooLong ? '' : this.#text.slice(start, end);
    return { text, isQuoted: false, isTooLong };
  }

  /** Takes a word as {@link CommandScanner.takeWord} does, or a string in single quotes. */
  takeValue(maxBytes: number): Token | null {
    return this.#text.charCodeAt(this.#offset) === SINGLE_QUOTE
      ? this.#takeQuoted(SINGLE_QUOTE, maxBytes)
      : this.takeWord(maxBytes);
  }

  #takeQuoted(quote: number, maxBytes: number): Token | null {
    const start = this.#offset;
    let end = start + 1;
    for (;;) {
      const code = this.#text.charCodeAt(end);
      if (Number.isNaN(code)) {
        return null;
      }
      end += 1;
      if (code === quote) {
        if (this.#text.charCodeAt(end) !== quote) {
          break;
        }
        end += 1;
      }
    }
    this.#offset = end;
    // A character is at least one byte, so what is too long in characters is never measured.
    const raw = end - start > maxBytes ? null : this.#text.slice(start, end);
    if (raw === null || Buffer.byteLength(raw) > maxBytes) {
      return { text: '', isQuoted: true, isTooLong: true };
    }
    const symbol = String.fromCharCode(quote);
    const text = raw.slice(1, -1).replaceAll(symbol + symbol, symbol);
    return { text, isQuoted: true, isTooLong: false };
  }
}
