import { spawn } from 'node:child_process';

/**
 * Waits for its standard input to close, then ends process `$1` with signal `$2` and removes
 * directory `$3`. The writing end of that pipe is held by the process which started the guard,
 * so the kernel closes it however that process dies, SIGKILL included.
 */
const GUARD_SCRIPT = `
cat >/dev/null
kill -s "$2" "$1" 2>/dev/null
i=0
while [ "$i" -lt 50 ] && kill -0 "$1" 2>/dev/null; do sleep 0.1; i=$((i + 1)); done
kill -s KILL "$1" 2>/dev/null
[ -z "$3" ] || rm -rf -- "$3"
`;

/**
 * Makes sure that a child process and its directory do not outlive this process.
 *
 * @param {number} pid - The child to end.
 * @param {string} signal - Signal name without SIG, tried for 5 s before KILL.
 * @param {string} directory - Removed after the child is gone; empty for none.
 * @returns {() => void} Call once the child has ended normally: dismisses the guard.
 */
export function guardChild(pid, signal, directory) {
  const guard = spawn('/bin/sh', ['-c', GUARD_SCRIPT, 'guard', String(pid), signal, directory], {
    stdio: ['pipe', 'ignore', 'ignore'],
    // Its own process group: a Ctrl-C at the terminal must not end the guard first.
    detached: true,
  });
  guard.on('error', () => {
    // No /bin/sh: the child is then ended by stop() alone.
  });
  guard.stdin.on('error', () => {
    // The guard has gone; nothing is ever written to it.
  });
  guard.unref();
  if ('unref' in guard.stdin && typeof guard.stdin.unref === 'function') {
    guard.stdin.unref();
  }
  return () => {
    guard.kill('SIGKILL');
  };
}
