import type { PoolerError } from '../protocol/pooler-errors.ts';

/** A connection that has not logged in, as its guard sees it. */
export interface GuardedClient {
  /** Name of the unix socket it came by; null for TCP. */
  readonly unixPath: string | null;
  /** Where the client is; `unix` on a unix socket. */
  readonly remote: { readonly address: string; readonly port: number };
  /** Who it says it is; null until its startup message has been accepted. */
  readonly identity: { readonly user: { readonly name: string } } | null;
  /** Its turn has come, after {@link LoginGuardPort.gate} said `hold`. */
  proceedLogin(): void;
  /** Ends the login on account of what others do. */
  refuseLogin(error: PoolerError): void;
}

/** What becomes of a login whose startup message has come. */
export type GateVerdict =
  | 'go'
  /** It waits; {@link GuardedClient.proceedLogin} follows. */
  | 'hold'
  /** `reason` is the true one, for the log only. */
  | { readonly error: PoolerError; readonly reason: string };

/** What connections that have not logged in tell, and ask, the one who bounds them all. */
export interface LoginGuardPort {
  /** A connection was accepted. @returns whether it must, or must not, begin with a PROXY header. */
  onAccepted(client: GuardedClient): 'required' | 'forbidden' | 'unused';
  /** The address of the client has come in a PROXY header. */
  onAddressKnown(client: GuardedClient): void;
  /** Its startup message has come. @param user - as the client gave it, perhaps empty. */
  gate(client: GuardedClient, user: string): GateVerdict;
  /** Bytes kept of a login that is not complete. */
  onHeldBytes(client: GuardedClient, bytes: number): void;
  /** It was refused. @param reason - the true one. */
  onRefused(client: GuardedClient, error: PoolerError, reason: string): void;
  /** It was refused on account of its PROXY header. */
  onProxyHeaderRefused(client: GuardedClient): void;
}
