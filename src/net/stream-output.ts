import type { Socket } from 'node:net';
import { assert } from '../base/assert.ts';
import { ViewCache } from '../base/view-cache.ts';
import { RawWriter, type RawHandle } from './raw-handle.ts';
import { RawTlsWriter } from './raw-tls-writer.ts';
import { giveBack, sharedReadBuffer, sharedReadViews } from './read-buffers.ts';

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

/** The stream that an output belongs to. */
export interface OutputOwner {
  /** Where writes go to without direct access. */
  readonly publicSocket: Socket;
  /** All that was written has been taken, after a `write` that returned `false`. */
  onDrained(): void;
  /** All that was written before the end has been taken: it can be told to the peer. */
  onFlushed(): void;
  /** @param errno - negative error number. */
  onRawError(errno: number): void;
}

/**
 * HOT PATH: guarded by `npm run bench`.
 *
 * The writing half of a stream: in the clear, through TLS, or by the public interface of Node.
 */
export class StreamOutput {
  readonly #owner: OutputOwner;
  /** Direct access in the clear; null until connected, inside TLS, and where it is not to be had. */
  #writer: RawWriter | null = null;
  /** Instead of the other writer once TLS has begun. */
  #tlsWriter: RawTlsWriter | null = null;
  /** Whether the handshake of TLS is under way: nothing can be written. */
  #isSecuring = false;
  #isEnded = false;
  /** Bytes handed to the kernel that it has not taken yet. */
  #rawPendingBytes = 0;
  /** Read buffers of other streams that writes of this one refer to. */
  readonly #lent: Buffer[] = [];
  #isDrainWanted = false;

  constructor(owner: OutputOwner) {
    this.#owner = owner;
  }

  /** Writes to `handle`, in the clear. */
  use(handle: RawHandle): void {
    this.#writer = new RawWriter(handle, (bytes, status) => {
      this.#onWritten(bytes, status);
    });
  }

  /** The handshake of TLS begins. All must have been written. */
  beginTls(): void {
    assert(!this.#isSecuring && this.#tlsWriter === null, 'TLS begins once');
    assert(this.#rawPendingBytes === 0, 'TLS begins when all has been written');
    this.#writer = null;
    this.#isSecuring = true;
  }

  /** Writes to `handle`, through TLS. */
  useTls(handle: RawHandle): void {
    this.#tlsWriter = new RawTlsWriter(handle, (status) => {
      this.#onTlsWritten(status);
    });
  }

  /** The handshake of TLS is done. */
  onSecure(): void {
    this.#isSecuring = false;
  }

  /** Whether the handshake of TLS is under way. */
  get isSecuring(): boolean {
    return this.#isSecuring;
  }

  /** Whether a raw handle is written to through TLS. */
  get isRawTls(): boolean {
    return this.#tlsWriter !== null;
  }

  /**
   * Writes `chunk`.
   *
   * @param chunk - must stay unchanged while {@link pendingBytes} is above zero.
   * @returns whether the caller may go on; after `false`, `onDrained` tells when. Never throws.
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
      this.#owner.onRawError(pending);
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
      return this.#owner.publicSocket.write(chunk);
    }
    const pending = writer.write(chunk);
    if (pending < 0) {
      this.#owner.onRawError(pending);
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
    if (start === 0 && chunk === sharedReadBuffer) {
      // Views of it are at hand, and no copy is as fast.
      out.set(sharedReadViews.view(end), chunkOffset);
    } else {
      chunk.copy(out, chunkOffset, start, end);
    }
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
    return this.#tlsWriter === null ? this.#owner.publicSocket.writableLength : 0;
  }

  /** Bytes written that the kernel has not taken yet. */
  get unsentBytes(): number {
    return this.#tlsWriter?.pendingBytes ?? this.pendingBytes;
  }

  /** Keeps a buffer of another stream, which writes refer to, until nothing is pending. */
  keepUntilDrained(buffer: Buffer): void {
    // Without direct access the socket keeps what it writes by itself, and nobody would drain this.
    if (this.#writer !== null) {
      this.#lent.push(buffer);
    }
  }

  /** Whether nothing more is taken. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /**
   * Takes nothing more.
   *
   * @returns whether the end can be told to the peer now; otherwise `onFlushed` tells when, since a
   *   FIN would overtake what TLS holds.
   */
  end(): boolean {
    this.#isEnded = true;
    return this.#tlsWriter?.tellWhenDone() !== true;
  }

  #onTlsWritten(status: number): void {
    if (status < 0) {
      this.#owner.onRawError(status);
    } else if (this.#isEnded) {
      this.#owner.onFlushed();
    } else if (this.#isDrainWanted) {
      this.#isDrainWanted = false;
      this.#owner.onDrained();
    }
  }

  #onWritten(bytes: number, status: number): void {
    this.#rawPendingBytes -= bytes;
    if (status < 0) {
      this.#owner.onRawError(status);
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
      this.#owner.onDrained();
    }
  }
}
