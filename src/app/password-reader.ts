import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { MAX_PASSWORD_BYTES } from '../auth/limits.ts';

/** Longest run of a password_command, in ms. */
const COMMAND_DEADLINE_MS = 10_000;
/** Most bytes that are read: the longest password and its line end. */
const MAX_BYTES = MAX_PASSWORD_BYTES + 2;

/** A password, or why there is none: a clause that holds nothing of what was read. */
export type PasswordOutcome = { readonly password: string } | { readonly problem: string };

/** Fetches passwords from outside of the process, off the event loop. */
export interface PasswordReader {
  /**
   * Runs a program without a shell and takes what it prints.
   *
   * @param words - The program and its arguments.
   * @param variables - Added to the environment of this process.
   */
  runCommand(
    words: readonly string[],
    variables: Readonly<Record<string, string>>,
  ): Promise<PasswordOutcome>;
  /** Reads a file. */
  readFile(file: string): Promise<PasswordOutcome>;
}

/**
 * Makes a password of bytes: one line end at its end does not belong to it.
 *
 * @param bytes - Borrowed.
 */
export function readPassword(bytes: Buffer): PasswordOutcome {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return { problem: 'is not UTF-8' };
  }
  const password = text.replace(/\r?\n$/, '');
  if (password === '') {
    return { problem: 'is empty' };
  }
  if (password.includes('\0')) {
    return { problem: 'holds a zero byte' };
  }
  return Buffer.byteLength(password) > MAX_PASSWORD_BYTES
    ? { problem: `is longer than ${String(MAX_PASSWORD_BYTES)} bytes` }
    : { password };
}

function readOutput(bytes: Buffer): PasswordOutcome {
  const outcome = readPassword(bytes);
  return 'problem' in outcome ? { problem: `what it prints ${outcome.problem}` } : outcome;
}

function codeOf(error: unknown): string {
  const { code } = error as { readonly code?: unknown };
  return typeof code === 'string' ? code : String(error);
}

/**
 * Runs a program: with its own process group, so that what it has started ends with it. Its standard
 * error goes nowhere, since it might repeat the password.
 */
function runCommand(
  words: readonly string[],
  variables: Readonly<Record<string, string>>,
  deadlineMs: number,
): Promise<PasswordOutcome> {
  const [program = '', ...args] = words;
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      env: { ...process.env, ...variables },
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
    });
    const chunks: Buffer[] = [];
    let bytes = 0;
    const finish = (outcome: PasswordOutcome): void => {
      clearTimeout(timer);
      child.stdout.destroy();
      resolve(outcome);
    };
    const abort = (problem: string): void => {
      killGroup(child.pid);
      finish({ problem });
    };
    const timer = setTimeout(() => {
      abort(`took longer than ${String(deadlineMs / 1000)} s`);
    }, deadlineMs);
    child.stdout.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > MAX_BYTES) {
        abort(`prints more than ${String(MAX_PASSWORD_BYTES)} bytes`);
      }
    });
    child.once('error', (error) => {
      finish({ problem: `cannot be run: ${codeOf(error)}` });
    });
    child.once('close', (code, signal) => {
      finish(
        code === 0
          ? readOutput(Buffer.concat(chunks))
          : { problem: `ended with ${signal ?? `exit code ${String(code)}`}` },
      );
    });
  });
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) {
    return;
  }
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

async function readFile(file: string): Promise<PasswordOutcome> {
  try {
    // A pipe that nobody writes to must not hold a thread.
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const buffer = Buffer.alloc(MAX_BYTES + 1);
      let length = 0;
      for (;;) {
        const { bytesRead } = await handle.read(buffer, length, buffer.length - length);
        length += bytesRead;
        if (bytesRead === 0 || length === buffer.length) {
          break;
        }
      }
      return readPassword(buffer.subarray(0, length));
    } finally {
      await handle.close();
    }
  } catch (error) {
    return { problem: `cannot be read: ${codeOf(error)}` };
  }
}

/**
 * Reads from the system that the process runs on.
 *
 * @param deadlineMs - Longest run of a command, in ms.
 */
export function systemPasswordReader(deadlineMs = COMMAND_DEADLINE_MS): PasswordReader {
  return {
    runCommand: (words, variables) => runCommand(words, variables, deadlineMs),
    readFile,
  };
}
