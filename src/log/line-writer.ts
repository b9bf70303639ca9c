/** Writes bytes to a file descriptor, as `fs.writeSync` does. @throws what the system says. */
export type WriteBytes = (descriptor: number, bytes: Buffer, offset: number) => number;

/** What an operator should hear about a destination; each change is told once. */
export type WriterNotice =
  | { readonly kind: 'failed'; readonly error: string }
  | { readonly kind: 'recovered'; readonly lostLines: number };

/** The reader is slow: the pipe is full. */
const FULL = 'EAGAIN';

/**
 * Writes lines to one file descriptor, whole or not at all, and before it returns. A line that the
 * descriptor does not take is dropped and counted; of one that it takes in part, the rest is written
 * before anything else, so that the next line begins where a line begins.
 */
export class LineWriter {
  readonly descriptor: number;
  /** Lines dropped so far. */
  lostLineCount = 0;
  readonly #write: WriteBytes;
  /** The end of a line that was taken in part. */
  #rest: Buffer | null = null;
  /** Lines dropped since the last one that was written. */
  #lostLines = 0;
  #hasFailed = false;
  #notice: WriterNotice | null = null;

  /** @param descriptor - should not block: a line would then wait for its reader. */
  constructor(descriptor: number, write: WriteBytes) {
    this.descriptor = descriptor;
    this.#write = write;
  }

  /** Writes a line or drops it. Never throws. @param line - with its newline. */
  write(line: string): void {
    if (!this.#writeRest() || !this.#writeAll(Buffer.from(line))) {
      this.#lostLines += 1;
      this.lostLineCount += 1;
    } else if (this.#rest === null) {
      this.#onSuccess();
    }
  }

  #onSuccess(): void {
    this.#hasFailed = false;
    if (this.#lostLines > 0) {
      this.#notice = { kind: 'recovered', lostLines: this.#lostLines };
      this.#lostLines = 0;
    }
  }

  /** Returns what there is to tell since the last call, or null. */
  takeNotice(): WriterNotice | null {
    const notice = this.#notice;
    this.#notice = null;
    return notice;
  }

  #writeRest(): boolean {
    const rest = this.#rest;
    this.#rest = null;
    return rest === null || this.#writeAll(rest, true);
  }

  /**
   * @param isRest - keep what is not taken even if that is all of it.
   * @returns whether the bytes are written, or will be.
   */
  #writeAll(bytes: Buffer, isRest = false): boolean {
    let offset = 0;
    try {
      while (offset < bytes.length) {
        const written = this.#write(this.descriptor, bytes, offset);
        if (written <= 0) {
          throw new Error('nothing was written');
        }
        offset += written;
      }
      return true;
    } catch (error) {
      this.#onError(error);
      if (offset > 0 || isRest) {
        this.#rest = bytes.subarray(offset);
      }
      return offset > 0 && !isRest;
    }
  }

  #onError(error: unknown): void {
    const isFull = (error as { code?: unknown }).code === FULL;
    if (!isFull && !this.#hasFailed) {
      this.#hasFailed = true;
      this.#notice = {
        kind: 'failed',
        error: error instanceof Error ? error.message : String(error),
      };
    }
  }
}
