import type { PoolerError } from '../protocol/pooler-errors.ts';
import type { SqlState } from '../protocol/sqlstate.ts';
import type { LazyVerifier } from './lazy-verifier.ts';
import type { Md5Secret, PlainSecret, ScramVerifier } from './secret.ts';
import type { SystemPlan } from './system-login.ts';

/** The values of `auth_type`, and methods of HBA rules, that need nothing but the users file. */
export type LoginMethod = 'any' | 'trust' | 'plain' | 'md5' | 'scram-sha-256';

/** No password is asked. */
export interface TrustPlan {
  readonly method: 'trust';
  /** An unknown user is refused. */
  readonly isKnown: boolean;
}

interface PasswordPlan {
  /** Whose secret it is. */
  readonly user: string;
  /**
   * Set when the login fails whatever the client proves: the true reason, for the log. Until then
   * the exchange runs as for any user, against a mock secret.
   */
  readonly refusal: string | null;
  /** Set where the secret may be out of date: how to get a newer plan once the proof is wrong. */
  readonly recheck?: Recheck | undefined;
}

/**
 * Asks for the secret once more.
 *
 * @param done - Gets the newer plan, or null for none; called at most once, and never before this
 *   has returned.
 * @returns how to give up waiting; null when there is nothing newer to be had.
 */
export type Recheck = (done: (plan: LoginPlan | null) => void) => (() => void) | null;

/** The client sends its password in clear text. */
export interface PlainPlan extends PasswordPlan {
  readonly method: 'plain';
  readonly secret: PlainSecret | Md5Secret | ScramVerifier;
}

/** The client answers an md5 challenge. */
export interface Md5Plan extends PasswordPlan {
  readonly method: 'md5';
  /** `md5` and 32 lower-case hexadecimal digits. */
  readonly digest: string;
}

/** The client proves its password by SCRAM-SHA-256. */
export interface ScramPlan extends PasswordPlan {
  readonly method: 'scram';
  readonly source: ScramVerifierSource;
}

/** Where the verifier comes from: storage, or derivation from a stored plain password. */
export type ScramVerifierSource =
  | { readonly kind: 'stored'; readonly verifier: ScramVerifier }
  | { readonly kind: 'derived'; readonly lazy: LazyVerifier };

/** A login that is checked by what the users file has. */
export type StoredPlan = TrustPlan | PlainPlan | Md5Plan | ScramPlan;

/** Nothing that the client may say can help. */
export interface RejectPlan {
  readonly method: 'reject';
  /** The true reason, for the log. */
  readonly reason: string;
  readonly failedText: string;
  readonly failedSqlstate: SqlState;
}

/** How one login attempt is to be checked. */
export type LoginPlan = StoredPlan | SystemPlan | RejectPlan;

/** The refusal of a user that does not exist. */
export const UNKNOWN_USER = 'no such user';

/** Tells whether a login fails because there is no such user; the client must not learn it. */
export function isUnknownUser(plan: LoginPlan): boolean {
  if (plan.method === 'trust') {
    return !plan.isKnown;
  }
  return 'refusal' in plan && plan.refusal === UNKNOWN_USER;
}

/** Why a login cannot be checked at all. */
export interface PlanFailure {
  /** For the client. */
  readonly error: PoolerError;
  /** The true reason, for the log. */
  readonly reason: string;
}

/** The secret of the user is being asked for. */
export interface PendingPlan {
  readonly method: 'pending';
  /**
   * Waits for the plan.
   *
   * @param done - Called exactly once unless canceled, and never before this has returned.
   * @returns how to give up waiting.
   */
  readonly wait: (done: (outcome: LoginPlan | PlanFailure) => void) => () => void;
}
