import { assert } from '../base/assert.ts';

/**
 * HOT PATH: guarded by `npm run bench`.
 *
 * Where Node internals are touched, with raw-socket.ts: the stream handle under a `net.Socket`. Reading by
 * `handle.onread` into a buffer of our own and writing by `handle.writeBuffer` skip the stream
 * classes, which cost more than everything else that maitred does for a transaction. All of it is
 * looked for first ({@link rawHandleOf}); where anything is missing, {@link SocketStream} uses the
 * public interface and everything works the same, only slower.
 */

/** A request object of a write; kept alive by Node until a write that was not immediate is done. */
export interface WriteRequest {
  /** Called with 0 or a negative error number. */
  oncomplete: ((this: WriteRequest, status: number) => void) | null;
  /** Keeps the bytes alive while the write is under way. */
  buffer: Buffer | null;
  /** Who is told of the end of a write through TLS. */
  maitredWriter?: { onDone(request: WriteRequest, status: number): void };
  /** Negative while no write is under way. */
  getAsyncId?(): number;
}

/** A request object of the end of writing; kept alive by Node until it has been done. */
export type ShutdownRequest = object;

/** The part of a TCP or pipe handle that is used. */
export interface RawHandle {
  onread: (this: RawHandle, unused: unknown) => Buffer | undefined;
  /** Who is told of reads. */
  maitredReader: RawReader;
  /** What the stream classes of Node go by: whether reading has been started. */
  reading: boolean;
  readStart(): number;
  readStop(): number;
  useUserBuffer(buffer: Buffer): void;
  /** @returns 0 or a negative error number. */
  writeBuffer(request: WriteRequest, chunk: Buffer): number;
}

/** What reads are handed to. */
export interface RawReader {
  /** @returns the buffer for the next reads, or undefined to stay with the current one. */
  onRawRead(bytes: number): Buffer | undefined;
  /** The peer has finished writing. */
  onRawEnd(): void;
  /** @param errno - negative error number. */
  onRawError(errno: number): void;
}

interface StreamBinding {
  readonly WriteWrap: new () => WriteRequest;
  readonly ShutdownWrap: new () => ShutdownRequest;
  /** Shared with C++: results of the last call. */
  readonly streamBaseState: Int32Array;
  readonly kReadBytesOrError: number;
  readonly kLastWriteWasAsync: number;
}

/** End of file, as libuv numbers it on every platform. */
const UV_EOF = -4095;

function findBinding(): StreamBinding | null {
  const legacy = process as unknown as { binding?: (name: string) => Partial<StreamBinding> };
  try {
    const found = legacy.binding?.('stream_wrap');
    const isComplete =
      typeof found?.WriteWrap === 'function' &&
      typeof found.ShutdownWrap === 'function' &&
      found.streamBaseState instanceof Int32Array &&
      typeof found.kReadBytesOrError === 'number' &&
      typeof found.kLastWriteWasAsync === 'number';
    return isComplete ? (found as StreamBinding) : null;
  } catch {
    // A runtime without it: the public interface serves as well.
    return null;
  }
}

const binding = findBinding();
const WriteWrap = binding?.WriteWrap;
const ShutdownWrap = binding?.ShutdownWrap;
const state = binding?.streamBaseState ?? new Int32Array(1);
const RESULT_INDEX = binding?.kReadBytesOrError ?? 0;
const ASYNC_INDEX = binding?.kLastWriteWasAsync ?? 0;

const METHODS = ['readStart', 'readStop', 'useUserBuffer', 'writeBuffer'] as const;

/** Makes the request object of a write. Only where {@link rawHandleOf} has found something. */
export function makeWriteRequest(): WriteRequest {
  assert(WriteWrap !== undefined, 'a raw handle is found only where it can be written to');
  return new WriteWrap();
}

/** Makes the request object of the end of writing. Only where {@link rawHandleOf} has found something. */
export function makeShutdownRequest(): ShutdownRequest {
  assert(ShutdownWrap !== undefined, 'a raw handle is found only where it can be ended');
  return new ShutdownWrap();
}

