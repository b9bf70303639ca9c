import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import * as frontend from '../support/frontend-messages.ts';
import { ScriptWriter } from '../support/message-script.ts';
import { proxyV1, proxyV2Tcp4 } from '../support/proxy-headers.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { ScramClient, md5Answer } from '../support/scram-client.ts';
import { cut, mutate } from './mutate.ts';
import { secureClient } from './tls-wire.ts';

/** Where the proxy of the fuzz is. */
export const PROXY_ADDRESS = '127.0.0.3';

/** Longest time that a client listens before it leaves, in ms. */
const PATIENCE_MS = 40;
/** The same where a server connection must be made first, or where the login should succeed. */
const LONG_PATIENCE_MS = 400;

/** What is longer is not cut into pieces inside of TLS. */
const CUT_IN_TLS_BYTES = 1_000;

/** Who may log in, and where. */
export interface FuzzAccount {
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** What one client sent, to tell when something goes wrong. */
export interface ByteLog {
  /** The side, and what kind of client or server it was. */
  readonly title: string;
  /** In order, as they were written. */
  readonly pieces: Buffer[];
}

/** Sends pieces as they are, each in its own write. */
async function sendPieces(socket: net.Socket, pieces: readonly Buffer[]): Promise<void> {
  for (const piece of pieces) {
    if (socket.destroyed) {
      return;
    }
    await new Promise<void>((resolve) => {
      socket.write(piece, () => {
        resolve();
      });
    });
  }
}

/** Sends recorded bytes on a connection of its own, each piece by itself, and leaves. Never rejects. */
export async function replayPieces(port: number, pieces: readonly Buffer[]): Promise<void> {
  const socket = net.connect({ host: '127.0.0.1', port, localAddress: '127.0.0.1' });
  socket.on('error', () => {});
  socket.resume();
  await sendPieces(socket, pieces);
  await delay(LONG_PATIENCE_MS);
  socket.destroy();
}

/** How a client carries its messages. */
type Carrier = 'plain' | 'asked_tls' | 'direct_tls';

/** One client that misbehaves: bytes before, in and after the login, and a sudden end. */
export class FuzzClient {
  /** Messages, as they are inside of TLS where there is some. */
  readonly log: ByteLog;
  /** What came before TLS, and its records. */
  readonly wireLog: ByteLog;
  /** Whether it came to messages inside of TLS. */
  isSecure = false;
  readonly #random: SeededRandom;
  readonly #account: FuzzAccount;
  readonly #scram: ScramClient;
  readonly #isProxied: boolean;
  readonly #carrier: Carrier;
  /** Probability that a record of TLS is changed. */
  readonly #recordRate: number;
  readonly #wireRandom: SeededRandom;
  /** Probability that a message of the login is changed. */
  readonly #rate: number;
  readonly #patienceMs: number;
  #received = Buffer.alloc(0);
  #isReady = false;
  #writing: Promise<void> = Promise.resolve();

  /** @param isServerBad - then the client is mostly an honest one. */
  constructor(random: SeededRandom, account: FuzzAccount, isServerBad: boolean) {
    this.#random = random;
    this.#account = account;
    this.#scram = new ScramClient(account.password, random.bytes(18).toString('base64'));
    this.#isProxied = random.chance(0.15);
    this.#rate = random.pick(isServerBad ? [0, 0, 0, 0, 0.3] : [0, 0, 0.3, 1]);
    // An honest login ends by itself, on a busy machine too.
    this.#patienceMs = isServerBad || this.#rate === 0 ? LONG_PATIENCE_MS : PATIENCE_MS;
    this.#carrier = random.pick(['plain', 'plain', 'plain', 'asked_tls', 'direct_tls']);
    this.#recordRate = random.pick(isServerBad ? [0, 0, 0.02] : [0, 0, 0.05, 0.5]);
    // The records of TLS come when they come: they must not change what else is picked.
    this.#wireRandom = new SeededRandom(random.below(0x7fff_ffff));
    this.log = { title: `client, changes ${String(this.#rate)}`, pieces: [] };
    const title = `client below TLS, changes ${String(this.#recordRate)}`;
    this.wireLog = { title, pieces: [] };
  }

