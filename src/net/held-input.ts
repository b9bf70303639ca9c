/** What a paused stream was handed all the same, until it is read again. */
export class HeldInput {
  readonly #chunks: Buffer[] = [];
  /** Whether the peer has finished writing behind it. */
  hasEnd = false;

  /** @param chunk - borrowed. */
  push(chunk: Buffer): void {
    this.#chunks.push(Buffer.from(chunk));
  }

  /** Takes the oldest chunk. */
  shift(): Buffer | undefined {
    return this.#chunks.shift();
  }
}
