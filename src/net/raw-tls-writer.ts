import {
  makeWriteRequest,
  wasLastWriteAsync,
  type RawHandle,
  type WriteRequest,
} from './raw-handle.ts';

/**
 * HOT PATH: guarded by `npm run bench`.
 *
 * Whether a request object can be asked if its write is under way; null until it has been tried. Being
 * told of the end of each write costs about as much as the write itself.
 */
let isAskable: boolean | null = null;

/** Finds out about {@link isAskable} by a write that has just begun. */
function tryAsking(request: WriteRequest): void {
  const { oncomplete } = request;
  if (typeof request.getAsyncId !== 'function' || request.getAsyncId() < 0) {
    isAskable = false;
    return;
  }
  request.oncomplete = (status) => {
    oncomplete?.call(request, status);
    // The object is free when its callback is over.
    setImmediate(() => {
      isAskable ??= (request.getAsyncId?.() ?? 0) < 0;
    });
  };
}

function onWritten(this: WriteRequest, status: number): void {
  this.maitredWriter?.onDone(this, status);
}

/**
 * Writes to one handle through TLS. OpenSSL encrypts in the call, so what was written is free again
 * at once; but the handle takes one write at a time and is done with it in a later turn of the event
 * loop. Meanwhile, writes are copied and wait.
 */
export class RawTlsWriter {
  readonly #handle: RawHandle;
  readonly #onDone: (status: number) => void;
  /** The request of the last write, to be used again when that is done. */
  #request: WriteRequest | null = null;
  /** Bytes of the last write; it may be done already. */
  #inFlightBytes = 0;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;

  /** @param onDone - told when all is written, if that was asked for; status is 0 or negative. */
  constructor(handle: RawHandle, onDone: (status: number) => void) {
    this.#handle = handle;
    this.#onDone = onDone;
  }

  /** Bytes that are on their way or wait. */
  get pendingBytes(): number {
    return this.#isBusy() ? this.#inFlightBytes + this.#waitingBytes : 0;
  }

  /**
   * Writes `chunk`.
   *
   * @param chunk - borrowed.
   * @returns bytes that may be pending now, at least 0; a negative error number when the connection
   *   is broken. An error of a write that has gone on after its call is told to who asks by
   *   {@link tellWhenDone}; who reads meets it there.
   */
  write(chunk: Buffer): number {
    if (chunk.length === 0) {
      return this.pendingBytes;
    }
    if (!this.#isBusy()) {
      return this.#send(chunk, isAskable !== true);
    }
    this.#waiting.push(Buffer.from(chunk));
    this.#waitingBytes += chunk.length;
    this.#watch();
    return this.#inFlightBytes + this.#waitingBytes;
  }

  /** Has `onDone` called when all is written. @returns false when it is already: then it is not called. */
  tellWhenDone(): boolean {
    if (!this.#isBusy()) {
      return false;
    }
    this.#watch();
    return true;
  }

  #isBusy(): boolean {
    if (this.#inFlightBytes > 0 && isAskable === true && (this.#request?.getAsyncId?.() ?? 0) < 0) {
      this.#inFlightBytes = 0;
    }
    return this.#inFlightBytes > 0;
  }

  #watch(): void {
    const request = this.#request;
    if (request !== null && (request.oncomplete ?? null) === null) {
      request.maitredWriter = this;
      request.oncomplete = onWritten;
    }
  }

  #send(chunk: Buffer, isWatched: boolean): number {
    const request = this.#request ?? makeWriteRequest();
    this.#request = request;
    this.#inFlightBytes = chunk.length;
    if (isWatched) {
      this.#watch();
    }
    const status = this.#handle.writeBuffer(request, chunk);
    if (status !== 0 || !wasLastWriteAsync()) {
      this.#inFlightBytes = 0;
      this.#request = null;
      return status;
    }
    if (isAskable === null) {
      tryAsking(request);
    }
    return this.#inFlightBytes;
  }

  /** For the request objects only. */
  onDone(request: WriteRequest, status: number): void {
    if (request !== this.#request) {
      return;
    }
    // Node.js is not done with the object before this call ends.
    this.#request = null;
    this.#inFlightBytes = 0;
    const waiting = this.#waiting;
    const [first] = waiting;
    if (status !== 0 || first === undefined) {
      this.#onDone(status);
      return;
    }
    this.#waiting = [];
    this.#waitingBytes = 0;
    const pending = this.#send(waiting.length === 1 ? first : Buffer.concat(waiting), true);
    if (pending <= 0) {
      this.#onDone(pending);
    }
  }
}
