import type { LdapOptions } from '../config/ldap-options.ts';
import type { CancelCheck, SystemVerdict } from './system-login.ts';

/** A method that needs system calls that Node.js has no function for. */
export type NativeMethod = 'pam' | 'peer';

/** A password to be checked by somebody else. */
export interface PasswordRequest {
  readonly user: string;
  /** Not empty, without NUL. Owned by who gets the request. */
  readonly password: Buffer;
  /** Address of the client, empty on a unix socket. */
  readonly host: string;
}

/** Who checks a password: an LDAP server, or PAM, by the rules of a service. */
export type PasswordJudge =
  | { readonly kind: 'ldap'; readonly options: LdapOptions }
  | { readonly kind: 'pam'; readonly service: string };

/** Who is at the other end of a unix socket, or why that cannot be told, as a clause. */
export type PeerName = { readonly name: string } | { readonly problem: string };

/**
 * The methods that ask somebody outside of this process.
 *
 * @typeParam Client - What stands for a client connection.
 */
export interface ExternalMethods<Client> {
  /** Why a method cannot be used in this process, as a clause; `null` when it can. */
  unavailable(method: NativeMethod): string | null;
  /**
   * Checks a password, off the event loop. Never throws.
   *
   * @param done - Called exactly once unless canceled, and never before this method has returned.
   */
  checkPassword(
    judge: PasswordJudge,
    request: PasswordRequest,
    done: (verdict: SystemVerdict) => void,
  ): CancelCheck;
  /**
   * Finds the name of the system user at the other end of a unix socket. Never throws.
   *
   * @param done - Called exactly once, and never before this method has returned.
   */
  peerName(client: Client, done: (peer: PeerName) => void): void;
}
