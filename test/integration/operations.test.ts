import { spawnSync } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import * as frontend from '../support/frontend-messages.ts';
import { PoolerFixture, usePooler } from '../support/pooler-fixture.ts';
import type { LogLine, PoolerOptions } from '../support/pooler-fixture.ts';
import { RawClient } from '../support/raw-client.ts';
import { lastWords, refusalOf } from '../support/refusal.ts';
import { withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor, withDeadline } from '../support/wait-for.ts';

const postgres = sharedPostgres();
const target = { host: postgres.host, port: postgres.port, dbname: postgres.database };
const CLI_FILE = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** Runs the command to its end. */
function run(...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI_FILE, ...args], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  return { code: status, stdout, stderr };
}

/** A pooler that a test ends by itself. */
async function withProcess(
  options: Partial<PoolerOptions>,
  body: (pooler: PoolerFixture) => Promise<void>,
): Promise<void> {
  const config = { maitred: { pool_mode: 'transaction' }, databases: { app: target } };
  await usePooler({ config, ...options }, body);
}

function login(pooler: PoolerFixture): Promise<RawClient> {
  return pooler.login({ user: 'postgres', database: 'app' });
}

async function expectExit(pooler: PoolerFixture, code = 0): Promise<void> {
  const end = await withDeadline('the end of the process', pooler.exited);
  expect(end).toEqual({ code, signal: null });
}

/** Waits until nobody listens on the TCP port any more. */
async function waitUntilClosed(pooler: PoolerFixture): Promise<void> {
  await waitFor('the port to be closed', async () => {
    try {
      (await RawClient.connect(pooler.target)).destroy();
      return false;
    } catch {
      return true;
    }
  });
}

describe('SIGTERM', () => {
  it('takes no new clients, lets the others go on, and ends when they have left', async () => {
    await withProcess({}, async (pooler) => {
      const client = await login(pooler);
      const other = await login(pooler);
      await client.query('SELECT 1');
      pooler.signal('SIGTERM');
      await waitUntilClosed(pooler);
      await client.query('BEGIN');
      await client.query('COMMIT');
      await client.close();
      expect((await other.simpleQuery('SELECT 1')).errors).toEqual([]);
      const late = RawClient.login(pooler.socketTarget, { user: 'postgres', database: 'app' });
      expect(await refusalOf(late)).toBe('FATAL 57P01: pooler is shutting down');
      await other.close();
      await expectExit(pooler);
    });
  });

  it('leaves the console open by the unix socket', async () => {
    await withProcess({}, async (pooler) => {
      const client = await login(pooler);
      pooler.signal('SIGTERM');
      await waitUntilClosed(pooler);
      const console = await RawClient.login(pooler.socketTarget, {
        user: 'postgres',
        database: 'pgbouncer',
      });
      expect((await console.simpleQuery('RESUME')).errors[0]?.text).toBe('pooler is shutting down');
      await console.close();
      await client.close();
      await expectExit(pooler);
    });
  });

  it('twice ends the process at once, clients or not', async () => {
    await withProcess({}, async (pooler) => {
      const client = await login(pooler);
      pooler.signal('SIGTERM');
      await pooler.waitForEvent('shutdown_started');
      pooler.signal('SIGTERM');
      expect((await client.readToEnd()).length).toBe(0);
      await expectExit(pooler);
    });
  });
});

describe('SIGINT', () => {
  it('waits for transactions, and ends with idle clients still in', async () => {
    await withProcess({}, async (pooler) => {
      const busy = await login(pooler);
      const idle = await login(pooler);
      const queued = await login(pooler);
      await busy.query('BEGIN');
      pooler.signal('SIGINT');
      await pooler.waitForEvent('shutdown_started');
      queued.send(frontend.query('SELECT 1'));
      expect(await lastWords(queued)).toBe('FATAL 57P01: server shutting down');
      expect((await busy.simpleQuery('SELECT 1')).status).toBe('T');
      busy.send(frontend.query('COMMIT'));
      expect((await busy.readOutcome()).status).toBe('I');
      await idle.readToEnd();
      await expectExit(pooler);
    });
  });
});

