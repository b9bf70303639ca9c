/** A broken invariant: a bug in maitred, never something a peer or an operator did. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/**
 * Throws {@link InvariantError} unless `condition` holds. Kept in all builds.
 *
 * @param message - What should have been true, for the log line that names the bug. A constant
 *   on the hot path: it is made for each call.
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) {
    throw new InvariantError(message);
  }
}

/**
 * Marks the unreachable end of an exhaustive `switch`; the type checker rejects a missing case.
 *
 * @throws InvariantError always.
 */
export function assertNever(value: never): never {
  throw new InvariantError(`unexpected value: ${String(value)}`);
}
