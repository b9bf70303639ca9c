import { poolerError } from '../protocol/pooler-errors.ts';
import type {
  AuthQuerySource,
  CancelLookup,
  FoundUser,
  LookupAnswer,
  RunAuthQuery,
  UnknownUser,
} from './auth-query.ts';

/** What {@link UserLookups} needs from outside. */
export interface UserLookupsOptions {
  readonly run: RunAuthQuery;
  /** The setting `auth_query_cache_ttl`, in ms. */
  readonly ttlMs: () => number;
  /** Monotonic time in ms. */
  readonly nowMs: () => number;
}

/** Questions under way at once, over all sources; more are refused. */
export const MAX_LOOKUPS = 1000;
/** Users found that are remembered; the oldest go first. */
export const MAX_FOUND = 10_000;
/** Names not found that are remembered, apart from the others: anybody can make them up. */
export const MAX_UNKNOWN = 1000;
/** Time between two questions that failed proofs bring about for one user, at least, in ms. */
export const REFRESH_INTERVAL_MS = 1000;

/** Takes an answer. */
export type LookupCallback = (answer: LookupAnswer) => void;

interface Waiter {
  done: LookupCallback | null;
}

interface Job {
  readonly key: string;
  readonly waiters: Set<Waiter>;
  cancel: CancelLookup | null;
  /** Of the cache when it was asked: an answer from before a reload is not kept. */
  readonly generation: number;
}

interface Entry {
  readonly answer: FoundUser | UnknownUser;
  readonly askedAtMs: number;
}

/**
 * Asks `auth_query` no more often than needed: answers are kept for a short time, whether the user
 * was found or not, and equal questions that are under way at the same time become one. Failures are
 * told to who waits and not kept.
 */
export class UserLookups {
  readonly #options: UserLookupsOptions;
  readonly #found = new Map<string, Entry>();
  readonly #unknown = new Map<string, Entry>();
  readonly #jobs = new Map<string, Job>();
  /** When a failed proof last had a user asked for, in clock ms. */
  readonly #refreshes = new Map<string, number>();
  #generation = 0;
  #scramCount = 0;
  #otherCount = 0;

  constructor(options: UserLookupsOptions) {
    this.#options = options;
  }

  /** Questions under way. */
  get pendingCount(): number {
    return this.#jobs.size;
  }

  /** Answers kept, expired ones included until they are met. */
  get cachedCount(): number {
    return this.#found.size + this.#unknown.size;
  }