describe('a second signal', () => {
  it.each([
    ['SIGTERM', 'SIGINT'],
    ['SIGINT', 'SIGTERM'],
    ['SIGINT', 'SIGINT'],
  ] as const)('%s and %s end the process at once, in a transaction or not', async (first, next) => {
    await withProcess({}, async (pooler) => {
      const client = await login(pooler);
      await client.query('BEGIN');
      pooler.signal(first);
      await pooler.waitForEvent('shutdown_started');
      pooler.signal(next);
      expect((await client.readToEnd()).length).toBe(0);
      await expectExit(pooler);
      const said = pooler.logs.map(({ msg }) => msg);
      expect(said).toContain(`got ${next} while shutting down, fast exit`);
    });
  });

  it('SIGUSR2 is ignored during a shutdown, and so is RESUME', async () => {
    await withProcess({}, async (pooler) => {
      const client = await login(pooler);
      await client.query('BEGIN');
      pooler.signal('SIGINT');
      await pooler.waitForEvent('shutdown_started');
      pooler.signal('SIGUSR2');
      const text = 'got SIGUSR2 while shutting down, ignoring';
      await pooler.waitForLog(text, ({ msg }) => msg === text);
      expect((await client.simpleQuery('COMMIT')).errors).toEqual([]);
      await expectExit(pooler);
    });
  });
});

describe('SIGQUIT', () => {
  it('ends the process at once, without a word to clients', async () => {
    await withProcess({}, async (pooler) => {
      const client = await login(pooler);
      await client.query('BEGIN');
      pooler.signal('SIGQUIT');
      expect((await client.readToEnd()).length).toBe(0);
      await expectExit(pooler);
      expect(existsSync(path.join(pooler.socketDir, `.s.PGSQL.${String(pooler.port)}`))).toBe(
        false,
      );
    });
  });
});

describe('SIGHUP', () => {
  it('reads the configuration again', async () => {
    await withPooler(postgres, {}, async (scene) => {
      scene.pooler.rewriteConfig({
        maitred: { pool_mode: 'transaction' },
        databases: { app: target, second: target },
      });
      scene.pooler.signal('SIGHUP');
      await scene.pooler.waitForEvent('config_reloaded');
      await scene.login({ database: 'second' });
    });
  });

  it('keeps the old one when the new one has an error', async () => {
    await withPooler(postgres, {}, async (scene) => {
      scene.pooler.rewriteConfig('maitred: {no_such_key: 1}\n');
      scene.pooler.signal('SIGHUP');
      await scene.pooler.waitForEvent('config_reload_failed');
      const client = await scene.login();
      expect((await client.simpleQuery('SELECT 1')).errors).toEqual([]);
    });
  });
});

describe('SIGUSR1 and SIGUSR2', () => {
  it('pause and resume', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      await client.query('SELECT 1');
      scene.pooler.signal('SIGUSR1');
      await scene.waitForPool({ sv_idle: 0 });
      client.send(frontend.query('SELECT 2'));
      await scene.waitForPool({ cl_waiting: 1 });
      // A second one does nothing. Signals sent together may arrive in any order.
      scene.pooler.signal('SIGUSR1');
      await waitFor('the second signal', () => {
        const isPause = ({ signal }: LogLine): boolean => signal === 'SIGUSR1';
        return scene.pooler.logs.filter(isPause).length === 2;
      });
      scene.pooler.signal('SIGUSR2');
      expect((await client.readOutcome()).results[0]?.rows).toEqual([['2']]);
      scene.pooler.signal('SIGUSR2');
      expect((await client.simpleQuery('SELECT 3')).errors).toEqual([]);
    });
  });
});

