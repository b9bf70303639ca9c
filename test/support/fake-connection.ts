import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import * as backend from './backend-messages.ts';
import { BodyReader } from './backend-messages.ts';
import type { BackendKey, ErrorFields, WireMessage } from './backend-messages.ts';
import { message } from './frontend-messages.ts';
import { MessageStream } from './message-stream.ts';
import { waitFor } from './wait-for.ts';

/** Names and values of a StartupMessage, in order. */
export interface StartupPacket {
  readonly protocolVersion: number;
  readonly parameters: ReadonlyMap<string, string>;
}

/** An untyped packet at the begin of a connection. */
export type InitialPacket =
  | { readonly kind: 'startup' }
  | { readonly kind: 'ssl' }
  | { readonly kind: 'gss' }
  | { readonly kind: 'cancel'; readonly key: BackendKey };

/** Parameters that a server reports at login unless the script says otherwise. */
export const SERVER_PARAMETERS: Readonly<Record<string, string>> = {
  server_version: '18.0',
  server_encoding: 'UTF8',
  client_encoding: 'UTF8',
  DateStyle: 'ISO, MDY',
  TimeZone: 'UTC',
  integer_datetimes: 'on',
  IntervalStyle: 'postgres',
  standard_conforming_strings: 'on',
  application_name: '',
  is_superuser: 'off',
  in_hot_standby: 'off',
};

const SSL_REQUEST = 80_877_103;
const GSSENC_REQUEST = 80_877_104;
const CANCEL_REQUEST = 80_877_102;

/** A client may idle as long as the test runs. */
const IDLE_TIMEOUT_MS = 600_000;

/** One connection as the fake server sees it. */
export class FakeConnection {
  /** StartupMessage; `null` before it. */
  startup: StartupPacket | null = null;
  /** Messages with a type byte, in order of arrival. */
  readonly received: WireMessage[] = [];
  /** Transaction status that the default answers keep. */
  status: 'I' | 'T' | 'E' = 'I';
  readonly key: BackendKey;
  /** What messages come by: another one once TLS has begun. */
  socket: Socket;
  #stream: MessageStream;
  #skipsToSync = false;

  constructor(socket: Socket, key: BackendKey) {
    this.socket = socket;
    this.key = key;
    this.#stream = new MessageStream(socket);
  }

  /** Whether the other side has ended the connection. */
  get hasEnded(): boolean {
    return this.#stream.end.kind !== 'open';
  }

  /** Type bytes of all messages received, for example `PBDES`. */
  get receivedTypes(): string {
    return this.received.map(({ type }) => type).join('');
  }

  /** Texts of all Query messages received. */
  get queries(): string[] {
    return this.received
      .filter(({ type }) => type === 'Q')
      .map(({ body }) => new BodyReader(body).cstring());
  }

