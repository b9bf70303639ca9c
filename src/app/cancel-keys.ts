import { timingSafeEqual } from 'node:crypto';
import type { ClientConnection } from '../client/client-connection.ts';
import type { IssuedKey } from '../client/client-host.ts';
import { PROTOCOL_3_2 } from '../protocol/codes.ts';

/** Bytes of the secret in protocol 3.0, fixed there. */
const SHORT_SECRET_BYTES = 4;
/** Bytes of the secret in protocol 3.2, which allows up to 256. */
const LONG_SECRET_BYTES = 32;

interface Entry {
  readonly client: ClientConnection;
  /** As latin1 text, which takes a third of the memory of a buffer. */
  readonly secret: string;
}

/** The cancel keys of all logged-in clients. */
export class CancelKeys {
  readonly #entries = new Map<number, Entry>();
  readonly #randomBytes: (bytes: number) => Buffer;

  /** @param randomBytes - cryptographically strong. */
  constructor(randomBytes: (bytes: number) => Buffer) {
    this.#randomBytes = randomBytes;
  }

  /** Makes a key for `client`, in the length that its protocol version allows. */
  issue(client: ClientConnection): IssuedKey {
    const isLong = (client.identity?.version ?? 0) >= PROTOCOL_3_2;
    let processId: number;
    do {
      // The top bit is clear, so that drivers with a signed number show the same one.
      processId = this.#randomBytes(4).readUInt32BE(0) & 0x7fffffff;
    } while (processId === 0 || this.#entries.has(processId));
    const secret = this.#randomBytes(isLong ? LONG_SECRET_BYTES : SHORT_SECRET_BYTES);
    client.keyProcessId = processId;
    this.#entries.set(processId, { client, secret: secret.toString('latin1') });
    return { processId, secret };
  }

  /** Finds the client that a key belongs to; null for a wrong key. */
  find(processId: number, secret: Buffer): ClientConnection | null {
    const entry = this.#entries.get(processId);
    if (entry?.secret.length !== secret.length) {
      return null;
    }
    return timingSafeEqual(Buffer.from(entry.secret, 'latin1'), secret) ? entry.client : null;
  }

  /** The secret of a client's key; null when it has none. */
  secretOf(client: ClientConnection): Buffer | null {
    const entry = this.#entries.get(client.keyProcessId);
    return entry?.client === client ? Buffer.from(entry.secret, 'latin1') : null;
  }

  /** Voids the key of a client that is gone. */
  revoke(client: ClientConnection): void {
    if (client.keyProcessId !== 0) {
      this.#entries.delete(client.keyProcessId);
    }
  }
}
