import net from 'node:net';

/**
 * HOT PATH: guarded by `npm run bench`.
 *
 * The one place that touches a Node internal: the handle of an accepted socket. Node hands out
 * accepted sockets that allocate a buffer for each read; a socket built anew on the same handle
 * with `onread` reads into a buffer of ours. Where the handle is not to be had, `'data'` events
 * are used instead and everything works the same, only slower.
 */

/** What the owner of a {@link SocketStream} is told. All calls are synchronous. */
export interface StreamHandler {
  /**
   * Bytes have arrived.
   *
   * @param chunk - borrowed: valid during the call only, on every transport.
   * @param end - bytes used, 0 < end ≤ chunk.length; what lies behind is rubbish.
   */
  onStreamData(chunk: Buffer, end: number): void;
  /** The kernel has taken what was written, after a `write` that returned `false`. */
  onStreamDrain(): void;
  /** The peer has finished writing. */
  onStreamEnd(): void;
  /** The socket is gone; called exactly once, last. `error` is null after an orderly end. */
  onStreamClosed(error: Error | null): void;
  /** An exception escaped from one of the calls above: a bug, to be contained by the owner. */
  onStreamFault(error: unknown): void;
}

/** Bytes read at a time, at most. */
export const READ_BUFFER_BYTES = 65_536;

/**
 * Reads of all client sockets go here: requests are small and are copied before they are written,
 * so the buffer is free again when the callback returns.
 */
const sharedReadBuffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);

interface OwnedSocket extends net.Socket {
  maitredStream: SocketStream;
}

// One set of listeners for all sockets: a closure per event and socket would cost memory.
function onRead(this: OwnedSocket, bytes: number, chunk: Uint8Array): boolean {
  return this.maitredStream.deliver(chunk as Buffer, bytes);
}
function onData(this: OwnedSocket, chunk: Buffer): void {
  this.maitredStream.deliver(chunk, chunk.length);
}
function onDrain(this: OwnedSocket): void {
  this.maitredStream.deliverDrain();
}
function onEnd(this: OwnedSocket): void {
  this.maitredStream.deliverEnd();
}
function onError(this: OwnedSocket, error: Error): void {
  this.maitredStream.deliverError(error);
}
function onClose(this: OwnedSocket): void {
  this.maitredStream.deliverClosed();
}

/** One TCP or unix socket as a stream of borrowed chunks. */
export class SocketStream {
  #socket: net.Socket | null = null;
  #handler: StreamHandler;
  #error: Error | null = null;
  /** What the next read goes to, when that changes. */
  #nextBuffer: Buffer | null;
  #isEnded = false;

  private constructor(handler: StreamHandler, firstBuffer: Buffer) {
    this.#handler = handler;
    this.#nextBuffer = firstBuffer;
  }

  /**
   * Takes over a socket accepted by a server that was made with `pauseOnConnect`; reading starts at
   * once. The accepted socket object is dead afterwards, and its server no longer counts it.
   */
  static adopt(accepted: net.Socket, handler: StreamHandler): SocketStream {
    const stream = new SocketStream(handler, sharedReadBuffer);
    const internals = accepted as unknown as { _handle: object | null };
    const handle = internals._handle;
    if (handle === null || !('useUserBuffer' in handle)) {
      stream.#own(accepted);
      accepted.on('data', onData);
      accepted.resume();
      return stream;
    }
    internals._handle = null;
    const options = { handle, onread: stream.#onread(), allowHalfOpen: true };
    stream.#own(new net.Socket(options as net.SocketConstructorOpts));
    return stream;
  }

  /** Opens a connection; `onConnect` is called when it stands. It reads into a buffer of its own. */
  static connect(
    target: net.NetConnectOpts,
    handler: StreamHandler,
    onConnect: () => void,
  ): SocketStream {
    const stream = new SocketStream(handler, Buffer.allocUnsafeSlow(READ_BUFFER_BYTES));
    const options = { ...target, onread: stream.#onread(), allowHalfOpen: true };
    const socket = net.connect(options as net.NetConnectOpts);
    stream.#own(socket);
    socket.once('connect', onConnect);
    return stream;
  }

  #onread(): object {
    return {
      // Asked once at the start and after each read; null keeps the buffer as it is.
      buffer: () => {
        const next = this.#nextBuffer;
        this.#nextBuffer = null;
        return next;
      },
      callback: onRead,
    };
  }

  #own(socket: net.Socket): void {
    (socket as OwnedSocket).maitredStream = this;
    this.#socket = socket;
    socket.on('drain', onDrain);
    socket.on('end', onEnd);
    socket.on('error', onError);
    socket.on('close', onClose);
  }

