import type { AuthSuccess } from '../auth/auth-step.ts';
import type { LoginPlan, PendingPlan } from '../auth/login-plan.ts';
import type { LinkedList } from '../base/linked-list.ts';
import type { Settings } from '../config/config.ts';
import type { Logger } from '../log/logger.ts';
import type { ClientTls } from '../net/tls-upgrade.ts';
import type { Database, User } from '../pool/database.ts';
import type { PoolerError } from '../protocol/pooler-errors.ts';
import type { ClientEnd, RelayPool } from '../relay/ends.ts';
import type { LinkHost } from '../relay/link-host.ts';
import type { ClientConnection } from './client-connection.ts';
import type { LoginGuardPort } from './login-guard-port.ts';
import type { LoginTools } from './client-login.ts';
import type { StartupParameters } from './startup-parameters.ts';

/** The console as seen by the connection that carries it. */
export interface ConsoleDialogue {
  /**
   * Any message but Terminate.
   *
   * @param code - its type byte.
   * @param body - what follows its length; borrowed.
   * @returns false when the connection must be closed.
   */
  onMessage(code: number, body: Buffer): boolean;
  /** Whether a long answer is being made, so that messages behind it had better wait. */
  readonly isBusy: boolean;
  /** A cancel request for this console. */
  onCancel(): void;
  /** The connection is gone. */
  onClosed(): void;
}

/** What was decided about a client when its startup message came. */
export interface Admission {
  readonly plan: LoginPlan | PendingPlan;
  readonly user: User;
  /** Null for the console, and for a database that does not exist: that is told after the proof. */
  readonly database: Database | null;
  /** The role on the console; null for any other database. */
  readonly consoleRole: 'admin' | 'stats' | null;
}

/** Why a client is not let in. */
export interface Refusal {
  /** For the client. */
  readonly error: PoolerError;
  /** The true reason, for the log; the text of the error by default. */
  readonly reason?: string;
}

/** Who a client is, set once at its startup message. */
export interface Identity extends Omit<Admission, 'plan'> {
  /** As the client gave it. */
  readonly databaseName: string;
  /** Protocol version spoken, as in a startup packet. */
  readonly version: number;
}

/** A cancel key handed to a client. */
export interface IssuedKey {
  readonly processId: number;
  readonly secret: Buffer;
}

/** How far the cancel request that a connection has sent has come. Kept by who deals with it. */
export interface CancelProgress {
  /** As SHOW CLIENTS has it: before and after the request has been passed on. */
  state: 'waiting_cancel_req' | 'active_cancel_req';
  /** The peer that it is passed on to; null for a client of our own. */
  peerId: number | null;
  /** The pool of the client that it is meant for; null while unknown, and for peers. */
  pool: RelayPool | null;
  /** `id` of the connection that carries it; null while there is none. */
  carrierId: number | null;
}

/** What becomes of a cancel request before anything is known of it. */
export function newCancelProgress(): CancelProgress {
  return { state: 'waiting_cancel_req', peerId: null, pool: null, carrierId: null };
}

/** What client connections need from around them. */
export interface ClientHost extends LoginTools {
  readonly logger: Logger;
  readonly settings: Settings;
  readonly link: LinkHost;
  /** Bounds what clients may cost and try before they have logged in. */
  readonly guard: LoginGuardPort;
  /** Clients that have not authenticated yet. */
  readonly logins: LinkedList<ClientEnd>;
  /** How TLS is spoken with clients; null when they are offered none. */
  readonly clientTls: ClientTls | null;
  nowMs(): number;
  wallMs(): number;
  isConsole(database: string): boolean;
  /** Checks limits and finds out how the user must prove itself. Counts the client if admitted. */
  admit(client: ClientConnection, startup: StartupParameters): Admission | Refusal;
  /** The client has proved itself: keys it has shown may serve to log in to the server. */
  onAuthenticated(client: ClientConnection, success: AuthSuccess): void;
  /** Finds the pool for an authenticated client, or why it may not enter. */
  enter(client: ClientConnection): RelayPool | { error: PoolerError };
  /** Opens a console for an authenticated client. */
  openConsole(client: ClientConnection, role: 'admin' | 'stats'): ConsoleDialogue;
  /** The parameters that the console reports. */
  consoleParameters(client: ClientConnection): readonly (readonly [string, string])[];
  issueKey(client: ClientConnection): IssuedKey;
  /** A cancel request has come; `requester` waits for it to be dealt with. */
  cancel(requester: ClientConnection, processId: number, secret: Buffer): void;
  /** The connection is over: counts and keys are given back. The socket may linger. Called once. */
  onClosed(client: ClientConnection): void;
  /** The socket is gone as well. Called once. */
  onGone(client: ClientConnection): void;
}
