import type { ConnectionEnds } from '../admin/snapshots.ts';

interface Address {
  readonly address: string;
  readonly port: number;
}

/** A connection that tells its addresses. */
interface Connected {
  readonly remote: Address;
  readonly local: Address;
}

/** The ends of a client or server connection, asked for when they are read. */
export class LazyEnds implements ConnectionEnds {
  readonly #connection: Connected;
  readonly #unixPort: number | null;

  /** @param unixPort - the port to show for both ends of a Unix socket; null for TCP. */
  constructor(connection: Connected, unixPort: number | null) {
    this.#connection = connection;
    this.#unixPort = unixPort;
  }

  get addr(): string {
    return this.#connection.remote.address;
  }

  get port(): number {
    const { address, port } = this.#connection.remote;
    // Behind a proxy one end may be a Unix socket and the other not.
    return this.#unixPort !== null && address === 'unix' ? this.#unixPort : port;
  }

  get localAddr(): string {
    return this.#unixPort === null ? this.#connection.local.address : 'unix';
  }

  get localPort(): number {
    return this.#unixPort ?? this.#connection.local.port;
  }
}
