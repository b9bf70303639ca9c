import { rmSync } from 'node:fs';
import { unixAddress } from '../../src/net/abstract-socket.ts';
import { bindCalls } from '../../src/net/native-calls.ts';
import { loadKoffi } from '../../src/net/native.ts';

/** Numbers of Linux. */
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const MSG_DONTWAIT = 0x40;

const DATAGRAM_BYTES_MAX = 65_536;

/** A socket that takes datagrams, as syslog has one at /dev/log. Linux. */
export class DatagramReceiver {
  /** A name of the abstract namespace begins with NUL. */
  readonly path: string;
  /** All that has been received, oldest first. */
  readonly received: string[] = [];
  readonly #koffi = loadKoffi();
  readonly #calls = bindCalls(this.#koffi);
  readonly #recv = this.#koffi.load(null).func('intptr_t recv(int, void *, size_t, int)');
  readonly #fd: number;

  constructor(path: string) {
    this.path = path;
    this.#fd = this.#calls.socket(AF_UNIX, SOCK_DGRAM);
    this.#calls.bind(this.#fd, unixAddress(path));
  }

  /** Reads what has come. @returns all that has been received. */
  read(): readonly string[] {
    const buffer = Buffer.alloc(DATAGRAM_BYTES_MAX);
    for (;;) {
      const bytes = Number(this.#recv(this.#fd, buffer, buffer.length, MSG_DONTWAIT));
      if (bytes < 0) {
        return this.received;
      }
      this.received.push(buffer.toString('utf8', 0, bytes));
    }
  }

  /** Goes away, and its file with it. */
  close(): void {
    this.#calls.close(this.#fd);
    if (!this.path.startsWith('\0')) {
      rmSync(this.path, { force: true });
    }
  }
}
