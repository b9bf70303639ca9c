import type { Socket } from 'node:net';
import type { WireMessage } from './backend-messages.ts';

/** How the other side ended the connection. */
export type StreamEnd =
  { readonly kind: 'open' } | { readonly kind: 'end' } | { readonly kind: 'error'; error: Error };

const HEADER_BYTES = 5;

/**
 * Reads bytes and whole messages from a socket, one reader at a time. Bytes wait in memory until
 * the test asks for them; `socket.pause()` makes a slow reader.
 */
export class MessageStream {
  #chunks: Buffer[] = [];
  #bufferedBytes = 0;
  #end: StreamEnd = { kind: 'open' };
  #wake: (() => void) | null = null;
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('error', this.#onError);
    socket.on('close', this.#onEnd);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#chunks.push(chunk);
    this.#bufferedBytes += chunk.length;
    this.#wake?.();
  };

  readonly #onEnd = (): void => {
    this.#finish({ kind: 'end' });
  };

  readonly #onError = (error: Error): void => {
    this.#finish({ kind: 'error', error });
  };

  /** Bytes received and not read yet. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  /** Whether the other side has ended the connection, and how. */
  get end(): StreamEnd {
    return this.#end;
  }

  /** Stops listening, so that a TLS socket can take over. @throws Error if bytes are waiting. */
  detach(): Socket {
    if (this.#bufferedBytes > 0) {
      throw new Error(`${String(this.#bufferedBytes)} bytes came before TLS began`);
    }
    return this.#socket
      .off('data', this.#onData)
      .off('end', this.#onEnd)
      .off('error', this.#onError)
      .off('close', this.#onEnd);
  }

  /** Reads exactly `count` bytes. */
  async readBytes(count: number, timeoutMs = 10_000): Promise<Buffer> {
    await this.#until(() => this.#bufferedBytes >= count, `${String(count)} bytes`, timeoutMs);
    return this.#take(count);
  }

  /** Reads one whole message with a type byte. */
  async readMessage(timeoutMs = 10_000): Promise<WireMessage> {
    await this.#until(() => this.#bufferedBytes >= HEADER_BYTES, 'a message', timeoutMs);
    const header = this.#peek(HEADER_BYTES);
    const type = header.toString('latin1', 0, 1);
    const length = header.readUInt32BE(1);
    if (length < 4) {
      throw new Error(`message ${type} has length ${String(length)}`);
    }
    const whole = length + 1;
    const what = `the ${String(whole)} bytes of message ${type}`;
    await this.#until(() => this.#bufferedBytes >= whole, what, timeoutMs);
    return { type, body: this.#take(whole).subarray(HEADER_BYTES) };
  }

  /** Waits until the other side ends the connection. @returns The bytes that came before. */
  async readToEnd(timeoutMs = 10_000): Promise<Buffer> {
    await this.#until(() => this.#end.kind !== 'open', 'the end of the connection', timeoutMs);
    return this.#take(this.#bufferedBytes);
  }

  #finish(end: StreamEnd): void {
    if (this.#end.kind === 'open') {
      this.#end = end;
    }
    this.#wake?.();
  }

  #peek(count: number): Buffer {
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= count) {
      return first.subarray(0, count);
    }
    this.#chunks = [Buffer.concat(this.#chunks)];
    return (this.#chunks[0] ?? Buffer.alloc(0)).subarray(0, count);
  }

  #take(count: number): Buffer {
    if (count === 0) {
      return Buffer.alloc(0);
    }
    const taken = this.#peek(count);
    const rest = this.#chunks[0]?.subarray(count);
    if (rest === undefined || rest.length === 0) {
      this.#chunks.shift();
    } else {
      this.#chunks[0] = rest;
    }
    this.#bufferedBytes -= count;
    return taken;
  }

  async #until(isMet: () => boolean, what: string, timeoutMs: number): Promise<void> {
    if (this.#wake !== null) {
      throw new Error('two readers at once on one connection');
    }
    const deadline = performance.now() + timeoutMs;
    while (!isMet()) {
      const leftMs = deadline - performance.now();
      if (this.#end.kind !== 'open' || leftMs <= 0) {
        throw new Error(this.#failure(what, timeoutMs), { cause: this.#cause() });
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = null;
    }
  }

  #failure(what: string, timeoutMs: number): string {
    const unread = this.#peek(Math.min(this.#bufferedBytes, 64)).toString('latin1');
    const seen = `${String(this.#bufferedBytes)} bytes unread: ${JSON.stringify(unread)}`;
    return this.#end.kind === 'open'
      ? `waited ${String(timeoutMs)} ms in vain for ${what}; ${seen}`
      : `the connection ended before ${what}; ${seen}`;
  }

  #cause(): Error | undefined {
    return this.#end.kind === 'error' ? this.#end.error : undefined;
  }
}
