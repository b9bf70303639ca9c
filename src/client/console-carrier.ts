import { FrontendCode } from '../protocol/codes.ts';
import { MessageAssembler } from '../protocol/message-assembler.ts';
import type { ConsoleDialogue } from './client-host.ts';

/** Largest message to the console, in bytes. */
const MAX_CONSOLE_MESSAGE_BYTES = 1_048_576;

/** Takes the messages of a console client out of its bytes. */
export class ConsoleCarrier {
  readonly dialogue: ConsoleDialogue;
  readonly #assembler: MessageAssembler;

  constructor(dialogue: ConsoleDialogue, maxPacketBytes: number) {
    this.dialogue = dialogue;
    this.#assembler = new MessageAssembler(Math.min(maxPacketBytes, MAX_CONSOLE_MESSAGE_BYTES));
  }

  /** @returns what is to become of the connection. */
  onData(bytes: Buffer): 'stay' | 'terminate' | 'close' | 'bad' {
    let verdict: 'stay' | 'terminate' | 'close' = 'stay';
    const problem = this.#assembler.feed(bytes, (code, body) => {
      if (code === FrontendCode.Terminate) {
        verdict = 'terminate';
      } else if (!this.#onMessage(code, body)) {
        verdict = 'close';
      }
      return verdict === 'stay';
    });
    return problem === null ? verdict : 'bad';
  }

  #onMessage(code: number, body: Buffer): boolean {
    if (code !== FrontendCode.Query) {
      return this.dialogue.onMessage(code);
    }
    const end = body.indexOf(0);
    return this.dialogue.onQuery(body.toString('utf8', 0, end === -1 ? body.length : end));
  }
}
