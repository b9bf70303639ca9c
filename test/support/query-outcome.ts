import {
  BackendError,
  decodeErrorFields,
  decodeRowDescription,
  decodeTextRow,
} from './backend-messages.ts';
import type { FieldDescription, WireMessage } from './backend-messages.ts';

/** Result of one statement of a query. */
export interface StatementResult {
  readonly fields: readonly FieldDescription[];
  readonly rows: readonly (readonly (string | null)[])[];
  /** The command tag; `null` for an empty query. */
  readonly tag: string | null;
}

/** Everything up to ReadyForQuery. */
export interface QueryOutcome {
  readonly results: readonly StatementResult[];
  readonly errors: readonly BackendError[];
  /** Message types in order of arrival, for example `TDCZ`. */
  readonly types: string;
  /** Transaction status of ReadyForQuery: `I`, `T` or `E`. */
  readonly status: string;
}

/** A row by column name, values in text format. */
export type TextRow = Record<string, string | null>;

/** Sorts the messages of one or more statements; the last one is ReadyForQuery. */
export function sortOutcome(messages: readonly WireMessage[]): QueryOutcome {
  const results: StatementResult[] = [];
  const errors: BackendError[] = [];
  let fields: FieldDescription[] = [];
  let rows: (string | null)[][] = [];
  let status = '';
  for (const { type, body } of messages) {
    if (type === 'T') {
      fields = decodeRowDescription(body);
    } else if (type === 'D') {
      rows.push(decodeTextRow(body));
    } else if (type === 'C' || type === 'I') {
      results.push({
        fields,
        rows,
        tag: type === 'C' ? body.toString('utf8', 0, body.length - 1) : null,
      });
      fields = [];
      rows = [];
    } else if (type === 'E') {
      errors.push(new BackendError(decodeErrorFields(body)));
    } else if (type === 'Z') {
      status = body.toString('latin1');
    }
  }
  return { results, errors, types: messages.map(({ type }) => type).join(''), status };
}

/** Turns a result into rows by column name. */
export function rowsByName(result: StatementResult | undefined): TextRow[] {
  const names = result?.fields.map(({ name }) => name) ?? [];
  return (result?.rows ?? []).map((row) =>
    Object.fromEntries(names.map((name, index) => [name, row[index] ?? null])),
  );
}

/** @throws BackendError with the first ErrorResponse among the messages, if any. */
export function throwFirstError(messages: readonly WireMessage[]): void {
  const error = messages.find(({ type }) => type === 'E');
  if (error !== undefined) {
    throw new BackendError(decodeErrorFields(error.body));
  }
}
