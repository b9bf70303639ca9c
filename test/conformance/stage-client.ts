import type { WireMessage } from '../support/backend-messages.ts';
import * as frontend from '../support/frontend-messages.ts';
import { RawClient } from '../support/raw-client.ts';
import type { ConnectTarget } from '../support/raw-client.ts';
import { ScramClient, md5Answer } from '../support/scram-client.ts';
import type { MessageRenderer } from './rendering.ts';

/** Who logs in, and how. */
export interface Account {
  readonly user: string;
  readonly database?: string;
  readonly password?: string;
  readonly parameters?: Readonly<Record<string, string>>;
  readonly protocolVersion?: number;
}

/** A client whose every received message becomes lines of the transcript. */
export class StageClient {
  /** The connection itself, for bytes that no method here sends. */
  readonly raw: RawClient;
  readonly #target: ConnectTarget;
  readonly #name: string;
  readonly #renderer: MessageRenderer;
  readonly #record: (line: string) => void;

  constructor(
    raw: RawClient,
    target: ConnectTarget,
    name: string,
    renderer: MessageRenderer,
    record: (line: string) => void,
  ) {
    this.raw = raw;
    this.#target = target;
    this.#name = name;
    this.#renderer = renderer;
    this.#record = record;
  }

  /** Logs in, up to ReadyForQuery or the end of the connection. */
  async login(account: Account): Promise<void> {
    const { user, database, parameters } = account;
    const names = { user, ...(database === undefined ? {} : { database }), ...parameters };
    this.raw.startup(names, account.protocolVersion);
    const password = account.password ?? '';
    const scram = new ScramClient(password);
    for (;;) {
      const message = await this.#next();
      if (message === null || message.type === 'Z') {
        return;
      }
      if (message.type === 'R') {
        this.#answer(message.body, user, password, scram);
      }
    }
  }

  #answer(body: Buffer, user: string, password: string, scram: ScramClient): void {
    const rest = body.subarray(4);
    switch (body.readInt32BE()) {
      case 3:
        this.raw.send(frontend.passwordMessage(password));
        break;
      case 5:
        this.raw.send(frontend.passwordMessage(md5Answer(user, password, rest)));
        break;
      case 10:
        this.raw.send(frontend.saslInitialResponse('SCRAM-SHA-256', scram.first()));
        break;
      case 11:
        this.raw.send(frontend.saslResponse(scram.final(rest.toString())));
        break;
      default:
        break;
    }
  }

  /** Runs a simple query and records the answer up to ReadyForQuery or the end. */
  async query(sql: string): Promise<void> {
    this.raw.send(frontend.query(sql));
    this.#record(`${this.#name}> ${sql}`);
    await this.readAnswer();
  }

  /** Sends a simple query and reads nothing. */
  ask(sql: string): void {
    this.raw.send(frontend.query(sql));
    this.#record(`${this.#name}> ${sql}`);
  }

  /** Records messages up to ReadyForQuery or the end. */
  async readAnswer(): Promise<void> {
    for (;;) {
      const message = await this.#next();
      if (message === null || message.type === 'Z') {
        return;
      }
    }
  }

  /** Records one message of the given type and everything before it. */
  async readUntil(type: string): Promise<void> {
    for (;;) {
      const message = await this.#next();
      if (message === null || message.type === type) {
        return;
      }
    }
  }

  /** Records what is left until the pooler ends the connection. */
  async readToEnd(): Promise<void> {
    while ((await this.#next()) !== null) {
      // Each is recorded where it is read.
    }
  }

  /** Runs a query whose answer is not recorded. @returns The first cell; empty for none. */
  async ask1(sql: string): Promise<string> {
    const [row] = await this.raw.query(sql);
    return Object.values(row ?? {})[0] ?? '';
  }

  /** Asks for the cancellation of what this client runs. */
  async cancel(): Promise<void> {
    this.#record(`${this.#name}: cancel request`);
    const other = await RawClient.connect(this.#target);
    const key = this.raw.backendKey;
    other.send(frontend.cancelRequest(key?.processId ?? 0, key?.secretKey ?? Buffer.alloc(4)));
    const answer = await other.readToEnd();
    other.destroy();
    this.#record(`cancel request answered with ${String(answer.length)} bytes`);
  }

  /** Leaves in good order. */
  async terminate(): Promise<void> {
    await this.raw.close();
  }

  /** @returns `null` at the end of the connection, which is recorded. */
  async #next(): Promise<WireMessage | null> {
    try {
      const message = await this.raw.readMessage();
      for (const line of this.#renderer.render(message)) {
        this.#record(`${this.#name}< ${line}`);
      }
      return message;
    } catch (error) {
      if (this.raw.hasEnded) {
        this.#record(`${this.#name}: end of the connection`);
        return null;
      }
      throw error;
    }
  }
}
