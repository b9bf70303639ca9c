import { dropOldest } from '../base/drop-oldest.ts';
import { Tally } from '../base/tally.ts';
import { poolerError } from '../protocol/pooler-errors.ts';
import type {
  AbandonQuestion,
  AuthQuerySource,
  CancelLookup,
  FoundUser,
  LookupAnswer,
  RunAuthQuery,
  UnknownUser,
} from './auth-query.ts';
import { QuestionPace } from './question-pace.ts';
import { SecretShapes, USUAL_SHAPE } from './secret-shapes.ts';

/** What {@link UserLookups} needs from outside. */
export interface UserLookupsOptions {
  readonly run: RunAuthQuery;
  /** The setting `auth_query_cache_ttl`, in ms. */
  readonly ttlMs: () => number;
  /** Monotonic time in ms. */
  readonly nowMs: () => number;
  /** Runs `action` once after so many ms. */
  readonly runAfter: (ms: number, action: () => void) => void;
}

/** Questions under way at once, over all sources; more are refused. */
export const MAX_LOOKUPS = 1000;
/** The same of one source: a server that hangs leaves place for the questions to others. */
export const MAX_LOOKUPS_OF_SOURCE = 500;
/** Users found that are remembered; the oldest go first. */
export const MAX_FOUND = 10_000;
/** Names not found that are remembered, apart from the others: anybody can make them up. */
export const MAX_UNKNOWN = 1000;
/** Questions for one user, at once, that answers which are still kept could have saved. */
export const RENEWAL_BURST = 5;
/** How long until a user has one of them more, in ms; so old is what many logins go by, at most. */
export const RENEWAL_INTERVAL_MS = 100;
/** With so many questions under way, kept answers are good enough. */
export const BUSY_LOOKUPS = 50;
/**
 * How long a login that has a kept answer waits for a newer one, in ms. A question that takes longer
 * is late: while its source has one, kept answers are good enough.
 */
export const RENEWAL_PATIENCE_MS = 500;

/** Takes an answer. */
export type LookupCallback = (answer: LookupAnswer) => void;

interface Waiter {
  done: LookupCallback | null;
}

interface Job {
  readonly key: string;
  readonly sourceKey: string;
  readonly askedAtMs: number;
  readonly waiters: Set<Waiter>;
  abandon: AbandonQuestion | null;
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
  /** Under way, oldest first. */
  readonly #jobs = new Map<string, Job>();
  readonly #jobsBySource = new Tally<string>();
  readonly #renewals: QuestionPace;
  readonly #shapes = new SecretShapes(USUAL_SHAPE);
  #generation = 0;

