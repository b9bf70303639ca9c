import type { ListNode } from '../base/linked-list.ts';
import type { PoolerError } from '../protocol/pooler-errors.ts';
import type { ClientState, ServerState } from './states.ts';

/** What makes a client one that replicates: it has a server connection of its own. */
export interface Replication {
  /** Logical replication is bound to a database, physical replication is not. */
  readonly kind: 'logical' | 'physical';
  /** `options` of its startup packet as given, for the server; null for none. */
  readonly options: string | null;
}

/** What a pool sees of a server connection. `S` is the concrete type, `C` that of its clients. */
export interface PoolServer<C, S extends PoolServer<C, S>> extends ListNode<S> {
  /** Changed by the pool only. */
  state: ServerState;
  /** The replication client that it was opened for and serves for life; null for all others. */
  readonly owner: C | null;
  /** When it was launched, in clock ms. */
  readonly connectedAtMs: number;
  /** When the server last sent something, in clock ms. */
  readonly lastActivityMs: number;
  /** When its reset or check query began, in clock ms. Set by the pool. */
  testStartMs: number;
  /** Part of `server_lifetime` this connection lives, 0.8 to 1: keeps a pool from expiring at once. */
  readonly lifetimeShare: number;
  /** Retired: closed as soon as it is free. */
  isCloseNeeded: boolean;
  /** Cancel requests on their way to this server process. */
  cancelsInFlight: number;
  /** Whether it must be reset once they are done. Set by the pool. */
  isResetOwed: boolean;
  /** Sends the reset query; ends in `Pool.onServerTested`. */
  startReset(): void;
  /** Sends the check query; ends in `Pool.onServerTested`. */
  startCheck(): void;
  /**
   * Closes the connection; ends in `Pool.onServerClosed`, behind `Pool.onServerLoginFailed` when the
   * reason is `connect timeout`. A second call does nothing.
   */
  disconnect(reason: string): void;
}

/** What a pool sees of a client connection. */
export interface PoolClient<C extends PoolClient<C, S>, S> extends ListNode<C> {
  /** Changed by the pool only. */
  state: ClientState;
  /** Null for clients that share the server connections of the pool. */
  readonly replication: Replication | null;
  /** When it began to wait, in clock ms; 0 while it does not. */
  waitStartMs: number;
  /** Whether the current wait has been announced to the client. */
  isWaitNotified: boolean;
  /** Time of its connection, in clock ms. */
  readonly connectedAtMs: number;
  /** Takes the server connection that it waited for. */
  onServerAssigned(server: S): void;
  /** The welcome of the pool is known now. */
  onWelcomeKnown(): void;
  /**
   * Its own server connection has logged in, for a replication client.
   *
   * @param welcome - what the server reported about itself.
   */
  onOwnServer(server: S, welcome: ReadonlyMap<string, string>): void;
  /** Tells the client by a notice that it waits. */
  notifyWait(): void;
  /** Sends `error` and ends the connection; ends in `Pool.onClientClosed`. At most once. */
  disconnect(error: PoolerError): void;
}
