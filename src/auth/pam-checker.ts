import type { CancelCheck, SystemVerdict } from './system-login.ts';

/** One question to PAM. */
export interface PamRequest {
  /** Whose rules apply: the name of a file in /etc/pam.d. */
  readonly service: string;
  readonly user: string;
  /** Without a NUL in it. */
  readonly password: Buffer;
  /** Address of the client, empty on a unix socket. */
  readonly host: string;
}

/** Somebody who asks PAM, one request at a time, away from the event loop. */
export interface PamWorker {
  /** Whether it can be asked. */
  readonly isAlive: boolean;
  /** @param done - called once, never before this returns; `null` when the worker has died. */
  check(request: PamRequest, done: (verdict: SystemVerdict | null) => void): void;
  /** Ends it at once, whatever it is doing. */
  kill(): void;
}

/** What a {@link PamChecker} needs. */
export interface PamCheckerOptions {
  /** Makes a worker. */
  readonly startWorker: () => PamWorker;
  readonly nowMs: () => number;
  /** Workers at once. Default 4: a wrong password costs most PAM modules two seconds. */
  readonly maxWorkers?: number;
  /** Requests that wait for a worker; more are refused. Default 100, as PgBouncer's queue. */
  readonly maxQueued?: number;
}

/** How long PAM may think about one password, in ms; its worker is killed then. */
export const PAM_DEADLINE_MS = 60_000;

/** How long a worker without work is kept, in ms. */
export const PAM_IDLE_MS = 60_000;

interface Job {
  readonly request: PamRequest;
  /** `null` once nobody waits for it any more. */
  done: ((verdict: SystemVerdict) => void) | null;
}

interface Seat {
  readonly worker: PamWorker;
  /** What it works on; `null` for nothing. */
  job: Job | null;
  /** When that began, or the idleness. */
  sinceMs: number;
}

/**
 * Asks PAM about passwords without holding up the event loop: a few workers, a bounded queue, a
 * deadline for each request. PAM's modules may sleep, talk to the network, or crash.
 */
export class PamChecker {
  readonly #startWorker: () => PamWorker;
  readonly #nowMs: () => number;
  readonly #maxWorkers: number;
  readonly #maxQueued: number;
  readonly #seats = new Set<Seat>();
  readonly #queue = new Set<Job>();

  constructor(options: PamCheckerOptions) {
    this.#startWorker = options.startWorker;
    this.#nowMs = options.nowMs;
    this.#maxWorkers = options.maxWorkers ?? 4;
    this.#maxQueued = options.maxQueued ?? 100;
  }

  /** Workers that there are. */
  get workerCount(): number {
    return this.#seats.size;
  }

  /** Requests that wait for a worker. */
  get queuedCount(): number {
    return this.#queue.size;
  }

  /**
   * Asks about one password. Never throws.
   *
   * @param request - owned from now on.
   * @param done - called once unless canceled, never before this returns.
   */
  check(request: PamRequest, done: (verdict: SystemVerdict) => void): CancelCheck {
    const job: Job = { request, done };
    const seat = this.#freeSeat();
    if (seat !== null) {
      this.#begin(seat, job);
    } else if (this.#queue.size < this.#maxQueued) {
      this.#queue.add(job);
    } else {
      queueMicrotask(() => {
        settle(job, { kind: 'overloaded', reason: 'too many PAM requests queued' });
      });
    }
    return () => {
      job.done = null;
      this.#queue.delete(job);
    };
  }

  /** A worker without work; a new one if there may be one more. */
  #freeSeat(): Seat | null {
    for (const seat of [...this.#seats]) {
      if (seat.job === null && seat.worker.isAlive) {
        return seat;
      }
      if (seat.job === null) {
        this.#seats.delete(seat);
      }
    }
    if (this.#seats.size >= this.#maxWorkers) {
      return null;
    }
    const seat: Seat = { worker: this.#startWorker(), job: null, sinceMs: this.#nowMs() };
    this.#seats.add(seat);
    return seat;
  }

  #begin(seat: Seat, job: Job): void {
    seat.job = job;
    seat.sinceMs = this.#nowMs();
    seat.worker.check(job.request, (verdict) => {
      this.#onVerdict(seat, job, verdict);
    });
  }

  #onVerdict(seat: Seat, job: Job, verdict: SystemVerdict | null): void {
    if (seat.job !== job) {
      // Its deadline has passed, and it was told so.
      return;
    }
    if (verdict === null) {
      this.#dismiss(seat, 'the process that asks PAM has ended');
      return;
    }
    seat.job = null;
    seat.sinceMs = this.#nowMs();
    settle(job, verdict);
    this.#runQueued();
  }

  /** Gives up a worker, and what it works on. */
  #dismiss(seat: Seat, reason: string): void {
    const { job } = seat;
    seat.job = null;
    this.#seats.delete(seat);
    seat.worker.kill();
    if (job !== null) {
      settle(job, { kind: 'refused', reason });
    }
    this.#runQueued();
  }

  #runQueued(): void {
    for (const job of this.#queue) {
      const seat = this.#freeSeat();
      if (seat === null) {
        return;
      }
      this.#queue.delete(job);
      this.#begin(seat, job);
    }
  }

  /** To be called a few times a second: gives up workers that take too long, or have no work. */
  onTick(): void {
    const nowMs = this.#nowMs();
    for (const seat of [...this.#seats]) {
      const limitMs = seat.job === null ? PAM_IDLE_MS : PAM_DEADLINE_MS;
      if (nowMs - seat.sinceMs >= limitMs) {
        this.#dismiss(seat, `PAM has not answered within ${String(limitMs / 1000)} s`);
      }
    }
  }
}

function settle(job: Job, verdict: SystemVerdict): void {
  const { done } = job;
  job.done = null;
  done?.(verdict);
}
