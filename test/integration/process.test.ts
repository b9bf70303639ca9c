import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { canReusePort } from '../../src/net/reuse-port.ts';
import { guardChild } from '../support/child-guard.mjs';
import { PoolerFixture, usePooler } from '../support/pooler-fixture.ts';
import type { PoolerConfig, PoolerOptions } from '../support/pooler-fixture.ts';
import { RawClient } from '../support/raw-client.ts';
import type { ConnectTarget } from '../support/raw-client.ts';
import { refusedStart } from '../support/refusal.ts';
import { waitFor, withDeadline } from '../support/wait-for.ts';

const CLI_FILE = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const isRoot = process.getuid?.() === 0;
const isLinux = process.platform === 'linux';
const hasReusePort = canReusePort(process.versions.node);

/** A user and a group that every Linux has. */
const OTHER_USER = 'daemon';
const OTHER_GROUP = 'daemon';

/** Finds the id in a line of /etc/passwd or /etc/group. */
function systemId(file: string, name: string): number {
  const line = fs
    .readFileSync(file, 'utf8')
    .split('\n')
    .find((text) => text.startsWith(`${name}:`));
  return Number(line?.split(':')[2]);
}

/** A user who is in more groups than the own one, and the ids of those. */
const memberOfGroups = findMember();