  /**
   * Share of users with a SCRAM verifier among those found, 0 to 1. Before the first one it is 1: so
   * PostgreSQL stores passwords by default.
   */
  get scramShare(): number {
    return (this.#scramCount + 1) / (this.#scramCount + this.#otherCount + 1);
  }

  /** The answer of before, if it is fresh enough. */
  cached(source: AuthQuerySource, user: string): FoundUser | UnknownUser | null {
    const key = questionKey(source, user);
    const entry = this.#found.get(key) ?? this.#unknown.get(key);
    if (entry === undefined) {
      return null;
    }
    if (this.#options.nowMs() - entry.askedAtMs >= this.#options.ttlMs()) {
      this.#forget(key);
      return null;
    }
    return entry.answer;
  }

  /**
   * Asks, or joins who has asked the same.
   *
   * @param done - Called exactly once unless canceled, and never before this method has returned.
   */
  ask(source: AuthQuerySource, user: string, done: LookupCallback): CancelLookup {
    const waiter: Waiter = { done };
    const key = questionKey(source, user);
    let job = this.#jobs.get(key);
    if (job === undefined) {
      if (this.#jobs.size >= MAX_LOOKUPS) {
        const error = poolerError('resourcesExhausted');
        return settle(waiter, { kind: 'failed', error, reason: 'too many runs of auth_query' });
      }
      job = { key, waiters: new Set(), cancel: null, generation: this.#generation };
      this.#jobs.set(key, job);
      this.#start(job, source, user);
    }
    // One that was answered at once has left the map: its waiters are called in a microtask.
    job.waiters.add(waiter);
    return this.#canceler(job, waiter);
  }

  /**
   * Asks anew although there is an answer, since a proof has failed that was made from one: the
   * password may have been changed. Not more than once in {@link REFRESH_INTERVAL_MS} for a user, so
   * that wrong passwords do not become queries one by one.
   *
   * @param done - As for `ask`.
   * @returns null when it was asked a moment ago; `done` will not be called.
   */
  refresh(source: AuthQuerySource, user: string, done: LookupCallback): CancelLookup | null {
    const key = questionKey(source, user);
    const nowMs = this.#options.nowMs();
    const lastMs = this.#refreshes.get(key) ?? Number.NEGATIVE_INFINITY;
    if (nowMs - lastMs < REFRESH_INTERVAL_MS) {
      return null;
    }
    this.#refreshes.delete(key);
    this.#refreshes.set(key, nowMs);
    dropOldest(this.#refreshes, MAX_FOUND);
    this.#forget(key);
    return this.ask(source, user, done);
  }

  /** Forgets all answers: what they were asked with may have changed. */
  clear(): void {
    this.#generation += 1;
    this.#found.clear();
    this.#unknown.clear();
    this.#refreshes.clear();
  }

  #forget(key: string): void {
    this.#found.delete(key);
    this.#unknown.delete(key);
  }

  #start(job: Job, source: AuthQuerySource, user: string): void {
    const askedAtMs = this.#options.nowMs();
    const cancel = this.#options.run(source, user, (answer) => {
      this.#finish(job, answer, askedAtMs);
    });
    job.cancel = cancel;
  }

  #finish(job: Job, answer: LookupAnswer, askedAtMs: number): void {
    if (this.#jobs.get(job.key) === job) {
      this.#jobs.delete(job.key);
    }
    if (answer.kind !== 'failed') {
      this.#remember(job, { answer, askedAtMs });
    }
    queueMicrotask(() => {
      for (const waiter of job.waiters) {
        settle(waiter, answer);
      }
    });
  }

  #remember(job: Job, entry: Entry): void {
    const { key } = job;
    const { answer } = entry;
    if (answer.kind === 'found' && !this.#found.has(key)) {
      if (answer.secret.kind === 'scram') {
        this.#scramCount += 1;
      } else {
        this.#otherCount += 1;
      }
    }
    this.#forget(key);
    if (job.generation !== this.#generation || this.#options.ttlMs() === 0) {
      return;
    }
    if (answer.kind === 'found') {
      this.#found.set(key, entry);
      dropOldest(this.#found, MAX_FOUND);
    } else {
      this.#unknown.set(key, entry);
      dropOldest(this.#unknown, MAX_UNKNOWN);
    }
  }

  /** A question that nobody waits for any more makes place for others, if it has not been sent. */
  #canceler(job: Job, waiter: Waiter): CancelLookup {
    return () => {
      waiter.done = null;
      job.waiters.delete(waiter);
      if (job.waiters.size === 0 && this.#jobs.get(job.key) === job) {
        this.#jobs.delete(job.key);
        job.cancel?.();
      }
    };
  }
}

/**
 * Tells questions apart.
 *
 * @returns a text: names hold no NUL, so parts with one between them cannot be confused.
 */
export function questionKey(
  { database, user: authUser, query }: AuthQuerySource,
  user: string,
): string {
  return `${database}\0${authUser}\0${query}\0${user}`;
}

function dropOldest(map: Map<string, unknown>, most: number): void {
  for (const key of map.keys()) {
    if (map.size <= most) {
      return;
    }
    map.delete(key);
  }
}

/** Calls back in a microtask, each waiter on its own: one that throws does not starve the others. */
function settle(waiter: Waiter, answer: LookupAnswer): CancelLookup {
  queueMicrotask(() => {
    const { done } = waiter;
    waiter.done = null;
    done?.(answer);
  });
  return () => {
    waiter.done = null;
  };
}
