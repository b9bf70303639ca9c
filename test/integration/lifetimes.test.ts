import { describe, expect, it } from 'vitest';
import * as frontend from '../support/frontend-messages.ts';
import { startPooler } from '../support/pooler-fixture.ts';
import type { RawClient } from '../support/raw-client.ts';
import { lastWords, refusalOf } from '../support/refusal.ts';
import { withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor, withDeadline } from '../support/wait-for.ts';

const postgres = sharedPostgres();
const target = { host: postgres.host, port: postgres.port, dbname: postgres.database };

function openConsole(scene: Scene): Promise<RawClient> {
  return scene.login({ user: 'postgres', database: 'pgbouncer' });
}

/** Names of a column of SHOW. */
async function namesOf(scene: Scene, topic: string, column: string): Promise<unknown[]> {
  const rows = await scene.pooler.console(`SHOW ${topic}`);
  return rows.map((row) => row[column]);
}

describe('disable_pqexec', () => {
  const REFUSED = 'FATAL 0A000: PQexec disallowed';

  it.each(['session', 'transaction'])('refuses simple queries in %s mode', async (pool_mode) => {
    const settings = { disable_pqexec: 1, pool_mode };
    const pooler = await startPooler({ config: { maitred: settings, databases: { app: target } } });
    try {
      const login = (database = 'app') => pooler.login({ user: 'postgres', database });
      const idle = await login();
      idle.send(frontend.query('SELECT 1'));
      expect(await lastWords(idle)).toBe(REFUSED);
      const extended = await login();
      expect((await extended.extendedQuery('SELECT 1')).errors).toEqual([]);
      // Also when it comes behind other requests, and when it comes in parts.
      extended.send(frontend.extendedQuery('BEGIN'), frontend.query('SELECT 1'));
      expect(await lastWords(extended)).toBe(REFUSED);
      const split = await login();
      const message = frontend.query('SELECT 1');
      await split.extendedQuery('SELECT 1');
      split.send(message.subarray(0, 3));
      split.send(message.subarray(3));
      expect(await lastWords(split)).toBe(REFUSED);
      const console = await login('pgbouncer');
      expect((await console.extendedQuery('SHOW VERSION')).errors).toEqual([]);
      console.send(frontend.query('SHOW VERSION'));
      expect(await lastWords(console)).toBe(REFUSED);
      pooler.signal('SIGTERM');
      expect((await withDeadline('the end', pooler.exited)).code).toBe(0);
    } finally {
      await pooler.kill();
    }
  });

  it('cannot be set while the pooler runs, and off refuses none', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const console = await openConsole(scene);
      const error = (await console.simpleQuery('SET disable_pqexec = 1')).errors[0];
      expect(error?.text).toContain('disable_pqexec cannot be changed at run time');
      const client = await scene.login();
      expect((await client.simpleQuery('SELECT 1; SELECT 2')).errors).toEqual([]);
    });
  });
});

describe('pool_idle_timeout', () => {
  const settings = { pool_idle_timeout: '500ms', server_idle_timeout: '100ms' };

  it('forgets a pool that nobody uses, with its statistics, and makes it anew', async () => {
    await withPooler(postgres, { settings }, async (scene) => {
      const client = await scene.login();
      await client.query('SELECT 1');
      await client.close();
      const line = await scene.pooler.waitForEvent('pool_closed');
      expect(line).toMatchObject({
        database: 'app',
        user: postgres.user,
        reason: 'pool idle timeout',
        ageSeconds: 0,
      });
      expect(await namesOf(scene, 'POOLS', 'database')).toEqual(['pgbouncer']);
      expect(await namesOf(scene, 'STATS', 'database')).toEqual(['pgbouncer']);
      const again = await scene.login();
      expect((await again.simpleQuery('SELECT 1')).errors).toEqual([]);
      expect(await namesOf(scene, 'POOLS', 'database')).toEqual(['app', 'pgbouncer']);
    });
  });

  it('keeps pools with a client, with a server connection, or with a size to fill', async () => {
    const databases = {
      idle: {},
      client: {},
      filled: { user: postgres.user, min_pool_size: 1 },
      server: {},
    };
    const more = { pool_idle_timeout: '500ms', server_idle_timeout: 0 };
    await withPooler(postgres, { databases, settings: more }, async (scene) => {
      await scene.login({ database: 'client' });
      const console = await openConsole(scene);
      for (const database of ['idle', 'server']) {
        const visitor = await scene.login({ database });
        await visitor.query('SELECT 1');
        await visitor.close();
      }
      const [row] = await console.query("SHOW SERVERS WHERE database = 'idle'");
      await console.query(`KILL_SERVER ${String(row?.['id'])}`);
      await scene.pooler.waitForEvent('pool_closed');
      expect(await namesOf(scene, 'POOLS', 'database')).toEqual([
        'client',
        'filled',
        'pgbouncer',
        'server',
      ]);
    });
  });

  it('0 keeps all', async () => {
    const off = { pool_idle_timeout: 0, server_idle_timeout: '50ms' };
    await withPooler(postgres, { settings: off }, async (scene) => {
      const client = await scene.login();
      await client.query('SELECT 1');
      await client.close();
      await scene.waitForPool({ sv_idle: 0, sv_used: 0, cl_active: 0 });
      expect(await namesOf(scene, 'POOLS', 'database')).toEqual(['app', 'pgbouncer']);
    });
  });
});

