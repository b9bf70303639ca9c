import type { SqlState } from '../protocol/sqlstate.ts';
import type { ScramKeys } from './scram-crypto.ts';

/** An authentication request to send to the client. */
export type AuthenticationRequest =
  | { readonly type: 'cleartext' }
  | { readonly type: 'md5'; readonly salt: Buffer }
  | { readonly type: 'sasl'; readonly mechanisms: readonly string[] }
  | { readonly type: 'sasl-continue'; readonly data: string };

/** What the connection is to do next. */
export type AuthStep =
  | { readonly kind: 'send'; readonly authentication: AuthenticationRequest }
  /** Nothing yet: another step comes through `onResume`. */
  | { readonly kind: 'pending' }
  | AuthSuccess
  | AuthFailure;

/** The client is who it says. */
export interface AuthSuccess {
  readonly kind: 'ok';
  /** Data of AuthenticationSASLFinal to send before AuthenticationOk; `null` for none. */
  readonly saslFinal: string | null;
  /** Keys of the stored SCRAM verifier that the client has just proved; `null` for none. */
  readonly scramKeys: ScramKeys | null;
}

/** The login has failed and the connection is to be closed. */
export interface AuthFailure {
  readonly kind: 'failed';
  /** The true reason, for the log only: it tells unknown users from wrong passwords. */
  readonly reason: string;
  /** The text for the client. */
  readonly message: string;
  readonly sqlstate: SqlState;
}
