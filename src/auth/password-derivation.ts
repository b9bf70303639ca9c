import { createHmac, pbkdf2, randomBytes } from 'node:crypto';
import { dropOldest } from '../base/drop-oldest.ts';
import { preparePassword } from './saslprep.ts';
import { MAX_SCRAM_ITERATIONS } from './scram-client.ts';
import { DIGEST_BYTES } from './scram-crypto.ts';

/** What to derive from. */
export interface DerivationRequest {
  /** As typed or stored; SASLprep is applied here. Borrowed. */
  readonly password: string | Buffer;
  /** Borrowed. */
  readonly salt: Buffer;
  /** 1 to {@link MAX_SCRAM_ITERATIONS}; anything else is refused. */
  readonly iterations: number;
}

/** Outcome of a derivation. */
export type Derivation =
  | {
      readonly kind: 'derived';
      /** 32 bytes, shared with the cache: not to be changed. */
      readonly saltedPassword: Buffer;
    }
  | { readonly kind: 'refused'; readonly reason: string };

/** Takes the outcome of one derivation. */
export type DerivationCallback = (derivation: Derivation) => void;

/** Forgets a request: its callback will not be called. Harmless afterwards. */
export type CancelDerivation = () => void;

/** PBKDF2 with SHA-256 and 32 bytes of output, run off the event loop. */
export type Pbkdf2 = (
  password: Buffer,
  salt: Buffer,
  iterations: number,
  done: (error: Error | null, key: Buffer) => void,
) => void;

/** Limits of a {@link PasswordDeriver}. */
export interface PasswordDeriverOptions {
  /** Derivations running at once. Default 2: half of libuv's threads stay free for DNS and files. */
  readonly maxInFlight?: number;
  /** Derivations waiting to run. Default 10,000; more are refused. */
  readonly maxQueued?: number;
  /** Salted passwords kept, the least recently used given up first. Default 1000. */
  readonly maxCached?: number;
  /** Default `crypto.pbkdf2`. */
  readonly pbkdf2?: Pbkdf2;
}

interface Waiter {
  done: DerivationCallback | null;
}

interface Job {
  readonly key: string;
  readonly password: Buffer;
  readonly salt: Buffer;
  readonly iterations: number;
  readonly waiters: Set<Waiter>;
}

const nodePbkdf2: Pbkdf2 = (password, salt, iterations, done) => {
  pbkdf2(password, salt, iterations, DIGEST_BYTES, 'sha256', done);
};

/**
 * Derives SCRAM's salted passwords without holding up the event loop: a bounded number at once, a
 * bounded queue, equal requests joined, results cached.
 *
 * One derivation of 4096 rounds takes a core 1 to 4 ms, so thousands of logins a second must not
 * each pay it.
 */
export class PasswordDeriver {
  readonly #maxInFlight: number;
  readonly #maxQueued: number;
  readonly #maxCached: number;
  readonly #pbkdf2: Pbkdf2;
  /** Keys the cache's keys: they tell nothing about a password to who finds them in a heap dump. */
  readonly #cacheSecret = randomBytes(DIGEST_BYTES);
  readonly #cache = new Map<string, Buffer>();
  readonly #queue = new Map<string, Job>();
  readonly #inFlight = new Map<string, Job>();

  constructor(options: PasswordDeriverOptions = {}) {
    this.#maxInFlight = options.maxInFlight ?? 2;
    this.#maxQueued = options.maxQueued ?? 10_000;
    this.#maxCached = options.maxCached ?? 1000;
    this.#pbkdf2 = options.pbkdf2 ?? nodePbkdf2;
  }

  /** Derivations running now. */
  get inFlightCount(): number {
    return this.#inFlight.size;
  }

  /** Derivations waiting to run. */
  get queuedCount(): number {
    return this.#queue.size;
  }

  /** Salted passwords in the cache. */
  get cachedCount(): number {
    return this.#cache.size;
  }

  /**
   * Derives a salted password. Never throws.
   *
   * @param done - Called exactly once unless canceled, and never before this method has returned.
   */
  derive(request: DerivationRequest, done: DerivationCallback): CancelDerivation {
    const { iterations } = request;
    const waiter: Waiter = { done };
    if (!Number.isInteger(iterations) || iterations < 1 || iterations > MAX_SCRAM_ITERATIONS) {
      const reason = `iteration count is not 1 to ${String(MAX_SCRAM_ITERATIONS)}`;
      return settle(waiter, { kind: 'refused', reason });
    }
    const password = preparePassword(request.password);
    const key = this.#cacheKey(password, request.salt, iterations);
    const cached = this.#cache.get(key);
    if (cached !== undefined) {
      this.#remember(key, cached);
      return settle(waiter, { kind: 'derived', saltedPassword: cached });
    }
    let job = this.#inFlight.get(key) ?? this.#queue.get(key);
    if (job === undefined) {
      if (this.#inFlight.size >= this.#maxInFlight && this.#queue.size >= this.#maxQueued) {
        return settle(waiter, { kind: 'refused', reason: 'too many password derivations queued' });
      }
      const salt = Buffer.from(request.salt);
      job = { key, password, salt, iterations, waiters: new Set() };
      this.#queue.set(key, job);
    }
    job.waiters.add(waiter);
    this.#runQueued();
    return this.#canceler(job, waiter);
  }

  #canceler(job: Job, waiter: Waiter): CancelDerivation {
    return () => {
      waiter.done = null;
      job.waiters.delete(waiter);
      // The job may have finished and a new one for the same key may be queued by now.
      if (job.waiters.size === 0 && this.#queue.get(job.key) === job) {
        this.#queue.delete(job.key);
      }
    };
  }

  #runQueued(): void {
    for (const job of this.#queue.values()) {
      if (this.#inFlight.size >= this.#maxInFlight) {
        return;
      }
      this.#queue.delete(job.key);
      this.#inFlight.set(job.key, job);
      this.#pbkdf2(job.password, job.salt, job.iterations, (error, saltedPassword) => {
        this.#finish(job, error, saltedPassword);
      });
    }
  }

  #finish(job: Job, error: Error | null, saltedPassword: Buffer): void {
    this.#inFlight.delete(job.key);
    if (error === null) {
      this.#remember(job.key, saltedPassword);
    }
    const derivation: Derivation =
      error === null
        ? { kind: 'derived', saltedPassword }
        : { kind: 'refused', reason: `PBKDF2 failed: ${error.message}` };
    for (const waiter of job.waiters) {
      settle(waiter, derivation);
    }
    this.#runQueued();
  }

  #remember(key: string, saltedPassword: Buffer): void {
    this.#cache.delete(key);
    this.#cache.set(key, saltedPassword);
    dropOldest(this.#cache, this.#maxCached);
  }

  #cacheKey(password: Buffer, salt: Buffer, iterations: number): string {
    // The lengths keep (salt, password) pairs apart that are equal when joined.
    return createHmac('sha256', this.#cacheSecret)
      .update(`${String(iterations)},${String(salt.length)},`)
      .update(salt)
      .update(password)
      .digest('base64');
  }
}

/** Calls back in a microtask, each waiter on its own: one that throws does not starve the others. */
function settle(waiter: Waiter, derivation: Derivation): CancelDerivation {
  queueMicrotask(() => {
    const { done } = waiter;
    waiter.done = null;
    done?.(derivation);
  });
  return () => {
    waiter.done = null;
  };
}
