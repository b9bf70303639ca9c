import type { PoolerError } from '../protocol/pooler-errors.ts';
import type { Secret } from './secret.ts';

/** Where the secrets of users are asked for, and as whom. */
export interface AuthQuerySource {
  /** Name of the database entry in which the query runs. */
  readonly database: string;
  /** The setting `auth_user`. */
  readonly user: string;
  /** The setting `auth_query`. */
  readonly query: string;
}

/** A user that `auth_query` has found. */
export interface FoundUser {
  readonly kind: 'found';
  /** As the query spells it, which is who the client becomes; 1 to 127 bytes. */
  readonly name: string;
  /** {@link Secret} `none` for NULL, which no method but `trust` takes. */
  readonly secret: Secret;
}

/** `auth_query` knows no such user. */
export interface UnknownUser {
  readonly kind: 'unknown';
}

/** The query could not be answered. */
export interface LookupFailure {
  readonly kind: 'failed';
  /** For the client. */
  readonly error: PoolerError;
  /** The true reason, for the log. */
  readonly reason: string;
}

/** What became of a question. */
export type LookupAnswer = FoundUser | UnknownUser | LookupFailure;

/** Forgets a question: its callback will not be called. Harmless afterwards. */
export type CancelLookup = () => void;

/**
 * Says that nobody waits for a question any more.
 *
 * @returns whether it was given up, and its callback will not be called. One that has been sent goes on:
 *   its answer is worth keeping.
 */
export type AbandonQuestion = () => boolean;

/**
 * Runs `auth_query` for one user.
 *
 * @param done - Called exactly once unless the question is given up; may be called before this returns.
 */
export type RunAuthQuery = (
  source: AuthQuerySource,
  user: string,
  done: (answer: LookupAnswer) => void,
) => AbandonQuestion;
