import { TransactionStatus } from '../protocol/codes.ts';
import {
  inFailedTransaction,
  noSuchSavepoint,
  tooMany,
  transactionBlockNeeded,
} from './console-errors.ts';
import { ConsoleSqlState } from './console-sqlstate.ts';
import type { CommandError } from './control.ts';

/** Most savepoints of one transaction block. */
const MAX_SAVEPOINTS = 100;

/** A command of transaction control. */
export type TransactionCommand =
  | { readonly kind: 'begin'; readonly tag: 'BEGIN' | 'START TRANSACTION' }
  | { readonly kind: 'commit' | 'rollback'; readonly isChained: boolean }
  | { readonly kind: 'savepoint' | 'release' | 'rollback_to'; readonly name: string };

/** A warning that goes before the tag. */
export interface Warning {
  readonly sqlstate: ConsoleSqlState;
  readonly message: string;
}

/** What transaction control answers. */
export type TransactionOutcome =
  { readonly kind: 'done'; readonly tag: string; readonly warning: Warning | null } | CommandError;

const TAGS = { savepoint: 'SAVEPOINT', release: 'RELEASE', rollback_to: 'ROLLBACK' } as const;
const SUBJECTS = {
  savepoint: 'SAVEPOINT',
  release: 'RELEASE SAVEPOINT',
  rollback_to: 'ROLLBACK TO SAVEPOINT',
} as const;

function done(tag: string, warning: Warning | null = null): TransactionOutcome {
  return { kind: 'done', tag, warning };
}

/**
 * The transaction block that a driver believes to be in.
 *
 * Commands of the console take effect at once and ROLLBACK undoes none: only the status is kept,
 * as drivers check it.
 */
export class TransactionBlock {
  #status: number = TransactionStatus.Idle;
  readonly #savepoints: string[] = [];

  /** The status for ReadyForQuery, one of `TransactionStatus`. */
  get status(): number {
    return this.#status;
  }

  get isFailed(): boolean {
    return this.#status === TransactionStatus.Failed;
  }

  get isOpen(): boolean {
    return this.#status !== TransactionStatus.Idle;
  }

  /** Notes an error: fails the block if there is one. */
  onError(): void {
    if (this.isOpen) {
      this.#status = TransactionStatus.Failed;
    }
  }

  /** Tells whether a failed block lets a command pass. */
  isAllowed(command: { readonly kind: string }): boolean {
    return !this.isFailed || ['commit', 'rollback', 'rollback_to'].includes(command.kind);
  }

  /** Carries out a command. The caller notes an error by {@link onError}. */
  run(command: TransactionCommand): TransactionOutcome {
    if (!this.isAllowed(command)) {
      return inFailedTransaction();
    }
    switch (command.kind) {
      case 'begin':
        return this.#begin(command.tag);
      case 'commit':
      case 'rollback':
        return this.#end(command.kind, command.isChained);
      default:
        return this.#useSavepoint(command.kind, command.name);
    }
  }

  #begin(tag: string): TransactionOutcome {
    const wasOpen = this.isOpen;
    this.#status = TransactionStatus.InTransaction;
    const message = 'there is already a transaction in progress';
    return done(tag, wasOpen ? { sqlstate: ConsoleSqlState.ActiveTransaction, message } : null);
  }

  #end(kind: 'commit' | 'rollback', isChained: boolean): TransactionOutcome {
    const { isOpen, isFailed } = this;
    if (!isOpen && isChained) {
      return transactionBlockNeeded(`${kind.toUpperCase()} AND CHAIN`);
    }
    this.#status = isChained ? TransactionStatus.InTransaction : TransactionStatus.Idle;
    this.#savepoints.length = 0;
    const message = 'there is no transaction in progress';
    const warning = { sqlstate: ConsoleSqlState.NoActiveTransaction, message };
    return done(kind === 'commit' && !isFailed ? 'COMMIT' : 'ROLLBACK', isOpen ? null : warning);
  }

  #useSavepoint(kind: keyof typeof TAGS, name: string): TransactionOutcome {
    if (!this.isOpen) {
      return transactionBlockNeeded(SUBJECTS[kind]);
    }
    if (kind === 'savepoint') {
      if (this.#savepoints.length === MAX_SAVEPOINTS) {
        return tooMany('savepoints');
      }
      this.#savepoints.push(name);
      return done(TAGS[kind]);
    }
    const index = this.#savepoints.lastIndexOf(name);
    if (index === -1) {
      return noSuchSavepoint(name);
    }
    this.#savepoints.length = kind === 'release' ? index : index + 1;
    this.#status = TransactionStatus.InTransaction;
    return done(TAGS[kind]);
  }
}
