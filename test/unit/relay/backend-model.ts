import type { SeededRandom } from '../../support/seeded-random.ts';

/**
 * An executable model of PostgreSQL's message loop, written after the manual's "Message Flow" and
 * the behaviour of its backend: one letter in, letters out. What each message leads to (success,
 * an error, a COPY) is left to chance.
 */

/** A reply of the model; `isInternal` when it answers a request of the pooler's own. */
export interface ModelReply {
  readonly letter: string;
  readonly isInternal: boolean;
}

/** A frontend message on its way to the model. */
export interface ModelRequest {
  readonly letter: string;
  readonly isInternal: boolean;
}

/** Stands for a Flush with a body among the letters of frontend messages. */
export const BROKEN_FLUSH = 'h';

type Statement = 'rows' | 'command' | 'copy_in' | 'copy_out' | 'error' | 'stream';

const SUCCESS: Readonly<Record<string, string>> = { P: '1', B: '2', C: '3' };

/** See the file comment. */
export class BackendModel {
  readonly #random: SeededRandom;
  /** Whether a message that has no place in COPY IN ends the connection, as since version 14. */
  readonly #isStrict: boolean;
  /** Whether simple queries may begin a stream of replication. */
  readonly isWalSender: boolean;
  readonly replies: ModelReply[] = [];
  isIgnoringToSync = false;
  /** A COPY IN runs, of a simple query or of an Execute. */
  copyIn: 'none' | 'simple' | 'extended' = 'none';
  /** A walsender streams; it may have said CopyDone already. */
  stream: 'none' | 'open' | 'ended' = 'none';
  /** Extended-protocol messages have been handled since the last Sync. */
  isUnsynced = false;
  isDead = false;
  #statements: Statement[] = [];
  #isInternal = false;

  constructor(random: SeededRandom, isStrict: boolean, isWalSender: boolean) {
    this.#random = random;
    this.#isStrict = isStrict;
    this.isWalSender = isWalSender;
  }

  /** Whether it reads the next message as the beginning of something new. */
  get isInSync(): boolean {
    const isCopying = this.copyIn !== 'none' || this.stream !== 'none';
    return !this.isIgnoringToSync && !this.isUnsynced && !isCopying;
  }

  /** Handles one message. */
  handle(request: ModelRequest): void {
    if (this.isDead) {
      return;
    }
    if (this.copyIn !== 'none') {
      this.#readInCopy(request.letter);
      return;
    }
    if (this.stream !== 'none') {
      this.#readInStream(request.letter);
      return;
    }
    this.#isInternal = request.isInternal;
    const { letter } = request;
    if (letter === 'S') {
      this.isIgnoringToSync = false;
      this.#onSync();
    } else if (!this.isIgnoringToSync) {
      this.#dispatch(letter);
    }
    this.#sayByTheWay();
  }

  /** Something from outside ends what runs: a timeout, a cancel request. */
  interrupt(): void {
    if (this.copyIn !== 'none') {
      this.#fail(this.copyIn === 'extended');
    } else if (this.stream !== 'none') {
      this.#fail(false);
    }
  }

  #say(letters: string): void {
    for (const letter of letters) {
      this.replies.push({ letter, isInternal: this.#isInternal });
    }
  }

  #sayByTheWay(): void {
    if (this.#random.chance(0.05)) {
      this.replies.push({ letter: this.#random.pick(['N', 'S', 'A']), isInternal: false });
    }
  }

  #onSync(): void {
    this.isUnsynced = false;
    // A deferred constraint may fail the commit.
    this.#say(this.#random.chance(0.05) ? 'EZ' : 'Z');
  }

  #dispatch(letter: string): void {
    switch (letter) {
      case 'Q':
        this.#beginQuery();
        return;
      case 'F':
        this.isUnsynced = false;
        this.#say(this.#random.chance(0.2) ? 'EZ' : 'VZ');
        return;
      case 'P':
      case 'B':
      case 'C':
      case 'D':
      case 'E':
        this.isUnsynced = true;
        this.#onExtended(letter);
        return;
      case BROKEN_FLUSH:
        this.isUnsynced = true;
        this.#fail(true);
        return;
      default:
      // Flush has no reply; CopyData, CopyDone and CopyFail are ignored outside of COPY.
    }
  }