function findMember(): { readonly user: string; readonly gids: readonly number[] } | null {
  const groups = fs
    .readFileSync('/etc/group', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .map(([, , gid, members = '']) => ({ gid: Number(gid), members: members.split(',') }));
  const user = groups
    .flatMap(({ members }) => members)
    .find((name) => !['', 'root'].includes(name));
  return user === undefined
    ? null
    : { user, gids: groups.filter((group) => group.members.includes(user)).map(({ gid }) => gid) };
}

/** Starts a pooler that must refuse to run. @returns what it wrote as text. */
function refusal(options: PoolerOptions): Promise<string> {
  return refusedStart(PoolerFixture.spawn(options));
}

/** Settings, with the fixture's directory open to other users. */
function openTo(maitred: Readonly<Record<string, unknown>>) {
  return (directory: string): PoolerConfig => {
    fs.chmodSync(directory, 0o777);
    return { maitred: { auth_type: 'any', ...maitred } };
  };
}

async function askVersion(target: ConnectTarget): Promise<string> {
  const console = await RawClient.login(target, { user: 'postgres', database: 'pgbouncer' });
  const rows = await console.query('SHOW VERSION');
  await console.close();
  return rows[0]?.['version'] ?? '';
}

describe('the user', () => {
  it
    .runIf(isRoot && isLinux)
    .each<[string, Partial<PoolerOptions>, Readonly<Record<string, unknown>>]>([
      ['of the setting', {}, { user: OTHER_USER }],
      ['of option -u, which goes first', { args: ['-u', OTHER_USER] }, { user: 'absent-user' }],
    ])('%s runs the process and owns its socket', async (_what, options, settings) => {
    await usePooler({ ...options, config: openTo(settings) }, async (pooler) => {
      const uid = systemId('/etc/passwd', OTHER_USER);
      const status = fs.readFileSync(`/proc/${String(pooler.pid)}/status`, 'utf8');
      const ids = `${String(uid)}\t`.repeat(4).trimEnd();
      expect(status).toMatch(new RegExp(`^Uid:\t${ids}$`, 'm'));
      expect(status).not.toMatch(/^Groups:.*\b0\b/m);
      const file = path.join(pooler.socketDir, `.s.PGSQL.${String(pooler.port)}`);
      expect(fs.statSync(file).uid).toBe(uid);
      expect(pooler.logs.some(({ problem }) => String(problem).includes('root'))).toBe(false);
    });
  });

  it.runIf(isRoot && memberOfGroups !== null)(
    'has all the groups of its user, and no other (needs a user with more than one)',
    async () => {
      const { user = '', gids = [] } = memberOfGroups ?? {};
      await usePooler({ config: openTo({ user }) }, async (pooler) => {
        const status = fs.readFileSync(`/proc/${String(pooler.pid)}/status`, 'utf8');
        const found = /^Groups:(.*)$/m.exec(status)?.[1]?.trim().split(' ').map(Number) ?? [];
        const primary = Number(/^Gid:\t(\d+)/m.exec(status)?.[1]);
        expect(new Set(found)).toEqual(new Set([primary, ...gids]));
      });
    },
  );

  it.runIf(isRoot)('root is allowed, with a warning', async () => {
    await usePooler({ config: {} }, async (pooler) => {
      await pooler.waitForLog('a warning', ({ problem }) =>
        String(problem).startsWith('running as root'),
      );
    });
  });

  it('that does not exist fails with code 1', async () => {
    expect(await refusal({ config: {}, args: ['-u', 'absent-user'] })).toContain(
      "could not find user 'absent-user' to switch to",
    );
  });

  it.skipIf(isRoot || !isLinux)('cannot be changed without the right to do so', async () => {
    expect(await refusal({ config: {}, args: ['-u', OTHER_USER] })).toContain(
      `failed to assume identity of user '${OTHER_USER}': Operation not permitted`,
    );
  });
});

it.runIf(isLinux)('the process is listed by its name, with its command line', async () => {
  await usePooler({ config: {} }, (pooler) => {
    const read = (file: string): string =>
      fs.readFileSync(`/proc/${String(pooler.pid)}/${file}`, 'utf8');
    expect(read('comm')).toBe('maitred\n');
    expect(read('cmdline')).toContain(CLI_FILE);
    return Promise.resolve();
  });
});

describe('-d', () => {
  const withPidfile = (directory: string): PoolerConfig => ({
    maitred: { pidfile: path.join(directory, 'pid') },
  });

  it('goes on in the background once it works, and ends by a signal', async () => {
    const foreground = PoolerFixture.spawn({ config: withPidfile, args: ['-d'] });
    const { directory } = foreground;
    const pidfile = path.join(directory, 'pid');
    let dismissGuard = (): void => {};
    try {
      expect(await withDeadline('the foreground process', foreground.exited)).toEqual({
        code: 0,
        signal: null,
      });
      // It is written before the foreground process ends.
      const pid = Number(fs.readFileSync(pidfile, 'utf8'));
      dismissGuard = guardChild(pid, 'QUIT', directory);
      expect(pid).not.toBe(foreground.pid);
      const socket = fs.readdirSync(directory).find((name) => name.startsWith('.s.PGSQL.'));
      const port = Number(socket?.split('.').at(-1));
      expect(await askVersion({ socketDir: directory, port })).toContain('maitred');
      process.kill(pid, 'SIGTERM');
      await waitFor('the end of the daemon', () => !fs.existsSync(pidfile));
      await expect(askVersion({ socketDir: directory, port })).rejects.toThrow();
      expect(foreground.logs).toEqual([]);
    } finally {
      dismissGuard();
      await foreground.kill();
    }
  });

  it('needs a pidfile', async () => {
    expect(await refusal({ config: {}, args: ['-d'] })).toContain(
      'daemon needs pidfile configured',
    );
  });

  it('fails in the foreground when the background process cannot start', async () => {
    const config = (directory: string): PoolerConfig => ({
      maitred: { pidfile: path.join(directory, 'pid'), listen_addr: '192.0.2.1' },
    });
    expect(await refusal({ config, args: ['-d'] })).toContain(
      'failed to listen on any address in listen_addr list: 192.0.2.1',
    );
  });

  it('fails in the foreground when another instance runs', async () => {
    const files = { pid: `${String(process.pid)}\n` };
    expect(await refusal({ config: withPidfile, args: ['-d'], files })).toContain(
      'exists, another instance running?',
    );
  });
});

describe('the pidfile', () => {
  it('of a process that is gone is removed, and that is logged', async () => {
    const gone = spawnSync(process.execPath, ['-e', '']).pid;
    const config = (directory: string): PoolerConfig => ({
      maitred: { pidfile: path.join(directory, 'pid') },
    });
    await usePooler({ config, files: { pid: `${String(gone)}\n` } }, async (pooler) => {
      await pooler.waitForLog(
        'the stale pidfile',
        ({ problem }) => problem === 'stale pidfile, removing',
      );
    });
  });

  it('that cannot be written ends the process, which leaves no socket behind', async () => {
    const pooler = PoolerFixture.spawn({
      config: (directory) => ({ maitred: { pidfile: path.join(directory, 'absent', 'pid') } }),
    });
    try {
      expect((await withDeadline('the end', pooler.exited)).code).toBe(1);
      expect(pooler.logs.map((line) => line.raw ?? '').join('\n')).toMatch(
        /could not open pidfile '.*\/absent\/pid': No such file or directory/,
      );
      expect(fs.readdirSync(pooler.directory).filter((name) => name.startsWith('.s.'))).toEqual([]);
    } finally {
      await pooler.kill();
    }
  });
});

describe('the unix socket', () => {
  it.runIf(isRoot && isLinux).each([
    ['name', OTHER_GROUP],
    ['number', String(systemId('/etc/group', OTHER_GROUP))],
  ])('has the group given by its %s, and the mode', async (_what, unix_socket_group) => {
    const maitred = { unix_socket_group, unix_socket_mode: '0770' };
    await usePooler({ config: { maitred } }, async (pooler) => {
      const file = path.join(pooler.socketDir, `.s.PGSQL.${String(pooler.port)}`);
      const { gid, uid, mode } = fs.statSync(file);
      expect([uid, gid]).toEqual([process.getuid?.(), systemId('/etc/group', OTHER_GROUP)]);
      expect((mode & 0o777).toString(8)).toBe('770');
    });
  });

  it('with a group that does not exist fails with code 1', async () => {
    const maitred = { unix_socket_group: 'absent-group' };
    expect(await refusal({ config: { maitred } })).toContain(
      "could not find group 'absent-group' of unix_socket_group",
    );
  });

  it('in a directory that does not exist fails with code 1', async () => {
    const config = (directory: string): PoolerConfig => ({
      maitred: { unix_socket_dir: path.join(directory, 'absent') },
    });
    expect(await refusal({ config })).toContain('failed to create unix socket');
  });

  it('whose name a PostgreSQL server has locked fails with code 1', async () => {
    const maitred = { listen_addr: '', listen_port: 17_432 };
    const files = { '.s.PGSQL.17432.lock': '' };
    expect(await refusal({ config: { maitred }, files })).toContain('unix port 17432 is in use');
  });

  it('of a pooler that runs is told before its pidfile', async () => {
    await usePooler({ config: {} }, async (pooler) => {
      const { port, socketDir } = pooler;
      const config = (directory: string): PoolerConfig => ({
        maitred: {
          listen_port: port,
          unix_socket_dir: socketDir,
          pidfile: path.join(directory, 'pid'),
        },
      });
      const files = { pid: `${String(pooler.pid)}\n` };
      const text = await refusal({ config, files });
      expect(text).toContain('unix socket is in use, cannot continue');
      expect(await askVersion(pooler.socketTarget)).toContain('maitred');
    });
  });
});

describe('listen_addr', () => {
  it('with a name that has no address fails with code 1', async () => {
    const maitred = { listen_addr: '127.0.0.1, absent.invalid' };
    expect(await refusal({ config: { maitred } })).toMatch(
      /getaddrinfo\('absent\.invalid', '\d+'\) = [A-Z][a-z ]+ \[-[23]\]/,
    );
  });
});

describe('so_reuseport', () => {
  it.runIf(hasReusePort)('lets two processes listen on one port', async () => {
    await usePooler({ config: { maitred: { so_reuseport: true } } }, async (first) => {
      const maitred = { so_reuseport: true, listen_port: first.port };
      await usePooler({ config: { maitred } }, async (second) => {
        expect(second.port).toBe(first.port);
        // Whoever stays serves the port.
        await first.stop();
        expect(await askVersion(second.target)).toContain('maitred');
      });
    });
  });

  it.runIf(hasReusePort)('is needed on both sides', async () => {
    await usePooler({ config: { maitred: { so_reuseport: true } } }, async (first) => {
      expect(await refusal({ config: { maitred: { listen_port: first.port } } })).toContain(
        'failed to listen on any address',
      );
    });
  });

  it.skipIf(hasReusePort)('is refused where Node.js is too old', async () => {
    expect(await refusal({ config: { maitred: { so_reuseport: true } } })).toContain(
      'so_reuseport needs Node.js 22.12 or newer',
    );
  });
});

/** Descriptor of a socket that listens, as a service manager has it. */
function descriptorOf(server: net.Server): number {
  return (server as unknown as { readonly _handle: { readonly fd: number } })._handle.fd;
}

interface Activated {
  readonly directory: string;
  readonly lines: string[];
  readonly exitCode: Promise<number | null>;
}

/** Runs a pooler as a service manager does: with sockets from descriptor 3 on. */
async function withActivated(
  { servers, count = String(servers.length) }: { servers: net.Server[]; count?: string },
  body: (activated: Activated) => Promise<void>,
): Promise<void> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'mtr-'));
  const maitred = {
    listen_addr: '192.0.2.1',
    unix_socket_dir: '/absent',
    auth_type: 'trust',
    auth_file: path.join(directory, 'users'),
    admin_users: 'postgres',
    metrics_listen_addr: '',
  };
  const file = path.join(directory, 'maitred.yaml');
  fs.writeFileSync(file, JSON.stringify({ maitred }));
  fs.writeFileSync(maitred.auth_file, '"postgres" ""\n');
  // The process id must be known before the process: a shell has it and gives it on.
  const script = 'LISTEN_PID=$$ exec "$0" "$@"';
  const child = spawn('sh', ['-c', script, process.execPath, CLI_FILE, file], {
    env: { ...process.env, LISTEN_FDS: count },
    stdio: ['ignore', 'ignore', 'pipe', ...servers.map(descriptorOf)],
  });
  const dismissGuard = guardChild(child.pid ?? 0, 'QUIT', directory);
  const lines: string[] = [];
  child.stderr?.on('data', (text: Buffer) => lines.push(text.toString()));
  const exitCode = new Promise<number | null>((resolve) => child.once('close', resolve));
  try {
    await body({ directory, lines, exitCode });
  } finally {
    child.kill('SIGKILL');
    await exitCode;
    dismissGuard();
    fs.rmSync(directory, { recursive: true });
  }
}

