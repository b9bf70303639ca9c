import { execFileSync } from 'node:child_process';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { SHOW_TOPICS, UNSUPPORTED_TOPICS } from '../../src/admin/topics.ts';
import * as frontend from '../support/frontend-messages.ts';
import type { TextRow } from '../support/query-outcome.ts';
import type { RawClient } from '../support/raw-client.ts';
import { lastWords, refusalOf } from '../support/refusal.ts';
import { backendPid, withPooler } from '../support/scene.ts';
import type { Scene, SceneOptions } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const postgres = sharedPostgres();

const SHOWN = SHOW_TOPICS.filter((topic) => topic !== 'help').map((topic) => topic.toUpperCase());
const NOT_SHOWN = UNSUPPORTED_TOPICS.map((topic) => topic.toUpperCase());

function openConsole(scene: Scene, user = 'postgres'): Promise<RawClient> {
  return scene.login({ user, database: 'pgbouncer' });
}

/** The one row of a table whose `key` has a value. */
async function rowOf(scene: Scene, table: string, key: string, value: string): Promise<TextRow> {
  const rows = await scene.pooler.console(`SHOW ${table}`);
  return rows.find((row) => row[key] === value) ?? {};
}

function hasPsql(): boolean {
  try {
    execFileSync('psql', ['--version']);
    return true;
  } catch {
    return false;
  }
}

describe('SHOW', () => {
  it.each(SHOWN)('%s answers with a table', async (topic) => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      await client.query('SELECT 1');
      const outcome = await (await openConsole(scene)).simpleQuery(`SHOW ${topic};`);
      expect(outcome.types).toMatch(/^TD*CZ$/);
      expect([outcome.results[0]?.tag, outcome.status]).toEqual(['SHOW', 'I']);
    });
  });

  it('tells of clients, servers and how they are linked', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login({ parameters: { application_name: 'linked' } });
      const pid = await backendPid(client);
      await client.query('BEGIN');
      const { localPort } = client.socket;
      const server = await rowOf(scene, 'SERVERS', 'remote_pid', pid);
      const shown = await rowOf(scene, 'CLIENTS', 'application_name', 'linked');
      expect(shown).toMatchObject({
        type: 'C',
        user: postgres.user,
        database: 'app',
        state: 'active',
        addr: '127.0.0.1',
        port: String(localPort),
        link: server['ptr'],
      });
      expect(server).toMatchObject({
        type: 'S',
        state: 'active',
        application_name: 'linked',
        link: shown['ptr'],
      });
      expect(await rowOf(scene, 'DATABASES', 'name', 'app')).toMatchObject({
        host: postgres.host,
        port: String(postgres.port),
        pool_size: '1',
        current_connections: '1',
      });
      await client.query('COMMIT');
      expect(await rowOf(scene, 'SERVERS', 'remote_pid', pid)).toMatchObject({ state: 'idle' });
    });
  });

  it('STATS counts transactions, queries and bytes', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      await client.query('BEGIN');
      await client.query("SELECT repeat('x', 10000)");
      await client.query('COMMIT');
      await client.query('SELECT 1');
      const row = await rowOf(scene, 'STATS', 'database', 'app');
      expect(row).toMatchObject({
        total_xact_count: '2',
        total_query_count: '4',
        total_server_assignment_count: '2',
      });
      expect(Number(row['total_sent'])).toBeGreaterThan(10_000);
    });
  });

  it.each(NOT_SHOWN)('%s says that it is not there yet', async (topic) => {
    await withPooler(postgres, {}, async (scene) => {
      const console = await openConsole(scene);
      const outcome = await console.simpleQuery(`SHOW ${topic}`);
      expect(outcome.errors[0]?.message).toBe(`ERROR 0A000: SHOW ${topic} is not supported yet`);
      expect(await console.query('SHOW VERSION')).toHaveLength(1);
    });
  });

  it('HELP is a notice, and nonsense an error that the session survives', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const console = await openConsole(scene);
      expect((await console.simpleQuery('SHOW HELP')).errors).toEqual([]);
      expect(console.notices[0]?.['M']).toBe('Console usage');
      for (const sql of ['SHOW NOTHING', 'DROP TABLE x', 'PAUSE a b']) {
        const outcome = await console.simpleQuery(sql);
        expect(outcome.errors[0]?.message).toBe(
          `ERROR 42601: invalid command '${sql}', use SHOW HELP;`,
        );
      }
      expect(await console.query('SHOW STATE')).toHaveLength(3);
    });
  });
});