describe('SHUTDOWN on the console', () => {
  const shutDown = async (pooler: PoolerFixture, sql: string): Promise<RawClient> => {
    const console = await pooler.login({ user: 'postgres', database: 'pgbouncer' });
    console.send(frontend.query(sql));
    return console;
  };

  it('closes everything at once', async () => {
    await withProcess({}, async (pooler) => {
      const client = await login(pooler);
      await client.query('BEGIN');
      const console = await shutDown(pooler, 'SHUTDOWN');
      expect((await console.readToEnd()).length).toBe(0);
      expect((await client.readToEnd()).length).toBe(0);
      await expectExit(pooler);
    });
  });

  it('WAIT_FOR_SERVERS answers, and ends the process after the last transaction', async () => {
    await withProcess({}, async (pooler) => {
      const client = await login(pooler);
      await client.query('BEGIN');
      const console = await shutDown(pooler, 'SHUTDOWN WAIT_FOR_SERVERS');
      expect((await console.readOutcome()).results[0]?.tag).toBe('SHUTDOWN');
      await waitUntilClosed(pooler);
      expect((await client.simpleQuery('SELECT 1')).status).toBe('T');
      await client.query('COMMIT');
      await expectExit(pooler);
    });
  });

  it('WAIT_FOR_CLIENTS ends it when all have left, and may be cut short', async () => {
    await withProcess({}, async (pooler) => {
      const client = await login(pooler);
      await client.query('BEGIN');
      const console = await shutDown(pooler, 'SHUTDOWN WAIT_FOR_CLIENTS');
      expect((await console.readOutcome()).results[0]?.tag).toBe('SHUTDOWN');
      console.send(frontend.query('SHUTDOWN WAIT_FOR_SERVERS'));
      expect((await console.readOutcome()).results[0]?.tag).toBe('SHUTDOWN');
      await client.query('COMMIT');
      await expectExit(pooler);
    });
  });
});

describe('a configuration with errors', () => {
  it.each([
    [
      'a value',
      'maitred:\n  listen_port: 6432\n  pool_mode: swimming\n',
      [':3:', 'swimming', 'pool_mode', 'session', 'transaction', 'statement'],
    ],
    ['a number', 'maitred:\n  max_client_conn: many\n', [':2:', 'many', 'max_client_conn']],
    ['a name', 'maitred:\n  pool_mod: session\n', [':2:3', 'pool_mod', 'did you mean pool_mode']],
    ['the syntax', 'maitred: {\n', [':']],
    [
      'a database',
      'maitred: {}\ndatabases:\n  app: {host: x, port: 99999999}\n',
      [':3:', '99999999', 'databases.app.port'],
    ],
  ])('in %s ends the process with code 1 and says where', async (_what, config, words) => {
    const pooler = PoolerFixture.spawn({ config });
    try {
      expect((await withDeadline('the end', pooler.exited)).code).toBe(1);
      const text = pooler.logs.map((line) => line.raw ?? '').join('\n');
      expect(text).toContain(pooler.configFile);
      for (const word of words) {
        expect(text).toContain(word);
      }
      expect(text).not.toMatch(/^\s+at /m);
    } finally {
      await pooler.kill();
    }
  });

  it('names all of them, and repeats no password', () => {
    const file = path.join(os.tmpdir(), `maitred-bad-${String(process.pid)}.yaml`);
    writeFileSync(
      file,
      'maitred:\n  max_client_conn: -1\n  pool_mode: x\ndatabases:\n  app: {port: y, password: [s3cret]}\n',
    );
    const { code, stderr } = run(file);
    rmSync(file);
    expect(code).toBe(1);
    for (const word of ['max_client_conn', 'pool_mode', 'databases.app.port']) {
      expect(stderr).toContain(word);
    }
    expect(stderr).not.toContain('s3cret');
  });
});

