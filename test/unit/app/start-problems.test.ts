import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findStartProblems } from '../../../src/app/start-problems.ts';
import type { StartConditions } from '../../../src/app/start-problems.ts';
import { parseConfigText } from '../../../src/config/load.ts';

const STRANGER = { uid: 54_321, gid: 54_321 };

let directory = '';

beforeAll(() => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'mt-start-'));
  mkdirSync(path.join(directory, 'closed'), { mode: 0o700 });
  writeFileSync(path.join(directory, 'file'), '', { mode: 0o600 });
});

afterAll(() => {
  rmSync(directory, { recursive: true });
});

function find(
  lines: readonly string[],
  conditions: Partial<StartConditions> = {},
): Promise<readonly string[]> {
  const text = ['[pgbouncer]', 'unix_socket_dir = DIR', ...lines].join('\n');
  const { settings } = parseConfigText('p.ini', text.replaceAll('DIR', directory));
  return findStartProblems(settings, {
    env: {},
    nodeVersion: '24.0.0',
    uid: process.getuid?.() ?? null,
    findAccount: (name) => (name === 'stranger' ? STRANGER : null),
    ...conditions,
  });
}

describe('findStartProblems', () => {
  it.each([
    [['user = nobody-at-all'], "could not find user 'nobody-at-all' to switch to"],
    [['logfile = DIR/no/log'], "Cannot open logfile: 'DIR/no/log': No such file or directory"],
    [['logfile = DIR'], "Cannot open logfile: 'DIR': Is a directory"],
    [['pidfile = DIR/no/pid'], "could not open pidfile 'DIR/no/pid': No such file or directory"],
    [['pidfile = DIR/file/pid'], "could not open pidfile 'DIR/file/pid': Not a directory"],
    [
      ['unix_socket_dir = DIR/no'],
      'failed to create unix socket: DIR/no/.s.PGSQL.6432: No such file or directory',
    ],
    [
      ['unix_socket_dir = DIR/file'],
      'failed to create unix socket: DIR/file/.s.PGSQL.6432: Not a directory',
    ],
    [
      ['unix_socket_group = no-group-at-all'],
      "could not find group 'no-group-at-all' of unix_socket_group",
    ],
    [['unix_socket_dir ='], 'nowhere to listen on'],
    [
      ['listen_addr = 127.0.0.1, nowhere.invalid'],
      /^getaddrinfo\('nowhere\.invalid', '6432'\) = (?:Name or service not known \[-2\]|Temporary failure in name resolution \[-3\])$/,
    ],
  ])('tells of %j', async (lines, problem) => {
    const problems = await find(lines);
    expect(problems).toHaveLength(1);
    const text = problems[0]?.replaceAll(directory, 'DIR');
    if (typeof problem === 'string') {
      expect(text).toBe(problem);
    } else {
      expect(text).toMatch(problem);
    }
  });

  it.each([
    [[]],
    [['listen_addr = *', 'unix_socket_dir =']],
    [['listen_addr = 127.0.0.1, ::1, localhost', 'unix_socket_dir =']],
    [['logfile = DIR/log', 'pidfile = DIR/pid', 'user = stranger', 'unix_socket_dir = @name']],
    [['logfile = DIR/file']],
    [['unix_socket_group = 0', 'so_reuseport = 1']],
  ])('finds nothing wrong with %j', async (lines) => {
    const uid = lines.some((line) => line.startsWith('user')) ? 0 : (process.getuid?.() ?? null);
    const account = { uid: uid ?? 0, gid: 0 };
    expect(await find(lines, { uid, findAccount: () => account })).toEqual([]);
  });

  it('looks at directories as the user who will run', async () => {
    const lines = ['user = stranger', 'unix_socket_dir = @name', 'logfile = DIR/closed/log'];
    expect(await find(lines)).toEqual([
      `Cannot open logfile: '${directory}/closed/log': Permission denied`,
    ]);
  });

  it('knows that so_reuseport needs a newer Node.js', async () => {
    expect(await find(['so_reuseport = 1'], { nodeVersion: '20.19.0' })).toEqual([
      'so_reuseport needs Node.js 22.12 or newer; this is Node.js 20.19.0',
    ]);
  });

  it('leaves out the sockets when a service manager passes them', async () => {
    expect(await find(['unix_socket_dir ='], { env: { LISTEN_FDS: '1' } })).toEqual([]);
  });

  it('tells of all problems at once', async () => {
    const lines = ['user = x', 'logfile = DIR/no/log', 'pidfile = DIR/no/pid', 'unix_socket_dir ='];
    expect(await find(lines)).toHaveLength(4);
  });
});
