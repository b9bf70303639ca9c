import { FrontendCode, TransactionStatus } from '../protocol/codes.ts';
import { ROLLBACK_AND_SYNC, writeCopyFail } from '../protocol/pg-protocol.ts';
import type { Link } from './link.ts';

/** How long a server connection may take to come clean, in ms; then it is closed. */
export const CLEANUP_DEADLINE_MS = 5000;
/** How long the requests of a client that said Terminate may go on before a cancel, in ms. */
export const GOODBYE_GRACE_MS = 1000;

/**
 * Brings a server connection back to a clean state after its client vanished, so that clients that
 * come and go cause no logins: COPY IN is failed, a running query is cancelled, replies are drained
 * up to ReadyForQuery, a transaction is rolled back, and session state is reset.
 */
export class Cleanup {
  readonly #link: Link;
  isActive = false;
  #startMs = 0;

  constructor(link: Link) {
    this.#link = link;
  }

  /** Begins; the link has no client any more. @param isGoodbye - see `Link.onClientGone`. */
  begin(isGoodbye: boolean): void {
    const { ledger } = this.#link;
    this.isActive = true;
    this.#startMs = this.#link.host.nowMs();
    if (ledger.isEmpty) {
      this.proceed();
      return;
    }
    if (ledger.isCopyIn) {
      this.#failCopy();
    } else {
      this.#rollBackUnsynced();
      if (!isGoodbye) {
        this.#link.server.requestCancel();
      }
    }
  }

  /**
   * A Sync alone would commit what the client has executed without one: PostgreSQL rolls that back
   * when it loses a client.
   */
  #rollBackUnsynced(): void {
    const { ledger, server } = this.#link;
    if (ledger.isSyncMissing) {
      ledger.pushSkippedRollback();
      server.write(ROLLBACK_AND_SYNC);
    }
  }

  #failCopy(): void {
    const { ledger, server } = this.#link;
    ledger.onFrontendMessage(FrontendCode.CopyFail);
    server.write(writeCopyFail('client disconnected'));
    this.#rollBackUnsynced();
  }

  /** A COPY that the client asked for begins only now that it is gone. */
  onCopyInResponse(): void {
    if (this.isActive && this.#link.ledger.isCopyIn) {
      this.#failCopy();
    }
  }

  /** Takes the next step; the server owes nothing. */
  proceed(): void {
    const link = this.#link;
    if (link.transactionStatus !== TransactionStatus.Idle) {
      link.internal.run('rollback', 'ROLLBACK');
      return;
    }
    if (!link.replies.isAtBoundary) {
      // The rest of a notice would reach the next client.
      return;
    }
    this.isActive = false;
    link.release(true);
  }

  /**
   * Once per tick: cancels what goes on too long, gives up in the end. Cancels again and again, since
   * a cancel request may overtake the query that it is meant for, and since more may stand behind it.
   */
  checkDeadline(nowMs: number): void {
    const ageMs = nowMs - this.#startMs;
    if (ageMs > CLEANUP_DEADLINE_MS) {
      this.#link.server.disconnect('client disconnected with query in progress');
    } else if (ageMs > GOODBYE_GRACE_MS) {
      this.#link.server.requestCancel();
    }
  }

  /** The server connection is gone. */
  end(): void {
    this.isActive = false;
  }
}
