import type net from 'node:net';
import type { TLSSocket } from 'node:tls';
import { getSystemErrorName } from 'node:util';
import { assert } from '../base/assert.ts';
import { ViewCache } from '../base/view-cache.ts';
import { openSocket } from './abstract-socket.ts';
import { sharedReadBuffer, takeReadBuffer } from './read-buffers.ts';
import { HeldInput } from './held-input.ts';
import { countBulk, startRest, type RestingStream } from './bulk-rest.ts';
import {
  descriptorOf,
  leaveReading,
  rawHandleOf,
  readInto,
  type RawHandle,
  type RawReader,
} from './raw-handle.ts';
import { RawSocket, type AcceptedSocket } from './raw-socket.ts';
import {
  leaveClose,
  readPublicly,
  stopReadingPublicly,
  watchEnds,
  watchHandshake,
  type SocketOwner,
} from './socket-events.ts';
import type { StreamHandler } from './stream-handler.ts';
import { StreamOutput, type OutputOwner } from './stream-output.ts';

/**
 * HOT PATH: guarded by `npm run bench`.
 *
 * One TCP or unix socket as a stream of borrowed chunks, and its ends. A client's socket reads into a
 * buffer that all clients share, a server's into a buffer of its own.
 */
export class SocketStream implements RawReader, RestingStream, OutputOwner, SocketOwner {
  /** The writing half. */
  readonly output: StreamOutput;
  #socket: AcceptedSocket;
  /** Of the peer, once TLS has begun: a socket inside of TLS forgets it when the connection is lost. */
  #remote: { readonly address: string; readonly port: number } | null = null;
  readonly #handler: StreamHandler;
  /** Direct access to the socket; null until connected, and where it is not to be had. */
  #handle: RawHandle | null = null;
  /**
   * Whether what is read has to wait. OpenSSL hands out all that it has decrypted, also when reading
   * was stopped in the middle of it.
   */
  #isHolding = false;
  #held: HeldInput | null = null;
  #readBuffer: Buffer;
  /** Views of the read buffer; null until asked for, and void when the buffer changes. */
  #readViews: ViewCache | null = null;
  /** What reads go to from the next one on; null to stay. */
  #nextBuffer: Buffer | null = null;
  #isClosed = false;
  #isPaused = false;
  /** Bytes of bulk data read in a row, as {@link countBulk} has it. */
  #bulkBytes = 0;
  #isResting = false;
  #error: Error | null = null;

  private constructor(socket: AcceptedSocket, handler: StreamHandler, readBuffer: Buffer) {
    this.#socket = socket;
    this.#handler = handler;
    this.#readBuffer = readBuffer;
    this.output = new StreamOutput(this);
    if (socket instanceof RawSocket) {
      socket.owner = this;
    } else {
      watchEnds(socket, this);
    }
  }

  /** Takes over an accepted socket, unread; of a server made with `pauseOnConnect`. Reading starts at once. */
  static adopt(accepted: AcceptedSocket, handler: StreamHandler): SocketStream {
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
      readPublicly(this.publicSocket);
      return;
    }
    if (!(socket instanceof RawSocket)) {
      // The socket's own reading must not start beside ours.
      socket.pause();
    }
    this.#handle = handle;
    this.output.use(handle);
    readInto(handle, this.#readBuffer, this);
  }

  // ---- TLS ----

  /**
   * Goes on inside TLS. What has been read so far came before it; the caller must have dealt with it.
   *
   * @param begin - wraps the socket; called at once.
   * @param hello - owned; bytes read already that belong to the handshake, or null.
   */
  startTls(begin: (socket: net.Socket) => TLSSocket, hello: Buffer | null): void {
    this.output.beginTls();
    this.#remote = this.remote;
    const plain = this.#leavePlain();
    leaveClose(plain);
    if (hello !== null) {
      plain.unshift(hello);
    }
    const secured = begin(plain);
    this.#socket = secured;
    watchEnds(secured, this);
    watchHandshake(secured);
    this.#beginTls(secured);
  }

  /** Stops reading in the clear. @returns the socket, for the stream classes of Node. */
  #leavePlain(): net.Socket {
    const handle = this.#handle;
    this.#handle = null;
    if (this.#socket instanceof RawSocket) {
      const socket = this.#socket.toSocket();
      watchEnds(socket, this);
      return socket;
    }
    if (handle === null) {
      stopReadingPublicly(this.#socket);
    } else {
      leaveReading(handle);
    }
    return this.#socket;
  }