describe('autodb_idle_timeout', () => {
  const databases = { '*': {} };

  /** Uses a database made from `*` and leaves no connection behind. */
  async function visit(scene: Scene, database: string): Promise<void> {
    const client = await scene.login({ database });
    await client.query('SELECT 1');
    await client.close();
    await waitFor('no server connection', async () => {
      return (await scene.pooler.console('SHOW SERVERS')).length === 0;
    });
  }

  const settings = { autodb_idle_timeout: '300ms', server_idle_timeout: '50ms' };

  it('forgets a database made from *, but none that is paused', async () => {
    const name = postgres.database;
    await withPooler(postgres, { databases, settings }, async (scene) => {
      await visit(scene, name);
      await waitFor('the database to be forgotten', async () => {
        return !(await namesOf(scene, 'POOLS', 'database')).includes(name);
      });
      await scene.pooler.console('SET autodb_idle_timeout = 3600');
      await visit(scene, name);
      await scene.pooler.console(`PAUSE ${name}`);
      await scene.pooler.console("SET autodb_idle_timeout = '0.05'");
      const other = await scene.login({ database: 'app' });
      await other.query('SELECT 1');
      await other.close();
      expect(await namesOf(scene, 'POOLS', 'database')).toContain(name);
      await scene.pooler.console(`RESUME ${name}`);
      await waitFor('the database to be forgotten', async () => {
        return !(await namesOf(scene, 'POOLS', 'database')).includes(name);
      });
    });
  });

  it('keeps what is in the file', async () => {
    await withPooler(postgres, { databases, settings }, async (scene) => {
      await visit(scene, 'app');
      await visit(scene, postgres.database);
      await waitFor('the other database to be forgotten', async () => {
        return !(await namesOf(scene, 'POOLS', 'database')).includes(postgres.database);
      });
      expect(await namesOf(scene, 'POOLS', 'database')).toEqual(['app', 'pgbouncer']);
    });
  });
});

describe('server_fast_close', () => {
  it('lets session clients go with their retired server, between two transactions', async () => {
    const settings = { server_fast_close: 1, pool_mode: 'session', default_pool_size: 2 };
    await withPooler(postgres, { settings }, async (scene) => {
      const [idle, busy] = await scene.logins(2);
      await idle.query('SELECT 1');
      await busy.query('BEGIN');
      await scene.pooler.console('RECONNECT');
      expect(await lastWords(idle)).toBe('FATAL 57P01: database configuration changed');
      expect((await busy.simpleQuery('COMMIT')).errors).toEqual([]);
      expect(await lastWords(busy)).toBe('FATAL 57P01: database configuration changed');
    });
  });

  it('off, leaves them their server until they go', async () => {
    await withPooler(postgres, { settings: { pool_mode: 'session' } }, async (scene) => {
      const client = await scene.login();
      await client.query('CREATE TEMP TABLE mine ()');
      const console = await openConsole(scene);
      await console.query('RECONNECT');
      await console.query('SHOW SERVERS');
      expect((await client.simpleQuery('TABLE mine')).errors).toEqual([]);
      await client.close();
      await console.query('WAIT_CLOSE');
    });
  });
});

describe('conffile', () => {
  it('names the file that the next RELOAD reads', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const { pooler } = scene;
      const console = await openConsole(scene);
      const shown = async (): Promise<unknown> =>
        (await console.query("SHOW CONFIG WHERE key = 'conffile'"))[0]?.['value'];
      expect(await shown()).toBe(pooler.configFile);
      const userlist = `${pooler.directory}/userlist.txt`;
      const host = `host=${postgres.host} port=${String(postgres.port)}`;
      const file = pooler.writeFile(
        'other.ini',
        [
          '[databases]',
          `second = ${host} dbname=${postgres.database}`,
          '[pgbouncer]',
          'auth_type = trust',
          `auth_file = ${userlist}`,
          'admin_users = postgres',
          '',
        ].join('\n'),
      );
      await console.query(`SET conffile = '${file}'`);
      expect(await shown()).toBe(file);
      await console.query('RELOAD');
      expect(await shown()).toBe(file);
      await scene.login({ database: 'second' });
      expect(await refusalOf(scene.login())).toContain('3D000');
      await console.query(`SET conffile = '${pooler.directory}/absent.yaml'`);
      expect((await console.simpleQuery('RELOAD')).errors[0]?.sqlState).toBe('F0000');
      await scene.login({ database: 'second' });
      await console.query(`SET conffile = '${pooler.configFile}'`);
      await console.query('RELOAD');
      await scene.login();
    });
  });
});

describe('stats_period', () => {
  it('takes effect at once when it is set', async () => {
    await withPooler(postgres, { settings: { stats_period: 3600 } }, async (scene) => {
      expect(scene.pooler.logs.some(({ event }) => event === 'stats')).toBe(false);
      await scene.pooler.console('SET stats_period = 1');
      await scene.pooler.waitForEvent('stats');
    });
  });
});

describe('job_name', () => {
  it('is a label: it is shown, and cannot be changed', async () => {
    await withPooler(postgres, { settings: { job_name: 'mine' } }, async (scene) => {
      const [row] = await scene.pooler.console("SHOW CONFIG WHERE key = 'job_name'");
      expect(row).toMatchObject({ value: 'mine', default: 'pgbouncer', changeable: 'no' });
      const console = await openConsole(scene);
      const error = (await console.simpleQuery('SET job_name = x')).errors[0];
      expect(error?.text).toContain('job_name cannot be changed at run time');
    });
  });
});
