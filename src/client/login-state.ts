import { AUTH_PHASES, type AuthPhase } from '../auth/auth-phase.ts';

/** Where a login stands: in the startup phase, in the phase of its proof, or at its end. */
export type LoginState =
  | 'fresh'
  | 'asked for SSL'
  | 'asked for GSS'
  | 'asked for both'
  | 'waiting for its turn'
  | 'being looked up'
  | 'over'
  | `proof: ${Exclude<AuthPhase, QuietPhase>}`;

/** Phases of the proof that a login is never seen in: it begins at once and ends with the login. */
type QuietPhase = 'created' | 'closed';

/** Where a login stands by the phase of its proof. */
export function stateOfProof(phase: AuthPhase): LoginState {
  return phase === 'created' || phase === 'closed' ? 'over' : `proof: ${phase}`;
}

/** All states, for the test of every message in every state. */
export const LOGIN_STATES: ReadonlySet<LoginState> = new Set([
  'fresh',
  'asked for SSL',
  'asked for GSS',
  'asked for both',
  'waiting for its turn',
  'being looked up',
  ...(Object.keys(AUTH_PHASES) as AuthPhase[]).map(stateOfProof),
]);
