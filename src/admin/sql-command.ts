import { catalogColumns, isCatalogQuery } from './catalog-query.ts';
import { catalogsNotSupported, undefinedParameter } from './console-errors.ts';
import type { CommandError } from './control.ts';
import { type ChatterCommand, parseChatter } from './driver-chatter.ts';
import { type ParsedRowQuery, parseRowQuery } from './row-query.ts';
import { type SqlToken, tokenizeSql, TokenReader } from './sql-lexer.ts';

/** Most statements of one query. */
const MAX_STATEMENTS = 20;

/** A query beyond PgBouncer's grammar. */
export type SqlCommand =
  | ChatterCommand
  | Exclude<ParsedRowQuery, CommandError>
  | {
      readonly kind: 'sequence';
      /** Two or more; none of them acts on the pooler. */
      readonly commands: readonly ChatterCommand[];
    };

/** Cuts tokens at semicolons; what is empty at the end is left out. */
function splitStatements(tokens: readonly SqlToken[]): readonly (readonly SqlToken[])[] {
  const statements: SqlToken[][] = [[]];
  for (const token of tokens) {
    if (token.kind === 'symbol' && token.text === ';') {
      statements.push([]);
    } else if (token.kind !== 'end') {
      statements.at(-1)?.push(token);
    }
  }
  if (statements.at(-1)?.length === 0) {
    statements.pop();
  }
  return statements;
}

function parseStatement(tokens: readonly SqlToken[], end: SqlToken): ChatterCommand | null {
  return parseChatter(new TokenReader([...tokens, end]));
}

/** Reads several statements: all or none, so that nothing is ever carried out in part. */
function parseSequence(
  statements: readonly (readonly SqlToken[])[],
  end: SqlToken,
): SqlCommand | null {
  if (statements.length > MAX_STATEMENTS) {
    return null;
  }
  const commands = statements.flatMap((statement) => parseStatement(statement, end) ?? []);
  return commands.length === statements.length ? { kind: 'sequence', commands } : null;
}

function parseTokens(tokens: readonly SqlToken[]): SqlCommand | CommandError | null {
  const end = tokens.at(-1);
  const statements = splitStatements(tokens);
  const [first] = statements;
  if (end === undefined || first === undefined) {
    return null;
  }
  if (statements.length > 1) {
    return parseSequence(statements, end);
  }
  return parseStatement(first, end) ?? parseRowQuery([...first, end]);
}

function parseCatalogQuery(tokens: readonly SqlToken[] | null): SqlCommand | CommandError {
  const columns = tokens === null ? null : catalogColumns(tokens);
  return columns === null ? catalogsNotSupported() : { kind: 'no_rows', columns };
}

/**
 * Reads a query that PgBouncer's grammar does not know: a choice among the rows of a table, or
 * something that a driver says of its own accord.
 *
 * Takes time linear in the length of the query, but for conditions, which are small. Never throws.
 *
 * @returns `null` if it is neither.
 */
export function parseSqlCommand(sql: string): SqlCommand | CommandError | null {
  const tokens = tokenizeSql(sql);
  const parsed = tokens === null ? null : parseTokens(tokens);
  if (parsed !== null) {
    return parsed;
  }
  const parameter = tokens?.find(({ kind }) => kind === 'parameter');
  if (parameter !== undefined) {
    return undefinedParameter(parameter.text);
  }
  return isCatalogQuery(sql) ? parseCatalogQuery(tokens) : null;
}
