import type { Settings } from '../config/config.ts';
import type { Logger } from '../log/logger.ts';
import type { Listener } from '../net/listener.ts';
import type { Native } from '../net/native.ts';
import { peerCredentialOf, type PeerCredential } from '../net/peer-credential.ts';
import type { AcceptedSocket } from '../net/raw-socket.ts';
import { tuneConnection } from '../net/socket-options.ts';
import { asError } from './system-error.ts';

/** Gives sockets the options of the settings, and asks them who is at their other end. */
export class SocketTuner {
  readonly #native: Native;
  readonly #logger: Logger;
  /** Problems told already: each would come with every connection. */
  readonly #told = new Set<string>();

  constructor(native: Native, logger: Logger) {
    this.#native = native;
    this.#logger = logger;
  }

  /** Sets up a TCP connection that stands, a client's or one to a server. Never throws. */
  tune(socket: AcceptedSocket, settings: Settings): void {
    this.#guard(() => {
      tuneConnection(socket, settings, this.#native.calls);
    });
  }

  /** Applies `tcp_defer_accept` to a listener, if it is one for TCP. Never throws. */
  tuneListener(listener: Listener, { tcpDeferAccept }: Pick<Settings, 'tcpDeferAccept'>): void {
    const { calls } = this.#native;
    if (calls !== null) {
      this.#guard(() => {
        listener.setDeferAccept(tcpDeferAccept, calls);
      });
    }
  }

  /** The process at the other end of a unix socket; `null` where it cannot be told. */
  peerOf(socket: AcceptedSocket): PeerCredential | null {
    const { calls } = this.#native;
    return calls === null ? null : peerCredentialOf(socket, calls);
  }

  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      const { message } = asError(error);
      if (!this.#told.has(message)) {
        this.#told.add(message);
        this.#logger.warn('socket_option_failed', { error: message });
      }
    }
  }
}
