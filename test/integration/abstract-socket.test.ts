import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { withKoffiHooks } from '../support/koffi-hooks.ts';
import { PoolerFixture, startPooler } from '../support/pooler-fixture.ts';
import type { PoolerOptions } from '../support/pooler-fixture.ts';
import { refusedStart } from '../support/refusal.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

const isLinux = process.platform === 'linux';
const psqlVersion = spawnSync('psql', ['--version'], { encoding: 'utf8' });
const hasPsql = psqlVersion.status === 0;

/** A pooler in front of PostgreSQL that listens on an abstract name. */
function behind(name: string, more: Partial<PoolerOptions> = {}): PoolerOptions {
  const { host, port, address } = sharedPostgres();
  const { user, password, database } = address;
  return {
    config: {
      maitred: { unix_socket_dir: `@${name}`, listen_backlog: 64 },
      databases: { app: { host, port, dbname: database, user, password: password ?? '' } },
    },
    ...more,
  };
}

function newName(): string {
  return `maitred-test-${randomBytes(6).toString('hex')}`;
}

describe.runIf(isLinux)('abstract unix sockets', () => {
  it('lead from one pooler to another: unix_socket_dir = @name, host = @name', async () => {
    const name = newName();
    const inner = await startPooler(behind(name));
    const outer = await startPooler({
      config: {
        databases: { app: { host: `@${name}`, port: inner.port, dbname: 'app', user: 'postgres' } },
      },
    });
    try {
      const client = await outer.login({ user: 'postgres', database: 'app' });
      expect(await client.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
      const rows = await client.query("SELECT repeat('x', 200000) AS much");
      expect(rows[0]?.['much']).toHaveLength(200_000);
      const clients = await inner.console('SHOW CLIENTS');
      const [own] = clients.filter(({ database }) => database === 'app');
      expect(own).toMatchObject({ addr: 'unix', remote_pid: String(outer.pid) });
      const [server] = await outer.console('SHOW SERVERS');
      expect(server).toMatchObject({ addr: 'unix' });
      await client.close();
      await outer.stop();
      await inner.stop();
    } finally {
      await outer.kill();
      await inner.kill();
    }
  });

  it.runIf(hasPsql)('are found by libpq (needs psql)', async () => {
    const name = newName();
    const pooler = await startPooler(behind(name));
    try {
      const port = String(pooler.port);
      const result = spawnSync(
        'psql',
        [
          '-X',
          '-At',
          '-h',
          `@${name}`,
          '-p',
          port,
          '-U',
          'postgres',
          '-d',
          'app',
          '-c',
          'SELECT 7',
        ],
        { encoding: 'utf8' },
      );
      expect(result).toMatchObject({ status: 0, stdout: '7\n' });
      await pooler.stop();
    } finally {
      await pooler.kill();
    }
  });

  it('that somebody listens on are not taken over', async () => {
    const name = newName();
    const first = await startPooler(behind(name));
    try {
      const config = {
        maitred: { unix_socket_dir: `@${name}`, listen_addr: '', listen_port: first.port },
      };
      const second = PoolerFixture.spawn({ config });
      expect(await refusedStart(second)).toContain('unix socket is in use, cannot continue');
      await first.stop();
    } finally {
      await first.kill();
    }
  });

  it('that nobody listens on are a server that cannot be reached', async () => {
    const pooler = await startPooler({
      config: {
        maitred: { client_login_timeout: 1 },
        databases: { app: { host: `@${newName()}`, port: 5432 } },
      },
    });
    try {
      await expect(pooler.login({ user: 'postgres', database: 'app' })).rejects.toThrow();
      const line = await pooler.waitForEvent('server_connect_failed');
      expect(line['error']).toContain('ECONNREFUSED');
      await pooler.stop();
    } finally {
      await pooler.kill();
    }
  });

  it('without koffi either have the exact name or are refused with what they need', async () => {
    const env = withKoffiHooks({ isAbsent: true });
    const name = newName();
    const pooler = PoolerFixture.spawn(behind(name, { env }));
    const isUp = await Promise.race([
      pooler.waitUntilUp().then(
        () => true,
        () => false,
      ),
      pooler.exited.then(() => false),
    ]);
    if (isUp) {
      const socket = `@${name}/.s.PGSQL.${String(pooler.port)}`;
      expect(readFileSync('/proc/net/unix', 'utf8').split(/\s/)).toContain(socket);
      await pooler.kill();
      return;
    }
    expect(await refusedStart(pooler)).toContain('a newer Node.js, or the optional package koffi');
  });
});
