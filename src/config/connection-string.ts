/** One `key=value` of a connection string; offsets count characters from its start. */
export interface ConnectionPair {
  readonly key: string;
  readonly keyOffset: number;
  readonly value: string;
  readonly valueOffset: number;
}

/** What a connection string says, up to its end or to the first thing that cannot be read. */
export interface ConnectionString {
  readonly pairs: readonly ConnectionPair[];
  /** Offset of the syntax error, or `null`. */
  readonly errorOffset: number | null;
}

function skipSpaces(text: string, start: number): number {
  let at = start;
  while (text.charAt(at) === ' ') {
    at += 1;
  }
  return at;
}

/** Returns the offset of the next of two characters, or of the end. */
function findEither(text: string, start: number, characters: string): number {
  let at = start;
  while (at < text.length && !characters.includes(text.charAt(at))) {
    at += 1;
  }
  return at;
}

interface Read {
  readonly value: string;
  readonly end: number;
}

/** Reads a value in quotes, or returns `null` when they do not close. */
function readQuoted(text: string, start: number): Read | null {
  const parts: string[] = [];
  let from = start + 1;
  for (;;) {
    const quote = text.indexOf("'", from);
    if (quote < 0) {
      return null;
    }
    parts.push(text.slice(from, quote));
    if (text.charAt(quote + 1) !== "'") {
      return { value: parts.join(''), end: quote + 1 };
    }
    parts.push("'");
    from = quote + 2;
  }
}

function readPlain(text: string, start: number): Read {
  const end = findEither(text, start, ' ');
  return { value: text.slice(start, end), end };
}

/**
 * Reads a connection string: pairs separated by spaces, with values that run to the next space or
 * stand in single quotes with `''` for one quote.
 *
 * An empty value is a syntax error. So is text that touches a closing quote: PgBouncer drops its
 * first character, which cannot be meant.
 *
 * @param text - The value of an entry of `[databases]`, `[users]` or `[peers]`.
 * @source PgBouncer manual, "Section [databases]".
 */
export function parseConnectionString(text: string): ConnectionString {
  const pairs: ConnectionPair[] = [];
  let at = skipSpaces(text, 0);
  while (at < text.length) {
    const keyOffset = at;
    const keyEnd = findEither(text, at, ' =');
    const equals = skipSpaces(text, keyEnd);
    if (keyEnd === keyOffset || text.charAt(equals) !== '=') {
      return { pairs, errorOffset: equals };
    }
    const valueOffset = skipSpaces(text, equals + 1);
    const read =
      text.charAt(valueOffset) === "'"
        ? readQuoted(text, valueOffset)
        : readPlain(text, valueOffset);
    if (read === null || read.value === '') {
      return { pairs, errorOffset: valueOffset };
    }
    if (read.end < text.length && text.charAt(read.end) !== ' ') {
      return { pairs, errorOffset: read.end };
    }
    pairs.push({ key: text.slice(keyOffset, keyEnd), keyOffset, value: read.value, valueOffset });
    at = skipSpaces(text, read.end);
  }
  return { pairs, errorOffset: null };
}
