/**
 * Makes sure that a child process and its directory do not outlive this process.
 *
 * @param pid - The child to end.
 * @param signal - Signal name without SIG, tried for 5 s before KILL.
 * @param directory - Removed after the child is gone; empty for none.
 * @returns Call once the child has ended normally: dismisses the guard.
 */
export function guardChild(pid: number, signal: string, directory: string): () => void;
