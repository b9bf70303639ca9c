import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readPassword, systemPasswordReader } from '../../../src/app/password-reader.ts';
import { waitFor } from '../../support/wait-for.ts';

const reader = systemPasswordReader();
let directory = '';

beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'mtr-reader-'));
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

describe('readPassword', () => {
  it.each([
    ['token', { password: 'token' }],
    ['token\n', { password: 'token' }],
    ['token\r\n', { password: 'token' }],
    ['token\n\n', { password: 'token\n' }],
    [' to ken ', { password: ' to ken ' }],
    ['', { problem: 'is empty' }],
    ['\n', { problem: 'is empty' }],
    ['a\0b', { problem: 'holds a zero byte' }],
    ['x'.repeat(65_530), { password: 'x'.repeat(65_530) }],
    ['x'.repeat(65_531), { problem: 'is longer than 65530 bytes' }],
  ])('%j (%#)', (text, outcome) => {
    expect(readPassword(Buffer.from(text))).toEqual(outcome);
  });

  it('refuses what is not UTF-8', () => {
    expect(readPassword(Buffer.from([0x61, 0xff]))).toEqual({ problem: 'is not UTF-8' });
  });
});

describe('systemPasswordReader', () => {
  it('hands arguments over as they are, and variables beside those of the process', async () => {
    const words = ['/bin/sh', '-c', 'printf "%s" "$1 $PGUSER $PATH"', 'x', 'a  b; c'];
    const outcome = await reader.runCommand(words, { PGUSER: 'u' });
    expect(outcome).toEqual({ password: `a  b; c u ${process.env['PATH'] ?? ''}` });
  });

  it('ends a program that takes too long, with what it has started', async () => {
    const pidFile = path.join(directory, 'pid');
    const words = ['/bin/sh', '-c', `sleep 60 & echo $! > ${pidFile}; wait`];
    const impatient = systemPasswordReader(500);
    expect(await impatient.runCommand(words, {})).toEqual({ problem: 'took longer than 0.5 s' });
    const pid = execFileSync('cat', [pidFile], { encoding: 'utf8' }).trim();
    await waitFor('the end of the program', () => {
      try {
        process.kill(Number(pid), 0);
        // A zombie that nobody waits for counts as ended.
        return /^State:\s+Z/m.test(
          execFileSync('cat', [`/proc/${pid}/status`], { encoding: 'utf8' }),
        );
      } catch {
        return true;
      }
    });
  });

  it('is not held by a program in the background that keeps the output open', async () => {
    const words = ['/bin/sh', '-c', 'echo token; sleep 60 &'];
    const impatient = systemPasswordReader(500);
    expect(await impatient.runCommand(words, {})).toEqual({ problem: 'took longer than 0.5 s' });
  });

  it.each([
    [['/nonexistent/program'], 'cannot be run: ENOENT'],
    [['/bin/sh', '-c', 'echo token; exit 1'], 'ended with exit code 1'],
    [['/bin/sh', '-c', 'kill -TERM $$'], 'ended with SIGTERM'],
    [['/bin/true'], 'what it prints is empty'],
  ])('tells why there is none: %j', async (words, problem) => {
    expect(await reader.runCommand(words, {})).toEqual({ problem });
  });

  it('reads a file, and never waits for one', async () => {
    const file = path.join(directory, 'token');
    writeFileSync(file, 'token\n');
    expect(await reader.readFile(file)).toEqual({ password: 'token' });
    writeFileSync(file, 'x'.repeat(1_000_000));
    expect(await reader.readFile(file)).toEqual({ problem: 'is longer than 65530 bytes' });
    expect(await reader.readFile(directory)).toEqual({ problem: 'cannot be read: EISDIR' });
    const pipe = path.join(directory, 'pipe');
    execFileSync('mkfifo', [pipe]);
    expect(await reader.readFile(pipe)).toEqual({ problem: 'is empty' });
  });
});