  #onExtended(letter: string): void {
    if (this.#random.chance(0.12)) {
      this.#fail(true);
    } else if (letter === 'D') {
      this.#say(this.#random.pick(['T', 'n', 'tT', 'tn']));
    } else if (letter === 'E') {
      this.#execute();
    } else {
      this.#say(SUCCESS[letter] ?? '');
    }
  }

  #execute(): void {
    switch (this.#random.below(6)) {
      case 0:
        this.copyIn = 'extended';
        this.#say('G');
        return;
      case 1:
        this.#say('HddcC');
        return;
      case 2:
        this.#say('DDs');
        return;
      case 3:
        this.#say('I');
        return;
      default:
        this.#say('DDC');
    }
  }

  #beginQuery(): void {
    this.isUnsynced = false;
    if (this.isWalSender && !this.#isInternal && this.#random.chance(0.5)) {
      this.#statements = ['stream'];
      this.#runStatements();
      return;
    }
    const count = this.#isInternal ? 1 : this.#random.below(4);
    const kinds: readonly Statement[] = this.#isInternal
      ? ['command', 'command', 'error']
      : ['rows', 'command', 'copy_in', 'copy_in', 'copy_out', 'error'];
    this.#statements = Array.from({ length: count }, () => this.#random.pick(kinds));
    if (count === 0) {
      this.#say('I');
    }
    this.#runStatements();
  }

  #runStatements(): void {
    for (let next = this.#statements.shift(); next !== undefined; next = this.#statements.shift()) {
      if (next === 'copy_in') {
        this.copyIn = 'simple';
        this.#say('G');
        return;
      }
      if (next === 'error') {
        this.#fail(false);
        return;
      }
      if (next === 'stream') {
        this.stream = 'open';
        this.#say('Wd');
        return;
      }
      this.#say(next === 'rows' ? 'TDDC' : next === 'copy_out' ? 'HddcC' : 'C');
    }
    this.#say('Z');
  }

  #fail(isExtended: boolean): void {
    this.copyIn = 'none';
    this.stream = 'none';
    this.#statements = [];
    this.#say('E');
    if (isExtended) {
      this.isIgnoringToSync = true;
    } else {
      this.#say('Z');
    }
  }

  #readInCopy(letter: string): void {
    const isExtended = this.copyIn === 'extended';
    switch (letter) {
      case 'S':
      case 'H':
      case BROKEN_FLUSH:
        return;
      case 'd':
        if (this.#random.chance(0.15)) {
          this.#fail(isExtended);
        }
        return;
      case 'c':
        this.#endCopy(isExtended);
        return;
      case 'f':
        this.#fail(isExtended);
        return;
      default:
        if (this.#isStrict) {
          this.#say('EE');
          this.isDead = true;
        } else {
          this.#fail(isExtended);
        }
    }
  }

  /** A walsender reads status updates and the end, and kills itself over anything else. */
  #readInStream(letter: string): void {
    const isOpen = this.stream === 'open';
    switch (letter) {
      case 'd':
        if (isOpen) {
          this.#say(this.#random.pick(['', 'd', 'ddd', 'd']));
        }
        if (isOpen && this.#random.chance(0.2)) {
          this.stream = 'ended';
          this.#say('c');
        } else if (this.#random.chance(0.1)) {
          this.#fail(false);
        }
        return;
      case 'c':
        this.stream = 'none';
        this.#say(isOpen ? 'dc' : '');
        this.#say(this.#random.pick(['CZ', 'CCZ', 'TDCCZ']));
        return;
      default:
        this.#say('E');
        this.isDead = true;
    }
  }

  #endCopy(isExtended: boolean): void {
    if (this.#random.chance(0.2)) {
      this.#fail(isExtended);
      return;
    }
    this.copyIn = 'none';
    this.#say('C');
    if (!isExtended) {
      this.#runStatements();
    }
  }
}