describe('the console', () => {
  it('can be asked by the driver pg', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = new pg.Client(scene.pooler.url('pgbouncer', 'postgres'));
      await client.connect();
      const { rows } = await client.query<{ name: string; port: number }>('SHOW DATABASES');
      expect(rows.map(({ name }) => name)).toContain('app');
      expect((await client.query('SHOW client_encoding')).rows).toEqual([
        { client_encoding: 'UTF-8' },
      ]);
      await expect(client.query('NONSENSE')).rejects.toMatchObject({ code: '42601' });
      await client.end();
    });
  });

  it.skipIf(!hasPsql())('can be asked by psql', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const output = execFileSync(
        'psql',
        ['-X', '-At', '-c', 'SHOW DATABASES', scene.pooler.url('pgbouncer', 'postgres')],
        { encoding: 'utf8' },
      );
      expect(output).toMatch(/^app\|127\.0\.0\.1\|/m);
    });
  });

  it('has the name maitred as well, and names no other way', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login({ database: 'maitred' });
      expect((await client.query('SHOW VERSION'))[0]?.['version']).toMatch(/maitred/);
      expect(await refusalOf(scene.login({ database: 'Maitred' }))).toContain('3D000');
    });
  });
});

describe('roles', () => {
  const options: SceneOptions = {
    settings: { admin_users: 'postgres, boss', stats_users: 'watcher' },
    logins: ['boss', 'watcher', 'boss2', 'bos', 'boss ', 'watch'],
  };

  it.each([
    'PAUSE',
    'RESUME',
    'PAUSE app',
    'RESUME app',
    'KILL',
    'KILL app',
    'KILL_CLIENT 1',
    'RECONNECT',
    'WAIT_CLOSE',
    'DISABLE app',
    'ENABLE app',
    'RELOAD',
    'RELOAD DRY RUN',
    'SUSPEND',
    'SHUTDOWN',
    'SHUTDOWN WAIT_FOR_SERVERS',
    'SHUTDOWN WAIT_FOR_CLIENTS',
    'SHOW FDS',
    "SET default_pool_size = '7'",
  ])('of stats_users may not %s', async (command) => {
    await withPooler(postgres, options, async (scene) => {
      const client = await scene.login();
      const watcher = await openConsole(scene, 'watcher');
      expect((await watcher.simpleQuery(command)).errors[0]?.message).toBe(
        'ERROR 42501: admin access needed',
      );
      expect((await client.simpleQuery('SELECT 1')).errors).toEqual([]);
      expect(await watcher.query('SHOW POOLS')).not.toEqual([]);
      expect(scene.pooler.logs.some(({ event }) => event === 'console_command_issued')).toBe(false);
    });
  });

  it('of stats_users may look at everything', async () => {
    await withPooler(postgres, options, async (scene) => {
      const watcher = await openConsole(scene, 'watcher');
      for (const topic of SHOWN.filter((name) => name !== 'FDS')) {
        expect((await watcher.simpleQuery(`SHOW ${topic}`)).errors).toEqual([]);
      }
    });
  });

  it('are had by whole names only', async () => {
    await withPooler(postgres, options, async (scene) => {
      for (const user of ['boss2', 'bos', 'boss ', 'watch']) {
        expect(await refusalOf(openConsole(scene, user))).toBe('FATAL 42501: not allowed');
      }
      const boss = await openConsole(scene, 'boss');
      expect((await boss.simpleQuery('RELOAD')).errors).toEqual([]);
    });
  });
});

