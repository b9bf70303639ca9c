import { HEADER_BYTES } from './codes.ts';

/** Why a stream of messages cannot be read on. */
export interface FramingProblem {
  /** Type byte of the offending message. */
  readonly code: number;
  /** Length it announced, as a signed number of bytes. */
  readonly length: number;
}

/**
 * Takes whole messages out of a stream, for the cold phases (login, console) where each message is
 * small and wanted whole. Holds at most one message of the largest size allowed, and never
 * allocates by an announced length: memory grows with the bytes that arrived.
 */
export class MessageAssembler {
  readonly #maxBytes: number;
  #held: Buffer | null = null;

  /** @param maxBytes - largest message accepted, type byte and length included, in bytes. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes held of a message that is not complete yet. */
  get heldBytes(): number {
    return this.#held === null ? 0 : this.#held.length;
  }

  /** Type byte of a message that is not complete yet; -1 when none is held. */
  get heldCode(): number {
    return this.#held?.[0] ?? -1;
  }

  /**
   * Adds bytes and hands out each message that is complete.
   *
   * @param chunk - borrowed.
   * @param onMessage - gets the type byte and the body (borrowed: valid during the call only);
   *   returning `false` stops, and the rest of the bytes is available from {@link takeRest}.
   * @returns null, or what is wrong with the next message.
   */
  feed(chunk: Buffer, onMessage: (code: number, body: Buffer) => boolean): FramingProblem | null {
    const bytes = this.#held === null ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = null;
    let offset = 0;
    while (bytes.length - offset >= HEADER_BYTES) {
      const code = bytes.readUInt8(offset);
      const length = bytes.readInt32BE(offset + 1);
      if (length < 4 || length > this.#maxBytes - 1) {
        return { code, length };
      }
      if (bytes.length - offset - 1 < length) {
        break;
      }
      const body = bytes.subarray(offset + HEADER_BYTES, offset + 1 + length);
      offset += 1 + length;
      if (!onMessage(code, body)) {
        break;
      }
    }
    if (offset < bytes.length) {
      this.#held = Buffer.from(bytes.subarray(offset));
    }
    return null;
  }

  /** Takes the bytes that no message was made of, an owned copy, or null where there are none. */
  takeRest(): Buffer | null {
    const rest = this.#held;
    this.#held = null;
    return rest;
  }
}
