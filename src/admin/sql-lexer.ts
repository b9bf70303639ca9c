/** A token of the console's SQL. */
export interface SqlToken {
  /** `word` is an unquoted name or keyword, `name` a quoted one; `end` comes last. */
  readonly kind: 'word' | 'name' | 'string' | 'number' | 'symbol' | 'parameter' | 'end';
  /** Words in lower case; names and strings without quotes, doubled quotes made single. */
  readonly text: string;
  /** Where it begins, in UTF-16 units. */
  readonly offset: number;
}

/** Longest query that is read as SQL, in UTF-16 units: introspection queries of drivers fit. */
export const MAX_SQL_LENGTH = 16_384;

const SPACE = /[ \t\r\n\f]*/y;
const WORD = /[A-Za-z_][A-Za-z0-9_]*/y;
const NUMBER = /(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?![A-Za-z0-9_.])/y;
const PARAMETER = /\$[0-9]+/y;
const STRING = /'(?:[^']|'')*'(?!')/y;
const NAME = /"(?:[^"]|"")+"(?!")/y;
const SYMBOL = /<>|!=|<=|>=|::|[=<>(),.;*+\-[\]]/y;

interface Pattern {
  readonly kind: SqlToken['kind'];
  readonly expression: RegExp;
  readonly read: (text: string) => string;
}

function same(text: string): string {
  return text;
}

/** Lower-cases A to Z alone, as the names of the console are ASCII. */
function lower(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** In the order in which they are tried; none begins as another does. */
const PATTERNS: readonly Pattern[] = [
  { kind: 'word', expression: WORD, read: lower },
  { kind: 'number', expression: NUMBER, read: same },
  { kind: 'string', expression: STRING, read: (text) => text.slice(1, -1).replaceAll("''", "'") },
  { kind: 'name', expression: NAME, read: (text) => text.slice(1, -1).replaceAll('""', '"') },
  { kind: 'parameter', expression: PARAMETER, read: same },
  { kind: 'symbol', expression: SYMBOL, read: same },
];

function matchAt(expression: RegExp, text: string, offset: number): string | null {
  expression.lastIndex = offset;
  return expression.exec(text)?.[0] ?? null;
}

function tokenAt(sql: string, offset: number): { token: SqlToken; end: number } | null {
  for (const { kind, expression, read } of PATTERNS) {
    const text = matchAt(expression, sql, offset);
    if (text !== null) {
      return { token: { kind, text: read(text), offset }, end: offset + text.length };
    }
  }
  return null;
}

/**
 * Cuts a query into tokens, in time linear in its length.
 *
 * @returns the tokens up to the end, or `null` where something is no token or the query is longer
 * than {@link MAX_SQL_LENGTH}. There are no comments and no escape strings.
 */
export function tokenizeSql(sql: string): readonly SqlToken[] | null {
  if (sql.length > MAX_SQL_LENGTH) {
    return null;
  }
  const tokens: SqlToken[] = [];
  let offset = 0;
  for (;;) {
    offset += matchAt(SPACE, sql, offset)?.length ?? 0;
    if (offset === sql.length) {
      tokens.push({ kind: 'end', text: '', offset });
      return tokens;
    }
    const found = tokenAt(sql, offset);
    if (found === null) {
      return null;
    }
    tokens.push(found.token);
    offset = found.end;
  }
}

/** Reads tokens from left to right. */
export class TokenReader {
  readonly #tokens: readonly SqlToken[];
  #index = 0;

  /** @param tokens - as {@link tokenizeSql} returns them: `end` comes last. */
  constructor(tokens: readonly SqlToken[]) {
    this.#tokens = tokens;
  }

  /** The next token, left where it is. */
  get next(): SqlToken {
    return this.#tokens[this.#index] ?? { kind: 'end', text: '', offset: 0 };
  }

  get isAtEnd(): boolean {
    return this.next.kind === 'end';
  }

  /** Takes the next token. At the end, the end stays. */
  take(): SqlToken {
    const token = this.next;
    this.#index += 1;
    return token;
  }

  /** Takes the next token if it is of `kind`. */
  takeKind(kind: SqlToken['kind']): SqlToken | null {
    return this.next.kind === kind ? this.take() : null;
  }

  /** Takes these words if they are next, all or none. @returns whether they were. */
  takeWords(...words: readonly string[]): boolean {
    const areNext = words.every((word, index) => {
      const token = this.#tokens[this.#index + index];
      return token?.kind === 'word' && token.text === word;
    });
    if (areNext) {
      this.#index += words.length;
    }
    return areNext;
  }

  /** Takes one of these words if it is next. */
  takeOneOf(...words: readonly string[]): string | null {
    return this.next.kind === 'word' && words.includes(this.next.text) ? this.take().text : null;
  }

  /** Takes a symbol if it is next. @returns whether it was. */
  takeSymbol(symbol: string): boolean {
    const isNext = this.next.kind === 'symbol' && this.next.text === symbol;
    if (isNext) {
      this.#index += 1;
    }
    return isNext;
  }

  /** Takes a name, quoted or not. */
  takeName(): string | null {
    const { kind } = this.next;
    return kind === 'word' || kind === 'name' ? this.take().text : null;
  }

  /** Tells whether a symbol is `distance` tokens ahead, 0 for the next one. */
  isSymbolAhead(distance: number, symbol: string): boolean {
    const token = this.#tokens[this.#index + distance];
    return token?.kind === 'symbol' && token.text === symbol;
  }
}
