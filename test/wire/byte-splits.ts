/** The ways in which a network may cut a stream: each list of chunks adds up to `bytes`. */
export function* allSplits(bytes: Buffer): Generator<readonly Buffer[]> {
  yield [bytes];
  for (let at = 1; at < bytes.length; at++) {
    yield [bytes.subarray(0, at), bytes.subarray(at)];
  }
  yield Array.from(bytes, (byte) => Buffer.of(byte));
}

/** Cuts `bytes` into chunks of random sizes up to `most`. */
export function randomSplit(bytes: Buffer, most: number, below: (n: number) => number): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = 1 + below(most);
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

/**
 * Presents chunks as a socket with one reused buffer does: each is valid during the call only, and
 * overwritten afterwards.
 */
export class BorrowedBuffer {
  readonly #buffer = Buffer.alloc(65_536);

  lend(chunk: Buffer, use: (buffer: Buffer, end: number) => void): void {
    chunk.copy(this.#buffer);
    use(this.#buffer, chunk.length);
    this.#buffer.fill(0xa5, 0, chunk.length);
  }
}
