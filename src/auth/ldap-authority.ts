import type { LdapOptions } from '../config/ldap-options.ts';
import type { PasswordRequest } from './external-method.ts';
import type { CancelCheck, SystemVerdict } from './system-login.ts';

/** Checks one password. Never rejects; `signal` ends it early. */
export type LdapCheck = (
  options: LdapOptions,
  request: PasswordRequest,
  signal: AbortSignal,
) => Promise<SystemVerdict>;

/** What a {@link LdapAuthority} needs from outside. */
export interface LdapAuthorityOptions {
  readonly check: LdapCheck;
  /** Calls `action` once after `ms`, unless the returned function is called before. */
  readonly after: (ms: number, action: () => void) => () => void;
  /** Checks under way at once. Default 16. */
  readonly maxInFlight?: number;
  /** Checks that wait for their turn; more are refused. Default 1000. */
  readonly maxQueued?: number;
  /** How long one check may take, in ms, its time in the queue not counted. Default 10,000. */
  readonly deadlineMs?: number;
}

interface Job {
  readonly options: LdapOptions;
  readonly request: PasswordRequest;
  readonly abort: AbortController;
  done: ((verdict: SystemVerdict) => void) | null;
}

/** Why a check was given up whose client still waits. */
const LATE = Symbol('late');

/** Checks passwords by LDAP: a bounded number at once, a bounded queue, each with a deadline. */
export class LdapAuthority {
  readonly #check: LdapCheck;
  readonly #after: LdapAuthorityOptions['after'];
  readonly #maxInFlight: number;
  readonly #maxQueued: number;
  readonly #deadlineMs: number;
  readonly #queue = new Set<Job>();
  #inFlightCount = 0;

  constructor(options: LdapAuthorityOptions) {
    this.#check = options.check;
    this.#after = options.after;
    this.#maxInFlight = options.maxInFlight ?? 16;
    this.#maxQueued = options.maxQueued ?? 1000;
    this.#deadlineMs = options.deadlineMs ?? 10_000;
  }

  /** Checks under way now. */
  get inFlightCount(): number {
    return this.#inFlightCount;
  }

  /** Checks that wait for their turn. */
  get queuedCount(): number {
    return this.#queue.size;
  }

  /**
   * Checks a password. Never throws.
   *
   * @param done - Called exactly once unless canceled, and never before this method has returned.
   */
  check(
    options: LdapOptions,
    request: PasswordRequest,
    done: (verdict: SystemVerdict) => void,
  ): CancelCheck {
    const job: Job = { options, request, abort: new AbortController(), done };
    if (this.#inFlightCount >= this.#maxInFlight && this.#queue.size >= this.#maxQueued) {
      queueMicrotask(() => {
        job.done?.({ kind: 'overloaded', reason: 'too many LDAP checks queued' });
      });
    } else {
      this.#queue.add(job);
      this.#runQueued();
    }
    return () => {
      job.done = null;
      this.#queue.delete(job);
      job.abort.abort();
    };
  }

  #runQueued(): void {
    for (const job of this.#queue) {
      if (this.#inFlightCount >= this.#maxInFlight) {
        return;
      }
      this.#queue.delete(job);
      void this.#run(job);
    }
  }

  async #run(job: Job): Promise<void> {
    this.#inFlightCount++;
    const { abort } = job;
    const dismiss = this.#after(this.#deadlineMs, () => {
      abort.abort(LATE);
    });
    const verdict = await this.#check(job.options, job.request, abort.signal);
    dismiss();
    this.#inFlightCount--;
    this.#runQueued();
    const { done } = job;
    job.done = null;
    done?.(abort.signal.reason === LATE ? this.#late() : verdict);
  }

  #late(): SystemVerdict {
    const seconds = String(this.#deadlineMs / 1000);
    return { kind: 'refused', reason: `the LDAP server gave no answer within ${seconds} s` };
  }
}
