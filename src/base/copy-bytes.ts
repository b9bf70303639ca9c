/** Below this a loop beats the call of `copy`, in bytes. */
const LOOP_COPY_BYTES = 64;

/**
 * HOT PATH: copies `source` from `start` to `end` (exclusive) into `target` at `offset`, where there
 * must be room.
 */
export function copyBytes(
  target: Buffer,
  offset: number,
  source: Buffer,
  start: number,
  end: number,
): void {
  if (end - start > LOOP_COPY_BYTES) {
    source.copy(target, offset, start, end);
    return;
  }
  for (let index = start, to = offset; index < end; index++, to++) {
    target[to] = source[index] ?? 0;
  }
}
