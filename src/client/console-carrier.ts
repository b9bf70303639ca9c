import type { Settings } from '../config/config.ts';
import { FrontendCode } from '../protocol/codes.ts';
import { MessageAssembler } from '../protocol/message-assembler.ts';
import { poolerError, type PoolerError } from '../protocol/pooler-errors.ts';
import type { ConsoleDialogue } from './client-host.ts';
import type { ReadingGate } from './reading-gate.ts';

/** Largest message to the console, in bytes. */
const MAX_CONSOLE_MESSAGE_BYTES = 1_048_576;

/** The client that a console is on. */
export interface CarrierClient {
  readonly isClosed: boolean;
  onTerminate(): void;
  close(reason: string): void;
  disconnect(error: PoolerError): void;
}

/** What becomes of a connection after a message. */
type Verdict = 'stay' | 'terminate' | 'close' | 'refused';

const NO_BYTES = Buffer.alloc(0);

/** Takes the messages of a console client out of its bytes, and reads no more while it is at work. */
export class ConsoleCarrier {
  readonly dialogue: ConsoleDialogue;
  readonly #client: CarrierClient;
  readonly #reading: ReadingGate;
  readonly #assembler: MessageAssembler;
  /** The type byte that is refused; -1 for none. */
  readonly #refusedCode: number;

  constructor(
    dialogue: ConsoleDialogue,
    client: CarrierClient,
    reading: ReadingGate,
    settings: Pick<Settings, 'maxPacketSizeBytes' | 'disablePqexec'>,
  ) {
    const { maxPacketSizeBytes, disablePqexec } = settings;
    this.dialogue = dialogue;
    this.#client = client;
    this.#reading = reading;
    this.#assembler = new MessageAssembler(Math.min(maxPacketSizeBytes, MAX_CONSOLE_MESSAGE_BYTES));
    this.#refusedCode = disablePqexec ? FrontendCode.Query : -1;
  }

  /**
   * Hands on the messages in `bytes`, and what an earlier call has left. While the client does not
   * take its answers, or a long one is being made, the rest of the messages waits: a client that never
   * reads cannot make answers pile up.
   *
   * @param bytes - borrowed.
   */
  take(bytes: Buffer): void {
    const client = this.#client;
    let verdict: Verdict = 'stay';
    const problem = this.#assembler.feed(bytes, (code, body) => {
      verdict = this.#onMessage(code, body);
      return verdict === 'stay' && !this.#reading.isOutputFull && !this.dialogue.isBusy;
    });
    if (problem === null) {
      this.#act(verdict);
    } else {
      client.disconnect(poolerError('badPacketHeader', 'console'));
    }
    this.#reading.holdByIntake(!client.isClosed && this.dialogue.isBusy);
  }

  /** An answer has been taken, or is whole: goes on with what waits. */
  proceed(): void {
    if (!this.dialogue.isBusy) {
      this.take(NO_BYTES);
    }
  }

  #onMessage(code: number, body: Buffer): Verdict {
    if (code === FrontendCode.Terminate) {
      return 'terminate';
    }
    if (code === this.#refusedCode) {
      return 'refused';
    }
    return this.dialogue.onMessage(code, body) ? 'stay' : 'close';
  }

  #act(verdict: Verdict): void {
    switch (verdict) {
      case 'stay':
        return;
      case 'terminate':
        this.#client.onTerminate();
        return;
      case 'close':
        this.#client.close('console closed');
        return;
      case 'refused':
        this.#client.disconnect(poolerError('pqexecDisallowed'));
    }
  }
}
