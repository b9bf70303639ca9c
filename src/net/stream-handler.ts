import type { TLSSocket } from 'node:tls';

/** What the owner of a stream is told. All calls are synchronous. */
export interface StreamHandler {
  /**
   * Bytes have arrived.
   *
   * @param chunk - borrowed: valid during the call only, on every transport.
   * @param end - bytes used, `1 <= end <= chunk.length`; what lies behind is rubbish.
   */
  onStreamData(chunk: Buffer, end: number): void;
  /** Everything written has been taken by the kernel, after a `write` that returned `false`. */
  onStreamDrain(): void;
  /** The handshake of TLS is done; all that comes from now on came through it. */
  onStreamSecure(socket: TLSSocket): void;
  /** The peer has finished writing. */
  onStreamEnd(): void;
  /** The socket is gone; called exactly once, last. `error` is null after an orderly end. */
  onStreamClosed(error: Error | null): void;
  /** An exception escaped from one of the calls above: a bug, to be contained by the owner. */
  onStreamFault(error: unknown): void;
}
