import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import {
  BackendError,
  decodeBackendKey,
  decodeErrorFields,
  decodeParameterStatus,
} from './backend-messages.ts';
import type { BackendKey, ErrorFields, WireMessage } from './backend-messages.ts';
import * as frontend from './frontend-messages.ts';
import { MessageStream } from './message-stream.ts';
import { rowsByName, sortOutcome, throwFirstError } from './query-outcome.ts';
import type { QueryOutcome, TextRow } from './query-outcome.ts';
import { ScramClient, md5Answer } from './scram-client.ts';
import { withDeadline } from './wait-for.ts';

/** Where to connect: TCP, or the unix socket of a port in a directory. */
export type ConnectTarget =
  | {
      readonly host?: string;
      readonly port: number;
      /** Where to come from; the system chooses by default. */
      readonly localAddress?: string;
    }
  | { readonly socketDir: string; readonly port: number };

/** Who logs in, and how. */
export interface LoginOptions {
  readonly user: string;
  /** Left out of the startup packet when absent: the server then takes the user's name. */
  readonly database?: string;
  readonly password?: string;
  /** More startup parameters, `application_name` for one. */
  readonly parameters?: Readonly<Record<string, string>>;
  readonly protocolVersion?: number;
}

/**
 * A PostgreSQL client that sends and reads single messages, so that a test decides about every
 * byte. It keeps to the protocol only where a test asks it to.
 */
export class RawClient {
  /** Last value of each ParameterStatus. */
  readonly parameters = new Map<string, string>();
  /** NoticeResponse messages in order of arrival. */
  readonly notices: ErrorFields[] = [];
  /** Bodies of NotificationResponse in order of arrival. */
  readonly notifications: Buffer[] = [];
  /** BackendKeyData of the login; `null` before it. */
  backendKey: BackendKey | null = null;
  /** Authentication request codes seen at login: `[5, 0]` for md5. */
  readonly authenticationCodes: number[] = [];
  readonly #target: ConnectTarget;
  #socket: net.Socket;
  #stream: MessageStream;

  private constructor(target: ConnectTarget, socket: net.Socket) {
    this.#target = target;
    this.#socket = socket;
    this.#stream = new MessageStream(socket);
  }

  /** Opens a connection and sends nothing. */
  static async connect(target: ConnectTarget): Promise<RawClient> {
    const socket = net.connect({ ...connectOptions(target), allowHalfOpen: true });
    socket.setNoDelay(true);
    const connected = new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    try {
      await withDeadline('a connection', connected);
    } catch (error) {
      socket.destroy();
      throw error;
    }
    return new RawClient(target, socket);
  }

  /** Opens a connection and logs in. @throws BackendError when the server refuses. */
  static async login(target: ConnectTarget, options: LoginOptions): Promise<RawClient> {
    const client = await RawClient.connect(target);
    try {
      await client.login(options);
      return client;
    } catch (error) {
      client.destroy();
      throw error;
    }
  }

  /** The socket itself, for what this class does not offer. */
  get socket(): net.Socket {
    return this.#socket;
  }

  /** Whether the other side has ended the connection. */
  get hasEnded(): boolean {
    return this.#stream.end.kind !== 'open';
  }

  /** Bytes received and not read yet. */
  get bufferedBytes(): number {
    return this.#stream.bufferedBytes;
  }

  /** Sends bytes in one write. @returns What `socket.write` returned. */
  send(...parts: readonly Buffer[]): boolean {
    return this.#socket.write(Buffer.concat(parts));
  }

