import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * Raises this process's limit of open files, which the processes it starts inherit.
 *
 * @param {number} wanted - number of files
 * @returns {number} the limit in force afterwards; less than `wanted` where raising is forbidden
 */
export function raiseFileLimit(wanted) {
  if (readFileLimit() >= wanted) {
    return readFileLimit();
  }
  const limit = String(wanted);
  try {
    execFileSync('prlimit', [`--pid=${String(process.pid)}`, `--nofile=${limit}:${limit}`], {
      stdio: 'ignore',
    });
  } catch {
    // Not privileged, or no prlimit: the caller decides by the limit returned.
  }
  return readFileLimit();
}

/** @returns {number} the soft limit, the one in force */
function readFileLimit() {
  const match = /^Max open files\s+(\d+|unlimited)/m.exec(
    readFileSync('/proc/self/limits', 'utf8'),
  );
  return match?.[1] === 'unlimited' ? Infinity : Number(match?.[1] ?? 0);
}