describe('PAUSE', () => {
  it('answers when the last transaction is over, holds new ones, and RESUME lets them go', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      await client.query('BEGIN');
      const console = await openConsole(scene);
      console.send(frontend.query('PAUSE'));
      const waiting = await scene.login();
      waiting.send(frontend.query('SELECT 1'));
      await scene.waitForPool({ cl_waiting: 1 });
      expect(console.bufferedBytes).toBe(0);
      expect((await client.simpleQuery('SELECT 2')).errors).toEqual([]);
      await client.query('COMMIT');
      expect((await console.readOutcome()).results[0]?.tag).toBe('PAUSE');
      expect(await scene.pooler.console('SHOW SERVERS')).toEqual([]);
      expect(await rowOf(scene, 'STATE', 'key', 'paused')).toMatchObject({ value: 'yes' });
      expect(waiting.bufferedBytes).toBe(0);
      expect((await console.simpleQuery('PAUSE')).errors[0]?.text).toBe('already suspended/paused');
      expect((await console.simpleQuery('RESUME')).results[0]?.tag).toBe('RESUME');
      expect((await waiting.readOutcome()).errors).toEqual([]);
      expect((await console.simpleQuery('RESUME')).errors[0]?.text).toBe(
        'pooler is not paused/suspended',
      );
    });
  });

  it('of one database leaves the others alone', async () => {
    await withPooler(postgres, { databases: { other: {} } }, async (scene) => {
      const client = await scene.login();
      const other = await scene.login({ database: 'other' });
      const console = await openConsole(scene);
      await console.query('PAUSE app');
      client.send(frontend.query('SELECT 1'));
      await scene.waitForPool({ cl_waiting: 1 });
      expect((await other.simpleQuery('SELECT 1')).errors).toEqual([]);
      expect((await console.simpleQuery('RESUME')).errors).toHaveLength(1);
      expect((await console.simpleQuery('RESUME other')).errors[0]?.text).toBe(
        'database other is not paused',
      );
      await console.query('RESUME app');
      expect((await client.readOutcome()).errors).toEqual([]);
    });
  });

  it('of nothing known is an error', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const console = await openConsole(scene);
      const messages = [];
      for (const command of ['PAUSE nowhere', 'PAUSE pgbouncer', 'PAUSE App']) {
        messages.push((await console.simpleQuery(command)).errors[0]?.message);
      }
      expect(messages).toEqual([
        'ERROR 3D000: no such database: nowhere',
        'ERROR 42501: cannot pause admin db: pgbouncer',
        'ERROR 3D000: no such database: App',
      ]);
    });
  });

  it('that waits is undone by a cancel request', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      await client.query('BEGIN');
      const console = await openConsole(scene);
      console.send(frontend.query('PAUSE'));
      await scene.pooler.waitForEvent('console_command_issued');
      await console.cancel();
      expect((await console.readOutcome()).errors[0]?.sqlState).toBe('57014');
      await client.query('COMMIT');
      expect((await client.simpleQuery('SELECT 1')).errors).toEqual([]);
      expect(await rowOf(scene, 'STATE', 'key', 'paused')).toMatchObject({ value: 'no' });
    });
  });
});

describe('KILL', () => {
  it('ends clients and servers of a database, and holds newcomers until RESUME', async () => {
    await withPooler(postgres, { databases: { other: {} } }, async (scene) => {
      const idle = await scene.login();
      const busy = await scene.login();
      const other = await scene.login({ database: 'other' });
      await busy.query('BEGIN');
      const console = await openConsole(scene);
      expect((await console.simpleQuery('KILL app')).results[0]?.tag).toBe('KILL');
      for (const client of [idle, busy]) {
        expect(await lastWords(client)).toBe('FATAL 57P01: database removed');
      }
      expect((await other.simpleQuery('SELECT 1')).errors).toEqual([]);
      const login = scene.login();
      await waitFor('the newcomer', async () => {
        const rows = await scene.pooler.console('SHOW POOLS');
        return rows.some((row) => row['database'] === 'app' && row['cl_waiting'] === '1');
      }).catch((cause: unknown) => {
        throw new Error('a client of a killed database should wait', { cause });
      });
      await console.query('RESUME app');
      expect((await (await login).simpleQuery('SELECT 1')).errors).toEqual([]);
    });
  });
});

