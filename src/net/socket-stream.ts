import type net from 'node:net';
import type { TLSSocket } from 'node:tls';
import { getSystemErrorName } from 'node:util';
import { assert } from '../base/assert.ts';
import { copyBytes } from '../base/copy-bytes.ts';
import { ViewCache } from '../base/view-cache.ts';
import { openSocket } from './abstract-socket.ts';
import { giveBack, sharedReadBuffer, takeReadBuffer } from './read-buffers.ts';
import { countBulk, startRest, type RestingStream } from './bulk-rest.ts';
import {
  descriptorOf,
  leaveReading,
  RawWriter,
  rawHandleOf,
  readInto,
  type RawHandle,
  type RawReader,
} from './raw-handle.ts';
import { RawTlsWriter } from './raw-tls-writer.ts';
import type { StreamHandler } from './stream-handler.ts';

/** Bytes on their way beyond which a writer is asked to wait. */
const HIGH_WATER_BYTES = 65_536;

/** Copies up to this size go through the scratch buffer, in bytes. */
const SCRATCH_BYTES = 4096;

/**
 * Where small copies are written from. When the kernel takes all of a write at once, as it nearly
 * always does, the buffer is free again on return; otherwise it is left to the write and replaced.
 */
let scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
let scratchViews = new ViewCache(scratch);

function replaceScratch(): void {
  scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  scratchViews = new ViewCache(scratch);
}

interface OwnedSocket extends net.Socket {
  maitredStream: SocketStream;
}

// One set of listeners for all sockets: a closure per event and socket would cost memory.
function onData(this: OwnedSocket, chunk: Buffer): void {
  this.maitredStream.onPublicData(chunk);
}
function onDrain(this: OwnedSocket): void {
  this.maitredStream.onDrained();
}
function onEnd(this: OwnedSocket): void {
  this.maitredStream.onRawEnd();
}
function onSecure(this: OwnedSocket): void {
  this.maitredStream.onSecure(this as unknown as TLSSocket);
}
function onError(this: OwnedSocket, error: Error): void {
  this.maitredStream.onError(error);
}
function onClose(this: OwnedSocket): void {
  this.maitredStream.onClosed();
}

/**
 * HOT PATH: guarded by `npm run bench`.
 *
 * One TCP or unix socket as a stream of borrowed chunks. A client's socket reads into a buffer that
 * all clients share, a server's into a buffer of its own.
 */
export class SocketStream implements RawReader, RestingStream {
  #socket: net.Socket;
  readonly #handler: StreamHandler;
  /** Direct access to the socket; null until connected, and where it is not to be had. */
  #handle: RawHandle | null = null;
  #writer: RawWriter | null = null;
  /** Instead of the other writer once TLS has begun. */
  #tlsWriter: RawTlsWriter | null = null;
  /** Whether the handshake of TLS is under way: nothing can be written. */
  #isSecuring = false;
  /**
   * Whether what is read has to wait. OpenSSL hands out all that it has decrypted, also when reading
   * was stopped in the middle of it.
   */
  #isHolding = false;
  readonly #held: Buffer[] = [];
  #isEndHeld = false;
  #readBuffer: Buffer;
  /** Views of the read buffer; null until asked for, and void when the buffer changes. */
  #readViews: ViewCache | null = null;
  /** What reads go to from the next one on; null to stay. */
  #nextBuffer: Buffer | null = null;
  /** Bytes handed to the kernel that it has not taken yet. */
  #rawPendingBytes = 0;
  /** Read buffers of other streams that writes of this one refer to. */
  readonly #lent: Buffer[] = [];
  #isDrainWanted = false;
  #isEnded = false;
  #isClosed = false;
  #isPaused = false;
  /** Bytes of bulk data read in a row, as {@link countBulk} has it. */
  #bulkBytes = 0;
  #isResting = false;
  #error: Error | null = null;

  private constructor(socket: net.Socket, handler: StreamHandler, readBuffer: Buffer) {
    this.#socket = socket;
    this.#handler = handler;
    this.#readBuffer = readBuffer;
    (socket as OwnedSocket).maitredStream = this;
    socket.on('error', onError);
    socket.on('close', onClose);
  }

  /** Takes over a socket accepted by a server made with `pauseOnConnect`. Reading starts at once. */
  static adopt(accepted: net.Socket, handler: StreamHandler): SocketStream {
    const stream = new SocketStream(accepted, handler, sharedReadBuffer);
    stream.#begin();
    return stream;
  }

