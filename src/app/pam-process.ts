import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { PamWorker } from '../auth/pam-checker.ts';
import type { SystemVerdict } from '../auth/system-login.ts';
import { decodeVerdict, encodeRequest } from './pam-messages.ts';

const WORKER_FILE = fileURLToPath(new URL('./pam-worker.js', import.meta.url));

/**
 * Starts a process that asks PAM. Only a process can be ended while it waits in a module of PAM,
 * and takes nothing with it when such a module crashes.
 *
 * @param script - what the process runs.
 */
export function startPamProcess(script = WORKER_FILE): PamWorker {
  const child: ChildProcess = spawn(process.execPath, [script], {
    stdio: ['pipe', 'pipe', 'ignore'],
    // A group of its own: signals of a terminal are not for it, and what PAM starts ends with it.
    detached: true,
  });
  let waiting: ((verdict: SystemVerdict | null) => void) | null = null;
  let hasEnded = false;
  const answer = (verdict: SystemVerdict | null): void => {
    const done = waiting;
    waiting = null;
    done?.(verdict);
  };
  const onEnd = (): void => {
    hasEnded = true;
    answer(null);
  };
  child.on('error', onEnd);
  child.on('exit', onEnd);
  // Broken when the process has ended, which is told by itself.
  child.stdin?.on('error', ignore);
  // Without descriptors to spare there are no pipes, and the error follows.
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on('line', (line) => {
      answer(decodeVerdict(line));
    });
  }
  // It must not keep a process alive that has nothing else to do.
  child.unref();
  return {
    get isAlive() {
      return !hasEnded;
    },
    check: (request, done) => {
      waiting = done;
      if (hasEnded) {
        queueMicrotask(onEnd);
      } else {
        child.stdin?.write(encodeRequest(request));
      }
    },
    kill: () => {
      killGroup(child);
    },
  };
}

function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) {
      process.kill(-pid, 'SIGKILL');
    }
  } catch {
    // It has ended already.
  }
}

function ignore(): void {
  // See above.
}
