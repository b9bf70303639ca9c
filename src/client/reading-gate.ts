import type { SocketStream } from '../net/socket-stream.ts';

/**
 * Whether a client is read: who holds it up, and that it may not ask for more while it does not read
 * what it was given.
 */
export class ReadingGate {
  readonly #stream: SocketStream;
  readonly #client: { readonly link: unknown };
  /** A server connection cannot take more of its requests, or its turn has not come. */
  isHeldByLink = false;
  /** As much is held as may be. */
  isHeldByIntake = false;
  isSuspended = false;
  /** The kernel has not taken what was written to the client. */
  isOutputFull = false;

  /** @param client - a link, while it has one, looks after its output. */
  constructor(stream: SocketStream, client: { readonly link: unknown }) {
    this.#stream = stream;
    this.#client = client;
  }

  /** Stops reading or goes on, as things stand. */
  update(): void {
    const isUnlinkedAndFull = this.#client.link === null && this.isOutputFull;
    if (this.isHeldByLink || this.isHeldByIntake || this.isSuspended || isUnlinkedAndFull) {
      this.#stream.pause();
    } else {
      this.#stream.resume();
    }
  }

  /** @param isFull - whether the intake, or a console at work, can take nothing more for now. */
  holdByIntake(isFull: boolean): void {
    if (isFull !== this.isHeldByIntake) {
      this.isHeldByIntake = isFull;
      this.update();
    }
  }
}