  /** Sends bytes in one write and waits until the kernel has taken them. */
  async sendAll(...parts: readonly Buffer[]): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#socket.write(Buffer.concat(parts), (error) => {
        if (error) {
          reject(error);
        } else {
          resolve();
        }
      });
    });
  }

  /** Sends StartupMessage and reads nothing. */
  startup(parameters: Readonly<Record<string, string>>, protocolVersion?: number): void {
    this.send(frontend.startupMessage(parameters, protocolVersion));
  }

  /** Logs in on this connection. @throws BackendError when the server refuses. */
  async login(options: LoginOptions): Promise<void> {
    const { user, database, parameters } = options;
    const names = { user, ...(database === undefined ? {} : { database }), ...parameters };
    this.startup(names, options.protocolVersion);
    await this.authenticate(options);
    await this.readUntil('Z');
  }

  /** Answers authentication requests up to AuthenticationOk. */
  async authenticate(options: Pick<LoginOptions, 'user' | 'password'>): Promise<void> {
    const password = options.password ?? '';
    const scram = new ScramClient(password);
    for (;;) {
      const { type, body } = await this.readMessage();
      if (type === 'E') {
        throw new BackendError(decodeErrorFields(body));
      }
      if (type !== 'R') {
        continue;
      }
      const code = body.readInt32BE();
      const rest = body.subarray(4);
      this.authenticationCodes.push(code);
      if (code === 0) {
        return;
      }
      this.#answerAuthentication(code, rest, options.user, password, scram);
    }
  }

  #answerAuthentication(
    code: number,
    rest: Buffer,
    user: string,
    password: string,
    scram: ScramClient,
  ): void {
    switch (code) {
      case 3:
        this.send(frontend.passwordMessage(password));
        return;
      case 5:
        this.send(frontend.passwordMessage(md5Answer(user, password, rest)));
        return;
      case 10:
        this.send(frontend.saslInitialResponse('SCRAM-SHA-256', scram.first()));
        return;
      case 11:
        this.send(frontend.saslResponse(scram.final(rest.toString())));
        return;
      case 12:
        scram.verify(rest.toString());
        return;
      default:
        throw new Error(`authentication request ${String(code)} is unknown`);
    }
  }

  /** Reads one message, and notes it if it is of a kind that comes unasked. */
  async readMessage(timeoutMs?: number): Promise<WireMessage> {
    const received = await this.#stream.readMessage(timeoutMs);
    switch (received.type) {
      case 'S':
        this.parameters.set(...decodeParameterStatus(received.body));
        break;
      case 'K':
        this.backendKey = decodeBackendKey(received.body);
        break;
      case 'N':
        this.notices.push(decodeErrorFields(received.body));
        break;
      case 'A':
        this.notifications.push(received.body);
        break;
      default:
        break;
    }
    return received;
  }

  /** Reads messages up to the first of a type, which is the last one returned. */
  async readUntil(type: string, timeoutMs?: number): Promise<WireMessage[]> {
    const messages: WireMessage[] = [];
    for (;;) {
      const received = await this.#readOrThrowError(messages, timeoutMs);
      messages.push(received);
      if (received.type === type) {
        return messages;
      }
    }
  }

  /** After a FATAL error nothing follows: its own text says more than the end of the stream. */
  async #readOrThrowError(
    before: readonly WireMessage[],
    timeoutMs: number | undefined,
  ): Promise<WireMessage> {
    try {
      return await this.readMessage(timeoutMs);
    } catch (error) {
      if (this.hasEnded) {
        throwFirstError(before);
      }
      throw error;
    }
  }

  /** Reads one message, which must be an ErrorResponse once notices are left out. */
  async readError(timeoutMs?: number): Promise<BackendError> {
    const messages = await this.readUntil('E', timeoutMs);
    const last = messages[messages.length - 1];
    return new BackendError(last === undefined ? {} : decodeErrorFields(last.body));
  }

  /** Reads exactly `count` bytes, such as the one that answers SSLRequest. */
  readBytes(count: number, timeoutMs?: number): Promise<Buffer> {
    return this.#stream.readBytes(count, timeoutMs);
  }

  /** Waits until the other side ends the connection. @returns The bytes that came before. */
  readToEnd(timeoutMs?: number): Promise<Buffer> {
    return this.#stream.readToEnd(timeoutMs);
  }

  /** Reads up to ReadyForQuery and sorts what came. */
  async readOutcome(timeoutMs?: number): Promise<QueryOutcome> {
    return sortOutcome(await this.readUntil('Z', timeoutMs));
  }

  /** Runs a simple query; errors are part of the outcome. */
  simpleQuery(sql: string, timeoutMs?: number): Promise<QueryOutcome> {
    this.send(frontend.query(sql));
    return this.readOutcome(timeoutMs);
  }

  /** Runs a statement through the extended protocol; errors are part of the outcome. */
  extendedQuery(sql: string, values: readonly frontend.BindValue[] = []): Promise<QueryOutcome> {
    this.send(frontend.extendedQuery(sql, values));
    return this.readOutcome();
  }

  /**
   * Runs a simple query.
   *
   * @returns The rows of its last statement that has columns.
   * @throws BackendError with the first error.
   */
  async query(sql: string, timeoutMs?: number): Promise<TextRow[]> {
    const outcome = await this.simpleQuery(sql, timeoutMs);
    if (outcome.errors[0] !== undefined) {
      throw outcome.errors[0];
    }
    return rowsByName(outcome.results.findLast((result) => result.fields.length > 0));
  }

  /** Copies rows out. @returns What CopyData carried, glued together. */
  async copyOut(sql: string): Promise<Buffer> {
    this.send(frontend.query(sql));
    const messages = await this.readUntil('Z');
    throwFirstError(messages);
    return Buffer.concat(messages.filter(({ type }) => type === 'd').map(({ body }) => body));
  }

  /** Copies rows in. @returns The command tag. */
  async copyIn(sql: string, chunks: readonly (string | Buffer)[]): Promise<string> {
    this.send(frontend.query(sql));
    const answer = await this.readMessage();
    if (answer.type !== 'G') {
      throwFirstError([answer, ...(await this.readUntil('Z'))]);
      throw new Error(`CopyInResponse expected, ${answer.type} received`);
    }
    this.send(...chunks.map(frontend.copyData), frontend.copyDone());
    const messages = await this.readUntil('Z');
    throwFirstError(messages);
    return sortOutcome(messages).results[0]?.tag ?? '';
  }

  /** Sends CancelRequest for this client on a connection of its own, and waits for its end. */
  async cancel(key: BackendKey | null = this.backendKey): Promise<void> {
    if (key === null) {
      throw new Error('cancel before BackendKeyData');
    }
    const other = await RawClient.connect(this.#target);
    other.send(frontend.cancelRequest(key.processId, key.secretKey));
    await other.readToEnd();
    other.destroy();
  }

  /** Asks for TLS and switches to it. @throws Error when the answer is not `S`. */
  async startTls(options: tls.ConnectionOptions = { rejectUnauthorized: false }): Promise<void> {
    this.send(frontend.sslRequest());
    const answer = (await this.readBytes(1)).toString('latin1');
    if (answer !== 'S') {
      throw new Error(`SSLRequest was answered with ${JSON.stringify(answer)}`);
    }
    const socket = tls.connect({ ...options, socket: this.#stream.detach() });
    const secured = new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
    });
    await withDeadline('the TLS handshake', secured);
    this.#socket = socket;
    this.#stream = new MessageStream(socket);
  }

  /** Stops reading: the kernel's buffers fill, then those of the sender. */
  pause(): void {
    this.#socket.pause();
  }

  /** Reads again after `pause`. */
  resume(): void {
    this.#socket.resume();
  }

  /** Closes the sending half, and goes on reading. */
  endWriting(): void {
    this.#socket.end();
  }

  /** Closes at once; the kernel sends FIN (or RST if unread bytes wait). */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Closes at once with RST. TCP without TLS only. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  /** Sends Terminate and waits until the server has closed. */
  async close(): Promise<void> {
    if (!this.hasEnded && !this.#socket.destroyed) {
      this.#socket.resume();
      this.#socket.end(frontend.terminate());
      await this.#stream.readToEnd();
    }
    this.#socket.destroy();
  }
}

function connectOptions(target: ConnectTarget): net.NetConnectOpts {
  return 'socketDir' in target
    ? { path: path.join(target.socketDir, `.s.PGSQL.${String(target.port)}`) }
    : {
        host: target.host ?? '127.0.0.1',
        port: target.port,
        ...(target.localAddress === undefined ? {} : { localAddress: target.localAddress }),
      };
}
