import { setTimeout as delay } from 'node:timers/promises';

/** Limits of {@link waitFor}. */
export interface WaitOptions {
  /** Milliseconds until it gives up; 10,000 by default. */
  readonly timeoutMs?: number;
  /** Milliseconds between two looks; 10 by default. */
  readonly intervalMs?: number;
}

/**
 * Polls `probe` until it returns something other than `undefined`, `null` or `false`.
 *
 * @param what - The condition in words, for the failure message: "two clients waiting".
 * @returns What `probe` returned.
 * @throws Error naming `what` when the time is over, with the last error of `probe` as cause.
 */
export async function waitFor<T>(
  what: string,
  probe: () => T | Promise<T>,
  options: WaitOptions = {},
): Promise<Exclude<T, undefined | null | false>> {
  const timeoutMs = options.timeoutMs ?? 10_000;
  const deadline = performance.now() + timeoutMs;
  let lastError: unknown;
  do {
    try {
      const value = await probe();
      if (value !== undefined && value !== null && value !== false) {
        return value as Exclude<T, undefined | null | false>;
      }
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    await delay(options.intervalMs ?? 10);
  } while (performance.now() < deadline);
  throw new Error(`waited ${String(timeoutMs)} ms in vain for ${what}`, { cause: lastError });
}

/**
 * Settles with `promise`, or rejects when it takes too long.
 *
 * @param what - What is awaited, in words, for the failure message.
 */
export async function withDeadline<T>(
  what: string,
  promise: Promise<T>,
  timeoutMs = 10_000,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const expiry = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`waited ${String(timeoutMs)} ms in vain for ${what}`));
    }, timeoutMs);
  });
  try {
    return await Promise.race([promise, expiry]);
  } finally {
    clearTimeout(timer);
  }
}
