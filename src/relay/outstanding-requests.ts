import { ByteRing } from '../base/byte-ring.ts';
import { BackendCode as B, FrontendCode as F } from '../protocol/codes.ts';
import { REPLY_EFFECTS, ReplyEffect } from './reply-effects.ts';

/**
 * HOT PATH: guarded by `npm run bench`.
 *
 * The ledger of one link: which replies a server connection still owes, in order, and for each
 * whether the client sees them (`forward`) or they answer something maitred asked by itself
 * (`skip`). A server connection may go to another client only when nothing is owed.
 *
 * It models what PostgreSQL does with each frontend message, some rules of which are subtle:
 * - After an error in the extended protocol the server ignores everything up to the next Sync,
 *   simple queries included; an error while it handles Query, FunctionCall or Sync skips nothing.
 * - During COPY IN the server swallows Sync and Flush until CopyDone or CopyFail; outside of it,
 *   it ignores CopyData, CopyDone and CopyFail.
 * - COPY BOTH, the stream of replication, lasts until ReadyForQuery or an error: what the client sends
 *   is CopyData and one CopyDone, and the server has a CopyDone of its own.
 * - A Sync that was on its way when COPY IN failed may have been swallowed or not, and a request
 *   sent in the midst of COPY IN either made it fail or came after it had failed by itself: nobody
 *   can tell from outside. The ledger is then `isUnclear`, and the server connection must not be
 *   reused.
 *
 * @source PostgreSQL manual, "Message Flow"
 */

/** What to do with a backend message. */
export const Disposition = {
  /** It belongs to the client. */
  Forward: 0,
  /** It answers a request of maitred's own. */
  Skip: 1,
  /** Nothing that was asked can have this reply: the server is not to be trusted any more. */
  Violation: 2,
} as const;

/** Most requests owed at one time on one link; the client is not read while they are reached. */
export const MAX_OUTSTANDING = 65_536;

const SKIP_BIT = 0x80;
const CODE_MASK = 0x7f;

/** See the file comment. */
export class OutstandingRequests {
  readonly #ring = new ByteRing();
  /** Sync, Query and FunctionCall in the ring: each ends in a ReadyForQuery. */
  #readyOwed = 0;
  /** The server is in COPY IN mode and the client has not ended it yet. */
  #isCopyIn = false;
  /** Both sides may send CopyData: a walsender streams. */
  #isCopyBoth = false;
  /** A stream has ended in good order, and its ReadyForQuery has not come. */
  #isStreamOver = false;
  /** Syncs that the server swallows, if it stays in COPY IN mode as long as it should. */
  #swallowedSyncs = 0;
  /** The server ignores everything up to the next Sync. */
  #isSkippingToSync = false;
  #isUnclear = false;
  /**
   * Something was sent that the server takes amiss once it has answered everything, whoever uses it
   * then: a simple query behind messages of the extended protocol without a Sync between them, after
   * which PostgreSQL (18 at least) fails the next query with XX000; or see {@link onLongCopyEnd}.
   */
  #isSpoiled = false;
  /** Extended-protocol messages have been sent since the last Sync: a transaction may be open. */
  #isSyncMissing = false;

  /** Whether the server owes nothing and the last ReadyForQuery tells its state. */
  get isEmpty(): boolean {
    return this.#ring.length === 0 && !this.#isSkippingToSync && !this.#isSyncMissing;
  }

  /** Whether only a Sync can bring about the next ReadyForQuery. */
  get isSyncMissing(): boolean {
    return this.#isSkippingToSync || this.#isSyncMissing;
  }

  /** Requests owed, count. */
  get length(): number {
    return this.#ring.length;
  }

  /** Whether a ReadyForQuery is owed, so that waiting for it will end. */
  get isReadyOwed(): boolean {
    return this.#readyOwed > 0;
  }

  /** Whether the server waits for CopyData of the client. */
  get isCopyIn(): boolean {
    return this.#isCopyIn;
  }

  /** Whether a stream of replication runs. */
  get isCopyBoth(): boolean {
    return this.#isCopyBoth;
  }

  /**
   * Whether a stream of replication has ended in good order without ReadyForQuery: a walsender of a
   * server that shuts down closes the connection at this point.
   */
  get isStreamOver(): boolean {
    return this.#isStreamOver;
  }

  /** Whether replies may come that nobody can foresee. */
  get isUnclear(): boolean {
    return this.#isUnclear;
  }

  /** Whether another client may use the server connection once it owes nothing. */
  get isReusable(): boolean {
    return !this.#isUnclear && !this.#isSpoiled;
  }

