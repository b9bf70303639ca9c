/** Turns what was thrown into text for the log: the stack names the bug. */
export function describeFault(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
