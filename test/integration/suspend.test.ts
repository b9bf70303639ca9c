import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import * as frontend from '../support/frontend-messages.ts';
import { startPooler } from '../support/pooler-fixture.ts';
import type { PoolerFixture } from '../support/pooler-fixture.ts';
import type { RawClient } from '../support/raw-client.ts';
import { lastWords } from '../support/refusal.ts';
import { withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor, withDeadline } from '../support/wait-for.ts';

const postgres = sharedPostgres();
const target = { host: postgres.host, port: postgres.port, dbname: postgres.database };
const BIG = 'SELECT repeat(md5(n::text), 100) FROM generate_series(1, 20000) n';

function openConsole(scene: Scene): Promise<RawClient> {
  return scene.login({ user: 'postgres', database: 'pgbouncer' });
}

async function stateOf(console: RawClient): Promise<unknown> {
  const rows = await console.query('SHOW STATE');
  return Object.fromEntries(rows.map(({ key, value }) => [String(key), value]));
}

async function errorOf(console: RawClient, command: string): Promise<string | undefined> {
  return (await console.simpleQuery(command)).errors[0]?.text;
}

async function tagOf(console: RawClient, command: string): Promise<unknown> {
  return (await console.simpleQuery(command)).results[0]?.tag;
}

const RUNNING = { active: 'yes', paused: 'no', suspended: 'no' };
const SUSPENDED = { active: 'no', paused: 'no', suspended: 'yes' };

