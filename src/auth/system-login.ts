import type { SqlState } from '../protocol/sqlstate.ts';

/** What the system says of a login. */
export type SystemVerdict =
  | { readonly kind: 'accepted' }
  /** `reason` is the true one, for the log only. */
  | { readonly kind: 'refused' | 'overloaded'; readonly reason: string };

/** Forgets a check: its callback will not be called. Harmless afterwards. */
export type CancelCheck = () => void;

/**
 * Asks the system.
 *
 * @param password - as the client sent it; borrowed, empty when none was asked for.
 * @param done - called once unless canceled, never before the function returns.
 */
export type SystemCheck = (password: Buffer, done: (verdict: SystemVerdict) => void) => CancelCheck;

/** The system that maitred runs on decides, not the users file. */
export interface SystemPlan {
  readonly method: 'system';
  /** Whether the client is to send its password, in clear text. */
  readonly needsPassword: boolean;
  /** What a client is told that is refused. */
  readonly failedText: string;
  readonly failedSqlstate: SqlState;
  readonly check: SystemCheck;
}