describe('the command line', () => {
  it('--version and --help answer and succeed', () => {
    expect(run('--version')).toMatchObject({ code: 0, stderr: '' });
    expect(run('-V').stdout).toMatch(/^maitred \d+\.\d+\.\d+\n/);
    expect(run('--help').stdout).toMatch(/^maitred is .*\n\nUsage:\n/);
    expect(run('-h').code).toBe(0);
  });

  it.each([
    [[], 'no configuration file specified'],
    [['one.yaml', 'two.yaml'], 'no configuration file specified'],
    [['--nonsense', 'one.yaml'], '--nonsense'],
    [['/nowhere/at/all.yaml'], '/nowhere/at/all.yaml'],
  ])('%j fails with code 1', (args, text) => {
    const { code, stdout, stderr } = run(...args);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain(text);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  it('-q keeps the log silent', async () => {
    const pooler = PoolerFixture.spawn({
      args: ['-q'],
      config: (directory) => ({ maitred: { pidfile: path.join(directory, 'pid') } }),
    });
    try {
      await waitFor('the pidfile', () => existsSync(path.join(pooler.directory, 'pid')));
      pooler.signal('SIGTERM');
      await expectExit(pooler);
      expect(pooler.logs).toEqual([]);
    } finally {
      await pooler.kill();
    }
  });
});

describe('the pidfile', () => {
  const config = (directory: string): Exclude<PoolerOptions['config'], (d: string) => unknown> => ({
    maitred: { pidfile: path.join(directory, 'pid') },
  });
  const pidfile = (pooler: PoolerFixture): string => path.join(pooler.directory, 'pid');

  it('holds the process id, and is gone afterwards', async () => {
    await withProcess({ config }, async (pooler) => {
      await waitFor('the pidfile', () => existsSync(pidfile(pooler)));
      expect(readFileSync(pidfile(pooler), 'utf8')).toBe(`${String(pooler.pid)}\n`);
      pooler.signal('SIGTERM');
      await expectExit(pooler);
      expect(existsSync(pidfile(pooler))).toBe(false);
    });
  });

  it.each([
    ['of a process that runs', `${String(process.pid)}\n`],
    ['with something else in it', 'precious\n'],
  ])('%s is not overwritten', async (_what, content) => {
    const pooler = PoolerFixture.spawn({ config, files: { pid: content } });
    try {
      await expectExit(pooler, 1);
      expect(pooler.logs.map((line) => line.raw ?? '').join('\n')).toContain(
        'exists, another instance running?',
      );
      expect(readFileSync(pidfile(pooler), 'utf8')).toBe(content);
    } finally {
      await pooler.kill();
    }
  });

  it('of a process that is gone is replaced', async () => {
    const gone = spawnSync(process.execPath, ['-e', '']).pid;
    await withProcess({ config, files: { pid: `${String(gone)}\n` } }, async (pooler) => {
      await waitFor('the new pidfile', () =>
        readFileSync(pidfile(pooler), 'utf8').includes(String(pooler.pid)),
      );
    });
  });
});

describe('listening', () => {
  it('on a port in use fails with code 1', async () => {
    await withProcess({}, async (pooler) => {
      const second = PoolerFixture.spawn({
        config: { maitred: { listen_port: pooler.port, unix_socket_dir: '' } },
      });
      try {
        await expectExit(second, 1);
        expect(second.logs.map((line) => line.raw ?? '').join('\n')).toContain(
          'failed to listen on any address in listen_addr list: 127.0.0.1',
        );
      } finally {
        await second.kill();
      }
    });
  });

  it('with nowhere to listen fails with code 1', async () => {
    const pooler = PoolerFixture.spawn({
      config: { maitred: { listen_addr: '', unix_socket_dir: '' } },
    });
    try {
      await expectExit(pooler, 1);
      expect(pooler.logs.map((line) => line.raw ?? '').join('\n')).toContain(
        'nowhere to listen on',
      );
    } finally {
      await pooler.kill();
    }
  });

  it('on a name opens its addresses, and tells them', async () => {
    const maitred = { listen_addr: 'localhost', unix_socket_dir: '' };
    await withProcess({ config: { maitred, databases: { app: target } } }, async (pooler) => {
      const lines = pooler.logs.filter(({ event }) => event === 'listening');
      const expected = await lookup('localhost', { all: true });
      expect(lines.map((line) => line['address'])).toEqual(
        [...new Set(expected.map(({ address }) => address))].filter((address) =>
          lines.some((line) => line['address'] === address),
        ),
      );
      const client = await login(pooler);
      await client.close();
    });
  });

  it('goes on with the addresses that work', async () => {
    const maitred = { listen_addr: '192.0.2.1, 127.0.0.1', pool_mode: 'transaction' };
    await withProcess({ config: { maitred, databases: { app: target } } }, async (pooler) => {
      expect(await pooler.waitForEvent('listen_failed')).toMatchObject({ address: '192.0.2.1' });
      const client = await login(pooler);
      await client.close();
    });
  });
});

/** Logs in by a target and asks the server something. */
async function askThrough(scene: Scene, address: Parameters<typeof RawClient.login>[0]) {
  const client = await RawClient.login(address, { user: postgres.user, database: 'app' });
  const rows = await client.query('SELECT 1 AS one');
  await client.close();
  return [rows, await scene.pooler.console('SHOW SERVERS')] as const;
}

describe('addresses', () => {
  it('unix sockets serve on both sides', async () => {
    const settings = { unix_socket_mode: '0700' };
    await withPooler(
      postgres,
      { settings, database: { host: postgres.socketDir } },
      async (scene) => {
        const [rows, servers] = await askThrough(scene, scene.pooler.socketTarget);
        expect(rows).toEqual([{ one: '1' }]);
        expect(servers[0]?.['addr']).toBe('unix');
        const { port, socketDir } = scene.pooler;
        const socketFile = path.join(socketDir, `.s.PGSQL.${String(port)}`);
        expect((statSync(socketFile).mode & 0o777).toString(8)).toBe('700');
      },
    );
  });

  it('a socket file that nobody listens on is replaced', async () => {
    await withProcess({}, async (pooler) => {
      const { port, socketDir } = pooler;
      const socketFile = path.join(socketDir, `.s.PGSQL.${String(port)}`);
      pooler.signal('SIGKILL');
      await pooler.exited;
      expect(existsSync(socketFile)).toBe(true);
      const maitred = { listen_port: port, unix_socket_dir: socketDir };
      await withProcess({ config: { maitred, databases: { app: target } } }, async (second) => {
        const client = await RawClient.login(
          { socketDir, port },
          { user: 'postgres', database: 'app' },
        );
        await client.close();
        expect(second.port).toBe(port);
      });
    });
  });

  const hasIpv6 = Object.values(os.networkInterfaces()).some((list) =>
    list?.some(({ address }) => address === '::1'),
  );

  /** Lets the server be reached by IPv6. */
  async function bridgeFromIpv6(): Promise<net.Server> {
    const bridge = net.createServer((near) => {
      const far = net.connect(postgres.port, postgres.host);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        from.pipe(to);
        from.on('error', () => to.destroy());
      }
    });
    await new Promise<void>((resolve) => bridge.listen(0, '::1', resolve));
    return bridge;
  }

  it.skipIf(!hasIpv6)('IPv6 serves on both sides', async () => {
    const bridge = await bridgeFromIpv6();
    const { port } = bridge.address() as net.AddressInfo;
    const options = {
      settings: { listen_addr: '127.0.0.1, ::1', application_name_add_host: 1 },
      database: { host: '::1', port },
    };
    await withPooler(postgres, options, async (scene) => {
      const address = { host: '::1', port: scene.pooler.port };
      const client = await RawClient.login(address, { user: postgres.user, database: 'app' });
      expect(await client.query('SHOW application_name')).toEqual([
        { application_name: `app - [::1]:${String(client.socket.localPort)}` },
      ]);
      const clients = await scene.pooler.console('SHOW CLIENTS');
      expect(clients.map((row) => row['addr'])).toContain('::1');
      const [server] = await scene.pooler.console('SHOW SERVERS');
      expect([server?.['addr'], server?.['port']]).toEqual(['::1', String(port)]);
      await client.close();
    });
    bridge.close();
  });
});

describe('the database *', () => {
  const { host, port } = target;
  const config = {
    maitred: { pool_mode: 'transaction' },
    databases: { app: target, '*': { host, port } },
  };
  const nameOf = async (client: RawClient): Promise<unknown> => {
    const rows = await client.query('SELECT current_database() AS name');
    await client.close();
    return rows[0]?.['name'];
  };

  it('stands for every name that is not listed', async () => {
    await postgres.createDatabase('any_name');
    await withProcess({ config }, async (pooler) => {
      const user = 'postgres';
      expect(await nameOf(await pooler.login({ user, database: 'any_name' }))).toBe('any_name');
      expect(await nameOf(await login(pooler))).toBe(postgres.database);
      expect(await refusalOf(pooler.login({ user, database: 'absent_name' }))).toBe(
        'FATAL 3D000: database "absent_name" does not exist',
      );
      const rows = await pooler.console('SHOW DATABASES');
      expect(rows.map((row) => row['name'])).toContain('any_name');
    });
  });

  it('is needed for that', async () => {
    await withPooler(postgres, {}, async (scene) => {
      expect(await refusalOf(scene.login({ database: 'any_name' }))).toBe(
        'FATAL 3D000: no such database: any_name',
      );
    });
  });

  it('survives names of nearly 10,000 bytes', async () => {
    await withProcess({ config }, async (pooler) => {
      const client = await RawClient.connect(pooler.target);
      client.startup({ user: 'postgres', database: 'x'.repeat(9_900) });
      expect(await lastWords(client)).toMatch(/^FATAL 3D000: /);
      expect(await nameOf(await login(pooler))).toBe(postgres.database);
    });
  });
});