describe('SUSPEND', () => {
  it('stops clients and servers as they are, and RESUME lets them go on', async () => {
    await withPooler(postgres, { settings: { default_pool_size: 2 } }, async (scene) => {
      const [busy, idle] = await scene.logins(2);
      await busy.query('BEGIN');
      await idle.query('SELECT 1');
      const console = await openConsole(scene);
      const before = await console.query('SHOW SERVERS');
      expect(await stateOf(console)).toEqual(RUNNING);
      expect(await tagOf(console, 'SUSPEND')).toBe('SUSPEND');
      expect(await stateOf(console)).toEqual(SUSPENDED);
      busy.send(frontend.query('SELECT 11 AS answer'));
      idle.send(frontend.query('SELECT 22 AS answer'));
      const late = scene.login();
      // Several rounds of the console, with nothing coming from the clients' side.
      for (let round = 0; round < 20; round++) {
        const clients = await console.query("SHOW CLIENTS WHERE database = 'app'");
        expect(clients.map(({ state }) => state).sort()).toEqual(['active', 'idle']);
      }
      expect([busy.bufferedBytes, idle.bufferedBytes]).toEqual([0, 0]);
      const ptrs = (rows: typeof before): unknown => rows.map(({ ptr, state }) => [ptr, state]);
      expect(ptrs(await console.query('SHOW SERVERS'))).toEqual(ptrs(before));
      expect(await tagOf(console, 'RESUME')).toBe('RESUME');
      expect((await busy.readOutcome()).results[0]?.rows).toEqual([['11']]);
      expect((await idle.readOutcome()).results[0]?.rows).toEqual([['22']]);
      expect(await (await late).query('SELECT 3 AS n')).toEqual([{ n: '3' }]);
      await busy.query('COMMIT');
      expect(await stateOf(console)).toEqual(RUNNING);
    });
  });

  it('waits for a message under way, and answers then', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      await client.query('SELECT 1');
      const message = frontend.query('SELECT 5 AS five');
      client.send(message.subarray(0, 10));
      const console = await openConsole(scene);
      await waitFor('the first bytes', async () => {
        const [row] = await console.query("SHOW SOCKETS WHERE database = 'app' AND type = 'C'");
        return row !== undefined;
      });
      console.send(frontend.query('SUSPEND'));
      await scene.pooler.waitForLog('SUSPEND', ({ msg }) => msg === 'SUSPEND command issued');
      client.send(message.subarray(10));
      expect((await console.readOutcome()).results[0]?.tag).toBe('SUSPEND');
      expect(await tagOf(console, 'RESUME')).toBe('RESUME');
      expect((await client.readOutcome()).results[0]?.rows).toEqual([['5']]);
    });
  });

  it('closes what is not at rest within suspend_timeout, and nobody else', async () => {
    await withPooler(postgres, { settings: { suspend_timeout: '300ms' } }, async (scene) => {
      const [stuck, idle] = await scene.logins(2);
      const login = await scene.connect();
      login.send(Buffer.from([0, 0]));
      const message = frontend.query('SELECT 5');
      stuck.send(message.subarray(0, 8));
      const console = await openConsole(scene);
      await waitFor('the login', async () => {
        const rows = await console.query("SHOW LISTS WHERE list = 'login_clients'");
        return rows[0]?.['items'] === '1';
      });
      expect(await tagOf(console, 'SUSPEND')).toBe('SUSPEND');
      expect(await lastWords(stuck)).toBe('FATAL 57P01: suspend_timeout');
      expect(await lastWords(login)).toBe('FATAL 57P01: suspend_timeout');
      expect(await tagOf(console, 'RESUME')).toBe('RESUME');
      expect((await idle.simpleQuery('SELECT 1')).errors).toEqual([]);
    });
  });

  it('0 waits for ever', async () => {
    await withPooler(postgres, { settings: { suspend_timeout: 0 } }, async (scene) => {
      const client = await scene.login();
      client.pause();
      client.send(frontend.query(BIG));
      await waitFor('a full socket', async () => {
        const rows = await scene.pooler.console('SHOW SOCKETS WHERE send_remain > 0');
        return rows.length > 0;
      });
      const console = await openConsole(scene);
      console.send(frontend.query('SUSPEND'));
      await scene.pooler.waitForLog('SUSPEND', ({ msg }) => msg === 'SUSPEND command issued');
      client.resume();
      expect((await console.readOutcome()).results[0]?.tag).toBe('SUSPEND');
      expect(await tagOf(console, 'RESUME')).toBe('RESUME');
      const outcome = await client.readOutcome();
      expect([outcome.errors, outcome.results[0]?.rows.length]).toEqual([[], 20_000]);
    });
  });

  it('stops a stream of rows between two messages, and loses none', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      const console = await openConsole(scene);
      client.send(frontend.query(BIG));
      await client.readUntil('T');
      expect(await tagOf(console, 'SUSPEND')).toBe('SUSPEND');
      expect(await stateOf(console)).toEqual(SUSPENDED);
      expect(await tagOf(console, 'RESUME')).toBe('RESUME');
      const rows = (await client.readUntil('Z')).filter(({ type }) => type === 'D');
      expect(rows).toHaveLength(20_000);
    });
  });

  it('gives a client in the queue its turn after RESUME only', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const [busy, queued] = await scene.logins(2);
      await busy.query('BEGIN');
      queued.send(frontend.query('SELECT 7 AS n'));
      await scene.waitForPool({ cl_waiting: 1 });
      const console = await openConsole(scene);
      busy.send(frontend.query('SELECT pg_sleep(0.3)'), frontend.query('COMMIT'));
      await scene.waitForPool({ sv_active: 1 });
      expect(await tagOf(console, 'SUSPEND')).toBe('SUSPEND');
      const [row] = await console.query("SHOW POOLS WHERE database = 'app'");
      expect([row?.['cl_waiting'], row?.['sv_active']]).toEqual(['1', '1']);
      expect(await tagOf(console, 'RESUME')).toBe('RESUME');
      await busy.readUntil('Z');
      await busy.readUntil('Z');
      expect((await queued.readOutcome()).results[0]?.rows).toEqual([['7']]);
    });
  });

  it('is refused, and refuses others, as PgBouncer has it', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const console = await openConsole(scene);
      const already = 'already suspended/paused';
      await console.query('PAUSE app');
      expect(await errorOf(console, 'SUSPEND')).toBe('cannot suspend with paused databases');
      await console.query('RESUME app');
      await console.query('PAUSE');
      expect(await errorOf(console, 'SUSPEND')).toBe(already);
      await console.query('RESUME');
      expect(await errorOf(console, 'RESUME')).toBe('pooler is not paused/suspended');
      expect(await tagOf(console, 'SUSPEND')).toBe('SUSPEND');
      for (const command of ['SUSPEND', 'PAUSE', 'PAUSE app', 'KILL', 'KILL app']) {
        expect(await errorOf(console, command), command).toBe(already);
      }
      expect(await errorOf(console, 'RESUME app')).toBe('database app is not paused');
      expect(await errorOf(console, 'SUSPEND app')).toContain('invalid command');
      expect(await tagOf(console, 'RESUME')).toBe('RESUME');
    });
  });

  it('ends when the last console leaves', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      const console = await openConsole(scene);
      expect(await tagOf(console, 'SUSPEND')).toBe('SUSPEND');
      client.send(frontend.query('SELECT 1 AS one'));
      console.destroy();
      expect((await client.readOutcome()).results[0]?.rows).toEqual([['1']]);
      await scene.pooler.waitForEvent('suspend_abandoned');
    });
  });

  it('ends by a cancel request while it waits', async () => {
    await withPooler(postgres, { settings: { suspend_timeout: 0 } }, async (scene) => {
      const client = await scene.login();
      client.send(frontend.query('SELECT 5').subarray(0, 8));
      const [first, second] = [await openConsole(scene), await openConsole(scene)];
      first.send(frontend.query('SUSPEND'));
      await scene.pooler.waitForLog('SUSPEND', ({ msg }) => msg === 'SUSPEND command issued');
      expect(await tagOf(second, 'RESUME')).toBe('RESUME');
      const error = (await first.readOutcome()).errors[0];
      expect(error?.message).toBe('ERROR 55000: the pause was ended before it took effect');
      client.destroy();
    });
  });
});

