import type { Settings } from '../config/config.ts';
import { FrontendCode } from '../protocol/codes.ts';
import { MessageAssembler } from '../protocol/message-assembler.ts';
import type { ConsoleDialogue } from './client-host.ts';

/** Largest message to the console, in bytes. */
const MAX_CONSOLE_MESSAGE_BYTES = 1_048_576;

/** Takes the messages of a console client out of its bytes. */
export class ConsoleCarrier {
  readonly dialogue: ConsoleDialogue;
  readonly #assembler: MessageAssembler;
  /** The type byte that is refused; -1 for none. */
  readonly #refusedCode: number;

  constructor(
    dialogue: ConsoleDialogue,
    settings: Pick<Settings, 'maxPacketSizeBytes' | 'disablePqexec'>,
  ) {
    const { maxPacketSizeBytes, disablePqexec } = settings;
    this.dialogue = dialogue;
    this.#assembler = new MessageAssembler(Math.min(maxPacketSizeBytes, MAX_CONSOLE_MESSAGE_BYTES));
    this.#refusedCode = disablePqexec ? FrontendCode.Query : -1;
  }

  /**
   * Hands on the messages in `bytes`, and what an earlier call has left.
   *
   * @param isFull - whether the client does not take its answers: the rest of the messages waits
   *   for the next call, so that a client that never reads cannot make answers pile up. It waits
   *   as well while a long answer is being made.
   * @returns what is to become of the connection.
   */
  onData(bytes: Buffer, isFull: () => boolean): 'stay' | 'terminate' | 'close' | 'refused' | 'bad' {
    let verdict: 'stay' | 'terminate' | 'close' | 'refused' = 'stay';
    const problem = this.#assembler.feed(bytes, (code, body) => {
      if (code === FrontendCode.Terminate) {
        verdict = 'terminate';
      } else if (code === this.#refusedCode) {
        verdict = 'refused';
      } else if (!this.dialogue.onMessage(code, body)) {
        verdict = 'close';
      }
      return verdict === 'stay' && !isFull() && !this.dialogue.isBusy;
    });
    return problem === null ? verdict : 'bad';
  }
}