  /** Opens a connection; `onConnect` is called when it stands. It reads into a buffer of its own. */
  static connect(
    target: net.NetConnectOpts,
    handler: StreamHandler,
    onConnect: () => void,
  ): SocketStream {
    const socket = openSocket({ ...target, allowHalfOpen: true });
    const stream = new SocketStream(socket, handler, takeReadBuffer());
    socket.once('connect', () => {
      stream.#begin();
      onConnect();
    });
    return stream;
  }

  #begin(): void {
    const socket = this.#socket;
    const handle = rawHandleOf(socket);
    if (handle === null) {
      this.#beginPublic();
      return;
    }
    // The socket's own reading must not start beside ours.
    socket.pause();
    this.#handle = handle;
    this.#writer = new RawWriter(handle, (bytes, status) => {
      this.#onWritten(bytes, status);
    });
    readInto(handle, this.#readBuffer, this);
  }

  #beginPublic(): void {
    const socket = this.#socket;
    socket.on('data', onData);
    socket.on('drain', onDrain);
    socket.on('end', onEnd);
    socket.resume();
  }

  // ---- TLS ----

  /**
   * Goes on inside TLS. What has been read so far came before it; the caller must have dealt with it.
   *
   * @param begin - wraps the socket; called at once.
   * @param hello - owned; bytes read already that belong to the handshake, or null.
   */
  startTls(begin: (socket: net.Socket) => TLSSocket, hello: Buffer | null): void {
    assert(!this.#isSecuring && this.#tlsWriter === null, 'TLS begins once');
    assert(this.#rawPendingBytes === 0, 'TLS begins when all has been written');
    const plain = this.#socket;
    if (this.#handle === null) {
      plain.off('data', onData).off('drain', onDrain).off('end', onEnd).pause();
    } else {
      leaveReading(this.#handle);
      this.#handle = null;
      this.#writer = null;
    }
    plain.off('close', onClose);
    if (hello !== null) {
      plain.unshift(hello);
    }
    this.#isSecuring = true;
    const secured = begin(plain);
    this.#socket = secured;
    (secured as unknown as OwnedSocket).maitredStream = this;
    secured.on('error', onError);
    secured.on('close', onClose);
    secured.once('secure', onSecure);
    this.#beginTls(secured);
  }

  #beginTls(socket: TLSSocket): void {
    const handle = rawHandleOf(socket);
    if (handle === null) {
      this.#beginPublic();
      return;
    }
    this.#handle = handle;
    this.#tlsWriter = new RawTlsWriter(handle, (status) => {
      this.#onTlsWritten(status);
    });
    readInto(handle, this.#readBuffer, this);
  }

  /** For the socket listeners only. */
  onSecure(socket: TLSSocket): void {
    this.#isSecuring = false;
    try {
      this.#handler.onStreamSecure(socket);
    } catch (error) {
      this.#handler.onStreamFault(error);
    }
  }

  // ---- writing ----

  /**
   * Writes `chunk`.
   *
   * @param chunk - must stay unchanged while {@link pendingBytes} is above zero.
   * @returns whether the caller may go on; after `false`, `onStreamDrain` tells when. Never throws.
   */
  write(chunk: Buffer): boolean {
    if (this.#isEnded) {
      return true;
    }
    const writer = this.#writer;
    if (writer === null) {
      return this.#writeOtherwise(chunk);
    }
    const pending = writer.write(chunk);
    if (pending === 0) {
      return true;
    }
    if (pending < 0) {
      this.onRawError(pending);
      return true;
    }
    this.#rawPendingBytes += pending;
    if (this.#rawPendingBytes < HIGH_WATER_BYTES) {
      return true;
    }
    this.#isDrainWanted = true;
    return false;
  }

  /** Through TLS, or by the public interface. */
  #writeOtherwise(chunk: Buffer): boolean {
    if (this.#isSecuring) {
      // The peer could not read it, and it must not go out in the clear.
      return true;
    }
    const writer = this.#tlsWriter;
    if (writer === null) {
      return this.#socket.write(chunk);
    }
    const pending = writer.write(chunk);
    if (pending < 0) {
      this.onRawError(pending);
      return true;
    }
    if (pending < HIGH_WATER_BYTES || !writer.tellWhenDone()) {
      return true;
    }
    this.#isDrainWanted = true;
    return false;
  }

  /**
   * Writes a copy of up to three pieces, in order.
   *
   * @param first - borrowed, or null for none.
   * @param second - borrowed, or null for none.
   * @param chunk - borrowed; `start` to `end` of it are written.
   * @returns as {@link write}.
   */
  writeCopy(
    first: Buffer | null,
    second: Buffer | null,
    chunk: Buffer,
    start: number,
    end: number,
  ): boolean {
    const firstBytes = first === null ? 0 : first.length;
    const chunkOffset = firstBytes + (second === null ? 0 : second.length);
    const total = chunkOffset + end - start;
    const isDirect = this.#writer !== null || this.#tlsWriter !== null;
    const isSmall = total <= SCRATCH_BYTES && isDirect;
    const out = isSmall ? scratch : Buffer.allocUnsafe(total);
    first?.copy(out, 0);
    second?.copy(out, firstBytes);
    copyBytes(out, chunkOffset, chunk, start, end);
    if (!isSmall) {
      return this.write(out);
    }
    const pendingBefore = this.#rawPendingBytes;
    const mayGoOn = this.write(scratchViews.view(total));
    if (this.#rawPendingBytes > pendingBefore) {
      replaceScratch();
    }
    return mayGoOn;
  }

  /** Bytes of chunks written that must not change yet. */
  get pendingBytes(): number {
    if (this.#writer !== null) {
      return this.#rawPendingBytes;
    }
    // TLS has made something else of them.
    return this.#tlsWriter === null ? this.#socket.writableLength : 0;
  }

  /** Bytes written that the kernel has not taken yet. */
  get unsentBytes(): number {
    return this.#tlsWriter?.pendingBytes ?? this.pendingBytes;
  }

  #onTlsWritten(status: number): void {
    if (status < 0) {
      this.onRawError(status);
    } else if (this.#isEnded) {
      if (!this.#isClosed) {
        this.#socket.end();
      }
    } else if (this.#isDrainWanted) {
      this.#isDrainWanted = false;
      this.onDrained();
    }
  }

  #onWritten(bytes: number, status: number): void {
    this.#rawPendingBytes -= bytes;
    if (status < 0) {
      this.onRawError(status);
      return;
    }
    if (this.#rawPendingBytes > 0) {
      return;
    }
    for (const buffer of this.#lent) {
      giveBack(buffer);
    }
    this.#lent.length = 0;
    if (this.#isDrainWanted) {
      this.#isDrainWanted = false;
      this.onDrained();
    }
  }

  // ---- reading ----

  /**
   * Lets the chunk of the current callback live on, because a write to another stream still refers
   * to it: the next read goes to another buffer. Only for streams with a buffer of their own.
   *
   * @param chunk - what was written from. One that does not lie in the read buffer lives on by
   *   itself: to give that buffer away, while reads go to it, would let two streams share it.
   * @returns the buffer, for the other stream to keep; null when it need not be kept.
   */
  detachReadBuffer(chunk: Buffer): Buffer | null {
    if (chunk !== this.#readBuffer || this.#nextBuffer !== null) {
      return null;
    }
    this.#nextBuffer = takeReadBuffer();
    return chunk;
  }

  /** Keeps a buffer of another stream, which writes refer to, until nothing is pending. */
  keepUntilDrained(buffer: Buffer): void {
    // Without direct access the socket keeps what it writes by itself, and nobody would drain this.
    if (this.#writer !== null) {
      this.#lent.push(buffer);
    }
  }

  /** Whether chunks lie in a buffer that no other stream reads into. */
  get isReadBufferOwn(): boolean {
    return this.#readBuffer !== sharedReadBuffer || this.#handle === null;
  }

  /** Takes effect with the next chunk. */
  set isReadBufferOwn(isOwn: boolean) {
    if (this.#handle !== null && isOwn !== this.isReadBufferOwn) {
      this.#nextBuffer = isOwn ? takeReadBuffer() : sharedReadBuffer;
    }
  }

  /** A view of the first `end` bytes of `chunk`, the one being handled; remembered by length. */
  viewOf(chunk: Buffer, end: number): Buffer {
    if (chunk !== this.#readBuffer) {
      return chunk.subarray(0, end);
    }
    this.#readViews ??= new ViewCache(chunk);
    return this.#readViews.view(end);
  }

  /** Stops reading; what the kernel's buffers hold stays there. */
  pause(): void {
    if (!this.#isPaused && !this.#isClosed) {
      this.#isPaused = true;
      if (this.#handle === null) {
        this.#socket.pause();
      } else {
        this.#isHolding = this.#tlsWriter !== null;
        this.#handle.readStop();
      }
    }
  }

  /** Reads again. */
  resume(): void {
    if (this.#isPaused && !this.#isClosed) {
      this.#isPaused = false;
      if (this.#handle === null) {
        this.#socket.resume();
      } else if (this.#isHolding && (this.#held.length > 0 || this.#isEndHeld)) {
        // Whoever resumes expects nothing to come before it is done.
        queueMicrotask(() => {
          this.#deliverHeld();
        });
      } else if (!this.#isResting) {
        this.#isHolding = false;
        this.#handle.readStart();
      }
    }
  }

  #rest(): void {
    if (!this.#isResting && !this.#isClosed) {
      this.#isResting = true;
      this.#handle?.readStop();
      startRest(this);
    }
  }

  onRestOver(): void {
    this.#isResting = false;
    if (!this.#isPaused && !this.#isClosed) {
      this.#handle?.readStart();
    }
  }

  #deliverHeld(): void {
    while (!this.#isPaused && !this.#isClosed) {
      const chunk = this.#held.shift();
      if (chunk === undefined) {
        this.#isHolding = false;
        this.#handle?.readStart();
        if (this.#isEndHeld) {
          this.#isEndHeld = false;
          this.onRawEnd();
        }
        return;
      }
      this.onPublicData(chunk);
    }
  }

  onRawRead(bytes: number): Buffer | undefined {
    if (this.#isHolding) {
      this.#held.push(Buffer.from(this.#readBuffer.subarray(0, bytes)));
      return undefined;
    }
    try {
      this.#handler.onStreamData(this.#readBuffer, bytes);
    } catch (error) {
      this.#handler.onStreamFault(error);
    }
    if (this.#readBuffer !== sharedReadBuffer) {
      this.#bulkBytes = countBulk(this.#bulkBytes, bytes, this.#readBuffer.length);
      if (this.#bulkBytes < 0 && this.#tlsWriter === null && this.#isTcp) {
        this.#rest();
      }
    }
    const next = this.#nextBuffer;
    if (next === null) {
      return undefined;
    }
    this.#nextBuffer = null;
    this.#readBuffer = next;
    this.#readViews = null;
    return next;
  }

  /** For the socket listeners, and what was held. */
  onPublicData(chunk: Buffer): void {
    try {
      this.#handler.onStreamData(chunk, chunk.length);
    } catch (error) {
      this.#handler.onStreamFault(error);
    }
  }

  // ---- ends ----

  /** A unix socket's buffer is small and never grows: a rest would make its sender wait. */
  get #isTcp(): boolean {
    return this.#socket.remoteFamily !== undefined;
  }

  /** File descriptor; -1 where there is none to tell. */
  get fd(): number {
    return descriptorOf(this.#socket);
  }

  /** The socket below, for its options alone. */
  get socket(): net.Socket {
    return this.#socket;
  }

  /** Address and port of our end, empty and 0 where unknown or on a unix socket. */
  get local(): { readonly address: string; readonly port: number } {
    return { address: this.#socket.localAddress ?? '', port: this.#socket.localPort ?? 0 };
  }

  /** Address and port of the peer, empty and 0 where unknown or on a unix socket. */
  get remote(): { readonly address: string; readonly port: number } {
    return { address: this.#socket.remoteAddress ?? '', port: this.#socket.remotePort ?? 0 };
  }

  /** Sends what is pending, then a FIN. Reading goes on, so that late bytes cause no reset. */
  end(): void {
    if (this.#isEnded) {
      return;
    }
    this.#isEnded = true;
    if (this.#isSecuring) {
      this.destroy();
    } else if (this.#tlsWriter?.tellWhenDone() !== true) {
      this.#socket.end();
    }
    // Otherwise once all is written: a FIN would overtake what TLS holds.
  }

  /** Closes at once. `onStreamClosed` follows. */
  destroy(): void {
    this.#isEnded = true;
    this.#isClosed = true;
    this.#socket.destroy();
  }

  onRawEnd(): void {
    if (this.#isSecuring) {
      // OpenSSL has not said why, so there is no error.
      this.destroy();
      return;
    }
    if (this.#isHolding) {
      this.#isEndHeld = true;
      return;
    }
    try {
      this.#handler.onStreamEnd();
    } catch (error) {
      this.#handler.onStreamFault(error);
    }
  }

  onRawError(errno: number): void {
    if (!this.#isClosed) {
      const name = getSystemErrorName(errno);
      this.#isEnded = true;
      this.#isClosed = true;
      this.#socket.destroy(Object.assign(new Error(name), { code: name }));
    }
  }

  /** For the socket listeners only. */
  onDrained(): void {
    try {
      this.#handler.onStreamDrain();
    } catch (error) {
      this.#handler.onStreamFault(error);
    }
  }

  /** For the socket listeners only. */
  onError(error: Error): void {
    this.#error = error;
  }

  /** For the socket listeners only. */
  onClosed(): void {
    this.#isEnded = true;
    this.#isClosed = true;
    try {
      this.#handler.onStreamClosed(this.#error);
    } catch (error) {
      this.#handler.onStreamFault(error);
    }
  }
}
