import type { ConsoleRequest } from './requests.ts';

/** Messages kept while a command waits for its answer. */
export const MAX_QUEUED_MESSAGES = 500;
/** Bytes of messages kept while a command waits for its answer, over all messages. */
export const MAX_QUEUED_BYTES = 65_536;

interface Input {
  readonly request: ConsoleRequest;
  readonly bytes: number;
}

/** What a console's client has sent and is not yet answered, in the order in which it came. */
export class ConsoleInbox {
  readonly #inputs: Input[] = [];
  #bytes = 0;

  /**
   * Whether one more message can be kept while a command waits.
   *
   * @param bytes - length of its body.
   */
  hasRoomFor(bytes: number): boolean {
    return this.#inputs.length < MAX_QUEUED_MESSAGES && bytes <= MAX_QUEUED_BYTES - this.#bytes;
  }

  /**
   * Adds a message behind the others. One that is worked on at once needs no room.
   *
   * @param bytes - length of its body.
   */
  push(request: ConsoleRequest, bytes: number): void {
    this.#inputs.push({ request, bytes });
    this.#bytes += bytes;
  }

  /** Takes the oldest message; `null` when there is none. */
  shift(): ConsoleRequest | null {
    const input = this.#inputs.shift();
    if (input === undefined) {
      return null;
    }
    this.#bytes -= input.bytes;
    return input.request;
  }

  /** Forgets all messages. */
  clear(): void {
    this.#inputs.length = 0;
    this.#bytes = 0;
  }
}
