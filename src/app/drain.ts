import type { ClientConnection } from '../client/client-connection.ts';
import { poolerError } from '../protocol/pooler-errors.ts';
import type { Pooler } from './pooler.ts';

/**
 * Tells clients to leave during a shutdown that waits, spread over `drain_period`: a few with each
 * tick, the oldest first. A client is told between two transactions; one that is inside of a
 * transaction when its turn comes is told when that has ended. Consoles are never told.
 */
export class Drain {
  readonly #pooler: Pooler;
  /** When the first client was told, in clock ms; null while no drain runs. */
  #startMs: number | null = null;
  /** Clients there were at the start, count. */
  #clientCount = 0;
  /** Clients whose turn has come, count. */
  #dueCount = 0;

  constructor(pooler: Pooler) {
    this.#pooler = pooler;
  }

  /** Whether the period is over: whoever is still there has had its turn. */
  get isOver(): boolean {
    const { drainPeriodMs } = this.#pooler.settings;
    return (
      drainPeriodMs > 0 &&
      this.#startMs !== null &&
      this.#pooler.nowMs() - this.#startMs >= drainPeriodMs
    );
  }

  /** Tells whose turn has come; at the start of a shutdown that waits, and once per tick. */
  proceed(): void {
    const { settings, modes } = this.#pooler;
    if (modes.shutdown === null || settings.drainPeriodMs === 0) {
      return;
    }
    const nowMs = this.#pooler.nowMs();
    if (this.#startMs === null) {
      this.#startMs = nowMs;
      this.#clientCount = this.#clients().length;
    }
    const share = Math.min((nowMs - this.#startMs) / settings.drainPeriodMs, 1);
    // The first one goes at once, the others in equal distances behind it.
    this.#makeLeave(Math.floor(this.#clientCount * share) + 1);
    if (this.isOver) {
      this.#endLogins();
    }
  }

  /** Tells everybody who is left, consoles included, before the process ends. */
  finish(): void {
    if (this.#pooler.settings.drainPeriodMs === 0) {
      return;
    }
    for (const client of this.#clients()) {
      client.askToLeave();
    }
    for (const console of this.#pooler.admissions.consoles) {
      console.disconnect(poolerError('shuttingDown'));
    }
  }

  #makeLeave(dueCount: number): void {
    for (const client of this.#clients()) {
      if (!client.isLeaving) {
        if (!this.isOver && this.#dueCount >= dueCount) {
          return;
        }
        this.#dueCount++;
      }
      // Those whose turn came earlier may have become free without a reply.
      client.askToLeave();
    }
  }

  /** Clients that have logged in, oldest first, consoles left out. */
  #clients(): ClientConnection[] {
    return [...this.#pooler.clients.values()].filter((client) => client.pool !== null);
  }

  /** Nobody may come in any more: who has not proved itself by now need not try. */
  #endLogins(): void {
    for (const client of this.#pooler.logins.toArray()) {
      client.disconnect(poolerError('shuttingDown'));
    }
  }
}
