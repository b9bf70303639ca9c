import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  checkPidfile,
  checkPidfileWritable,
  removePidfile,
  replacePidfile,
  restorePidfile,
  writePidfile,
} from '../../../src/app/pidfile.ts';

let directory = '';
let file = '';

beforeEach(() => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'pid-'));
  file = path.join(directory, 'pid');
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

describe('checkPidfile', () => {
  it('has nothing to say about a file that is not there', () => {
    expect(checkPidfile(file)).toBe(false);
  });

  it.each<[string, () => number | undefined]>([
    ['a process that is gone', () => spawnSync(process.execPath, ['-e', '']).pid],
    ['this process, which has written none yet', () => process.pid],
  ])('removes the file of %s', (_what, pid) => {
    writeFileSync(file, `${String(pid())}\n`);
    expect(checkPidfile(file)).toBe(true);
    expect(existsSync(file)).toBe(false);
  });

  it.each([
    ['a process that runs', `${String(process.ppid)}\n`],
    ['a process of another user or of our own', '1\n'],
    ['nobody: it is empty', ''],
    ['nobody: it is something else', 'precious\n'],
    ['nobody: it is more than a number', '12 34\n'],
    ['our own group, as kill(2) takes it', '0\n'],
  ])('refuses a file of %s', (_what, content) => {
    writeFileSync(file, content);
    expect(() => checkPidfile(file)).toThrow(`pidfile '${file}' exists, another instance running?`);
    expect(readFileSync(file, 'utf8')).toBe(content);
  });

  it('tells what the system says about a file that cannot be read', () => {
    expect(() => checkPidfile(directory)).toThrow(
      `could not open pidfile '${directory}': Is a directory`,
    );
  });
});

describe('writePidfile', () => {
  it('writes a line that everybody may read and only the owner may write', () => {
    writePidfile(file, 4711);
    expect(readFileSync(file, 'utf8')).toBe('4711\n');
    expect(statSync(file).mode & 0o133).toBe(0);
  });

  it('does not overwrite', () => {
    writePidfile(file, 1);
    expect(() => {
      writePidfile(file, 2);
    }).toThrow(`could not open pidfile '${file}': File exists`);
  });

  it('tells what the system says', () => {
    const below = path.join(directory, 'absent', 'pid');
    expect(() => {
      writePidfile(below, 2);
    }).toThrow(`could not open pidfile '${below}': No such file or directory`);
  });
});

describe('removePidfile', () => {
  it('removes our own file, and leaves that of another process', () => {
    writePidfile(file, 1);
    removePidfile(file, 2);
    expect(existsSync(file)).toBe(true);
    removePidfile(file, 1);
    expect(existsSync(file)).toBe(false);
    removePidfile(file, 1);
  });
});

describe('replacePidfile', () => {
  it.each(['123456\n', ''])('writes our number in place of %j', (before) => {
    writeFileSync(file, before);
    checkPidfileWritable(file);
    replacePidfile(file, 42);
    expect(readFileSync(file, 'utf8')).toBe('42\n');
  });

  it('writes our number where there is no file', () => {
    checkPidfileWritable(file);
    expect(existsSync(file)).toBe(false);
    replacePidfile(file, 42);
    expect(readFileSync(file, 'utf8')).toBe('42\n');
  });

  it('says what is wrong, before and then', () => {
    const nowhere = path.join(directory, 'nowhere', 'pid');
    for (const attempt of [checkPidfileWritable, replacePidfile]) {
      expect(() => {
        attempt(nowhere, 42);
      }).toThrow(`could not open pidfile '${nowhere}': No such file or directory`);
    }
  });
});

describe('restorePidfile', () => {
  it('writes our number where the file has gone, and leaves any other alone', () => {
    restorePidfile(file, 42);
    expect(readFileSync(file, 'utf8')).toBe('42\n');
    restorePidfile(file, 43);
    expect(readFileSync(file, 'utf8')).toBe('42\n');
    restorePidfile(path.join(directory, 'nowhere', 'pid'), 42);
  });
});