/** Whether the last write of all has gone on after its call. */
export function wasLastWriteAsync(): boolean {
  return state[ASYNC_INDEX] !== 0;
}

/** Finds the handle of a socket; null where it cannot be used directly. */
export function rawHandleOf(socket: object): RawHandle | null {
  const { _handle: handle } = socket as { _handle?: Partial<RawHandle> | null };
  if (binding === null || handle === undefined || handle === null) {
    return null;
  }
  const isComplete = METHODS.every((name) => typeof handle[name] === 'function');
  return isComplete ? (handle as RawHandle) : null;
}

/** The file descriptor of a socket or of a listening server; -1 where there is none to tell. */
export function descriptorOf(socket: object): number {
  const { _handle: handle } = socket as { _handle?: { readonly fd?: unknown } | null };
  return typeof handle?.fd === 'number' ? handle.fd : -1;
}

function onRead(this: RawHandle): Buffer | undefined {
  const result = state[RESULT_INDEX] ?? 0;
  if (result > 0) {
    return this.maitredReader.onRawRead(result);
  }
  if (result === UV_EOF) {
    this.maitredReader.onRawEnd();
  } else if (result < 0) {
    this.maitredReader.onRawError(result);
  }
  return undefined;
}

/**
 * Reads from `handle` into `buffer` from now on.
 *
 * @param buffer - the caller keeps it alive until it hands over another one.
 */
export function readInto(handle: RawHandle, buffer: Buffer, reader: RawReader): void {
  handle.maitredReader = reader;
  handle.useUserBuffer(buffer);
  handle.onread = onRead;
  handle.reading = true;
  handle.readStart();
}

/**
 * Stops reading, so that another owner can take over. The stream classes are to take it for started
 * still: a start of theirs beside that of the new owner would be an error.
 */
export function leaveReading(handle: RawHandle): void {
  handle.readStop();
  handle.reading = true;
}

/**
 * What OpenSSL has against the certificate of the peer; null when it can be trusted. Node tells it
 * for connections accepted by a `tls.Server` only, so its handle is asked. Where that cannot be done,
 * no certificate is trusted.
 */
export function verificationErrorOf(socket: object): string | null {
  const { _handle: handle } = socket as { _handle?: { verifyError?: () => Error | null } | null };
  if (typeof handle?.verifyError !== 'function') {
    return 'this Node.js does not tell';
  }
  return handle.verifyError()?.message ?? null;
}

/** Writes to one handle, reusing the request object as long as the kernel takes everything. */
export class RawWriter {
  readonly #handle: RawHandle;
  readonly #WriteWrap: new () => WriteRequest;
  readonly #onDone: (bytes: number, status: number) => void;
  #spare: WriteRequest | null = null;

  /** @param onDone - told when a write that was not immediate has ended; status is 0 or negative. */
  constructor(handle: RawHandle, onDone: (bytes: number, status: number) => void) {
    assert(WriteWrap !== undefined, 'a raw handle is found only where it can be written to');
    this.#handle = handle;
    this.#WriteWrap = WriteWrap;
    this.#onDone = onDone;
  }

  /**
   * Writes `chunk`.
   *
   * @param chunk - must stay unchanged until `onDone` if this returns above zero.
   * @returns bytes that are still on their way, 0 when the kernel has taken all; a negative error
   *   number when the connection is broken.
   */
  write(chunk: Buffer): number {
    const request = this.#spare ?? new this.#WriteWrap();
    const status = this.#handle.writeBuffer(request, chunk);
    if (status !== 0) {
      return status;
    }
    if (state[ASYNC_INDEX] === 0) {
      this.#spare = request;
      return 0;
    }
    this.#spare = null;
    request.buffer = chunk;
    const bytes = chunk.length;
    request.oncomplete = (result) => {
      request.buffer = null;
      this.#onDone(bytes, result);
    };
    return bytes;
  }
}
