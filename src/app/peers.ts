import type { PeerPoolSnapshot, PeerSnapshot } from '../admin/snapshots.ts';
import type { ClientConnection } from '../client/client-connection.ts';
import type { Config } from '../config/config.ts';
import { writeCancelRequest } from '../protocol/startup-writer.ts';
import type { CancelCarrier } from './cancel-carrier.ts';
import { peerIdOf, ttlOf, withTtl } from './peer-key.ts';
import { PeerPool, type PeerHost } from './peer-pool.ts';

/**
 * The other processes behind the same address: a cancel request reaches any of them, and is passed
 * on to the one that issued its key.
 */
export class Peers {
  readonly #host: PeerHost;
  #config: Config['peers'];
  /** By id; a peer has one from its first request on. */
  readonly #pools = new Map<number, PeerPool>();

  constructor(config: Config, host: PeerHost) {
    this.#config = config.peers;
    this.#host = host;
  }

  /** Takes over a new configuration. @returns the ids of peers that are not configured any more. */
  applyConfig(next: Config): readonly number[] {
    const removed = [...this.#config.keys()].filter((id) => !next.peers.has(id));
    this.#config = next.peers;
    for (const [id, pool] of this.#pools) {
      const config = next.peers.get(id);
      if (config === undefined) {
        this.#pools.delete(id);
        pool.close();
      } else {
        pool.config = config;
      }
    }
    return removed;
  }

  /**
   * Passes on a cancel request whose key is not one of ours.
   *
   * @returns why it is not passed on, as PgBouncer says it; null when it is.
   */
  forward(requester: ClientConnection, processId: number, secret: Buffer): string | null {
    const id = peerIdOf(processId);
    const { peerId } = this.#host.settings();
    if (peerId === 0 || id === peerId) {
      return 'failed cancel request';
    }
    const ttl = ttlOf(secret);
    if (ttl === 0) {
      return 'failed to forward cancel request because its TTL was exhausted';
    }
    const pool = this.#poolOf(id);
    if (pool === null) {
      return 'could not find peer to forward request to';
    }
    pool.forward(requester, writeCancelRequest(processId, withTtl(secret, ttl - 1)));
    return null;
  }

  #poolOf(id: number): PeerPool | null {
    const known = this.#pools.get(id);
    const config = this.#config.get(id);
    if (known !== undefined || config === undefined) {
      return known ?? null;
    }
    const pool = new PeerPool(config, this.#host);
    this.#pools.set(id, pool);
    return pool;
  }

  /** The connections to all peers. */
  get carriers(): CancelCarrier[] {
    return [...this.#pools.values()].flatMap((pool) => pool.carriers);
  }

  /** Once per tick. */
  onTick(): void {
    for (const pool of this.#pools.values()) {
      pool.onTick();
    }
  }

  /** The configured peers. */
  list(): PeerSnapshot[] {
    return [...this.#config.values()].map(({ id, host, port, poolSize }) => ({
      id,
      host,
      port,
      poolSize: poolSize ?? this.#host.settings().defaultPoolSize,
    }));
  }

  /** The peers to which something has been passed on. */
  pools(): PeerPoolSnapshot[] {
    return [...this.#pools.values()].map((pool) => ({
      id: pool.config.id,
      clActiveCancelReq: pool.sentCount,
      clWaitingCancelReq: pool.waitingCount + pool.connectingCount,
      svActiveCancel: pool.sentCount,
      svLogin: pool.connectingCount,
    }));
  }
}