  /** Whether the oldest request owed is one of maitred's own. */
  get isHeadSkipped(): boolean {
    return (this.#ring.head & SKIP_BIT) !== 0;
  }

  /** Forgets everything, for a new link. */
  clear(): void {
    this.#ring.clear();
    this.#readyOwed = 0;
    this.#isCopyIn = false;
    this.#isCopyBoth = false;
    this.#isStreamOver = false;
    this.#swallowedSyncs = 0;
    this.#isSkippingToSync = false;
    this.#isUnclear = false;
    this.#isSpoiled = false;
    this.#isSyncMissing = false;
  }

  /** Records a simple query of maitred's own, whose whole reply is to be swallowed. */
  pushSkippedQuery(): void {
    this.#ring.push(F.Query | SKIP_BIT);
    this.#readyOwed++;
  }

  /** Records Parse, Bind, Execute and Sync of maitred's own. No COPY IN may run. */
  pushSkippedRollback(): void {
    if (!this.#isSkippingToSync) {
      this.#ring.push(F.Parse | SKIP_BIT);
      this.#ring.push(F.Bind | SKIP_BIT);
      this.#ring.push(F.Execute | SKIP_BIT);
    }
    this.#onSync(F.Sync | SKIP_BIT);
  }

  /**
   * Records a message that the client sends to the server.
   *
   * @param code - type byte of a frontend message that is legal after login.
   */
  onFrontendMessage(code: number): void {
    switch (code) {
      case F.CopyData:
      case F.Flush:
        return;
      case F.Sync:
        this.#onSync(code);
        return;
      case F.CopyDone:
      case F.CopyFail:
        if (this.#isCopyIn) {
          this.#isCopyIn = false;
        } else if (this.#ring.length > 0) {
          // It may end a COPY IN whose CopyInResponse has not come yet, or a COPY BOTH.
          this.#ring.push(code);
        }
        return;
      default:
        if (this.#isSkippingToSync) {
          return;
        }
        if (this.#isCopyIn) {
          // The server answers it by an error that ends the COPY, and the message itself is
          // consumed; unless the COPY has failed before, which makes it an ordinary request.
          this.#isCopyIn = false;
          this.#isUnclear = true;
          return;
        }
        this.#ring.push(code);
        if (code === F.Query || code === F.FunctionCall) {
          this.#readyOwed++;
          this.#isSpoiled ||= this.#isSyncMissing;
          this.#isSyncMissing = false;
        } else {
          this.#isSyncMissing = true;
        }
    }
  }

  /**
   * Records a Flush with a body, which belongs to the extended protocol and fails: the server ignores
   * what follows up to Sync, whoever sends it. A COPY IN swallows it, unless it has failed by itself.
   */
  onBrokenFlush(): void {
    if (this.#isCopyIn) {
      this.#isUnclear = true;
    } else if (!this.#isSkippingToSync) {
      this.#ring.push(F.Flush);
      this.#isSyncMissing = true;
    }
  }

  /**
   * Records that the CopyDone or CopyFail sent last is longer than `MAX_SHORT_MESSAGE_BYTES`. It has no
   * reply, but the server closes the connection when it reads it.
   */
  onLongCopyEnd(): void {
    this.#isSpoiled = true;
  }

  #onSync(code: number): void {
    if (this.#isCopyIn) {
      this.#swallowedSyncs++;
      return;
    }
    this.#isSkippingToSync = false;
    this.#isSyncMissing = false;
    this.#ring.push(code);
    this.#readyOwed++;
  }

  /**
   * Settles what a backend message answers.
   *
   * @param code - type byte of the backend message.
   * @returns one of {@link Disposition}. Never throws.
   */
  onBackendMessage(code: number): number {
    const ring = this.#ring;
    switch (code) {
      case B.DataRow:
      case B.CopyData:
      case B.CopyDone:
        // Rows and COPY data come only while something runs.
        return ring.head === 0 ? Disposition.Violation : this.#headDisposition();
      case B.NoticeResponse:
      case B.ParameterStatus:
        return this.isHeadSkipped ? Disposition.Skip : Disposition.Forward;
      case B.NotificationResponse:
        return Disposition.Forward;
      case B.ErrorResponse:
        return this.#onErrorResponse();
      case B.ReadyForQuery:
        return this.#onReadyForQuery();
      default:
        return this.#onReply(code);
    }
  }

  #headDisposition(): number {
    return (this.#ring.head & SKIP_BIT) !== 0 ? Disposition.Skip : Disposition.Forward;
  }

