import { describe, expect, it } from 'vitest';
import { readForeignOptions, SocketOption } from '../support/foreign-socket.ts';
import { withKoffiHooks } from '../support/koffi-hooks.ts';
import { PoolerFixture, usePooler } from '../support/pooler-fixture.ts';
import type { PoolerOptions } from '../support/pooler-fixture.ts';
import { RawClient } from '../support/raw-client.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { withDeadline } from '../support/wait-for.ts';

const ALL = Object.keys(SocketOption) as (keyof typeof SocketOption)[];
type Options = Record<keyof typeof SocketOption, number>;

const isLinux = process.platform === 'linux';

async function withProcess(
  options: Partial<PoolerOptions> & { readonly settings?: Readonly<Record<string, unknown>> },
  body: (pooler: PoolerFixture) => Promise<void>,
): Promise<void> {
  const { host, port, address } = sharedPostgres();
  const { settings = {}, ...rest } = options;
  await usePooler(
    {
      config: {
        maitred: { pool_mode: 'transaction', ...settings },
        databases: { app: { host, port, dbname: address.database } },
      },
      users: { postgres: '', [address.user]: address.password ?? '' },
      ...rest,
    },
    body,
  );
}

function login(pooler: PoolerFixture): Promise<RawClient> {
  const { user } = sharedPostgres().address;
  return pooler.login({ user, database: 'app' });
}

/** The options of the pooler's end of a client's connection. */
function clientOptions(pooler: PoolerFixture, client: RawClient): Options {
  const ports = { local: pooler.port, remote: client.socket.localPort ?? 0 };
  return readForeignOptions(pooler.pid, ports, ALL);
}

/** The options of the pooler's end of its one connection to a server. */
async function serverOptions(pooler: PoolerFixture): Promise<Options> {
  const [server] = await pooler.console('SHOW SERVERS');
  const ports = { local: Number(server?.['local_port']), remote: Number(server?.['port']) };
  return readForeignOptions(pooler.pid, ports, ALL);
}

function deferAccept(pooler: PoolerFixture): number {
  const ports = { local: pooler.port, remote: 0 };
  return readForeignOptions(pooler.pid, ports, ['TCP_DEFER_ACCEPT']).TCP_DEFER_ACCEPT;
}

describe.runIf(isLinux)('socket options', () => {
  it('are those of the settings, for clients and for servers', async () => {
    const settings = {
      tcp_keepidle: 41,
      tcp_keepintvl: 7,
      tcp_keepcnt: 3,
      tcp_user_timeout: 4321,
      tcp_socket_buffer: 50_000,
    };
    await withProcess({ settings }, async (pooler) => {
      const client = await login(pooler);
      await client.query('SELECT 1');
      const expected = {
        SO_KEEPALIVE: 1,
        TCP_KEEPIDLE: 41,
        TCP_KEEPINTVL: 7,
        TCP_KEEPCNT: 3,
        TCP_USER_TIMEOUT: 4321,
        // Linux doubles what it is given, for its own accounts.
        SO_SNDBUF: 100_000,
        SO_RCVBUF: 100_000,
      };
      expect(clientOptions(pooler, client)).toMatchObject(expected);
      expect(await serverOptions(pooler)).toMatchObject(expected);
      await client.close();
      await pooler.stop();
    });
  });

  it('are left to the system at 0, also those that Node.js would set beside tcp_keepidle', async () => {
    await withProcess({ settings: { tcp_keepidle: 41 } }, async (pooler) => {
      const client = await login(pooler);
      await client.query('SELECT 1');
      const found = clientOptions(pooler, client);
      expect(found).toMatchObject({ SO_KEEPALIVE: 1, TCP_KEEPIDLE: 41, TCP_USER_TIMEOUT: 0 });
      expect(found.TCP_KEEPINTVL).toBeGreaterThan(1);
      expect(await serverOptions(pooler)).toMatchObject({
        TCP_KEEPINTVL: found.TCP_KEEPINTVL,
        TCP_KEEPCNT: found.TCP_KEEPCNT,
      });
      await client.close();
    });
  });

  it('of keepalive do not count while tcp_keepalive is off', async () => {
    const settings = { tcp_keepalive: 'off', tcp_keepcnt: 3, tcp_user_timeout: 77 };
    await withProcess({ settings }, async (pooler) => {
      const client = await login(pooler);
      const found = clientOptions(pooler, client);
      expect(found).toMatchObject({ SO_KEEPALIVE: 0, TCP_USER_TIMEOUT: 77 });
      expect(found.TCP_KEEPCNT).not.toBe(3);
      await client.close();
    });
  });

  it('change for connections that come after SET', async () => {
    await withProcess({}, async (pooler) => {
      const before = await login(pooler);
      await pooler.console("SET tcp_user_timeout = '555'");
      await pooler.console("SET tcp_keepalive = '0'");
      const after = await login(pooler);
      expect(clientOptions(pooler, before)).toMatchObject({ TCP_USER_TIMEOUT: 0, SO_KEEPALIVE: 1 });
      expect(clientOptions(pooler, after)).toMatchObject({
        TCP_USER_TIMEOUT: 555,
        SO_KEEPALIVE: 0,
      });
      await before.close();
      await after.close();
    });
  });
});

