import type net from 'node:net';
import { systemErrorText } from '../base/system-error-text.ts';
import { openSocket } from '../net/abstract-socket.ts';
import { readDataRow, readServerReport } from '../protocol/backend-reader.ts';
import { AuthenticationCode, BackendCode, PROTOCOL_3_0 } from '../protocol/codes.ts';
import { MessageAssembler } from '../protocol/message-assembler.ts';
import { TERMINATE, writeQuery } from '../protocol/pg-protocol.ts';
import { writeStartupMessage } from '../protocol/startup-writer.ts';

/** Answers of a console are short. */
const MAX_MESSAGE_BYTES = 65_536;

/** How long the other process may take to answer, in ms. */
const ANSWER_TIMEOUT_MS = 10_000;

/** The console's user whom the system vouches for, and the database of the console. */
const CONSOLE = 'pgbouncer';

/** One answer that is under way. */
interface PendingAnswer {
  readonly resolve: (value: string | null) => void;
  readonly reject: (error: Error) => void;
  error: Error | null;
  value: string | null;
}

/** A connection to the console of another pooler on this machine, without a password. */
export class ConsoleClient {
  readonly #socket: net.Socket;
  readonly #assembler = new MessageAssembler(MAX_MESSAGE_BYTES);
  #pending: PendingAnswer | null = null;
  #failure: Error | null = null;

  private constructor(path: string) {
    this.#socket = openSocket({ path });
    this.#socket.setTimeout(ANSWER_TIMEOUT_MS, () => {
      if (this.#pending !== null) {
        this.#fail(new Error('no answer'));
      }
    });
    this.#socket.on('data', (chunk: Buffer) => {
      const problem = this.#assembler.feed(chunk, (code, body) => this.#onMessage(code, body));
      if (problem !== null) {
        this.#fail(new Error('the answer is not of a pooler'));
      }
    });
    this.#socket.on('error', (error) => {
      this.#fail(new Error(systemErrorText(error)));
    });
    this.#socket.once('close', () => {
      this.#fail(new Error('the connection was closed'));
    });
  }

  /**
   * Logs in on a unix socket as user `pgbouncer`.
   *
   * @throws Error with the text of the refusal.
   */
  static async login(path: string): Promise<ConsoleClient> {
    const client = new ConsoleClient(path);
    await client.#ask(
      writeStartupMessage(PROTOCOL_3_0, [
        ['user', CONSOLE],
        ['database', CONSOLE],
        ['application_name', 'maitred -R'],
      ]),
    );
    return client;
  }

  /**
   * Gives one command.
   *
   * @returns the only value of its only row, or `null` where there is none.
   * @throws Error with the text of the refusal, or when the connection is lost.
   */
  run(command: string): Promise<string | null> {
    return this.#ask(writeQuery(command));
  }

  /** Says goodbye. */
  close(): void {
    this.#socket.end(TERMINATE);
  }

  #ask(message: Buffer): Promise<string | null> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) {
        reject(this.#failure);
        return;
      }
      this.#pending = { resolve, reject, error: null, value: null };
      this.#socket.write(message);
    });
  }

  /** @returns whether to read on. */
  #onMessage(code: number, body: Buffer): boolean {
    const pending = this.#pending;
    if (pending === null) {
      return true;
    }
    switch (code) {
      case BackendCode.Authentication:
        if (body.length < 4 || body.readInt32BE(0) !== AuthenticationCode.Ok) {
          this.#fail(new Error('it asks for a password'));
          return false;
        }
        break;
      case BackendCode.ErrorResponse:
        pending.error = new Error(readServerReport(body).message);
        break;
      case BackendCode.DataRow:
        pending.value = readDataRow(body, 1)?.[0] ?? null;
        break;
      case BackendCode.ReadyForQuery:
        this.#pending = null;
        if (pending.error === null) {
          pending.resolve(pending.value);
        } else {
          pending.reject(pending.error);
        }
    }
    return true;
  }

  /** Nothing more will come. What was said before counts more than the end. */
  #fail(error: Error): void {
    this.#failure ??= error;
    this.#socket.destroy();
    const pending = this.#pending;
    this.#pending = null;
    pending?.reject(pending.error ?? error);
  }
}
