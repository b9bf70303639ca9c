import { BackendCode, HEADER_BYTES } from '../protocol/codes.ts';

/** Largest message that is held whole to be looked into, in bytes; larger ones stream through. */
export const MAX_HELD_BYTES = 32_768;

/** Backend messages that may not come after login, or that do not exist, are marked 0. */
export const ResponseKind = {
  Illegal: 0,
  /** Only counted: rows and COPY data. */
  Data: 1,
  /** Settles something in the ledger; the body is not looked at. */
  Reply: 2,
  /** The body matters: it is held until it is whole. */
  Inspected: 3,
} as const;

/** {@link ResponseKind} by type byte. */
export const RESPONSE_KINDS: Uint8Array = (() => {
  const kinds = new Uint8Array(256);
  for (const code of Object.values(BackendCode)) {
    kinds[code] = ResponseKind.Reply;
  }
  kinds[BackendCode.DataRow] = ResponseKind.Data;
  kinds[BackendCode.CopyData] = ResponseKind.Data;
  kinds[BackendCode.ErrorResponse] = ResponseKind.Inspected;
  kinds[BackendCode.ParameterStatus] = ResponseKind.Inspected;
  kinds[BackendCode.ReadyForQuery] = ResponseKind.Inspected;
  for (const code of [
    BackendCode.Authentication,
    BackendCode.BackendKeyData,
    BackendCode.NegotiateProtocolVersion,
  ]) {
    kinds[code] = ResponseKind.Illegal;
  }
  return kinds;
})();

/**
 * Collects one backend message that a chunk has cut off, because its header is split or because its
 * body matters. Holds at most {@link MAX_HELD_BYTES}, and allocates by what has come, not by what a
 * length announces.
 */
export class HeldMessage {
  #bytes: Buffer | null = null;
  #filled = 0;
  #wanted = 0;

  /** Whether a message is being collected. */
  get isActive(): boolean {
    return this.#wanted > 0;
  }

  /** Begins with the bytes from `offset` on, which are fewer than a header or than the message. */
  begin(chunk: Buffer, offset: number, end: number): void {
    const available = end - offset;
    this.#wanted = HEADER_BYTES;
    if (available >= HEADER_BYTES) {
      this.#wanted = 1 + chunk.readInt32BE(offset + 1);
    }
    this.#bytes = Buffer.allocUnsafe(Math.max(available, HEADER_BYTES));
    chunk.copy(this.#bytes, 0, offset, end);
    this.#filled = available;
  }

  /**
   * Adds bytes of the next chunk.
   *
   * @returns the offset behind what was taken.
   */
  fill(chunk: Buffer, offset: number, end: number): number {
    const bytes = Math.min(this.#wanted - this.#filled, end - offset);
    this.#makeRoom(this.#filled + bytes);
    chunk.copy(this.#bytes!, this.#filled, offset, offset + bytes);
    this.#filled += bytes;
    return offset + bytes;
  }

  #makeRoom(neededBytes: number): void {
    const bytes = this.#bytes!;
    if (neededBytes > bytes.length) {
      const wider = Buffer.allocUnsafe(
        Math.min(this.#wanted, Math.max(neededBytes, 2 * bytes.length)),
      );
      bytes.copy(wider, 0, 0, this.#filled);
      this.#bytes = wider;
    }
  }

  /** Whether what was asked for is there: a header, or a whole message. */
  get isFilled(): boolean {
    return this.#wanted > 0 && this.#filled === this.#wanted;
  }

  /**
   * Once a split header is there: goes on to hold the whole message if it is worth it.
   *
   * @returns whether more bytes are wanted.
   */
  extend(): boolean {
    if (this.#wanted !== HEADER_BYTES) {
      return false;
    }
    const bytes = this.#bytes!;
    const total = 1 + bytes.readInt32BE(1);
    if (total <= HEADER_BYTES || total > MAX_HELD_BYTES) {
      return false;
    }
    this.#wanted = total;
    return true;
  }

  /** Ends the collection and hands over the buffer: a whole message, or the header of a long one. */
  take(): Buffer {
    const bytes = this.#bytes!;
    this.#bytes = null;
    this.#wanted = 0;
    this.#filled = 0;
    return bytes;
  }
}
