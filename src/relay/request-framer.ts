import { FrontendCode, HEADER_BYTES } from '../protocol/codes.ts';

/** What a frontend message means to the relay. */
export const RequestKind = {
  /** Not a message that a client may send after login. */
  Illegal: 0,
  /** Needs a server connection. */
  Request: 1,
  /** Ignored by the server unless a COPY runs. */
  CopyData: 2,
  /** CopyDone and CopyFail: likewise, but for long ones. */
  CopyEnd: 3,
  Terminate: 4,
  /** A simple query where `disable_pqexec` is on. */
  Refused: 5,
} as const;

/** {@link RequestKind} by type byte. */
export const REQUEST_KINDS: Uint8Array = (() => {
  const kinds = new Uint8Array(256);
  const { Query, Parse, Bind, Describe, Execute, Close, Sync, Flush, FunctionCall } = FrontendCode;
  for (const code of [Query, Parse, Bind, Describe, Execute, Close, Sync, Flush, FunctionCall]) {
    kinds[code] = RequestKind.Request;
  }
  kinds[FrontendCode.CopyData] = RequestKind.CopyData;
  kinds[FrontendCode.CopyDone] = RequestKind.CopyEnd;
  kinds[FrontendCode.CopyFail] = RequestKind.CopyEnd;
  kinds[FrontendCode.Terminate] = RequestKind.Terminate;
  return kinds;
})();

/** As {@link REQUEST_KINDS}, with simple queries refused. */
const REQUEST_KINDS_WITHOUT_QUERY: Uint8Array = (() => {
  const kinds = Uint8Array.from(REQUEST_KINDS);
  kinds[FrontendCode.Query] = RequestKind.Refused;
  return kinds;
})();

/** {@link RequestKind} by type byte, as `disable_pqexec` has it. */
export function requestKinds(isPqexecDisabled: boolean): Uint8Array {
  return isPqexecDisabled ? REQUEST_KINDS_WITHOUT_QUERY : REQUEST_KINDS;
}

/**
 * HOT PATH: guarded by `npm run bench`.
 *
 * Finds message headers in the stream of one client. Bodies are only counted. Header bytes that a
 * chunk cuts off are kept (at most 4), so that nothing is forwarded before it has been judged.
 */
export class RequestFramer {
  /** Type byte of the last header read. */
  code = 0;
  /** Length of the last header read: a signed number that counts itself but not the type byte. */
  messageLength = 0;
  /** Bytes of the current body that have not come yet. */
  bodyRemaining = 0;
  /** Header bytes kept from earlier chunks, count. */
  savedBytes = 0;
  #saved: Buffer | null = null;

  /** Whether the next byte begins a message. */
  get isAtBoundary(): boolean {
    return this.bodyRemaining === 0 && this.savedBytes === 0;
  }

  /** Consumes what is left of the current body. @returns the offset behind it, or `end`. */
  skipBody(offset: number, end: number): number {
    const bytes = Math.min(this.bodyRemaining, end - offset);
    this.bodyRemaining -= bytes;
    return offset + bytes;
  }

  /**
   * Reads a header into `code` and `messageLength`.
   *
   * @returns the offset behind it; -1 when the chunk ends within it, which is then kept.
   */
  readHeader(chunk: Buffer, offset: number, end: number): number {
    if (this.savedBytes > 0 || end - offset < HEADER_BYTES) {
      return this.#readSplitHeader(chunk, offset, end);
    }
    this.code = chunk[offset]!;
    this.messageLength =
      (chunk[offset + 1]! << 24) |
      (chunk[offset + 2]! << 16) |
      (chunk[offset + 3]! << 8) |
      chunk[offset + 4]!;
    return offset + HEADER_BYTES;
  }

  #readSplitHeader(chunk: Buffer, offset: number, end: number): number {
    this.#saved ??= Buffer.alloc(HEADER_BYTES);
    const bytes = Math.min(HEADER_BYTES - this.savedBytes, end - offset);
    chunk.copy(this.#saved, this.savedBytes, offset, offset + bytes);
    if (this.savedBytes + bytes < HEADER_BYTES) {
      this.savedBytes += bytes;
      return -1;
    }
    this.code = this.#saved.readUInt8(0);
    this.messageLength = this.#saved.readInt32BE(1);
    return offset + bytes;
  }

  /** Takes the header bytes that came in earlier chunks, an owned buffer. */
  takeSaved(): Buffer {
    const saved = this.#saved!.subarray(0, this.savedBytes);
    this.savedBytes = 0;
    this.#saved = null;
    return saved;
  }
}
