import type { ColumnDescription } from '../protocol/backend-writer.ts';
import type { ConsoleCommand } from './command-parser.ts';
import { type Answer, columnsOf } from './console-answers.ts';
import {
  noSuchPortal,
  noSuchStatement,
  portalExists,
  protocolViolation,
  statementExists,
  tooMany,
} from './console-errors.ts';
import type { CommandError } from './control.ts';
import { type ColumnFormats, spreadFormats } from './format-codes.ts';
import type { Row } from './row-condition.ts';

/** Most named statements of one session. */
export const MAX_STATEMENTS = 100;
/** Most named portals of one session. */
export const MAX_PORTALS = 100;

/** A command that can be prepared: one, and understood. */
export type PreparedCommand = Exclude<ConsoleCommand, { readonly kind: 'sequence' }>;

/** A prepared statement. */
export interface Statement {
  readonly command: PreparedCommand;
  readonly columns: readonly ColumnDescription[] | null;
}

/** A statement that has been bound. */
export interface Portal extends Statement {
  readonly name: string;
  readonly formats: ColumnFormats;
  /** Set by the first Execute; `null` before it, and for commands that act. */
  answer: Answer | null;
  /** All rows, made by the first Execute; `null` before it. */
  rows: readonly Row[] | null;
  /** Rows sent so far, count. */
  sentCount: number;
  hasRun: boolean;
}

/** What Bind asks for. */
export interface BindRequest {
  readonly portal: string;
  readonly statement: string;
  readonly valueCount: number;
  readonly formats: readonly number[];
}

/**
 * The prepared statements and portals of one session. The empty name is the unnamed one: it may be
 * overwritten, and is gone with the next simple query.
 *
 * @source PostgreSQL manual, "Extended Query"
 */
export class StatementStore {
  readonly #statements = new Map<string, Statement>();
  readonly #portals = new Map<string, Portal>();

  /** Keeps a statement. @returns what is wrong with that, or null. */
  prepare(name: string, command: PreparedCommand): CommandError | null {
    const isNamed = name !== '';
    if (isNamed && this.#statements.has(name)) {
      return statementExists(name);
    }
    if (isNamed && namedCount(this.#statements) >= MAX_STATEMENTS) {
      return tooMany('prepared statements');
    }
    this.#statements.set(name, { command, columns: columnsOf(command) });
    return null;
  }

  /** Finds a statement. */
  statement(name: string): Statement | CommandError {
    return this.#statements.get(name) ?? noSuchStatement(name);
  }

  /** Makes a portal. */
  bind(request: BindRequest): Portal | CommandError {
    const { portal: name, statement: statementName, valueCount, formats } = request;
    const statement = this.#statements.get(statementName);
    if (statement === undefined) {
      return noSuchStatement(statementName);
    }
    if (valueCount > 0) {
      const supplied = `bind message supplies ${String(valueCount)} parameters`;
      return protocolViolation(`${supplied}, but prepared statement "${statementName}" requires 0`);
    }
    const isNamed = name !== '';
    if (isNamed && this.#portals.has(name)) {
      return portalExists(name);
    }
    if (isNamed && namedCount(this.#portals) >= MAX_PORTALS) {
      return tooMany('portals');
    }
    const width = statement.columns?.length ?? 0;
    const spread = statement.columns === null ? [] : spreadFormats(formats, width);
    if (spread === null) {
      const asked = `bind message has ${String(formats.length)} result formats`;
      return protocolViolation(`${asked} but query has ${String(width)} columns`);
    }
    const portal = { ...statement, name, formats: spread };
    const bound: Portal = { ...portal, answer: null, rows: null, sentCount: 0, hasRun: false };
    this.#portals.set(name, bound);
    return bound;
  }

  /** Finds a portal. */
  portal(name: string): Portal | CommandError {
    return this.#portals.get(name) ?? noSuchPortal(name);
  }

  /** Rows that portals keep for a later Execute, count. */
  get keptRows(): number {
    let count = 0;
    for (const { rows, sentCount } of this.#portals.values()) {
      count += rows === null ? 0 : rows.length - sentCount;
    }
    return count;
  }

  /** Forgets a statement, or all for `null`. @returns whether there was one. */
  closeStatement(name: string | null): boolean {
    if (name !== null) {
      return this.#statements.delete(name);
    }
    this.#statements.clear();
    return true;
  }

  /** Forgets a portal; one that does not exist is no error. */
  closePortal(name: string): void {
    this.#portals.delete(name);
  }

  /** Forgets all portals: a transaction has ended. */
  closePortals(): void {
    this.#portals.clear();
  }

  /** Forgets what has no name: a simple query has come. */
  closeUnnamed(): void {
    this.#statements.delete('');
    this.#portals.delete('');
  }
}

function namedCount(entries: ReadonlyMap<string, unknown>): number {
  return entries.size - Number(entries.has(''));
}