  constructor(options: UserLookupsOptions) {
    this.#options = options;
    this.#renewals = new QuestionPace({
      burst: RENEWAL_BURST,
      intervalMs: RENEWAL_INTERVAL_MS,
      maxKeys: MAX_FOUND,
      nowMs: options.nowMs,
    });
  }

  /** Questions under way. */
  get pendingCount(): number {
    return this.#jobs.size;
  }

  /** Answers kept, expired ones included until they are met. */
  get cachedCount(): number {
    return this.#found.size + this.#unknown.size;
  }

  /** What the secrets of users found look like; until one has been found, as PostgreSQL makes them. */
  get shapes(): SecretShapes {
    return this.#shapes;
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
   * Tells whether a login that cannot be saved once its challenge is out should ask although there is
   * an answer: yes, unless its user has just been asked for many times, many are being asked for, or
   * answers are late.
   */
  mayRenew(source: AuthQuerySource, user: string): boolean {
    if (this.#hasLateJob(sourceKeyOf(source))) {
      return false;
    }
    const key = questionKey(source, user);
    // To join a question costs nothing.
    return this.#jobs.has(key) || (this.#jobs.size < BUSY_LOOKUPS && this.#renewals.take(key));
  }

  #hasLateJob(source: string): boolean {
    const lateMs = this.#options.nowMs() - RENEWAL_PATIENCE_MS;
    for (const { sourceKey, askedAtMs } of this.#jobs.values()) {
      if (askedAtMs > lateMs) {
        return false;
      }
      if (sourceKey === source) {
        return true;
      }
    }
    return false;
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
      const sourceKey = sourceKeyOf(source);
      if (this.#isFull(sourceKey)) {
        const error = poolerError('resourcesExhausted');
        return settle(waiter, { kind: 'failed', error, reason: 'too many runs of auth_query' });
      }
      job = {
        key,
        sourceKey,
        askedAtMs: this.#options.nowMs(),
        waiters: new Set(),
        abandon: null,
        generation: this.#generation,
      };
      this.#jobs.set(key, job);
      this.#jobsBySource.add(sourceKey);
      this.#start(job, source, user);
    }
    // One that was answered at once has left the map: its waiters are called in a microtask.
    job.waiters.add(waiter);
    return this.#canceler(job, waiter);
  }

  #isFull(sourceKey: string): boolean {
    const ofSource = this.#jobsBySource.of(sourceKey);
    return this.#jobs.size >= MAX_LOOKUPS || ofSource >= MAX_LOOKUPS_OF_SOURCE;
  }

  /**
   * Asks for a newer answer than the one that is kept, and does not wait for it longer than
   * {@link RENEWAL_PATIENCE_MS}.
   *
   * @param done - As for `ask`; gets null where the kept answer must do.
   */
  renew(
    source: AuthQuerySource,
    user: string,
    done: (newer: FoundUser | UnknownUser | null) => void,
  ): CancelLookup {
    const state = { isOver: false };
    const cancel = this.ask(source, user, (answer) => {
      state.isOver = true;
      done(answer.kind === 'failed' ? null : answer);
    });
    this.#options.runAfter(RENEWAL_PATIENCE_MS, () => {
      if (!state.isOver) {
        state.isOver = true;
        cancel();
        done(null);
      }
    });
    return () => {
      state.isOver = true;
      cancel();
    };
  }

  /**
   * Asks anew although there is an answer, since a proof has failed that was made from one: the
   * password may have been changed. Wrong passwords do not become queries one by one: the pace is that
   * of `mayRenew`. Nobody but who asks waits for that.
   *
   * @param done - As for `ask`.
   * @returns null when it is not asked; `done` will not be called.
   */
  refresh(source: AuthQuerySource, user: string, done: LookupCallback): CancelLookup | null {
    return this.mayRenew(source, user) ? this.ask(source, user, done) : null;
  }

  /** Forgets all answers: what they were asked with may have changed. */
  clear(): void {
    this.#generation += 1;
    this.#found.clear();
    this.#unknown.clear();
    this.#renewals.clear();
  }

  #forget(key: string): void {
    this.#found.delete(key);
    this.#unknown.delete(key);
  }

  #start(job: Job, source: AuthQuerySource, user: string): void {
    job.abandon = this.#options.run(source, user, (answer) => {
      this.#finish(job, answer);
    });
  }

  #drop(job: Job): void {
    if (this.#jobs.get(job.key) === job) {
      this.#jobs.delete(job.key);
      this.#jobsBySource.remove(job.sourceKey);
    }
  }

  #finish(job: Job, answer: LookupAnswer): void {
    this.#drop(job);
    if (answer.kind !== 'failed') {
      this.#remember(job, { answer, askedAtMs: job.askedAtMs });
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
      this.#shapes.add(answer.secret);
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
      const isUnderWay = this.#jobs.get(job.key) === job;
      if (job.waiters.size === 0 && isUnderWay && job.abandon?.() === true) {
        this.#drop(job);
      }
    };
  }
}

/**
 * Tells questions apart.
 *
 * @returns a text: names hold no NUL, so parts with one between them cannot be confused.
 */
export function questionKey(source: AuthQuerySource, user: string): string {
  return `${sourceKeyOf(source)}\0${user}`;
}

function sourceKeyOf({ database, user, query }: AuthQuerySource): string {
  return `${database}\0${user}\0${query}`;
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
