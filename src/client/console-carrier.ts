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

  /**
   * Hands on the messages in `bytes`, and what an earlier call has left.
   *
   * @param isFull - whether the client does not take its answers: the rest of the messages waits
   *   for the next call, so that a client that never reads cannot make answers pile up. It waits
   *   as well while a long answer is being made.
   * @returns what is to become of the connection.
   */
  onData(bytes: Buffer, isFull: () => boolean): 'stay' | 'terminate' | 'close' | 'bad' {
    let verdict: 'stay' | 'terminate' | 'close' = 'stay';
    const problem = this.#assembler.feed(bytes, (code, body) => {
      if (code === FrontendCode.Terminate) {
        verdict = 'terminate';
      } else if (!this.dialogue.onMessage(code, body)) {
        verdict = 'close';
      }
      return verdict === 'stay' && !isFull() && !this.dialogue.isBusy;
    });
    return problem === null ? verdict : 'bad';
  }
}
