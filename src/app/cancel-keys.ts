import { timingSafeEqual } from 'node:crypto';
import type { ClientConnection } from '../client/client-connection.ts';
import type { IssuedKey } from '../client/client-host.ts';
import { PROTOCOL_3_2 } from '../protocol/codes.ts';
import { withFullTtl, withPeerId } from './peer-key.ts';

/** Bytes of the secret in protocol 3.0, fixed there. */
const SHORT_SECRET_BYTES = 4;
/** Bytes of the secret in protocol 3.2, which allows up to 256. */
const LONG_SECRET_BYTES = 32;
/** Process ids tried before one is shared: with a `peer_id` in it, 15 bits of it are random. */
const MOST_ATTEMPTS = 4;

interface Entry {
  readonly client: ClientConnection;
  /** As latin1 text, which takes a third of the memory of a buffer. */
  readonly secret: string;
  /** Another client with the same process id. */
  next: Entry | null;
}

/** The cancel keys of all logged-in clients. */
export class CancelKeys {
  readonly #entries = new Map<number, Entry>();
  readonly #randomBytes: (bytes: number) => Buffer;
  readonly #peerId: () => number;

  /**
   * @param randomBytes - cryptographically strong.
   * @param peerId - the `peer_id` that new keys carry; 0 for none.
   */
  constructor(randomBytes: (bytes: number) => Buffer, peerId: () => number = () => 0) {
    this.#randomBytes = randomBytes;
    this.#peerId = peerId;
  }

  /** Makes a key for `client`, in the length that its protocol version allows. */
  issue(client: ClientConnection): IssuedKey {
    const isLong = (client.identity?.version ?? 0) >= PROTOCOL_3_2;
    const processId = this.#makeProcessId();
    const next = this.#entries.get(processId) ?? null;
    let secret: Buffer;
    do {
      secret = this.#makeSecret(isLong ? LONG_SECRET_BYTES : SHORT_SECRET_BYTES);
    } while (findEntry(next, secret) !== null);
    client.keyProcessId = processId;
    this.#entries.set(processId, { client, secret: secret.toString('latin1'), next });
    return { processId, secret };
  }

  #makeProcessId(): number {
    const peerId = this.#peerId();
    let processId: number;
    let attempts = 0;
    do {
      // The top bit is clear, so that drivers with a signed number show the same one.
      const random = this.#randomBytes(4).readUInt32BE(0) & 0x7fffffff;
      processId = peerId === 0 ? random : withPeerId(random, peerId);
      attempts++;
    } while (processId === 0 || (this.#entries.has(processId) && attempts < MOST_ATTEMPTS));
    return processId;
  }

  #makeSecret(bytes: number): Buffer {
    const secret = this.#randomBytes(bytes);
    return this.#peerId() === 0 ? secret : withFullTtl(secret);
  }

  /**
   * Finds the client that a key belongs to; null for a wrong key. A key that peers have passed on
   * differs from the one that was issued in its TTL.
   */
  find(processId: number, secret: Buffer): ClientConnection | null {
    const first = this.#entries.get(processId) ?? null;
    const entry = findEntry(first, secret) ?? findEntry(first, withFullTtl(secret));
    return entry?.client ?? null;
  }

  /** The secret of a client's key; null when it has none. */
  secretOf(client: ClientConnection): Buffer | null {
    const entry = this.#entries.get(client.keyProcessId);
    return entry?.client === client ? Buffer.from(entry.secret, 'latin1') : null;
  }

  /** Voids the key of a client that is gone. */
  revoke(client: ClientConnection): void {
    const { keyProcessId } = client;
    let previous: Entry | null = null;
    let entry = this.#entries.get(keyProcessId) ?? null;
    while (entry !== null && entry.client !== client) {
      previous = entry;
      entry = entry.next;
    }
    if (entry === null) {
      return;
    }
    if (previous !== null) {
      previous.next = entry.next;
    } else if (entry.next === null) {
      this.#entries.delete(keyProcessId);
    } else {
      this.#entries.set(keyProcessId, entry.next);
    }
  }
}

/** Finds the entry with this very secret among those of one process id. */
function findEntry(first: Entry | null, secret: Buffer): Entry | null {
  for (let entry = first; entry !== null; entry = entry.next) {
    const isCandidate = entry.secret.length === secret.length;
    if (isCandidate && timingSafeEqual(Buffer.from(entry.secret, 'latin1'), secret)) {
      return entry;
    }
  }
  return null;
}