describe('signals during SUSPEND', () => {
  async function withSuspended(
    body: (pooler: PoolerFixture, client: RawClient) => Promise<void>,
  ): Promise<void> {
    const pooler = await startPooler({
      config: { maitred: { pool_mode: 'transaction' }, databases: { app: target } },
    });
    try {
      const client = await pooler.login({ user: 'postgres', database: 'app' });
      const console = await pooler.login({ user: 'postgres', database: 'pgbouncer' });
      await console.query('SUSPEND');
      await body(pooler, client);
    } finally {
      await pooler.kill();
    }
  }

  const said = (pooler: PoolerFixture, text: string): Promise<unknown> =>
    pooler.waitForLog(text, ({ msg }) => msg === text);

  it.each(['SIGTERM', 'SIGINT'] as const)('%s ends the process with code 1', async (signal) => {
    await withSuspended(async (pooler, client) => {
      pooler.signal(signal);
      const end = await withDeadline('the end of the process', pooler.exited);
      expect(end).toEqual({ code: 1, signal: null });
      await said(pooler, 'suspend was in progress, going down immediately');
      expect((await client.readToEnd()).length).toBe(0);
      const file = path.join(pooler.socketDir, `.s.PGSQL.${String(pooler.port)}`);
      expect(existsSync(file)).toBe(true);
    });
  });

  it('SIGUSR1 is told that it comes late, and SIGUSR2 resumes', async () => {
    await withSuspended(async (pooler, client) => {
      pooler.signal('SIGUSR1');
      await said(pooler, 'got SIGUSR1, but already paused/suspended');
      client.send(frontend.query('SELECT 1 AS one'));
      pooler.signal('SIGUSR2');
      await said(pooler, 'got SIGUSR2, continuing from SUSPEND');
      expect((await client.readOutcome()).results[0]?.rows).toEqual([['1']]);
      await client.close();
    });
  });

  it('SHUTDOWN WAIT_FOR_CLIENTS lets clients go on and waits for them', async () => {
    await withSuspended(async (pooler, client) => {
      // The console that is open is the only way in.
      pooler.signal('SIGUSR2');
      await said(pooler, 'got SIGUSR2, continuing from SUSPEND');
      const console = await pooler.login({ user: 'postgres', database: 'pgbouncer' });
      await console.query('SUSPEND');
      await console.query('SHUTDOWN WAIT_FOR_CLIENTS');
      expect((await client.simpleQuery('SELECT 1')).errors).toEqual([]);
      await client.close();
      await console.close();
      pooler.signal('SIGTERM');
      expect((await withDeadline('the end', pooler.exited)).code).toBe(0);
    });
  });
});
