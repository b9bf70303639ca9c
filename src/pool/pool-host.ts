import type { Settings } from '../config/config.ts';
import type { Budget } from './budget.ts';
import type { PoolClient, PoolServer } from './members.ts';
import type { Pool } from './pool.ts';

/** What the pools of a process have in common. */
export interface PoolHost<C extends PoolClient<C, S>, S extends PoolServer<C, S>> {
  /** The settings in force; replaced as a whole on reload. */
  readonly settings: Settings;
  readonly budget: Budget;
  /** The budget of pools that run `auth_query`. */
  readonly authBudget: Budget;
  /** Monotonic time in ms. */
  nowMs(): number;
  /** Pools that a shared limit keeps from opening a connection; each enters and leaves by itself. */
  readonly blockedPools: Set<Pool<C, S>>;
  /** Whether PAUSE without a database is in force. */
  readonly isPaused: boolean;
  /** Whether SUSPEND is in force: nobody gets a server connection, and those that are stay. */
  readonly isSuspended: boolean;
  /** Set while SHUTDOWN WAIT_FOR_SERVERS drains: nobody may queue any more. */
  readonly isRefusingToQueue: boolean;
  /**
   * Opens a server connection; it has joined the pool through `addServer` on return.
   *
   * @param owner - the replication client that it is for; null for all clients of the pool.
   */
  launch(pool: Pool<C, S>, owner: C | null): void;
  /** Closes an idle server connection elsewhere that stands in the way of `pool`, if any. */
  evictFor(pool: Pool<C, S>): boolean;
  /** Whether what is known suffices to log in, so that a connection may be opened ahead of need. */
  mayWarmUp(pool: Pool<C, S>): boolean;
  /** A server connection is gone: whoever waits for a shared limit may have its turn. */
  onPermitReleased(pool: Pool<C, S>): void;
  /** A server connection has become idle while others may wait for a shared limit. */
  onServerIdle(pool: Pool<C, S>): void;
  /** A client took a connection from the reserve. */
  onReserveUsed(pool: Pool<C, S>): void;
}
