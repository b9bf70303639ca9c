import type { SqlState } from '../protocol/sqlstate.ts';

/**
 * SQLSTATEs that only the console sends: what a server would answer to the same mistake.
 *
 * @source PostgreSQL manual, "PostgreSQL Error Codes"
 */
export const ConsoleSqlState = {
  InvalidTextRepresentation: '22P02',
  ActiveTransaction: '25001',
  NoActiveTransaction: '25P01',
  InFailedTransaction: '25P02',
  InvalidStatementName: '26000',
  InvalidCursorName: '34000',
  InvalidSavepoint: '3B001',
  UndefinedColumn: '42703',
  UndefinedTable: '42P01',
  UndefinedParameter: '42P02',
  DuplicateCursor: '42P03',
  DuplicateStatement: '42P05',
  StatementTooComplex: '54001',
} as const;
/** Any SQLSTATE that an answer of the console can carry. */
export type ConsoleSqlState = SqlState | (typeof ConsoleSqlState)[keyof typeof ConsoleSqlState];
