import { FrontendCode, HEADER_BYTES, MAX_SHORT_MESSAGE_BYTES } from '../protocol/codes.ts';
import type { ClientEnd } from './ends.ts';
import type { Link } from './link.ts';
import { MAX_OUTSTANDING } from './outstanding-requests.ts';
import { RequestKind } from './request-framer.ts';

/** Requests owed beyond which a client must take its turn while others wait. */
const LONG_PIPELINE = 64;
/** Chunks from this size on are forwarded without a copy, in bytes. */
const LARGE_CHUNK_BYTES = 16_384;

/**
 * HOT PATH: guarded by `npm run bench`.
 *
 * The way from a client to its server connection. Each header is judged before it is forwarded,
 * bodies are never opened, and what one chunk holds becomes one write.
 */
export class RequestRelay {
  readonly #link: Link;
  /** Message of maitred's own that goes out ahead of the next request, in the same write. */
  prefix: Buffer | null = null;
  /** Requests forwarded whose writes the server socket has not taken yet. */
  #isServerFull = false;
  /** The client is not read because its pipeline is long. */
  #isHeldBack = false;
  /** It is held back so that others get their turn, not because too much is owed. */
  #isTakingTurns = false;
  /** The client keeps the begin of a request for its next turn. */
  #isTailKept = false;

  constructor(link: Link) {
    this.#link = link;
  }

  /**
   * Forwards requests.
   *
   * @param chunk - borrowed; what is forwarded is copied.
   */
  forward(client: ClientEnd, chunk: Buffer, start: number, end: number): void {
    const { framer } = client;
    const { maxPacketSizeBytes: maxBytes, requestKinds: kinds } = this.#link.host;
    let savedHeader: Buffer | null = null;
    let offset = framer.skipBody(start, end);
    if (framer.isAtBoundary) {
      offset = this.#passWhole(client, chunk, offset, end);
    }
    while (offset < end) {
      if (end - offset < HEADER_BYTES && this.#keepForNextTurn(client, chunk, offset, end)) {
        break;
      }
      const bodyStart = framer.readHeader(chunk, offset, end);
      if (bodyStart === -1) {
        break;
      }
      const kind = kinds[framer.code]!;
      const { messageLength } = framer;
      if (kind === RequestKind.Illegal || kind > RequestKind.CopyEnd) {
        this.#send(savedHeader, chunk, start, offset);
        this.#onEndingRequest(client, kind);
        return;
      }
      if (messageLength < 4 || messageLength >= maxBytes) {
        this.#send(savedHeader, chunk, start, offset);
        client.onBadRequest(messageLength < 4 ? 'header' : 'size', headerOf(client));
        return;
      }
      if (messageLength >= end - offset && this.#keepForNextTurn(client, chunk, offset, end)) {
        break;
      }
      if (framer.savedBytes > 0) {
        savedHeader = framer.takeSaved();
      }
      this.#record(client, kind);
      framer.bodyRemaining = messageLength - 4;
      offset = framer.skipBody(bodyStart, end);
    }
    this.#send(savedHeader, chunk, start, offset);
    this.#holdBackIfNeeded(client);
  }