describe('KILL_CLIENT', () => {
  it('ends one client by its id, and nobody else', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const victim = await scene.login({ parameters: { application_name: 'victim' } });
      const other = await scene.login();
      const pid = await backendPid(victim);
      await victim.query('BEGIN');
      const id = String((await rowOf(scene, 'CLIENTS', 'application_name', 'victim'))['id']);
      const console = await openConsole(scene);
      expect((await console.simpleQuery(`KILL_CLIENT ${id}`)).results[0]?.tag).toBe('KILL_CLIENT');
      expect(await lastWords(victim)).toBe('FATAL 57P01: admin forced disconnect');
      expect(await backendPid(other)).toBe(pid);
      expect((await console.simpleQuery(`KILL_CLIENT ${id}`)).errors[0]?.message).toBe(
        'ERROR 42704: client not found',
      );
      expect((await console.simpleQuery('KILL_CLIENT abc')).errors[0]?.message).toBe(
        'ERROR 42601: invalid client pointer supplied',
      );
    });
  });
});

describe('RECONNECT and WAIT_CLOSE', () => {
  it('replace idle server connections at once, busy ones when they are free', async () => {
    await withPooler(postgres, { settings: { default_pool_size: 2 } }, async (scene) => {
      const [busy, idle] = await scene.logins(2);
      await busy.query('BEGIN');
      const busyPid = await backendPid(busy);
      const idlePid = await backendPid(idle);
      const console = await openConsole(scene);
      expect((await console.simpleQuery('RECONNECT app')).results[0]?.tag).toBe('RECONNECT');
      console.send(frontend.query('WAIT_CLOSE app'));
      const newPid = await backendPid(idle);
      expect([busyPid, idlePid]).not.toContain(newPid);
      expect(await backendPid(busy)).toBe(busyPid);
      expect(console.bufferedBytes).toBe(0);
      await busy.query('COMMIT');
      expect((await console.readOutcome()).results[0]?.tag).toBe('WAIT_CLOSE');
      expect(await backendPid(busy)).not.toBe(busyPid);
    });
  });

  it('WAIT_CLOSE has nothing to wait for without it', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      await client.query('BEGIN');
      const console = await openConsole(scene);
      expect((await console.simpleQuery('WAIT_CLOSE')).results[0]?.tag).toBe('WAIT_CLOSE');
      await client.query('COMMIT');
    });
  });
});

describe('DISABLE and ENABLE', () => {
  it('turn newcomers away, and leave those alone who are in', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      const console = await openConsole(scene);
      await console.query('DISABLE app');
      expect(await refusalOf(scene.login())).toBe('FATAL 57P03: database "app" is disabled');
      expect((await client.simpleQuery('SELECT 1')).errors).toEqual([]);
      await console.query('ENABLE app');
      await scene.login();
      expect((await console.simpleQuery('DISABLE')).errors[0]?.text).toBe('a database is required');
    });
  });
});

