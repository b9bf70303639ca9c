import type { NetConnectOpts } from 'node:net';
import type { ClientConnection } from '../client/client-connection.ts';
import { newCancelProgress } from '../client/client-host.ts';
import type { PeerConfig, Settings } from '../config/config.ts';
import type { Logger } from '../log/logger.ts';
import type { OpenedTls, ServerTls } from '../net/tls-upgrade.ts';
import { openedTls, type ServerTarget } from '../server/server-target.ts';
import { CancelCarrier, type CarrierHost } from './cancel-carrier.ts';

/** What peers need from around them. */
export interface PeerHost {
  readonly logger: Logger;
  readonly carriers: CarrierHost;
  nowMs(): number;
  /** The settings now. */
  settings(): Pick<Settings, 'peerId' | 'defaultPoolSize' | 'cancelWaitTimeoutMs'>;
  /** How TLS is spoken with servers, and so with peers; null when they are not asked for it. */
  serverTls(): ServerTls | null;
  /** How to reach a peer. */
  connectOptions(target: ServerTarget): NetConnectOpts;
}

/** Connections to one peer at a time when its size is unlimited. */
const DEFAULT_PEER_CONNECTIONS = 20;
/** Most requests that wait for a connection to one peer; whoever asks needs no password. */
const MAX_WAITING_REQUESTS = 1000;

/** A cancel request that is passed on. */
interface PeerRequest {
  readonly requester: ClientConnection;
  /** The CancelRequest message. */
  readonly message: Buffer;
  readonly arrivedMs: number;
  /** The connection to the peer; null while there is none. */
  carrier: CancelCarrier | null;
}

/** Passes cancel requests on to one peer, over a bounded number of connections. */
export class PeerPool {
  config: PeerConfig;
  readonly #host: PeerHost;
  readonly #waiting: PeerRequest[] = [];
  /** Those with a connection, oldest first. */
  readonly #active = new Set<PeerRequest>();
  /** Connections opened so far, to take the hosts in turn. */
  #turn = 0;

  constructor(config: PeerConfig, host: PeerHost) {
    this.config = config;
    this.#host = host;
  }

  /** Requests without a connection yet, count. */
  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** Connections that are being opened, count. */
  get connectingCount(): number {
    return this.#active.size - this.sentCount;
  }

  /** Requests that have been sent and whose end is awaited, count. */
  get sentCount(): number {
    return this.carriers.filter(({ isSent }) => isSent).length;
  }

  /** The connections to the peer, oldest first. */
  get carriers(): CancelCarrier[] {
    return [...this.#active].flatMap(({ carrier }) => carrier ?? []);
  }

  /** Passes a request on, at once or when it is its turn. */
  forward(requester: ClientConnection, message: Buffer): void {
    const arrivedMs = this.#host.nowMs();
    requester.cancelProgress = { ...newCancelProgress(), peerId: this.config.id };
    if (this.#waiting.length >= MAX_WAITING_REQUESTS) {
      requester.close('too many cancel requests for this peer');
      return;
    }
    this.#waiting.push({ requester, message, arrivedMs, carrier: null });
    this.#sendWaiting();
  }

  #sendWaiting(): void {
    const { poolSize } = this.config;
    const size = poolSize ?? this.#host.settings().defaultPoolSize;
    const limit = size > 0 ? size : DEFAULT_PEER_CONNECTIONS;
    while (this.#active.size < limit) {
      const request = this.#waiting.shift();
      if (request === undefined) {
        return;
      }
      this.#send(request);
    }
  }

  #send(request: PeerRequest): void {
    const { host, port } = this.config;
    const hosts = host.split(',');
    const target = { host: hosts[this.#turn++ % hosts.length] ?? host, port };
    this.#active.add(request);
    const { requester, message } = request;
    const peerId = this.config.id;
    const carrier = new CancelCarrier(this.#host.carriers, {
      target: { connect: this.#host.connectOptions(target), tls: this.#tlsFor(request, target) },
      place: target,
      message,
      pool: null,
      peerId,
      requesterId: requester.id,
      onSent: () => {
        requester.cancelProgress = {
          state: 'active_cancel_req',
          peerId,
          pool: null,
          carrierId: carrier.id,
        };
      },
      onDone: (error) => {
        this.#onDone(request, target, error);
      },
    });
    request.carrier = carrier;
  }

  /**
   * A request goes on through TLS when it came through TLS. PgBouncer sends all of them in the clear,
   * so every peer accepts that of one that came in the clear. A peer is always asked: older ones know
   * no TLS that begins by itself.
   */
  #tlsFor({ requester }: PeerRequest, target: ServerTarget): OpenedTls | null {
    const tls = requester.security.isSecure ? openedTls(target, this.#host.serverTls()) : null;
    return tls === null ? null : { ...tls, isDirect: false };
  }

  #onDone(request: PeerRequest, { host, port }: ServerTarget, error: Error | null): void {
    if (!this.#active.delete(request)) {
      // Given up before.
      return;
    }
    const fields = { peer: this.config.id, address: host, port };
    if (error === null) {
      this.#host.logger.info('cancel_forwarded', fields);
      request.requester.close('successfully sent cancel request');
    } else {
      this.#host.logger.warn('cancel_failed', { ...fields, error: error.message });
      request.requester.close('connect failed');
    }
    this.#sendWaiting();
  }

  /** Once per tick: gives up requests that took too long, wherever they hang. */
  onTick(): void {
    const limitMs = this.#host.settings().cancelWaitTimeoutMs;
    if (limitMs > 0) {
      const sinceMs = this.#host.nowMs() - limitMs;
      this.#end((request) => request.arrivedMs < sinceMs, 'cancel_wait_timeout');
    }
    // Those that were given up made room, or a reload did.
    this.#sendWaiting();
  }

  /** The peer is not configured any more. */
  close(): void {
    this.#end(() => true, 'peer removed');
  }

  #end(isOver: (request: PeerRequest) => boolean, reason: string): void {
    for (const request of [...this.#active, ...this.#waiting].filter(isOver)) {
      this.#active.delete(request);
      request.carrier?.giveUp();
      request.requester.close(reason);
    }
    const kept = this.#waiting.filter((request) => !isOver(request));
    this.#waiting.splice(0, this.#waiting.length, ...kept);
  }
}