  /**
   * Passes requests that the chunk holds whole, which nearly all are.
   *
   * @returns the offset of the first message that needs a closer look, or `end`.
   */
  #passWhole(client: ClientEnd, chunk: Buffer, start: number, end: number): number {
    const { ledger, host } = this.#link;
    const { maxPacketSizeBytes: maxBytes, requestKinds: kinds } = host;
    let offset = start;
    while (end - offset >= HEADER_BYTES) {
      const code = chunk[offset]!;
      const length =
        (chunk[offset + 1]! << 24) |
        (chunk[offset + 2]! << 16) |
        (chunk[offset + 3]! << 8) |
        chunk[offset + 4]!;
      const kind = kinds[code]!;
      const isPlain = kind === RequestKind.Request || kind === RequestKind.CopyData;
      const isBroken = code === FrontendCode.Flush && length !== 4;
      if (!isPlain || isBroken || length < 4 || length >= maxBytes || length >= end - offset) {
        break;
      }
      ledger.onFrontendMessage(code);
      if (
        (client.queryStartMs === 0 || code === FrontendCode.Query) &&
        kind === RequestKind.Request &&
        code !== FrontendCode.Flush
      ) {
        this.#count(client, code);
      }
      offset += 1 + length;
    }
    return offset;
  }

  /** Enters the message whose header the framer has read. */
  #record(client: ClientEnd, kind: number): void {
    const { ledger } = this.#link;
    const { code, messageLength } = client.framer;
    if (code === FrontendCode.Flush && messageLength !== 4) {
      ledger.onBrokenFlush();
      return;
    }
    ledger.onFrontendMessage(code);
    if (kind === RequestKind.CopyEnd && messageLength > MAX_SHORT_MESSAGE_BYTES) {
      ledger.onLongCopyEnd();
    }
    if (kind === RequestKind.Request && code !== FrontendCode.Flush) {
      this.#count(client, code);
    }
  }

  #onEndingRequest(client: ClientEnd, kind: number): void {
    if (kind === RequestKind.Terminate && client.framer.messageLength === 4) {
      client.onTerminate();
    } else if (kind === RequestKind.Refused) {
      client.onBadRequest('query', headerOf(client));
    } else {
      client.onBadRequest(kind === RequestKind.Terminate ? 'header' : 'type', headerOf(client));
    }
  }

  /** The time in the queue belongs to the query and to the transaction that waited. */
  #count(client: ClientEnd, code: number): void {
    const { stats } = this.#link.server.pool;
    if (client.queryStartMs === 0) {
      const { queuedSinceMs } = client;
      client.queryStartMs = queuedSinceMs === 0 ? this.#link.host.nowMs() : queuedSinceMs;
      client.queuedSinceMs = 0;
      client.lastRequestMs = client.queryStartMs;
      stats.queryCount++;
    } else if (code === FrontendCode.Query) {
      stats.queryCount++;
    }
    if (client.xactStartMs === 0) {
      client.xactStartMs = client.queryStartMs;
      stats.xactCount++;
    }
  }

  /**
   * Small requests are copied, since their chunk is a buffer that other clients read into as well;
   * a client that sends much is given a buffer of its own, which is written as it is.
   */
  #send(savedHeader: Buffer | null, chunk: Buffer, start: number, end: number): void {
    const headerBytes = savedHeader === null ? 0 : savedHeader.length;
    const requestBytes = headerBytes + end - start;
    if (requestBytes === 0) {
      return;
    }
    const link = this.#link;
    link.server.pool.stats.receivedBytes += requestBytes;
    const { prefix } = this;
    this.prefix = null;
    const isLarge = end - start >= LARGE_CHUNK_BYTES;
    const client = link.client;
    const isOwn = client?.isReadBufferOwn === true;
    const mayGoOn =
      isLarge && isOwn
        ? this.#sendView(prefix, savedHeader, chunk, start, end)
        : link.server.writeCopy(prefix, savedHeader, chunk, start, end);
    if (client !== null && isLarge !== isOwn) {
      client.isReadBufferOwn = isLarge;
    }
    if (!mayGoOn) {
      this.#isServerFull = true;
      client?.pauseReading();
    }
  }

  #sendView(
    prefix: Buffer | null,
    savedHeader: Buffer | null,
    chunk: Buffer,
    start: number,
    end: number,
  ): boolean {
    const { server, client } = this.#link;
    if (prefix !== null) {
      server.write(prefix);
    }
    if (savedHeader !== null) {
      server.write(savedHeader);
    }
    const mayGoOn = server.write(chunk.subarray(start, end));
    if (server.pendingBytes > 0) {
      const lent = client?.detachReadBuffer(chunk) ?? null;
      if (lent !== null) {
        server.keepUntilDrained(lent);
      }
    }
    return mayGoOn;
  }

  /** A long pipeline takes its turn while others wait; an endless one is not read for a while. */
  #holdBackIfNeeded(client: ClientEnd): void {
    const { ledger } = this.#link;
    if (ledger.length < LONG_PIPELINE || this.#isHeldBack) {
      return;
    }
    // The server answers no request before it is whole.
    this.#isTakingTurns = client.framer.bodyRemaining === 0 && this.#mustTakeTurns();
    if (this.#isTakingTurns || ledger.length > MAX_OUTSTANDING) {
      this.#isHeldBack = true;
      client.pauseReading();
    }
  }

  #mustTakeTurns(): boolean {
    const { ledger, server } = this.#link;
    return (
      ledger.length >= LONG_PIPELINE &&
      server.pool.waitingClients.length > 0 &&
      ledger.isReadyOwed &&
      !ledger.isCopyIn
    );
  }

  /**
   * Leaves a request that the chunk cuts off with the client, if the client must take turns: the
   * server connection can be given back at the boundary of a message only.
   */
  #keepForNextTurn(client: ClientEnd, chunk: Buffer, start: number, end: number): boolean {
    if (client.framer.savedBytes > 0 || !this.#mustTakeTurns()) {
      return false;
    }
    client.keepRequest(chunk, start, end);
    this.#isTailKept = true;
    return true;
  }

  /**
   * Something has been answered, but not everything: a client held back is read again if the rest
   * may never be answered otherwise.
   */
  onProgress(): void {
    if (!this.#isHeldBack) {
      return;
    }
    const { ledger } = this.#link;
    if (this.#isTakingTurns ? !ledger.isReadyOwed : ledger.length < MAX_OUTSTANDING / 2) {
      this.stopHoldingBack();
    }
  }

  /** The kernel has taken what was written to the server. */
  onServerDrain(): void {
    this.#isServerFull = false;
    this.#resume();
  }

  /** What was owed has been answered, or the server waits for COPY data. */
  stopHoldingBack(): void {
    if (this.#isHeldBack) {
      this.#isHeldBack = false;
      this.#resume();
      if (this.#isTailKept) {
        this.#isTailKept = false;
        this.#link.client?.onLinkReady();
      }
    }
  }

  #resume(): void {
    if (!this.#isServerFull && !this.#isHeldBack) {
      this.#link.client?.resumeReading();
    }
  }

  /** Forgets the client. What the server socket has not taken yet stays on its way. */
  reset(): void {
    this.prefix = null;
    this.#isHeldBack = false;
    this.#isTailKept = false;
  }
}

function headerOf(client: ClientEnd): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(client.framer.code, 0);
  header.writeInt32BE(client.framer.messageLength, 1);
  return header;
}