async function listeningServer(where: net.ListenOptions): Promise<net.Server> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(where, resolve));
  return server;
}

describe('sockets of a service manager', () => {
  it.runIf(isLinux)('are used instead of those of the settings', async () => {
    const tcp = await listeningServer({ host: '127.0.0.1', port: 0 });
    const socketDir = fs.mkdtempSync(path.join(os.tmpdir(), 'mtr-'));
    const unix = await listeningServer({ path: path.join(socketDir, '.s.PGSQL.6432') });
    const { port } = tcp.address() as net.AddressInfo;
    try {
      await withActivated({ servers: [tcp, unix] }, async ({ lines }) => {
        const text = await waitFor('the pooler to come up', () => {
          const all = lines.join('');
          return all.includes('process_up') ? all : null;
        });
        expect(text).toContain('sockets passed from service manager, listen_addr ignored');
        expect(text).toContain('sockets passed from service manager, unix_socket_dir ignored');
        expect(text).toContain('socket passed from service manager (fd 3)');
        expect(text).toContain(`"unix":"${socketDir}/.s.PGSQL.6432","fd":4`);
        // Ours would take every other connection.
        tcp.close();
        expect(await askVersion({ host: '127.0.0.1', port })).toContain('maitred');
      });
    } finally {
      tcp.close();
      unix.close();
      fs.rmSync(socketDir, { recursive: true });
    }
  });

  it('that do not listen, or are none, fail with code 1', async () => {
    await withActivated({ servers: [], count: '1' }, async ({ lines, exitCode }) => {
      expect(await withDeadline('the end', exitCode)).toBe(1);
      expect(lines.join('')).toContain(
        'failed to listen on the socket passed from service manager (fd 3)',
      );
    });
  });
});