describe.runIf(isLinux)('tcp_defer_accept', () => {
  it('is on by default, and SET and RELOAD re-tune the open listener', async () => {
    await withProcess({}, async (pooler) => {
      expect(deferAccept(pooler)).toBe(1);
      await pooler.console("SET tcp_defer_accept = '0'");
      expect(deferAccept(pooler)).toBe(0);
      await pooler.console('RELOAD');
      expect(deferAccept(pooler)).toBe(1);
      await pooler.stop();
    });
  });

  it('leaves a connection alone until it speaks, and lets in one that speaks late', async () => {
    await withProcess({ args: ['-v'] }, async (pooler) => {
      const client = await login(pooler);
      expect(await client.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
      await client.close();
      const silent = await RawClient.connect(pooler.target);
      await pooler.waitForLog(
        'the silent connection',
        (line) => line.event === 'client_connected' && line['port'] === silent.socket.localPort,
      );
      silent.destroy();
    });
  });

  it('is off in the file: the listener takes connections at once', async () => {
    await withProcess({ settings: { tcp_defer_accept: 0 } }, async (pooler) => {
      expect(deferAccept(pooler)).toBe(0);
      await pooler.stop();
    });
  });
});

describe('without koffi', () => {
  const env = withKoffiHooks({ isAbsent: true });

  it.each([
    ['tcp_keepcnt', 3],
    ['tcp_keepintvl', 5],
    ['tcp_user_timeout', 1000],
    ['tcp_socket_buffer', 4096],
    ['tcp_defer_accept', 1],
    ['syslog', 1],
    ['auth_type', 'peer'],
    ['auth_type', 'pam'],
  ])('the start is refused by name and reason: %s = %s', async (name, value) => {
    const pooler = PoolerFixture.spawn({ env, config: { maitred: { [name]: value } } });
    try {
      const end = await withDeadline('the end of the process', pooler.exited);
      expect(end).toEqual({ code: 1, signal: null });
      const text = pooler.logs.map((line) => line.raw ?? '').join('\n');
      expect(text).toContain(`for parameter ${name}: it needs the optional package koffi`);
      expect(text).toContain("Cannot find module 'koffi'");
    } finally {
      await pooler.kill();
    }
  });

  it('everything else works, and SET refuses what does not', async () => {
    await withProcess({ env, settings: { tcp_keepidle: 41 } }, async (pooler) => {
      const client = await login(pooler);
      expect(await client.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
      if (isLinux) {
        expect(deferAccept(pooler)).toBe(0);
        expect(clientOptions(pooler, client)).toMatchObject({ SO_KEEPALIVE: 1, TCP_KEEPIDLE: 41 });
        expect(await serverOptions(pooler)).toMatchObject({ SO_KEEPALIVE: 1, TCP_KEEPIDLE: 41 });
      }
      await client.close();
      await expect(pooler.console("SET tcp_user_timeout = '1'")).rejects.toThrow(/koffi/);
      const rows = await pooler.console('SHOW CONFIG');
      expect(rows.find(({ key }) => key === 'tcp_defer_accept')).toMatchObject({ value: '0' });
      await pooler.stop();
    });
  });
});
