import { randomBytes } from 'node:crypto';

/** Bytes asked of the system at a time: each call costs as much as a thousand bytes. */
const BATCH_BYTES = 4096;

/**
 * Hands out cryptographically strong random bytes from batches; each byte is handed out once.
 *
 * @returns a function that takes a count of bytes and gives a buffer that is the caller's.
 */
export function batchedRandomBytes(): (bytes: number) => Buffer {
  let batch = randomBytes(BATCH_BYTES);
  let used = 0;
  return (bytes) => {
    if (bytes > BATCH_BYTES) {
      return randomBytes(bytes);
    }
    if (used + bytes > batch.length) {
      batch = randomBytes(BATCH_BYTES);
      used = 0;
    }
    const taken = Buffer.from(batch.subarray(used, used + bytes));
    // What was handed out must not be found in memory a second time.
    batch.fill(0, used, used + bytes);
    used += bytes;
    return taken;
  };
}
