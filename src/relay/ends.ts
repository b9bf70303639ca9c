import type { ServerReport } from '../protocol/backend-reader.ts';
import type { PoolClient, PoolServer } from '../pool/members.ts';
import type { Pool } from '../pool/pool.ts';
import type { Link } from './link.ts';
import type { ParameterValues } from './parameter-cache.ts';
import type { RequestFramer } from './request-framer.ts';

/** The pool of clients and server connections as the relay knows them. */
export type RelayPool = Pool<ClientEnd, ServerEnd>;

/** What both ends of a link have in common: a stream of borrowed chunks. */
export interface ByteEnd {
  /** Bytes written that the kernel has not taken yet. */
  readonly pendingBytes: number;
  /**
   * Writes.
   *
   * @param chunk - must stay unchanged while `pendingBytes` is above zero.
   * @returns whether more may be written; after `false` the link is told when.
   */
  write(chunk: Buffer): boolean;
  pauseReading(): void;
  resumeReading(): void;
  /**
   * Lets the chunk being handled live on, because a write to the other end still refers to it.
   *
   * @param chunk - what was written from; chunks that were held lie in no read buffer.
   * @returns the buffer, for the other end to keep; null when there is nothing to do (any more).
   */
  detachReadBuffer(chunk: Buffer): Buffer | null;
  /** Keeps `buffer`, which writes refer to, until `pendingBytes` is zero. */
  keepUntilDrained(buffer: Buffer): void;
}

/** What a link sees of its client connection. */
export interface ClientEnd extends PoolClient<ClientEnd, ServerEnd>, ByteEnd {
  /** Where in its stream of messages the client is. */
  readonly framer: RequestFramer;
  /** Values of the tracked parameters that this client counts on. */
  parameters: ParameterValues;
  /** The link that serves it; null while it is not linked. */
  link: Link | null;
  /** Start of the query being answered, in clock ms; 0 when there is none. */
  queryStartMs: number;
  /** Start of the transaction, in clock ms; 0 outside of one. */
  xactStartMs: number;
  /** When the request to be sent next was queued, in clock ms; 0 when it did not have to wait. */
  queuedSinceMs: number;
  /** When the client last began a query, in clock ms. */
  lastRequestMs: number;
  /** When a query of the client last ended, in clock ms; 0 before the first. */
  lastReplyMs: number;
  /**
   * Whether its chunks lie in a buffer that nobody else reads into, so that they may be written
   * without a copy. Setting it takes effect with the next chunk.
   */
  isReadBufferOwn: boolean;
  /** Whether it is to be told to leave at the end of its transaction. */
  readonly isLeaving: boolean;
  /** Keeps the begin of a request until `onLinkReady` or its next turn. @param chunk - borrowed. */
  keepRequest(chunk: Buffer, start: number, end: number): void;
  /** The server connection can take requests, and what was kept can be sent. */
  onLinkReady(): void;
  /** The server connection has gone back to its pool. */
  onReleased(): void;
  /** The client sent Terminate. */
  onTerminate(): void;
  /** Bytes from the client that cannot be right. */
  onBadRequest(problem: 'header' | 'size' | 'type' | 'query', header: Buffer): void;
  /** Ends the connection without an error message, because the server has already sent one. */
  disconnectSilently(reason: string): void;
}

/** What a link sees of its server connection. */
export interface ServerEnd extends PoolServer<ClientEnd, ServerEnd>, ByteEnd {
  readonly pool: RelayPool;
  readonly link: Link;
  /** Values of the tracked parameters in force on the server, as far as it reports them. */
  parameters: ParameterValues;
  /** Whether the server reports the parameter, by the same index. */
  readonly isReported: readonly boolean[];
  lastActivityMs: number;
  /** Whether it is closed or closing. */
  readonly isClosed: boolean;
  /** Writes a copy of up to three borrowed pieces; null for none. */
  writeCopy(
    first: Buffer | null,
    second: Buffer | null,
    chunk: Buffer,
    start: number,
    end: number,
  ): boolean;
  /** A view of the first `end` bytes of the read buffer, valid as the chunk is. */
  viewOf(chunk: Buffer, end: number): Buffer;
  /** Asks the server process to cancel what it runs. */
  requestCancel(): void;
  /** The server has refused values of tracked parameters. */
  onParametersRefused(error: ServerReport): void;
  /** The server has sent what it may not send, and will be closed. @param found - what it was. */
  onUnexpectedMessage(found: string): void;
  /** The connect query has ended; `error` is what the server said against it. */
  onConnectQueryDone(error: ServerReport | null): void;
  /** Where and what it is, for the error of a client that lost it. */
  describe(): string;
}
