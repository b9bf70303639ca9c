import { MAX_QUOTED_LENGTH } from './console-errors.ts';
import type { ConsoleSqlState } from './console-sqlstate.ts';
import type { CommandError } from './control.ts';

/** Room for the longest quoted part and the words around it. */
const MAX_MESSAGE_LENGTH = 2 * MAX_QUOTED_LENGTH;

/** Why a query cannot be read. Leaves the recursive parser at once; never leaves this folder. */
export class SqlProblem extends Error {
  override readonly name = 'SqlProblem';
  readonly sqlstate: ConsoleSqlState;

  constructor(sqlstate: ConsoleSqlState, message: string) {
    super(message);
    this.sqlstate = sqlstate;
  }

  /** The error that answers the query. */
  toCommandError(): CommandError {
    // Never through the middle of a character.
    const message = this.message.slice(0, MAX_MESSAGE_LENGTH).replace(/[\ud800-\udbff]$/, '');
    return { kind: 'error', sqlstate: this.sqlstate, message };
  }
}
