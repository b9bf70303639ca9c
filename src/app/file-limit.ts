import { readFileSync } from 'node:fs';
import type { Config } from '../config/config.ts';

/** How many files the process may open; -1 for any number. */
export interface FileLimit {
  readonly soft: number;
  readonly hard: number;
}

/** What PgBouncer counts beside the connections: its own files and listening sockets. */
const OWN_FILES = 10;

/**
 * Reads the limit of open files of this process.
 *
 * @returns null where the system does not tell.
 * @source proc(5): /proc/pid/limits
 */
export function readFileLimit(): FileLimit | null {
  try {
    return parseFileLimit(readFileSync('/proc/self/limits', 'utf8'));
  } catch {
    // Only Linux has this file.
    return null;
  }
}

/** Finds the limit in the text of /proc/pid/limits. */
export function parseFileLimit(text: string): FileLimit | null {
  const match = /^Max open files\s+(\d+|unlimited)\s+(\d+|unlimited)/m.exec(text);
  const number = (word: string): number => (word === 'unlimited' ? -1 : Number(word));
  const [, soft, hard] = match ?? [];
  return soft === undefined || hard === undefined
    ? null
    : { soft: number(soft), hard: number(hard) };
}

/**
 * Tells how many files may be open at once when all limits are reached.
 *
 * @param userCount - Users that are known: each may have a pool in each database.
 * @source PgBouncer, the log line of the kernel's file descriptor limit
 */
export function expectedFileCount({ settings, databases }: Config, userCount: number): number {
  let count = settings.maxClientConn + OWN_FILES;
  for (const { user, poolSize } of databases.values()) {
    count += (poolSize ?? settings.defaultPoolSize) * (user === null ? userCount : 1);
  }
  return count;
}
