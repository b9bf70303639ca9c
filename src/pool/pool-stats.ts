/** The counters of SHOW STATS: plain number fields, read by the console and by metrics. */
export class PoolStats {
  serverAssignmentCount = 0;
  xactCount = 0;
  queryCount = 0;
  /** Bytes of client messages forwarded after login. */
  receivedBytes = 0;
  /** Bytes received from servers after their login. */
  sentBytes = 0;
  /** Milliseconds, fractional. */
  xactTimeMs = 0;
  /** Milliseconds, fractional. */
  queryTimeMs = 0;
  /** Milliseconds, fractional. */
  waitTimeMs = 0;
  clientLoginCount = 0;

  /** Adds `other` to this. */
  add(other: PoolStats): void {
    this.serverAssignmentCount += other.serverAssignmentCount;
    this.xactCount += other.xactCount;
    this.queryCount += other.queryCount;
    this.receivedBytes += other.receivedBytes;
    this.sentBytes += other.sentBytes;
    this.xactTimeMs += other.xactTimeMs;
    this.queryTimeMs += other.queryTimeMs;
    this.waitTimeMs += other.waitTimeMs;
    this.clientLoginCount += other.clientLoginCount;
  }
}