  /** Hands all further calls to `handler`. */
  setHandler(handler: StreamHandler): void {
    this.#handler = handler;
  }

  /**
   * Lets the chunk of the current callback live on, because a write still refers to it: the next
   * read goes to a fresh buffer. Only for streams with a buffer of their own.
   */
  detachReadBuffer(): void {
    this.#nextBuffer ??= Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
  }

  /** From the next read on, reads into a buffer of its own instead of the shared one. */
  useOwnReadBuffer(): void {
    this.#nextBuffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
  }

  /** From the next read on, reads into the buffer shared by all clients again. */
  useSharedReadBuffer(): void {
    this.#nextBuffer = sharedReadBuffer;
  }

  /**
   * Writes `chunk`.
   *
   * @param chunk - must stay unchanged while {@link pendingBytes} is above zero.
   * @returns whether the caller may go on; after `false`, `onStreamDrain` tells when. Never throws.
   */
  write(chunk: Buffer): boolean {
    const socket = this.#socket;
    if (socket === null || this.#isEnded) {
      return true;
    }
    return socket.write(chunk);
  }

  /** Bytes written that the kernel has not taken yet. */
  get pendingBytes(): number {
    return this.#socket === null ? 0 : this.#socket.writableLength;
  }

  /** Local address and port, empty and 0 where unknown or on a unix socket. */
  get local(): { readonly address: string; readonly port: number } {
    return {
      address: this.#socket?.localAddress ?? '',
      port: this.#socket?.localPort ?? 0,
    };
  }

  /** Address and port of the peer, empty and 0 where unknown or on a unix socket. */
  get remote(): { readonly address: string; readonly port: number } {
    return {
      address: this.#socket?.remoteAddress ?? '',
      port: this.#socket?.remotePort ?? 0,
    };
  }

  /** Stops reading; what the kernel buffers hold stays there. */
  pause(): void {
    this.#socket?.pause();
  }

  /** Reads again. */
  resume(): void {
    this.#socket?.resume();
  }

  /** Sends what is pending, then a FIN. Reading goes on, so that late bytes cause no reset. */
  end(): void {
    if (!this.#isEnded) {
      this.#isEnded = true;
      this.#socket?.end();
    }
  }

  /** Closes at once. `onStreamClosed` follows. */
  destroy(): void {
    this.#isEnded = true;
    this.#socket?.destroy();
  }

  /** For the socket listeners only. */
  deliver(chunk: Buffer, end: number): boolean {
    try {
      this.#handler.onStreamData(chunk, end);
    } catch (error) {
      this.#handler.onStreamFault(error);
    }
    return true;
  }

  /** For the socket listeners only. */
  deliverDrain(): void {
    try {
      this.#handler.onStreamDrain();
    } catch (error) {
      this.#handler.onStreamFault(error);
    }
  }

  /** For the socket listeners only. */
  deliverEnd(): void {
    try {
      this.#handler.onStreamEnd();
    } catch (error) {
      this.#handler.onStreamFault(error);
    }
  }

  /** For the socket listeners only. */
  deliverError(error: Error): void {
    this.#error = error;
  }

  /** For the socket listeners only. */
  deliverClosed(): void {
    this.#isEnded = true;
    this.#socket = null;
    try {
      this.#handler.onStreamClosed(this.#error);
    } catch (error) {
      this.#handler.onStreamFault(error);
    }
  }
}
