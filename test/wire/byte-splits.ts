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
  static readonly #buffer = Buffer.alloc(131_072);

  lend(chunk: Buffer, use: (buffer: Buffer, end: number) => void): void {
    const buffer = BorrowedBuffer.#buffer;
    chunk.copy(buffer);
    use(buffer, chunk.length);
    buffer.fill(0xa5, 0, chunk.length);
  }
}

/** Whether `bytes` is a run of messages of these types, of which only the last may be cut off. */
export function isLegalRun(bytes: Buffer, types: string, maxBytes: number): boolean {
  for (let at = 0; at < bytes.length;) {
    if (bytes.length - at < 5) {
      return false;
    }
    const length = bytes.readInt32BE(at + 1);
    const type = String.fromCharCode(bytes.readUInt8(at));
    if (!types.includes(type) || length < 4 || length >= maxBytes) {
      return false;
    }
    at += 1 + length;
  }
  return true;
}