  /** Drops CopyDone and CopyFail at the head: they ended no COPY, so the server ignored them. */
  #dropIgnoredCopyEnds(): void {
    const ring = this.#ring;
    while (ring.head === F.CopyDone || ring.head === F.CopyFail) {
      ring.shift();
    }
  }

  #onReadyForQuery(): number {
    const ring = this.#ring;
    this.#dropIgnoredCopyEnds();
    if (ring.length === 0) {
      this.#isSkippingToSync = false;
      this.#isSyncMissing = false;
      // A Sync that was not swallowed after all.
      return this.#isUnclear ? Disposition.Forward : Disposition.Violation;
    }
    const head = ring.head;
    const code = head & CODE_MASK;
    if (code !== F.Sync && code !== F.Query && code !== F.FunctionCall) {
      return Disposition.Violation;
    }
    ring.shift();
    this.#readyOwed--;
    this.#endCopy();
    this.#isStreamOver = false;
    this.#dropIgnoredCopyEnds();
    return (head & SKIP_BIT) !== 0 ? Disposition.Skip : Disposition.Forward;
  }

  #onErrorResponse(): number {
    const ring = this.#ring;
    this.#dropIgnoredCopyEnds();
    if (ring.length === 0) {
      // Nobody asked: the server is about to close (57P01 and its like).
      return Disposition.Forward;
    }
    if (this.#swallowedSyncs > 0) {
      this.#isUnclear = true;
      this.#swallowedSyncs = 0;
    }
    this.#isCopyIn = false;
    this.#isCopyBoth = false;
    const head = ring.head;
    const code = head & CODE_MASK;
    if (code !== F.Sync && code !== F.Query && code !== F.FunctionCall) {
      this.#skipToSync();
    }
    return (head & SKIP_BIT) !== 0 ? Disposition.Skip : Disposition.Forward;
  }

  #skipToSync(): void {
    const ring = this.#ring;
    while (ring.length > 0) {
      const code = ring.head & CODE_MASK;
      if (code === F.Sync) {
        return;
      }
      if (code === F.Query || code === F.FunctionCall) {
        this.#readyOwed--;
      }
      ring.shift();
    }
    this.#isSkippingToSync = true;
  }

  #onReply(reply: number): number {
    const ring = this.#ring;
    this.#dropIgnoredCopyEnds();
    const { head } = ring;
    const disposition = (head & SKIP_BIT) !== 0 ? Disposition.Skip : Disposition.Forward;
    switch (REPLY_EFFECTS[((head & CODE_MASK) << 8) | reply]!) {
      case ReplyEffect.Part:
        return disposition;
      case ReplyEffect.End:
        ring.shift();
        return disposition;
      case ReplyEffect.EndOfExecute:
        this.#endCopy();
        ring.shift();
        return disposition;
      case ReplyEffect.EndOfStatement:
        this.#isStreamOver ||= this.#isCopyBoth;
        this.#endCopy();
        return disposition;
      case ReplyEffect.CopyIn:
        this.#beginCopyIn();
        return disposition;
      case ReplyEffect.CopyBoth:
        this.#isCopyBoth = true;
        return disposition;
      default:
        return Disposition.Violation;
    }
  }

  /** The server has left a COPY in good order: what it was to swallow, it has swallowed. */
  #endCopy(): void {
    this.#isCopyIn = false;
    this.#isCopyBoth = false;
    this.#swallowedSyncs = 0;
  }

  /**
   * The server now reads up to CopyDone or CopyFail. What the client already sent is in the ring
   * behind the head: Syncs before the end of the COPY are swallowed, anything else but the end
   * makes the server fail the COPY.
   */
  #beginCopyIn(): void {
    const ring = this.#ring;
    this.#isCopyIn = true;
    this.#swallowedSyncs = 0;
    let kept = 1;
    let index = 1;
    for (; index < ring.length; index++) {
      const code = ring.at(index) & CODE_MASK;
      if (code === F.Sync) {
        this.#readyOwed--;
        this.#swallowedSyncs++;
        continue;
      }
      if (code === F.Query || code === F.FunctionCall) {
        this.#readyOwed--;
      }
      if (code !== F.CopyDone && code !== F.CopyFail) {
        // As for a request that comes later: it may turn out not to be a part of the COPY.
        this.#isUnclear = true;
      }
      this.#isCopyIn = false;
      index++;
      break;
    }
    for (; index < ring.length; index++) {
      ring.set(kept++, ring.at(index));
    }
    ring.truncate(kept);
    if ((ring.head & CODE_MASK) === F.Execute && this.#readyOwed === 0) {
      this.#isSyncMissing = true;
    }
  }
}