  /** Connects, does its deed and leaves. Never rejects. */
  async run(port: number): Promise<void> {
    const localAddress = this.#isProxied ? PROXY_ADDRESS : '127.0.0.1';
    const socket = net.connect({ host: '127.0.0.1', port, localAddress, allowHalfOpen: true });
    socket.on('error', () => {});
    socket.setNoDelay(true);
    const closed = new Promise<void>((resolve) => {
      socket.once('end', resolve);
      socket.once('close', resolve);
    });
    const header = this.#isProxied ? this.#proxyHeader() : Buffer.alloc(0);
    const carrier = this.#carrier === 'plain' ? socket : await this.#secure(socket, header, closed);
    if (carrier === null) {
      this.#leave(socket, socket);
      return;
    }
    this.isSecure = carrier !== socket;
    carrier.on('data', (chunk: Buffer) => {
      this.#onData(carrier, chunk);
    });
    this.#send(carrier, Buffer.concat([this.isSecure ? Buffer.alloc(0) : header, this.#opening()]));
    await Promise.race([closed, delay(this.#patienceMs), this.#untilReady(closed)]);
    if (this.#isReady || this.#random.chance(0.3)) {
      this.#send(carrier, this.#conversation());
    }
    const lingerMs = this.#random.below(PATIENCE_MS);
    await Promise.race([
      closed,
      this.#writing.then(() => delay(lingerMs)),
      // A write through TLS whose records were changed may never end.
      ...(this.isSecure ? [delay(2 * LONG_PATIENCE_MS)] : []),
    ]);
    this.#leave(socket, carrier);
  }

  /** @returns The socket inside of TLS; null when it has not come to that. */
  async #secure(
    socket: net.Socket,
    header: Buffer,
    closed: Promise<void>,
  ): Promise<net.Socket | null> {
    const log = this.wireLog;
    const before = Buffer.concat([
      header,
      ...(this.#carrier === 'asked_tls' ? [frontend.sslRequest()] : []),
    ]);
    if (before.length > 0) {
      log.pieces.push(before);
      socket.write(before);
    }
    if (this.#carrier === 'asked_tls') {
      const answered = new Promise<void>((resolve) => {
        socket.once('data', () => {
          resolve();
        });
      });
      await Promise.race([answered, closed, delay(LONG_PATIENCE_MS)]);
    }
    return secureClient(socket, { random: this.#wireRandom, rate: this.#recordRate, log });
  }

  async #untilReady(closed: Promise<void>): Promise<void> {
    const over = { isClosed: false };
    void closed.then(() => {
      over.isClosed = true;
    });
    while (!this.#isReady && !over.isClosed) {
      await delay(2);
    }
  }

  #send(socket: net.Socket, bytes: Buffer): void {
    // Each piece is a record of its own: thousands of them would take seconds.
    const isCut = !this.isSecure || bytes.length < CUT_IN_TLS_BYTES;
    const pieces = isCut ? cut(bytes, this.#random) : [bytes];
    this.log.pieces.push(...pieces);
    this.#writing = this.#writing.then(() => sendPieces(socket, pieces));
  }

  #perhapsChanged(bytes: Buffer): Buffer {
    return this.#random.chance(this.#rate) ? mutate(bytes, this.#random) : bytes;
  }

  #proxyHeader(): Buffer {
    const header = this.#random.pick([proxyV1('192.0.2.7', 9), proxyV2Tcp4('192.0.2.7', 9)]);
    return this.#perhapsChanged(header);
  }

  #opening(): Buffer {
    const random = this.#random;
    const { user, database } = this.#account;
    const startup = frontend.startupMessage(
      {
        user: random.chance(0.1) ? 'nobody' : user,
        database: random.chance(0.05) ? 'pgbouncer' : database,
        ...(random.chance(0.3) ? { application_name: random.bytes(9).toString('latin1') } : {}),
        ...(random.chance(0.2)
          ? { options: random.pick(['-c=', '-c a=b', '--x', '\\', '-c']) }
          : {}),
        ...(random.chance(0.1) ? { '_pq_.x': '1' } : {}),
      },
      random.pick([0x3_0000, 0x3_0000, 0x3_0002, 0x3_0009]),
    );
    const packets: Buffer[] = [];
    if (random.chance(0.1)) {
      packets.push(random.pick([frontend.sslRequest(), frontend.gssEncRequest()]));
    }
    if (random.chance(0.05)) {
      packets.push(frontend.cancelRequest(random.below(100_000), random.bytes(4)));
    }
    packets.push(this.#perhapsChanged(startup));
    if (this.#rate > 0 && random.chance(0.2)) {
      packets.push(this.#perhapsChanged(frontend.passwordMessage(this.#account.password)));
    }
    return Buffer.concat(packets);
  }

  /** Answers what the pooler asks for; reads nothing else but ReadyForQuery. */
  #onData(socket: net.Socket, chunk: Buffer): void {
    if (this.#isReady) {
      return;
    }
    this.#received = Buffer.concat([this.#received, chunk]);
    while (this.#received.length >= 5) {
      const type = String.fromCharCode(this.#received.readUInt8(0));
      if (type === 'N' && this.#received.readUInt8(1) > 0) {
        this.#received = this.#received.subarray(1);
        continue;
      }
      const end = 1 + this.#received.readUInt32BE(1);
      if (this.#received.length < end) {
        return;
      }
      const body = this.#received.subarray(5, end);
      this.#received = this.#received.subarray(end);
      if (type === 'Z') {
        this.#isReady = true;
        return;
      }
      if (type === 'R' && body.length >= 4) {
        this.#answer(socket, body.readInt32BE(0), body.subarray(4));
      }
    }
  }

  #answer(socket: net.Socket, code: number, rest: Buffer): void {
    const { user, password } = this.#account;
    let answer: Buffer | null = null;
    if (code === 3) {
      answer = frontend.passwordMessage(password);
    } else if (code === 5) {
      answer = frontend.passwordMessage(md5Answer(user, password, rest));
    } else if (code === 10) {
      answer = frontend.saslInitialResponse('SCRAM-SHA-256', this.#scram.first());
    } else if (code === 11) {
      try {
        answer = frontend.saslResponse(this.#scram.final(rest.toString()));
      } catch {
        // The challenge is for another answer than the one that was sent.
        answer = frontend.saslResponse('c=biws,r=x,p=AAAA');
      }
    }
    if (answer !== null) {
      this.#send(socket, this.#perhapsChanged(answer));
    }
  }

  #conversation(): Buffer {
    const random = this.#random;
    const steps: Buffer[] = [];
    const writer = new ScriptWriter(random, 'fuzz');
    for (let left = 1 + random.below(2); left > 0; left--) {
      for (const { bytes } of writer.unit()) {
        const isChanged = random.chance(0.05);
        // Few of the large messages: they are slow.
        if (bytes.length < 20_000 || random.chance(0.1)) {
          steps.push(isChanged ? mutate(bytes, random) : bytes);
        }
      }
    }
    const keep = random.below(steps.length + 1);
    return Buffer.concat(random.chance(0.5) ? steps : steps.slice(0, keep));
  }

  /** @param carrier - the same, or what is inside of TLS. */
  #leave(socket: net.Socket, carrier: net.Socket): void {
    switch (this.#random.below(4)) {
      case 0:
        socket.resetAndDestroy();
        return;
      case 1:
        carrier.end(frontend.terminate());
        setTimeout(() => {
          carrier.destroy();
          socket.destroy();
        }, PATIENCE_MS);
        return;
      default:
        carrier.destroy();
        socket.destroy();
    }
  }
}
