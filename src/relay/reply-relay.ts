import { BackendCode, HEADER_BYTES } from '../protocol/codes.ts';
import type { Link } from './link.ts';
import { Disposition } from './outstanding-requests.ts';
import { HeldMessage, MAX_HELD_BYTES, RESPONSE_KINDS, ResponseKind } from './response-framer.ts';

/** Chunks up to this size are copied when the client lags, rather than pin a read buffer, bytes. */
const COPY_BELOW_BYTES = 8192;

/**
 * HOT PATH: guarded by `npm run bench`.
 *
 * The way from a server connection to its client: header-only framing, zero copy. Consecutive
 * messages to forward become one write of a view of the server connection's own read buffer.
 */
export class ReplyRelay {
  readonly #link: Link;
  /** Bytes of the current body that have not come yet. */
  #bodyRemaining = 0;
  #bodyDisposition: number = Disposition.Forward;
  readonly #held = new HeldMessage();
  #isPaused = false;
  /** What the server sent that it may not send; everything after it is void. */
  violation: string | null = null;

  constructor(link: Link) {
    this.#link = link;
  }

  /** Whether a reply has been forwarded in part, so that no message may be put in. */
  get isMidReply(): boolean {
    return this.#bodyRemaining > 0 && this.#bodyDisposition === Disposition.Forward;
  }

  /** Whether the next byte begins a message. */
  get isAtBoundary(): boolean {
    return this.#bodyRemaining === 0 && !this.#held.isActive;
  }

  /**
   * Forwards replies.
   *
   * @param chunk - borrowed from the server connection's own read buffer.
   */
  forward(chunk: Buffer, end: number): void {
    let offset = 0;
    const held = this.#held;
    if (held.isActive) {
      offset = held.fill(chunk, 0, end);
      if (held.isFilled && held.extend()) {
        offset = held.fill(chunk, offset, end);
      }
      if (!held.isFilled) {
        return;
      }
      const message = held.take();
      this.#relay(message, 0, message.length, false);
    }
    if (this.violation === null) {
      this.#relay(chunk, offset, end, true);
    }
  }

  #relay(chunk: Buffer, start: number, end: number, isBorrowed: boolean): void {
    const { ledger, host } = this.#link;
    let runStart = start;
    let offset = start;
    if (this.#bodyRemaining > 0) {
      const bytes = Math.min(this.#bodyRemaining, end - offset);
      this.#bodyRemaining -= bytes;
      offset += bytes;
      runStart = this.#bodyDisposition === Disposition.Forward ? start : offset;
    }
    const firstMessage = offset;
    while (offset < end) {
      if (end - offset < HEADER_BYTES) {
        this.#held.begin(chunk, offset, end);
        break;
      }
      const code = chunk[offset]!;
      const length =
        (chunk[offset + 1]! << 24) |
        (chunk[offset + 2]! << 16) |
        (chunk[offset + 3]! << 8) |
        chunk[offset + 4]!;
      const kind = RESPONSE_KINDS[code]!;
      if (kind === ResponseKind.Illegal || length < 4 || length >= host.maxPacketSizeBytes) {
        this.violation = describeMessage(code, length);
        break;
      }
      const missing = length + 1 - (end - offset);
      if (missing > 0 && kind === ResponseKind.Inspected && length < MAX_HELD_BYTES) {
        this.#held.begin(chunk, offset, end);
        break;
      }
      const disposition = ledger.onBackendMessage(code);
      if (disposition === Disposition.Violation) {
        this.violation = describeMessage(code, length);
        break;
      }
      const messageEnd = missing > 0 ? end : offset + 1 + length;
      const isRefused =
        code === BackendCode.ReadyForQuery && this.#link.refuses(chunk[offset + HEADER_BYTES]!);
      if (disposition === Disposition.Skip || isRefused) {
        const runEnd = isRefused
          ? beforeCompletion(chunk, Math.max(runStart, firstMessage), offset)
          : offset;
        this.#flush(chunk, runStart, runEnd, isBorrowed);
        runStart = messageEnd;
      }
      if (kind !== ResponseKind.Data) {
        this.#onReply(code, chunk, offset, messageEnd, disposition);
        if (this.violation !== null) {
          break;
        }
      }
      if (missing > 0) {
        this.#bodyRemaining = missing;
        // What begins while nobody is linked is not for the client that comes in between.
        this.#bodyDisposition = this.#link.client === null ? Disposition.Skip : disposition;
      }
      offset = messageEnd;
    }
    this.#flush(chunk, runStart, offset, isBorrowed);
  }

  #onReply(code: number, chunk: Buffer, start: number, end: number, disposition: number): void {
    const link = this.#link;
    switch (code) {
      case BackendCode.ReadyForQuery: {
        const status = end - start === 6 ? chunk[start + HEADER_BYTES]! : 0;
        if (!link.onReadyForQuery(status, disposition)) {
          this.violation = 'malformed ReadyForQuery';
        }
        return;
      }
      case BackendCode.ParameterStatus:
        link.onParameterStatus(chunk.subarray(start + HEADER_BYTES, end));
        return;
      case BackendCode.ErrorResponse:
        link.onErrorResponse(chunk.subarray(start + HEADER_BYTES, end), disposition);
        return;
      case BackendCode.CopyInResponse:
        link.onCopyInResponse();
        return;
      default:
    }
  }

  #flush(chunk: Buffer, start: number, end: number, isBorrowed: boolean): void {
    const { client, server } = this.#link;
    if (start >= end || client === null) {
      return;
    }
    let view = chunk;
    if (start !== 0 || end !== chunk.length) {
      view = start === 0 && isBorrowed ? server.viewOf(chunk, end) : chunk.subarray(start, end);
    }
    let mayGoOn: boolean;
    if (isBorrowed && client.pendingBytes > 0 && view.length < COPY_BELOW_BYTES) {
      mayGoOn = client.write(Buffer.from(view));
    } else {
      mayGoOn = client.write(view);
      if (isBorrowed && client.pendingBytes > 0) {
        const lent = server.detachReadBuffer(chunk);
        if (lent !== null) {
          client.keepUntilDrained(lent);
        }
      }
    }
    if (!mayGoOn && !this.#isPaused) {
      this.#isPaused = true;
      server.pauseReading();
    }
  }

  /** Reads the server again: the client has caught up, or is gone. */
  resume(): void {
    if (this.#isPaused) {
      this.#isPaused = false;
      this.#link.server.resumeReading();
    }
  }
}

/**
 * Where a run of whole messages ends without a CommandComplete at its end: drivers that were told that
 * BEGIN has worked take the error behind it for a second result.
 */
function beforeCompletion(chunk: Buffer, start: number, end: number): number {
  let last = start;
  for (let next = start; next < end; next += 1 + chunk.readInt32BE(next + 1)) {
    last = next;
  }
  return last < end && chunk[last] === BackendCode.CommandComplete ? last : end;
}

function describeMessage(code: number, length: number): string {
  const letter = code > 0x20 && code < 0x7f ? String.fromCharCode(code) : `0x${code.toString(16)}`;
  return `'${letter}' of ${String(length)} bytes`;
}