describe('RELOAD', () => {
  const target = { host: postgres.host, port: postgres.port, dbname: postgres.database };

  it('takes over what has changed', async () => {
    await withPooler(postgres, { databases: { going: {} } }, async (scene) => {
      const going = await scene.login({ database: 'going' });
      const staying = await scene.login();
      scene.pooler.rewriteConfig({
        maitred: { pool_mode: 'transaction', default_pool_size: 3, max_client_conn: 77 },
        databases: { app: target, coming: target },
      });
      expect(await refusalOf(scene.login({ database: 'coming' }))).toContain('3D000');
      const console = await openConsole(scene);
      expect((await console.simpleQuery('RELOAD')).results[0]?.tag).toBe('RELOAD');
      expect(await lastWords(going)).toBe('FATAL 57P01: database removed');
      expect((await staying.simpleQuery('SELECT 1')).errors).toEqual([]);
      await scene.login({ database: 'coming' });
      expect(await refusalOf(scene.login({ database: 'going' }))).toContain('3D000');
      expect(await rowOf(scene, 'CONFIG', 'key', 'max_client_conn')).toMatchObject({ value: '77' });
      expect(await rowOf(scene, 'DATABASES', 'name', 'app')).toMatchObject({ pool_size: '3' });
    });
  });

  it('sends clients to the new address of their database', async () => {
    await postgres.createDatabase('moved');
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      const current = 'SELECT current_database() AS name';
      expect(await client.query(current)).toEqual([{ name: postgres.database }]);
      scene.pooler.rewriteConfig({
        maitred: { pool_mode: 'transaction' },
        databases: { app: { ...target, dbname: 'moved' } },
      });
      await scene.pooler.console('RELOAD');
      expect(await client.query(current)).toEqual([{ name: 'moved' }]);
    });
  });

  it('of a file with an error tells what is wrong, and changes nothing', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      scene.pooler.rewriteConfig({
        maitred: { max_client_conn: 5, pool_mode: 'swimming' },
        databases: { other: target },
      });
      const console = await openConsole(scene);
      const error = (await console.simpleQuery('RELOAD')).errors[0];
      expect(error?.sqlState).toBe('F0000');
      expect(error?.text).toMatch(/^RELOAD failed, see logs for additional details: .*pool_mode/);
      expect(error?.text).toContain('swimming');
      expect(error?.text).toContain('session, transaction, statement');
      expect((await client.simpleQuery('SELECT 1')).errors).toEqual([]);
      expect(await rowOf(scene, 'CONFIG', 'key', 'max_client_conn')).toMatchObject({
        value: '100',
      });
      await scene.login();
      const line = await scene.pooler.waitForEvent('config_reload_failed');
      expect(String(line['problem'])).toContain('swimming');
    });
  });
});

describe('SET', () => {
  it('changes a setting until the next RELOAD', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const console = await openConsole(scene);
      expect((await console.simpleQuery("SET query_timeout = '1.5'")).results[0]?.tag).toBe(
        'SET query_timeout=1.5',
      );
      expect(await rowOf(scene, 'CONFIG', 'key', 'query_timeout')).toMatchObject({ value: '1.5' });
      await console.query('RELOAD');
      expect(await rowOf(scene, 'CONFIG', 'key', 'query_timeout')).toMatchObject({ value: '0' });
    });
  });

  it('takes effect at once', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const [holder, client] = await scene.logins(2);
      await holder.query('BEGIN');
      client.send(frontend.query('SELECT 1'));
      await scene.waitForPool({ cl_waiting: 1 });
      await scene.pooler.console('SET default_pool_size = 2');
      expect((await client.readOutcome()).errors).toEqual([]);
      await holder.query('COMMIT');
    });
  });

  it.each([
    ['SET no_such_setting = 1', 'no_such_setting'],
    ['SET pool_mode = swimming', 'swimming'],
    ["SET max_client_conn = '-1'", '-1'],
  ])('%s is an error that says why', async (command, word) => {
    await withPooler(postgres, {}, async (scene) => {
      const before = await scene.pooler.console('SHOW CONFIG');
      const console = await openConsole(scene);
      const error = (await console.simpleQuery(command)).errors[0];
      expect(error?.text).toMatch(/^SET failed: /);
      expect(error?.text).toContain(word);
      expect(await console.query('SHOW CONFIG')).toEqual(before);
    });
  });
});

describe('every command', () => {
  it('is in the log, with who gave it', async () => {
    await withPooler(postgres, {}, async (scene) => {
      await scene.pooler.console('RECONNECT app');
      expect(await scene.pooler.waitForEvent('console_command_issued')).toMatchObject({
        user: 'postgres',
        msg: "RECONNECT 'app' command issued",
      });
    });
  });
});
