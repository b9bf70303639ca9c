import { writeErrorResponse, writeReadyForQuery } from '../protocol/backend-writer.ts';
import { FrontendCode, HEADER_BYTES, TransactionStatus } from '../protocol/codes.ts';
import { poolerError } from '../protocol/pooler-errors.ts';
import type { ClientEnd, RelayPool } from '../relay/ends.ts';
import type { LinkHost } from '../relay/link-host.ts';
import { RequestKind } from '../relay/request-framer.ts';

/** What an intake asks of its client besides what a link may. */
export interface IntakeClient extends ClientEnd {
  readonly isClosed: boolean;
}

/** What is judged here and by the relay alike, so that neither passes what the other refuses. */
export type RequestRules = Pick<LinkHost, 'maxPacketSizeBytes' | 'requestKinds'>;

const READY_IDLE = writeReadyForQuery(TransactionStatus.Idle);

/**
 * The requests of a client that is not linked: finds out when a server connection is needed, holds
 * a bounded amount of bytes while the client waits for one, and answers for requests that were
 * cancelled in the queue. A small request looks for a server connection only once it is complete,
 * so that a client that stalls within it occupies none.
 */
export class RequestIntake {
  /** Most bytes held for a client; beyond that it is not read. */
  static readonly MAX_HELD_BYTES = 65_536;

  readonly #client: IntakeClient;
  readonly #pool: RelayPool;
  readonly #rules: RequestRules;
  #held: Buffer | null = null;
  /** A request of the extended protocol was cancelled: everything up to Sync is ignored. */
  #isDiscardingToSync = false;

  constructor(client: IntakeClient, pool: RelayPool, rules: RequestRules) {
    this.#client = client;
    this.#pool = pool;
    this.#rules = rules;
  }

  /** Whether there is nothing left to remember. */
  get isDone(): boolean {
    return this.#held === null && !this.#isDiscardingToSync;
  }

  /** Whether bytes of a request are kept. */
  get isHolding(): boolean {
    return this.#held !== null;
  }

  /** Whether the client must not be read for now. */
  get isFull(): boolean {
    return this.#held !== null && this.#held.length > RequestIntake.MAX_HELD_BYTES;
  }

  /** Hands over what is held, an owned buffer. */
  takeHeld(): Buffer | null {
    const held = this.#held;
    this.#held = null;
    return held;
  }

  /** Keeps a copy of bytes for later. */
  hold(chunk: Buffer, start: number, end: number): void {
    const bytes = chunk.subarray(start, end);
    this.#held = this.#held === null ? Buffer.from(bytes) : Buffer.concat([this.#held, bytes]);
  }

  /** Takes bytes of a client that is not linked. @param chunk - borrowed. */
  take(chunk: Buffer, end: number): void {
    if (this.#held !== null) {
      this.hold(chunk, 0, end);
      if (this.#client.waitStartMs === 0) {
        const held = this.#held;
        this.#held = null;
        this.#judge(held, held.length);
      }
      return;
    }
    this.#judge(chunk, end);
  }

  #judge(chunk: Buffer, end: number): void {
    const { framer } = this.#client;
    let offset = framer.skipBody(0, end);
    while (offset < end) {
      const kind = this.#rules.requestKinds[chunk[offset] ?? 0] ?? RequestKind.Illegal;
      const isHeaderWhole = end - offset >= HEADER_BYTES;
      if (kind === RequestKind.Illegal || isHeaderWhole) {
        const next = this.#judgeMessage(chunk, offset, end, kind);
        if (next === -1) {
          return;
        }
        offset = next;
      } else {
        this.hold(chunk, offset, end);
        return;
      }
    }
  }

  /** @returns the offset of the next message, or -1 when the rest has been dealt with. */
  #judgeMessage(chunk: Buffer, offset: number, end: number, kind: number): number {
    const client = this.#client;
    if (kind === RequestKind.Illegal) {
      client.onBadRequest('type', chunk.subarray(offset, Math.min(end, offset + HEADER_BYTES)));
      return -1;
    }
    const length = readLength(chunk, offset + 1);
    if (length < 4 || length >= this.#rules.maxPacketSizeBytes) {
      const header = chunk.subarray(offset, offset + HEADER_BYTES);
      client.onBadRequest(length < 4 ? 'header' : 'size', header);
      return -1;
    }
    if (kind === RequestKind.Terminate) {
      client.onTerminate();
      return -1;
    }
    if (kind === RequestKind.Refused) {
      client.onBadRequest('query', chunk.subarray(offset, offset + HEADER_BYTES));
      return -1;
    }
    const isSync = chunk[offset] === FrontendCode.Sync;
    if (this.#isDiscardingToSync && isSync) {
      this.#isDiscardingToSync = false;
      client.write(READY_IDLE);
      return this.#skip(offset, length, end);
    }
    const isFlush = chunk[offset] === FrontendCode.Flush && length === 4;
    const isCopy = kind === RequestKind.CopyData || kind === RequestKind.CopyEnd;
    const hasNoReply = isCopy || isFlush;
    if (this.#isDiscardingToSync || hasNoReply) {
      // Flush with nothing to flush, COPY data behind an error that ended the COPY: PostgreSQL
      // ignores them as well.
      return this.#skip(offset, length, end);
    }
    const isComplete = length + 1 <= end - offset;
    if (!isComplete && length < RequestIntake.MAX_HELD_BYTES) {
      this.hold(chunk, offset, end);
      return -1;
    }
    this.#link(chunk, offset, end);
    return -1;
  }

  #skip(offset: number, length: number, end: number): number {
    const { framer } = this.#client;
    framer.bodyRemaining = length - 4;
    return framer.skipBody(offset + HEADER_BYTES, end);
  }

  #link(chunk: Buffer, start: number, end: number): void {
    const client = this.#client;
    const server = this.#pool.acquire(client);
    if (server === null) {
      if (!client.isClosed) {
        this.#onQueued(chunk, start, end);
      }
      return;
    }
    if (server.link.begin(client)) {
      server.link.onClientData(chunk, start, end);
    } else {
      this.hold(chunk, start, end);
    }
  }

  #onQueued(chunk: Buffer, start: number, end: number): void {
    this.hold(chunk, start, end);
    this.#client.queuedSinceMs = this.#client.waitStartMs;
  }

  /**
   * Answers the first request held as cancelled and goes on with the others. The client has been
   * taken out of the queue.
   */
  cancelFirst(): void {
    const held = this.#held;
    if (held === null) {
      return;
    }
    this.#held = null;
    const client = this.#client;
    client.queuedSinceMs = 0;
    client.write(writeErrorResponse(poolerError('canceledInQueue')));
    const code = held[0];
    const isSimple = code === FrontendCode.Query || code === FrontendCode.FunctionCall;
    if (isSimple) {
      client.write(READY_IDLE);
      const next = this.#skip(0, held.readInt32BE(1), held.length);
      this.#judge(held.subarray(next), held.length - next);
    } else {
      this.#isDiscardingToSync = true;
      this.#judge(held, held.length);
    }
  }
}

/** As `readInt32BE`, without its checks: the caller has seen that the header is whole. */
function readLength(chunk: Buffer, offset: number): number {
  return (
    ((chunk[offset] ?? 0) << 24) |
    ((chunk[offset + 1] ?? 0) << 16) |
    ((chunk[offset + 2] ?? 0) << 8) |
    (chunk[offset + 3] ?? 0)
  );
}
