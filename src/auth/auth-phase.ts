import type { Md5Plan, PlainPlan, ScramPlan } from './login-plan.ts';
import type { CancelDerivation } from './password-derivation.ts';
import type { ScramServer } from './scram-server.ts';
import type { ScramVerifier } from './secret.ts';
import type { SystemPlan } from './system-login.ts';

/** A PasswordMessage is awaited, in clear text. */
interface PlainPhase {
  readonly phase: 'plain';
  readonly plan: PlainPlan;
}
/** A PasswordMessage is awaited, in clear text, for the system to judge. */
interface SystemPhase {
  readonly phase: 'system';
  readonly plan: SystemPlan;
}
/** A PasswordMessage is awaited, the answer to `salt`. */
export interface Md5Phase {
  readonly phase: 'md5';
  readonly plan: Md5Plan;
  readonly salt: Buffer;
}
/** A SASLInitialResponse is awaited. */
interface SaslInitialPhase {
  readonly phase: 'sasl-initial';
  readonly plan: ScramPlan;
}
/** A SASLResponse with client-first-message is awaited: the initial response was without data. */
interface SaslFirstPhase {
  readonly phase: 'sasl-first';
  readonly plan: ScramPlan;
  /** Whether the client chose channel binding. */
  readonly isBound: boolean;
}
/** A SASLResponse with client-final-message is awaited. */
export interface SaslFinalPhase {
  readonly phase: 'sasl-final';
  readonly plan: ScramPlan;
  readonly verifier: ScramVerifier;
  readonly exchange: ScramServer;
}
/** No message may come: a derivation or a check by the system is running. */
export interface PendingPhase {
  readonly phase: 'pending';
  readonly cancel: CancelDerivation;
}
interface QuietPhase {
  readonly phase: 'created' | 'closed';
}
/** What a client authenticator waits for, and what it needs then. */
export type LoginPhase =
  | PlainPhase
  | SystemPhase
  | Md5Phase
  | SaslInitialPhase
  | SaslFirstPhase
  | SaslFinalPhase
  | PendingPhase
  | QuietPhase;

/** The phases of a client authenticator. */
export type AuthPhase = LoginPhase['phase'];

/** All phases: a record, so that none can be forgotten. */
export const AUTH_PHASES: Readonly<Record<AuthPhase, true>> = {
  created: true,
  plain: true,
  system: true,
  md5: true,
  'sasl-initial': true,
  'sasl-first': true,
  'sasl-final': true,
  pending: true,
  closed: true,
};
