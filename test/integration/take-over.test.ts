import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { canReusePort } from '../../src/net/reuse-port.ts';
import * as backend from '../support/backend-messages.ts';
import { withKoffiHooks } from '../support/koffi-hooks.ts';
import { PoolerFixture } from '../support/pooler-fixture.ts';
import type { PoolerOptions } from '../support/pooler-fixture.ts';
import { RawClient } from '../support/raw-client.ts';
import type { ConnectTarget } from '../support/raw-client.ts';
import { refusedStart } from '../support/refusal.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { Visitors } from '../support/visitors.ts';
import { waitFor, withDeadline } from '../support/wait-for.ts';

const postgres = sharedPostgres();
const databases = {
  app: { host: postgres.host, port: postgres.port, dbname: postgres.database },
};
const hasReusePort = canReusePort(process.versions.node);
const account = { user: 'postgres', database: 'app' };
const console = { user: 'postgres', database: 'pgbouncer' };
const CLI_FILE = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const UNIX_ONLY = { listen_addr: '' };

/** Where the sockets and the pidfile of one pooler are, whichever process it is. */
let directory = '';
let pidfile = '';
let port = 0;
let poolers: PoolerFixture[] = [];

beforeEach(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'over-'));
  pidfile = path.join(directory, 'pid');
  port = await freePort();
  poolers = [];
});

afterEach(async () => {
  for (const pooler of poolers) {
    await pooler.kill();
  }
  fs.rmSync(directory, { recursive: true });
});

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port: free } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return free;
}

type Settings = Readonly<Record<string, unknown>>;

function optionsOf(settings: Settings, more: Partial<PoolerOptions>): PoolerOptions {
  const common = {
    pool_mode: 'transaction',
    listen_port: port,
    unix_socket_dir: directory,
    pidfile,
  };
  return { config: { maitred: { ...common, ...settings }, databases }, ...more };
}

/** Starts a process with the configuration of the pooler. */
function spawn(settings: Settings, more: Partial<PoolerOptions> = {}): PoolerFixture {
  const pooler = PoolerFixture.spawn(optionsOf(settings, more));
  poolers.push(pooler);
  return pooler;
}

/** As {@link spawn}; with TCP or without, waits until it is up. */
async function start(
  settings: Settings,
  more: Partial<PoolerOptions> = {},
): Promise<PoolerFixture> {
  const pooler = spawn(settings, more);
  await Promise.race([
    pooler.waitForEvent('process_up', 15_000),
    pooler.exited.then(() => {
      throw new Error(JSON.stringify(pooler.logs));
    }),
  ]);
  return pooler;
}

const REBOOT = { args: ['-R'] };

function socketTarget(): ConnectTarget {
  return { socketDir: directory, port };
}

function socketFile(): string {
  return path.join(directory, `.s.PGSQL.${String(port)}`);
}

function pidInFile(): number {
  return Number(fs.readFileSync(pidfile, 'utf8'));
}

