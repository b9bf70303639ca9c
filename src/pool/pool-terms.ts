import type { Database, User } from './database.ts';
import {
  resolveAuthPoolSettings,
  resolvePoolSettings,
  type PoolSettings,
} from './effective-settings.ts';
import type { PoolClient, PoolServer } from './members.ts';
import type { PoolHost } from './pool-host.ts';
import { PoolMembers } from './pool-members.ts';

/** Whom a pool serves: clients, or maitred itself where it asks for the secrets of users. */
export type PoolPurpose = 'clients' | 'auth_query';

/**
 * The terms that a pool works under: whom it is for, the settings in force for it, and whether its
 * members are as many as these allow. What follows from that is decided by `Pool`.
 */
export class PoolTerms<C extends PoolClient<C, S>, S extends PoolServer<C, S>> extends PoolMembers<
  C,
  S
> {
  readonly database: Database;
  /** Who server connections log in as. */
  readonly user: User;
  readonly purpose: PoolPurpose;
  limits: PoolSettings;

  constructor(host: PoolHost<C, S>, database: Database, user: User, purpose: PoolPurpose) {
    super(host);
    this.database = database;
    this.user = user;
    this.purpose = purpose;
    this.limits = this.#resolveLimits();
  }

  #resolveLimits(): PoolSettings {
    const { settings } = this.host;
    return this.purpose === 'clients'
      ? resolvePoolSettings(settings, this.database, this.user)
      : resolveAuthPoolSettings(settings, this.database);
  }

  /** Takes over changed settings. */
  applySettings(): void {
    this.limits = this.#resolveLimits();
  }

  /** Whether it has as many server connections as it may have without the reserve. */
  get isFull(): boolean {
    const { poolSize } = this.limits;
    return poolSize > 0 && this.serverCount >= poolSize;
  }

  /** Server connections beyond the size and the reserve, count: the size has been lowered. */
  get excessCount(): number {
    const { poolSize, reservePoolSize } = this.limits;
    const excess = this.connectedCount - poolSize - reservePoolSize;
    return poolSize > 0 && excess > 0 ? excess : 0;
  }

  /** Whether PAUSE keeps this pool from handing out server connections. */
  get isPaused(): boolean {
    return this.host.isPaused || this.database.isPaused;
  }

  /** Whether PAUSE or SUSPEND keeps this pool from handing out server connections. */
  get isHeld(): boolean {
    return this.isPaused || this.host.isSuspended;
  }
}
