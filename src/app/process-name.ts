import { writeFileSync } from 'node:fs';

/** At most 15 bytes. */
const NAME = 'maitred';

/**
 * Has the system list this process by the name of the program, where it would have that of Node.js:
 * for `ps -C`, `pgrep`, `top` and init scripts. The command line stays as it is.
 *
 * @source proc(5): /proc/pid/comm
 */
export function nameProcess(): void {
  try {
    writeFileSync('/proc/self/comm', NAME);
  } catch {
    // Only Linux has this file.
  }
}
