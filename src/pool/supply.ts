import type { PoolerError } from '../protocol/pooler-errors.ts';
import type { Budget } from './budget.ts';
import { LaunchGate } from './launch-gate.ts';
import type { PoolClient, PoolServer } from './members.ts';
import type { Pool } from './pool.ts';
import type { PoolHost } from './pool-host.ts';

/**
 * Opens the server connections of one pool: one login at a time, within the size of the pool, its
 * reserve and the limits that pools share. Pure policy, as the pool.
 */
export class Supply<C extends PoolClient<C, S>, S extends PoolServer<C, S>> {
  readonly #pool: Pool<C, S>;
  readonly #host: PoolHost<C, S>;
  readonly #gate = new LaunchGate();

  constructor(pool: Pool<C, S>, host: PoolHost<C, S>) {
    this.#pool = pool;
    this.#host = host;
  }

  #budget(): Budget {
    return this.#pool.purpose === 'clients' ? this.#host.budget : this.#host.authBudget;
  }

  /** Why the last login failed; null once one has succeeded, or before the first. */
  get lastError(): PoolerError | null {
    return this.#gate.lastError;
  }

  /** Whether the last login failed in a way that waiting would not mend. */
  get isFailing(): boolean {
    return this.#gate.isFailing;
  }

  /** A login has succeeded, or the next one need not fail as the last one did. */
  onSuccess(): void {
    this.#gate.onSuccess();
  }

  /** A login has failed. @returns whether that will pass by itself. */
  onFailure(error: PoolerError): boolean {
    return this.#gate.onFailure(error, this.#host.settings.serverLoginRetryMs);
  }

  /** A server connection is gone: gives its permit back. */
  releasePermit(): void {
    this.#budget().release(this.#pool);
  }

  /**
   * Opens a server connection for the clients of the pool, if that is allowed now.
   *
   * @param mayEvict - whether an idle connection of another pool may be closed to make room.
   */
  launch(mayEvict: boolean): void {
    const pool = this.#pool;
    const host = this.#host;
    host.blockedPools.delete(pool);
    if (pool.loginServers.length > 0 || !this.#gate.mayTry(host.nowMs())) {
      return;
    }
    // Without a welcome nobody can log in, so one connection beyond the size is worth it.
    const fromReserve = pool.isFull && pool.welcome !== null;
    if (fromReserve && !this.#mayUseReserve()) {
      return;
    }
    if (this.#budget().acquire(pool) !== null) {
      host.blockedPools.add(pool);
      if (!mayEvict || !host.evictFor(pool) || this.#budget().acquire(pool) !== null) {
        return;
      }
      host.blockedPools.delete(pool);
    }
    if (fromReserve) {
      host.onReserveUsed(pool);
    }
    this.#gate.onLaunch(host.nowMs());
    host.launch(pool, null);
  }

  #mayUseReserve(): boolean {
    const { limits, serverCount, waitingClients } = this.#pool;
    const timeoutMs = this.#host.settings.reservePoolTimeoutMs;
    const { head } = waitingClients;
    return (
      timeoutMs > 0 &&
      head !== null &&
      serverCount < limits.poolSize + limits.reservePoolSize &&
      this.#host.nowMs() - head.waitStartMs > timeoutMs
    );
  }

  /**
   * Opens the server connection of the replication client that waits longest. An idle connection of
   * the pool makes room for it; the reserve is not for those who stay.
   */
  launchOwn(): void {
    const pool = this.#pool;
    const owner = pool.replicationClients.head;
    if (owner === null || pool.loginServers.length > 0) {
      return;
    }
    if (pool.isFull) {
      // Its end brings this here again.
      (pool.idleServers.tail ?? pool.usedServers.tail)?.disconnect('evicted');
      return;
    }
    const { blockedPools } = this.#host;
    if (this.#host.budget.acquire(pool) !== null) {
      blockedPools.add(pool);
      this.#host.evictFor(pool);
      return;
    }
    blockedPools.delete(pool);
    this.#host.launch(pool, owner);
  }

  /** Opens one connection towards `min_pool_size`, if the pool is in use. Evicts nobody. */
  fillToMinimum(): void {
    const { limits, connectedCount, clientCount, database, isHeld } = this.#pool;
    const isBelowSize = limits.poolSize === 0 || connectedCount < limits.poolSize;
    const isInUse = clientCount > 0 || database.config.user !== null;
    if (connectedCount < limits.minPoolSize && isBelowSize && isInUse && !isHeld) {
      // A failure that could be foreseen would keep clients waiting for `server_login_retry`.
      if (this.#host.mayWarmUp(this.#pool)) {
        this.launch(false);
      }
    }
  }
}
