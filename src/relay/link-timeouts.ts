import { TransactionStatus } from '../protocol/codes.ts';
import type { PoolerErrorName } from '../protocol/pooler-errors.ts';
import type { ClientEnd } from './ends.ts';
import type { Link } from './link.ts';

/** @param startMs - in clock ms; 0 when nothing has begun. @param limitMs - 0 for none. */
function isOver(nowMs: number, startMs: number, limitMs: number): boolean {
  return limitMs > 0 && startMs > 0 && nowMs - startMs > limitMs;
}

/**
 * Tells which timeout a linked client has run into. A request that waits for its parameters to be set
 * counts from when it was held.
 *
 * @returns the error to disconnect it with; null for none.
 */
export function timeoutOf(link: Link, client: ClientEnd, nowMs: number): PoolerErrorName | null {
  const { ledger, server, internal } = link;
  if (ledger.isCopyBoth) {
    // A stream of replication has no end by itself.
    return null;
  }
  const { poolMode, queryTimeoutMs, transactionTimeoutMs, idleTransactionTimeoutMs } =
    server.pool.limits;
  const isHeld = internal.running === 'set_first';
  const queryStartMs = isHeld ? internal.heldSinceMs : client.queryStartMs;
  const xactStartMs = isHeld ? internal.heldSinceMs : client.xactStartMs;
  const isRunning = !ledger.isEmpty;
  if (isRunning && isOver(nowMs, queryStartMs, queryTimeoutMs)) {
    return 'queryTimeout';
  }
  if (isOver(nowMs, xactStartMs, transactionTimeoutMs)) {
    return 'transactionTimeout';
  }
  // COPY data that nobody asked for begins no query, but keeps the server connection up to its end.
  const isInside =
    link.transactionStatus !== TransactionStatus.Idle ||
    (poolMode !== 'session' && client.framer.bodyRemaining > 0);
  const isIdleInside = !isRunning && isInside;
  return isIdleInside && isOver(nowMs, server.lastActivityMs, idleTransactionTimeoutMs)
    ? 'idleTransactionTimeout'
    : null;
}
