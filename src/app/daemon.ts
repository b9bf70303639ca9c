import { spawn } from 'node:child_process';
import { closeSync, writeSync } from 'node:fs';

/** How a background process has started: it goes on, or says why not. */
export type StartReport = { readonly isUp: true } | { readonly isUp: false; problem: string };

/**
 * Names the process that waits for the report. It is compared with the parent, so that a variable
 * that was merely inherited has no effect.
 */
const WAITING_PID_VARIABLE = '_DAEMON_STARTED_BY';

/** The descriptor of the pipe on which the background process reports. */
const REPORT_FD = 3;

/** What {@link startDaemon} starts. */
export interface DaemonCommand {
  /** The script of this command. */
  readonly script: string;
  readonly args: readonly string[];
}

/** Tells whether this is the background process of {@link startDaemon}, with its report due. */
export function isDaemonChild(): boolean {
  return process.env[WAITING_PID_VARIABLE] === String(process.ppid);
}

/**
 * Runs the same command again in the background: in a session of its own, with nothing on standard
 * input, output and error.
 *
 * @returns what the new process says of its start. Never rejects.
 * @source PgBouncer option `-d`; it forks, which Node.js cannot.
 */
export function startDaemon({ script, args }: DaemonCommand): Promise<StartReport> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...process.execArgv, script, ...args], {
      detached: true,
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
      env: { ...process.env, [WAITING_PID_VARIABLE]: String(process.pid) },
    });
    const chunks: Buffer[] = [];
    const reports = child.stdio[REPORT_FD];
    reports?.on('data', (chunk: Buffer) => chunks.push(chunk));
    const report = (): StartReport | null => readReport(Buffer.concat(chunks).toString());
    reports?.once('close', () => {
      const told = report();
      if (told !== null) {
        resolve(told);
      }
    });
    child.once('error', (error) => {
      resolve({ isUp: false, problem: `failed to start the daemon: ${error.message}` });
    });
    // Comes behind what was in the pipe, but maybe before the end of the pipe is told above.
    child.once('close', (code, signal) => {
      const end = signal ?? `code ${String(code)}`;
      resolve(report() ?? { isUp: false, problem: `the daemon ended at start with ${end}` });
    });
  });
}

/**
 * Tells the process that waits how the start went, if there is one: once, and before this process
 * may end. Never throws.
 */
export function reportStart(report: StartReport): void {
  if (!isDaemonChild()) {
    return;
  }
  // The descriptor will belong to something else.
  Reflect.deleteProperty(process.env, WAITING_PID_VARIABLE);
  try {
    writeSync(REPORT_FD, JSON.stringify(report));
    closeSync(REPORT_FD);
  } catch {
    // Nobody waits any more; the start counts nevertheless.
  }
}

function readReport(text: string): StartReport | null {
  try {
    return JSON.parse(text) as StartReport;
  } catch {
    // Nothing, or not all of it: the process has died, and its end tells more.
    return null;
  }
}
