import type { Logger } from '../log/logger.ts';
import { OneShot, type OneShotTarget } from '../net/one-shot.ts';
import type { RelayPool } from '../relay/ends.ts';
import { localFields, serverAddress, type ServerTarget } from '../server/server-target.ts';

/** What carriers need from around them. */
export interface CarrierHost {
  readonly logger: Logger;
  readonly settings: { readonly logConnections: boolean; readonly logDisconnections: boolean };
  nowMs(): number;
  /** The next number of the counter that clients and server connections share. */
  takeId(): number;
}

/** What a carrier carries, and where to. */
export interface CarrierOptions {
  readonly target: OneShotTarget;
  /** Where that is, with the numeric address if known. */
  readonly place: ServerTarget;
  /** The CancelRequest message. */
  readonly message: Buffer;
  /** The pool whose server is asked; null for a peer. */
  readonly pool: RelayPool | null;
  /** The peer that is asked; null for a server. */
  readonly peerId: number | null;
  /** `id` of the client that asked; null when maitred cancels of its own accord. */
  readonly requesterId: number | null;
  /** Called once the message is on its way. */
  readonly onSent: () => void;
  /** Called exactly once; null when the other side has closed after it got the message. */
  readonly onDone: (error: Error | null) => void;
}

/** A connection that carries one cancel request, as SHOW SERVERS has it. */
export class CancelCarrier {
  readonly id: number;
  readonly pool: RelayPool | null;
  readonly requesterId: number | null;
  readonly connectedAtMs: number;
  /** Whether the message is on its way; before, the connection is being opened. */
  isSent = false;
  readonly #host: CarrierHost;
  readonly #options: CarrierOptions;
  readonly #shot: OneShot;

  /** Begins to connect. */
  constructor(host: CarrierHost, options: CarrierOptions) {
    this.#host = host;
    this.#options = options;
    this.id = host.takeId();
    this.pool = options.pool;
    this.requesterId = options.requesterId;
    this.connectedAtMs = host.nowMs();
    if (host.logger.isDebug) {
      host.logger.debug('server_launched', this.#logFields());
    }
    this.#shot = new OneShot(options.target, options.message, {
      onSent: () => {
        this.#onSent();
      },
      onDone: (error) => {
        this.#onDone(error);
      },
    });
  }

  /** Address and port of our end; empty and 0 while there is none. */
  get local(): { readonly address: string; readonly port: number } {
    return this.#shot.local;
  }

  /** Address and port of the server or peer. */
  get remote(): { readonly address: string; readonly port: number } {
    return serverAddress(this.#options.place);
  }

  /** Ends the connection; `onDone` follows. */
  giveUp(): void {
    this.#shot.giveUp();
  }

  #onSent(): void {
    this.isSent = true;
    if (this.#host.settings.logConnections) {
      const fields = { ...this.#logFields(), ...localFields(this.local) };
      this.#host.logger.info('server_connected', fields);
    }
    this.#options.onSent();
  }

  #onDone(error: Error | null): void {
    if (this.#host.settings.logDisconnections) {
      const reason = error === null ? 'successfully sent cancel request' : error.message;
      const ageSeconds = Math.floor((this.#host.nowMs() - this.connectedAtMs) / 1000);
      this.#host.logger.info('server_disconnected', { ...this.#logFields(), reason, ageSeconds });
    }
    this.#options.onDone(error);
  }

  #logFields(): object {
    const { pool, peerId } = this.#options;
    return {
      server: this.id,
      ...(peerId === null ? {} : { peer: peerId }),
      database: pool?.database.name,
      user: pool?.user.name,
      ...this.remote,
    };
  }
}
