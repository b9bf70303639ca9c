import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LogFileError, LogOutput } from '../../../src/log/log-output.ts';
import { createLogger } from '../../../src/log/logger.ts';
import type { RootLogger } from '../../../src/log/logger.ts';

const STDERR = -1;
let directory = '';
let file = '';

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'mtr-log-'));
  file = path.join(directory, 'log');
});

afterEach(() => {
  fs.rmSync(directory, { recursive: true });
});

interface Outputs {
  readonly output: LogOutput;
  readonly logger: RootLogger;
  /** What came out on standard error. */
  stderr: string;
  /** Code of the error that the descriptor fails with; empty for none. */
  stderrError: string;
  fileError: string;
}

function setUp(): Outputs {
  const write = (descriptor: number, bytes: Buffer, offset: number): number => {
    const code = descriptor === STDERR ? outputs.stderrError : outputs.fileError;
    if (code !== '') {
      throw Object.assign(new Error(code), { code });
    }
    if (descriptor !== STDERR) {
      return fs.writeSync(descriptor, bytes, offset);
    }
    outputs.stderr += bytes.toString('utf8', offset);
    return bytes.length - offset;
  };
  const output = new LogOutput(STDERR, write);
  const clock = { nowMs: () => 0, wallMs: () => 0 };
  const logger = createLogger({
    destination: output,
    clock,
    format: 'pgbouncer',
    verbose: 0,
    pid: 1,
  });
  output.reportTo(logger);
  const outputs: Outputs = { output, logger, stderr: '', stderrError: '', fileError: '' };
  return outputs;
}

function linesOf(text: string): string[] {
  return [...text.matchAll(/\[1\] (.*)\n/g)].map(([, line]) => line ?? '');
}

describe('LogOutput', () => {
  it('writes to standard error and appends to the file', () => {
    fs.writeFileSync(file, 'old\n');
    const { output } = setUp();
    output.write('before\n');
    output.openFile(file);
    output.write('line\n');
    output.openFile('');
    output.write('after\n');
    expect(fs.readFileSync(file, 'utf8')).toBe('old\nline\n');
  });

  it('leaves standard error alone when there is none', () => {
    const output = new LogOutput(null);
    output.openFile(file);
    output.write('line\n');
    output.openFile('');
    expect(fs.readFileSync(file, 'utf8')).toBe('line\n');
  });

  it('loses no line when the file is renamed and then opened anew', () => {
    const { output } = setUp();
    output.openFile(file);
    output.write('1\n');
    fs.renameSync(file, `${file}.1`);
    output.write('2\n');
    output.openFile(file);
    output.write('3\n');
    output.openFile('');
    expect(fs.readFileSync(`${file}.1`, 'utf8')).toBe('1\n2\n');
    expect(fs.readFileSync(file, 'utf8')).toBe('3\n');
  });

  it('closes the file it had open', () => {
    const { output } = setUp();
    const count = (): number =>
      fs
        .readdirSync('/proc/self/fd')
        .filter((fd) => fs.existsSync(`/proc/self/fd/${fd}`))
        .filter((fd) => fs.readlinkSync(`/proc/self/fd/${fd}`) === file).length;
    output.openFile(file);
    expect(count()).toBe(1);
    output.openFile(file);
    expect(count()).toBe(1);
    output.openFile('');
    expect(count()).toBe(0);
  });

  it('refuses a file that cannot be opened, and keeps the one that is open', () => {
    const { output } = setUp();
    output.openFile(file);
    const missing = path.join(directory, 'missing', 'log');
    expect(() => {
      output.openFile(missing);
    }).toThrow(LogFileError);
    expect(() => {
      output.openFile(missing);
    }).toThrow(`Cannot open logfile: '${missing}': No such file or directory`);
    output.write('still\n');
    output.openFile('');
    expect(fs.readFileSync(file, 'utf8')).toBe('still\n');
  });

  it('tells on standard error, once, that the file cannot be written, and when it can again', () => {
    const outputs = setUp();
    const { output, logger } = outputs;
    output.openFile(file);
    outputs.fileError = 'ENOSPC';
    logger.info('accept_failed', { error: 1 });
    logger.info('accept_failed', { error: 2 });
    expect(linesOf(outputs.stderr)).toEqual([
      'LOG accept() failed: 1',
      `ERROR Cannot write logfile: '${file}': ENOSPC`,
      'LOG accept() failed: 2',
    ]);
    outputs.fileError = '';
    logger.info('accept_failed', { error: 3 });
    const lost = `ERROR log lines lost: lines=3 destination=${file}`;
    expect(linesOf(outputs.stderr).slice(3)).toEqual(['LOG accept() failed: 3', lost]);
    expect(linesOf(fs.readFileSync(file, 'utf8'))).toEqual(['LOG accept() failed: 3', lost]);
    output.openFile('');
  });

  it('writes to the file while nobody empties standard error', () => {
    const outputs = setUp();
    const { output, logger } = outputs;
    output.openFile(file);
    outputs.stderrError = 'EAGAIN';
    logger.info('accept_failed', { error: 1 });
    outputs.stderrError = '';
    logger.info('accept_failed', { error: 2 });
    const lost = 'ERROR log lines lost: lines=1 destination=standard error';
    expect(linesOf(outputs.stderr)).toEqual(['LOG accept() failed: 2', lost]);
    expect(linesOf(fs.readFileSync(file, 'utf8'))).toEqual([
      'LOG accept() failed: 1',
      'LOG accept() failed: 2',
      lost,
    ]);
    output.openFile('');
  });
});
