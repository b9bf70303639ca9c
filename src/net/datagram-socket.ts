import type { NativeCalls } from './native-calls.ts';
import { unixAddress } from './abstract-socket.ts';

/** Numbers of Linux. @source socket(2), send(2) */
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

/** The reader is slow; what was sent is lost, and the socket is fine. */
const FULL = 'EAGAIN';

/** Sends datagrams to a unix socket, without ever waiting for its reader. */
export class DatagramSocket {
  readonly #calls: NativeCalls;
  readonly #path: string;
  /** -1 while it is not open. */
  #fd = -1;

  /** @param path - of the socket of the reader, who need not be there yet. */
  constructor(path: string, calls: NativeCalls) {
    this.#path = path;
    this.#calls = calls;
  }

  /**
   * Sends one datagram. A reader that has been replaced is found again.
   *
   * @throws the error of the system: EAGAIN when the reader is slow, ENOENT or ECONNREFUSED when
   * there is none.
   */
  send(bytes: Buffer): void {
    if (this.#fd !== -1) {
      try {
        this.#calls.send(this.#fd, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === FULL) {
          throw error;
        }
        this.close();
      }
    }
    this.#open();
    this.#calls.send(this.#fd, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
  }

  #open(): void {
    const fd = this.#calls.socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
    try {
      this.#calls.connect(fd, unixAddress(this.#path));
    } catch (error) {
      this.#calls.close(fd);
      throw error;
    }
    this.#fd = fd;
  }

  /** Closes it; the next datagram opens it again. */
  close(): void {
    if (this.#fd !== -1) {
      this.#calls.close(this.#fd);
      this.#fd = -1;
    }
  }
}