  #beginTls(socket: TLSSocket): void {
    const handle = rawHandleOf(socket);
    if (handle === null) {
      readPublicly(socket);
      return;
    }
    this.#handle = handle;
    this.output.useTls(handle);
    readInto(handle, this.#readBuffer, this);
  }

  /** For the socket listeners only. */
  onSecure(socket: TLSSocket): void {
    this.output.onSecure();
    try {
      this.#handler.onStreamSecure(socket);
    } catch (error) {
      this.#handler.onStreamFault(error);
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
        this.publicSocket.pause();
      } else {
        this.#isHolding = this.output.isRawTls;
        this.#handle.readStop();
      }
    }
  }

  /** Reads again. */
  resume(): void {
    if (this.#isPaused && !this.#isClosed) {
      this.#isPaused = false;
      if (this.#handle === null) {
        this.publicSocket.resume();
      } else if (this.#isHolding && this.#held !== null) {
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
      const held = this.#held;
      const chunk = held?.shift();
      if (chunk === undefined) {
        this.#held = null;
        this.#isHolding = false;
        this.#handle?.readStart();
        if (held?.hasEnd === true) {
          this.onRawEnd();
        }
        return;
      }
      this.onPublicData(chunk);
    }
  }

  onRawRead(bytes: number): Buffer | undefined {
    if (this.#isHolding) {
      this.#held ??= new HeldInput();
      this.#held.push(this.#readBuffer.subarray(0, bytes));
      return undefined;
    }
    try {
      this.#handler.onStreamData(this.#readBuffer, bytes);
    } catch (error) {
      this.#handler.onStreamFault(error);
    }
    if (this.#readBuffer !== sharedReadBuffer) {
      this.#bulkBytes = countBulk(this.#bulkBytes, bytes, this.#readBuffer.length);
      if (this.#bulkBytes < 0 && !this.output.isRawTls && this.#isTcp()) {
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
  #isTcp(): boolean {
    return this.#socket.remoteFamily !== undefined;
  }

  /** File descriptor; -1 where there is none to tell. */
  get fd(): number {
    return descriptorOf(this.#socket);
  }

  /** The socket below, for its options alone. */
  get socket(): AcceptedSocket {
    return this.#socket;
  }

  /** For the output only, without direct access. */
  get publicSocket(): net.Socket {
    assert(!(this.#socket instanceof RawSocket), 'a raw socket has a handle');
    return this.#socket;
  }

  /** Address and port of our end, empty and 0 where unknown or on a unix socket. */
  get local(): { readonly address: string; readonly port: number } {
    return { address: this.#socket.localAddress ?? '', port: this.#socket.localPort ?? 0 };
  }

  /** Address and port of the peer, empty and 0 where unknown or on a unix socket. */
  get remote(): { readonly address: string; readonly port: number } {
    const socket = this.#socket;
    return this.#remote ?? { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
  }

  /** Sends what is pending, then a FIN. Reading goes on, so that late bytes cause no reset. */
  end(): void {
    if (this.output.isEnded) {
      return;
    }
    const mayTellNow = this.output.end();
    if (this.output.isSecuring) {
      this.destroy();
    } else if (mayTellNow) {
      this.#socket.end();
    }
  }

  /** Closes at once. `onStreamClosed` follows. */
  destroy(): void {
    this.#setClosed();
    this.#socket.destroy();
  }

  #setClosed(): void {
    this.#isClosed = true;
    this.output.end();
  }

  onRawEnd(): void {
    if (this.output.isSecuring) {
      // OpenSSL has not said why, so there is no error.
      this.destroy();
      return;
    }
    if (this.#isHolding) {
      this.#held ??= new HeldInput();
      this.#held.hasEnd = true;
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
      this.#setClosed();
      this.#socket.destroy(Object.assign(new Error(name), { code: name }));
    }
  }

  /** For the output only: the FIN comes last. */
  onFlushed(): void {
    if (!this.#isClosed) {
      this.#socket.end();
    }
  }

  /** For the output and the socket listeners only. */
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
    this.#setClosed();
    try {
      this.#handler.onStreamClosed(this.#error);
    } catch (error) {
      this.#handler.onStreamFault(error);
    }
  }
}
