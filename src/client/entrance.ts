import type { ClientConnection } from './client-connection.ts';
import type { ClientHost } from './client-host.ts';
import type { StartupMessage } from './client-login.ts';
import type { GateVerdict } from './login-guard-port.ts';
import { ProxyPreamble } from './proxy-preamble.ts';

/** What a connection passes before its login: the PROXY header, and the guard at the door. */
export class Entrance {
  /** Where the client is, as a PROXY header said; null without one. */
  proxiedFrom: { readonly address: string; readonly port: number } | null = null;
  /** Who the client says it is, from its startup packet on; for the log. */
  claim: { readonly user: string; readonly database: string } | null = null;
  readonly #client: ClientConnection;
  readonly #host: ClientHost;
  /** Null where no PROXY header is in use, and once it is read. */
  #preamble: ProxyPreamble | null = null;

  constructor(client: ClientConnection, host: ClientHost) {
    this.#client = client;
    this.#host = host;
  }

  /** The connection stands. May end it, or another one. */
  open(): void {
    const rule = this.#host.guard.onAccepted(this.#client);
    this.#preamble = rule === 'unused' ? null : new ProxyPreamble(rule);
  }

  /**
   * Takes bytes of a connection whose login is not over.
   *
   * @param bytes - borrowed.
   * @returns what the login is to get, borrowed; null for nothing.
   */
  take(bytes: Buffer): Buffer | null {
    if (this.#preamble === null) {
      return bytes;
    }
    const { guard, logger } = this.#host;
    const result = this.#preamble.onData(bytes);
    switch (result.kind) {
      case 'incomplete':
        guard.onHeldBytes(this.#client, this.#preamble.heldBytes);
        return null;
      case 'refused': {
        const reason = result.problem;
        logger.warn('proxy_header_refused', { ...this.#client.logFields(), reason });
        guard.onProxyHeaderRefused(this.#client);
        // Who speaks another protocol would not understand an error of this one.
        this.#client.close(reason);
        return null;
      }
      case 'done':
        this.#preamble = null;
        if (result.source !== null) {
          this.proxiedFrom = result.source;
          guard.onAddressKnown(this.#client);
        }
        return result.rest.length === 0 ? null : result.rest;
    }
  }

  /** Asks whether a login may go on. */
  ask({ parameters }: StartupMessage): GateVerdict {
    const user = parameters.get('user') ?? '';
    this.claim = user === '' ? null : { user, database: parameters.get('database') ?? user };
    const verdict = this.#host.guard.gate(this.#client, user);
    if (verdict === 'hold') {
      // Until it is its turn, see ClientConnection.proceedLogin.
      this.#client.pauseReading();
    }
    return verdict;
  }
}
