import type { ColumnDescription } from '../protocol/backend-writer.ts';
import { isReservedWord } from './row-condition.ts';
import { columnOf } from './show-columns.ts';
import { MAX_SQL_LENGTH, type SqlToken, TokenReader } from './sql-lexer.ts';

const CATALOG = /\b(?:pg_catalog|information_schema|pg_type|pg_class|pg_namespace|pg_range)\b/i;
const QUERY = /^\s*(?:select|with)\s/i;

/** Columns of catalogs that hold an OID. */
const OID_COLUMNS: ReadonlySet<string> = new Set([
  ...['oid', 'typarray', 'typelem', 'typrelid', 'typbasetype', 'typnamespace', 'relnamespace'],
]);

/** Tells whether a query reads PostgreSQL's catalogs, which the console does not have. */
export function isCatalogQuery(sql: string): boolean {
  return QUERY.test(sql) && CATALOG.test(sql.slice(0, MAX_SQL_LENGTH));
}

/**
 * Reads the columns of a catalog query that names all its columns plainly, as the one by which
 * postgres.js learns of array types. An empty answer in its shape lets such a driver go on.
 *
 * @returns `null` if the shape cannot be told.
 */
export function catalogColumns(tokens: readonly SqlToken[]): readonly ColumnDescription[] | null {
  const reader = new TokenReader(tokens);
  if (!reader.takeWords('select')) {
    return null;
  }
  const columns: ColumnDescription[] = [];
  do {
    const { kind, text } = reader.next;
    let name = kind === 'word' && isReservedWord(text) ? null : reader.takeName();
    while (name !== null && reader.takeSymbol('.')) {
      name = reader.takeName();
    }
    const alias = reader.takeWords('as') ? reader.takeName() : name;
    if (name === null || alias === null) {
      return null;
    }
    columns.push(columnOf(alias, OID_COLUMNS.has(name) ? 'oid' : 'text'));
  } while (reader.takeSymbol(','));
  return reader.takeWords('from') ? columns : null;
}