  /** Sends bytes in one write. */
  send(...parts: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(parts));
  }

  /** Sends bytes in as many pieces as there are offsets plus one, each in its own segment. */
  async sendSplit(bytes: Buffer, offsets: readonly number[]): Promise<void> {
    let start = 0;
    for (const end of [...offsets, bytes.length]) {
      await this.#sendPiece(bytes.subarray(start, end));
      start = end;
    }
  }

  /** Sends bytes one at a time. */
  async sendByteByByte(bytes: Buffer): Promise<void> {
    await this.sendSplit(
      bytes,
      Array.from({ length: Math.max(bytes.length - 1, 0) }, (_, index) => index + 1),
    );
  }

  /** Waits until the kernel has the bytes, and gives the peer a turn to read them. */
  async #sendPiece(piece: Buffer): Promise<void> {
    await new Promise<void>((resolve) => {
      this.socket.write(piece, () => {
        resolve();
      });
    });
    await nextTurn();
  }

  /**
   * Answers SSLRequest with `S`, and goes on inside of TLS.
   *
   * @param begin - begins TLS on the socket; resolves with null when the handshake fails.
   */
  async secure(begin: (plain: Socket) => Promise<Socket | null>): Promise<void> {
    const plain = this.#stream.detach();
    plain.on('error', () => {});
    plain.write('S');
    const secured = await begin(plain);
    if (secured === null) {
      plain.destroy();
      throw new Error('no TLS handshake');
    }
    this.socket = secured;
    this.#stream = new MessageStream(secured);
  }

  /** Reads an untyped packet. @returns `null` when the peer has gone. */
  async receiveStartupPacket(): Promise<InitialPacket | null> {
    const header = await this.#readOrNull(4);
    if (header === null) {
      return null;
    }
    const body = await this.#stream.readBytes(header.readUInt32BE() - 4);
    const code = body.readUInt32BE();
    switch (code) {
      case SSL_REQUEST:
        return { kind: 'ssl' };
      case GSSENC_REQUEST:
        return { kind: 'gss' };
      case CANCEL_REQUEST:
        return { kind: 'cancel', key: backend.decodeBackendKey(body.subarray(4)) };
      default:
        this.startup = decodeStartup(body);
        return { kind: 'startup' };
    }
  }

  async #readOrNull(count: number): Promise<Buffer | null> {
    try {
      return await this.#stream.readBytes(count, IDLE_TIMEOUT_MS);
    } catch (error) {
      if (this.hasEnded) {
        return null;
      }
      throw error;
    }
  }

  /** Reads and records one message. @returns `null` when the peer has gone. */
  async receive(): Promise<WireMessage | null> {
    try {
      const received = await this.#stream.readMessage(IDLE_TIMEOUT_MS);
      this.received.push(received);
      return received;
    } catch (error) {
      if (this.hasEnded) {
        return null;
      }
      throw error;
    }
  }

  /** Waits until `count` messages of a type have come. @returns The last of them. */
  waitForMessage(type: string, count = 1): Promise<WireMessage> {
    return waitFor(
      `message ${type} number ${String(count)} at the fake server`,
      () => this.received.filter((received) => received.type === type)[count - 1],
    );
  }

  /** Sends what follows a password check: parameters, cancel key, ReadyForQuery. */
  acceptLogin(parameters: Readonly<Record<string, string>> = {}): void {
    const reported = { ...SERVER_PARAMETERS, ...parameters };
    this.send(
      backend.authentication(0),
      ...Object.entries(reported).map(([name, value]) => backend.parameterStatus(name, value)),
      backend.backendKeyData(this.key.processId, this.key.secretKey),
      backend.readyForQuery('I'),
    );
  }

  /** Answers a message as a friendly server with one table of one row would. */
  answer(received: WireMessage): void {
    if (received.type === 'X') {
      this.end();
    } else if (received.type === 'Q') {
      this.answerQuery(new BodyReader(received.body).cstring());
    } else if (received.type === 'S') {
      this.#skipsToSync = false;
      this.send(backend.readyForQuery(this.status));
    } else if (!this.#skipsToSync) {
      this.#answerExtended(received);
    }
  }

  /** Answers a simple query of one statement, ReadyForQuery included. */
  answerQuery(sql: string): void {
    const verb = (/^\s*(\w+)/.exec(sql)?.[1] ?? '').toUpperCase();
    this.#followTransaction(verb);
    const parts =
      verb === ''
        ? [message('I')]
        : verb === 'SELECT' || verb === 'SHOW'
          ? [backend.rowDescription(['answer']), backend.dataRow(['1'])]
          : [];
    const tag = verb === 'SELECT' ? 'SELECT 1' : verb;
    const end = verb === '' ? [] : [backend.commandComplete(tag)];
    this.send(...parts, ...end, backend.readyForQuery(this.status));
  }

  /** Sends ErrorResponse, and skips to Sync as a server does in the extended protocol. */
  fail(fields: ErrorFields): void {
    this.#skipsToSync = true;
    if (this.status === 'T') {
      this.status = 'E';
    }
    this.send(backend.errorResponse(fields));
  }

  /** Sends ErrorResponse and ReadyForQuery: the answer to a simple query that fails. */
  failQuery(fields: ErrorFields): void {
    this.fail(fields);
    this.#skipsToSync = false;
    this.send(backend.readyForQuery(this.status));
  }

  /** Closes the sending half once everything is sent. */
  end(): void {
    this.socket.end();
  }

  /** Closes at once. */
  destroy(): void {
    this.socket.destroy();
  }

  /** Closes at once with RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  /** Stops reading. */
  pause(): void {
    this.socket.pause();
  }

  /** Reads again after `pause`. */
  resume(): void {
    this.socket.resume();
  }

  #followTransaction(verb: string): void {
    if (verb === 'BEGIN' || verb === 'START') {
      this.status = 'T';
    } else if (verb === 'COMMIT' || verb === 'ROLLBACK' || verb === 'END') {
      this.status = 'I';
    }
  }

  #answerExtended(received: WireMessage): void {
    switch (received.type) {
      case 'P':
        this.send(message('1'));
        return;
      case 'B':
        this.send(message('2'));
        return;
      case 'C':
        this.send(message('3'));
        return;
      case 'D': {
        const isStatement = received.body[0] === 'S'.charCodeAt(0);
        this.send(...(isStatement ? [message('t', Buffer.alloc(2))] : []), message('n'));
        return;
      }
      case 'E':
        this.send(backend.commandComplete('SELECT 0'));
        return;
      default:
        // Flush, passwords and COPY data have no answer of their own.
        return;
    }
  }
}

function decodeStartup(body: Buffer): StartupPacket {
  const reader = new BodyReader(body);
  const protocolVersion = reader.uint32();
  const parameters = new Map<string, string>();
  while (reader.remaining > 1) {
    parameters.set(reader.cstring(), reader.cstring());
  }
  return { protocolVersion, parameters };
}
