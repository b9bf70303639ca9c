/** Takes an error for what it says, whatever was thrown. */
export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/**
 * Returns the text of the system in an error of Node.js: `permission denied` out of
 * `EACCES: permission denied, open '/x'` or `EPERM, Operation not permitted`. Other errors give their whole message.
 */
export function systemErrorText(error: unknown): string {
  const { message } = asError(error);
  return /^E[A-Z0-9]+[:,] ([^,]+)/.exec(message)?.[1] ?? message;
}
