import type { CommandError } from './control.ts';

/** Most steps of work between two turns of the event loop. */
export const STEPS_PER_TURN = 100;
/** Time after which a turn ends early, in ms: a busy machine takes longer for each step. */
export const MAX_TURN_MS = 3;

/**
 * An answer that is made step by step: each step yields a message, or null when there is none yet.
 * Returns the error that it ends with, or null.
 */
export type ConsoleWork = Generator<Buffer | null, CommandError | null, undefined>;

/** What {@link ConsoleWorker} needs from around it. */
export interface WorkerHost {
  /** Sends whole messages. */
  send(messages: Buffer): void;
  /** Monotonic time in ms. */
  nowMs(): number;
  /** Calls back in a later turn of the event loop, after input and output had theirs. */
  defer(action: () => void): void;
}

/**
 * Makes long answers in slices, so that ten thousand rows do not keep every other connection
 * waiting. An answer of up to {@link STEPS_PER_TURN} steps is made at once.
 */
export class ConsoleWorker {
  readonly #host: WorkerHost;
  #work: ConsoleWork | null = null;

  constructor(host: WorkerHost) {
    this.#host = host;
  }

  /** Whether an answer is still being made. */
  get isBusy(): boolean {
    return this.#work !== null;
  }

  /**
   * Begins an answer; none may be under way.
   *
   * @param onEnd - gets the error that it has ended with, or null, and the messages not sent yet.
   */
  run(work: ConsoleWork, onEnd: (error: CommandError | null, unsent: Buffer[]) => void): void {
    this.#work = work;
    this.#step(work, onEnd);
  }

  /** Drops the answer that is being made. */
  abandon(): void {
    this.#work = null;
  }

  #step(work: ConsoleWork, onEnd: (error: CommandError | null, unsent: Buffer[]) => void): void {
    const messages: Buffer[] = [];
    const endMs = this.#host.nowMs() + MAX_TURN_MS;
    for (let taken = 0; taken < STEPS_PER_TURN; taken += 1) {
      if (taken > 0 && this.#host.nowMs() >= endMs) {
        break;
      }
      const { done, value } = work.next();
      if (done === true) {
        this.#work = null;
        onEnd(value, messages);
        return;
      }
      if (value !== null) {
        messages.push(value);
      }
    }
    if (messages.length > 0) {
      this.#host.send(Buffer.concat(messages));
    }
    this.#host.defer(() => {
      if (this.#work === work) {
        this.#step(work, onEnd);
      }
    });
  }
}
