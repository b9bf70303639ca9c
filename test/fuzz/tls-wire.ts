import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { SeededRandom } from '../support/seeded-random.ts';
import type { ByteLog } from './client-case.ts';
import { cut, mutate } from './mutate.ts';

/** Longest time that a handshake is waited for, in ms. */
const HANDSHAKE_MS = 400;

/** What lies between TLS and a socket, and changes records on their way out. */
class FuzzWire extends Duplex {
  readonly #socket: Socket;
  readonly #random: SeededRandom;
  /** Probability that what is written is changed. */
  readonly #rate: number;
  readonly #log: ByteLog;

  constructor(socket: Socket, random: SeededRandom, rate: number, log: ByteLog) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    this.#random = random;
    this.#rate = rate;
    this.#log = log;
    socket.on('data', (chunk) => {
      this.push(chunk);
    });
    socket.once('end', () => {
      this.push(null);
    });
    socket.once('close', () => {
      this.destroy();
    });
    this.on('error', () => {});
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const isChanged = this.#random.chance(this.#rate);
    const bytes = isChanged ? mutate(chunk, this.#random) : chunk;
    const pieces = isChanged && bytes.length < 1_000 ? cut(bytes, this.#random) : [bytes];
    this.#log.pieces.push(...pieces);
    for (const piece of pieces) {
      this.#socket.write(piece);
    }
    done();
  }

  override _final(done: () => void): void {
    this.#socket.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }
}

/** How to change what goes out below TLS. */
export interface RecordChanges {
  readonly random: SeededRandom;
  readonly rate: number;
  readonly log: ByteLog;
}

/** Waits for the handshake, not for long. */
async function untilSecure(socket: tls.TLSSocket, event: string): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      resolve(false);
    }, HANDSHAKE_MS);
    const settle = (isSecure: boolean): void => {
      clearTimeout(timer);
      resolve(isSecure);
    };
    socket.on('error', () => {
      settle(false);
    });
    socket.once('close', () => {
      settle(false);
    });
    socket.once(event, () => {
      settle(true);
    });
  });
}

/** Begins TLS as a client of the pooler. @returns null when there was no handshake. Never rejects. */
export async function secureClient(
  socket: Socket,
  changes: RecordChanges,
): Promise<tls.TLSSocket | null> {
  const { random, rate, log } = changes;
  const maxVersion = random.pick(['TLSv1.2', 'TLSv1.3', 'TLSv1.3'] as const);
  const protocols = random.pick([['postgresql'], ['postgresql'], ['h2'], []]);
  const secured = tls.connect({
    socket: new FuzzWire(socket, random, rate, log),
    rejectUnauthorized: false,
    maxVersion,
    ...(protocols.length > 0 ? { ALPNProtocols: protocols } : {}),
    ...(random.chance(0.3) ? { servername: 'fuzz.example' } : {}),
  });
  return (await untilSecure(secured, 'secureConnect')) ? secured : null;
}

/** Begins TLS as a server of the pooler. @returns as {@link secureClient}. Never rejects. */
export async function secureServer(
  socket: Socket,
  certificate: { readonly cert: string; readonly key: string },
  changes: RecordChanges,
): Promise<tls.TLSSocket | null> {
  const { random, rate, log } = changes;
  const secured = new tls.TLSSocket(new FuzzWire(socket, random, rate, log), {
    isServer: true,
    cert: certificate.cert,
    key: certificate.key,
    ALPNProtocols: ['postgresql'],
    maxVersion: random.pick(['TLSv1.2', 'TLSv1.3']),
  });
  return (await untilSecure(secured, 'secure')) ? secured : null;
}