/** The process that answers on the console behind the unix socket tells its pid by its log. */
async function expectServedBy(pooler: PoolerFixture): Promise<void> {
  const count = (): number =>
    pooler.logs.filter(({ event }) => event === 'client_login_attempted').length;
  const before = count();
  const client = await RawClient.login(socketTarget(), account);
  expect(await client.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
  await client.close();
  await waitFor('the login in its log', () => count() > before);
}

describe('-R', () => {
  it('starts as usual where nobody runs', async () => {
    const pooler = await start({}, REBOOT);
    expect(pooler.logs.map(({ event }) => event)).toContain('takeover_not_needed');
    await expectServedBy(pooler);
    expect(pidInFile()).toBe(pooler.pid);
  });

  it('says so in the words of PgBouncer', async () => {
    const pooler = spawn({ log_format: 'pgbouncer' }, REBOOT);
    await pooler.waitForLog('process up', ({ raw }) => raw?.includes(' LOG process up') === true);
    expect(pooler.logs.map(({ raw }) => raw).join('\n')).toContain(
      ' LOG old process not found, try to continue normally',
    );
  });

  it('takes the place of a process that is dead', async () => {
    const old = await start({});
    old.signal('SIGKILL');
    await old.exited;
    const next = await start({}, REBOOT);
    expect(pidInFile()).toBe(next.pid);
    await expectServedBy(next);
  });

  it('without TCP hands the unix socket over with any Node.js, more than once', async () => {
    let old = await start(UNIX_ONLY);
    for (const turn of ['first', 'second']) {
      const visitors = new Visitors(socketTarget(), account);
      const staying = await RawClient.login(socketTarget(), account);
      await staying.query('BEGIN');
      await visitors.waitForMore(20);
      const next = await start(UNIX_ONLY, REBOOT);
      await next.waitForEvent('takeover_done');
      await old.waitForEvent('shutdown_started');
      expect(pidInFile(), turn).toBe(next.pid);
      await visitors.waitForMore(20);
      expect((await staying.simpleQuery('COMMIT')).errors).toEqual([]);
      await staying.close();
      expect((await withDeadline('the end of the old one', old.exited)).code).toBe(0);
      await visitors.waitForMore(20);
      await visitors.stop();
      expect(visitors.problems).toEqual([]);
      await expectServedBy(next);
      expect(pidInFile(), turn).toBe(next.pid);
      old = next;
    }
    old.signal('SIGQUIT');
    expect((await old.exited).code).toBe(0);
    // Nothing is left behind.
    expect(fs.readdirSync(directory)).toEqual([]);
  });

  it('lets those come in who knocked at the old socket and were not heard before', async () => {
    const old = await start(UNIX_ONLY);
    const staying = await RawClient.login(socketTarget(), account);
    // By a second name, one can knock there as late as one wants.
    const knocked = path.join(directory, 'knocked');
    fs.mkdirSync(knocked);
    const name = `.s.PGSQL.${String(port)}`;
    fs.linkSync(path.join(directory, name), path.join(knocked, name));
    const next = await start(UNIX_ONLY, REBOOT);
    await next.waitForEvent('takeover_done');
    await old.waitForEvent('shutdown_started');
    const late = await RawClient.login({ socketDir: knocked, port }, account);
    expect(await late.query('SELECT 1 AS n')).toEqual([{ n: '1' }]);
    await late.close();
    await staying.close();
    expect((await withDeadline('the end of the old one', old.exited)).code).toBe(0);
  });

  it.runIf(hasReusePort)('hands TCP over and refuses nobody', async () => {
    const old = await start({ so_reuseport: 1 });
    const staying = await RawClient.login({ port }, account);
    await staying.query('BEGIN');
    const visitors = new Visitors({ port }, account);
    const onSocket = new Visitors(socketTarget(), account);
    await visitors.waitForMore(20);
    const next = await start({ so_reuseport: 1 }, REBOOT);
    await next.waitForEvent('takeover_done');
    await visitors.waitForMore(50);
    await onSocket.waitForMore(50);
    expect(old.logs).toContainEqual(
      expect.objectContaining({ event: 'shutdown_started', mode: 'wait_for_clients' }),
    );
    expect((await staying.simpleQuery('COMMIT')).errors).toEqual([]);
    await staying.close();
    expect((await withDeadline('the end of the old one', old.exited)).code).toBe(0);
    await visitors.waitForMore(50);
    await visitors.stop();
    await onSocket.stop();
    expect([...visitors.problems, ...onSocket.problems]).toEqual([]);
    expect(pidInFile()).toBe(next.pid);
    await expectServedBy(next);
  });

  it.runIf(hasReusePort)('gets the metrics once the old process has ended', async () => {
    const metrics = { metrics_listen_addr: '127.0.0.1', metrics_listen_port: await freePort() };
    const old = await start({ so_reuseport: 1, ...metrics });
    const staying = await RawClient.login({ port }, account);
    const next = await start({ so_reuseport: 1, ...metrics }, REBOOT);
    expect((await next.waitForEvent('listen_failed'))['metrics']).toBe(true);
    await staying.close();
    await withDeadline('the end of the old one', old.exited);
    await next.waitForEvent('metrics_listening', 10_000);
    const url = `http://127.0.0.1:${String(metrics.metrics_listen_port)}/readyz`;
    expect((await fetch(url)).status).toBe(200);
  });

  it.runIf(hasReusePort)('goes on in the background with -d', async () => {
    const old = await start({ so_reuseport: 1 });
    const logfile = path.join(directory, 'log');
    const foreground = spawn({ so_reuseport: 1, logfile }, { args: ['-d', '-R'] });
    try {
      expect((await withDeadline('the foreground', foreground.exited)).code).toBe(0);
      expect((await withDeadline('the end of the old one', old.exited)).code).toBe(0);
      expect(pidInFile()).not.toBe(old.pid);
      expect(fs.readFileSync(logfile, 'utf8')).toContain('"takeover_done"');
      const client = await RawClient.login(socketTarget(), account);
      expect(await client.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
      await client.close();
    } finally {
      process.kill(pidInFile(), 'SIGQUIT');
      await waitFor('the end of the daemon', () => !fs.existsSync(pidfile));
    }
  });
});

describe('-R is refused', () => {
  /** What was there before, and goes on as if nothing had been. */
  async function expectUntouched(old: PoolerFixture): Promise<void> {
    await expectServedBy(old);
    expect(pidInFile()).toBe(old.pid);
    expect(old.logs.map(({ event }) => event)).not.toContain('shutdown_started');
    expect(fs.readdirSync(directory).sort()).toEqual([`.s.PGSQL.${String(port)}`, 'pid']);
  }

  it('without so_reuseport', async () => {
    const old = await start({});
    const text = await refusedStart(spawn({}, REBOOT));
    expect(text).toContain('cannot take over from the running process: so_reuseport is not set');
    expect(text).toContain('stop the running process first, then start without -R');
    await expectUntouched(old);
  });

  it.skipIf(hasReusePort)('by a Node.js that cannot share ports', async () => {
    const old = await start({});
    expect(await refusedStart(spawn({ so_reuseport: 1 }, REBOOT))).toContain(
      `so_reuseport needs Node.js 22.12 or newer; this is Node.js ${process.versions.node}`,
    );
    await expectUntouched(old);
  });

  it.runIf(hasReusePort)('where the old process does not share its port', async () => {
    const old = await start({});
    const text = await refusedStart(spawn({ so_reuseport: 1 }, REBOOT));
    expect(text).toContain(`cannot take over 127.0.0.1:${String(port)}: `);
    expect(text).toContain('must have been started with so_reuseport');
    await expectUntouched(old);
  });

  it('where the old process does not know its owner and wants a password', async () => {
    const secret = { users: { postgres: 'secret', pgbouncer: 'secret' } };
    const settings = {
      ...UNIX_ONLY,
      auth_type: 'scram-sha-256',
      admin_users: 'postgres, pgbouncer',
    };
    const old = await start(settings, { ...secret, env: withKoffiHooks({ isAbsent: true }) });
    const text = await refusedStart(spawn(settings, { ...REBOOT, ...secret }));
    expect(text).toContain('does not let user pgbouncer in: it asks for a password');
    const client = await RawClient.login(socketTarget(), { ...console, password: 'secret' });
    await client.close();
    expect(pidInFile()).toBe(old.pid);
  });

  it('where the pidfile cannot be written', async () => {
    const old = await start(UNIX_ONLY);
    const elsewhere = path.join(directory, 'nowhere', 'pid');
    expect(await refusedStart(spawn({ ...UNIX_ONLY, pidfile: elsewhere }, REBOOT))).toContain(
      `could not open pidfile '${elsewhere}'`,
    );
    await expectUntouched(old);
  });

  it('where the old process does not let its owner in', async () => {
    const old = await start(UNIX_ONLY, { env: withKoffiHooks({ isAbsent: true }) });
    expect(await refusedStart(spawn(UNIX_ONLY, REBOOT))).toContain(
      'does not let user pgbouncer in: not allowed',
    );
    await expectUntouched(old);
  });

  it('with sockets of a service manager', () => {
    const file = path.join(directory, 'pooler.ini');
    fs.writeFileSync(file, `[pgbouncer]\nunix_socket_dir = ${directory}\n`);
    const script = 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"';
    const args = ['-c', script, process.execPath, CLI_FILE, '-R', file];
    const { status, stderr } = spawnSync('sh', args, { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringContaining('FATAL cannot reboot under service manager') as string,
    });
  });
});

describe('-R and another pooler', () => {
  /** Speaks as the console of another pooler would. */
  async function serveConsole(answer: (sql: string) => Buffer[]): Promise<net.Server> {
    const server = net.createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => {
        socket.write(Buffer.concat([backend.authentication(0), backend.readyForQuery('I')]));
        socket.on('data', (chunk) => {
          if (chunk[0] === 'Q'.charCodeAt(0)) {
            const sql = chunk.toString('utf8', 5, chunk.length - 1);
            socket.write(Buffer.concat([...answer(sql), backend.readyForQuery('I')]));
          }
        });
      });
    });
    await new Promise<void>((resolve) => server.listen(socketFile(), resolve));
    return server;
  }

  const refusal = (message: string): Buffer =>
    backend.errorResponse({ S: 'ERROR', C: '42601', M: message });

  it('warns when it cannot shut down this way, and serves', async () => {
    const server = await serveConsole((sql) =>
      sql === 'SHOW VERSION'
        ? [backend.dataRow(['PgBouncer 1.18.0']), backend.commandComplete('SHOW')]
        : [refusal('invalid command')],
    );
    const next = await start(UNIX_ONLY, REBOOT);
    expect(await next.waitForEvent('takeover_incomplete')).toMatchObject({
      error: 'invalid command',
    });
    await expectServedBy(next);
    // As PgBouncer does at its end: files are removed by their names.
    fs.rmSync(socketFile());
    fs.rmSync(pidfile);
    const isBack = (): boolean => fs.existsSync(pidfile) && fs.existsSync(socketFile());
    await waitFor('the files to be back', isBack);
    await expectServedBy(next);
    expect(pidInFile()).toBe(next.pid);
    server.close();
    next.signal('SIGQUIT');
    expect((await next.exited).code).toBe(0);
    expect(fs.readdirSync(directory)).toEqual([]);
  });

  it('leaves what is no pooler alone', async () => {
    const server = await serveConsole(() => [
      refusal('unrecognized configuration parameter "version"'),
    ]);
    expect(await refusedStart(spawn(UNIX_ONLY, REBOOT))).toContain(
      'unrecognized configuration parameter "version"',
    );
    expect(fs.readdirSync(directory)).toEqual([`.s.PGSQL.${String(port)}`]);
    server.close();
  });
});
