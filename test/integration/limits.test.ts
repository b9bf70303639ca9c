import { describe, expect, it } from 'vitest';
import { FakeServer } from '../support/fake-server.ts';
import * as frontend from '../support/frontend-messages.ts';
import type { RawClient } from '../support/raw-client.ts';
import { refusalOf } from '../support/refusal.ts';
import { backendPid, withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const postgres = sharedPostgres();
const TOO_MANY = 'FATAL 53300: no more connections allowed (max_client_conn)';
const TOO_MANY_OF_DATABASE = 'FATAL 53300: client connections exceeded (max_db_client_connections)';
const TOO_MANY_OF_USER = 'FATAL 53300: client connections exceeded (max_user_client_connections)';

/** Waits until a place is free again: a client that leaves is forgotten a moment later. */
function loginSoon(scene: Scene, options: Parameters<Scene['login']>[0] = {}): Promise<RawClient> {
  return waitFor('a free place', () => scene.login(options).catch(() => null));
}

/** How many server connections of SHOW SERVERS belong to a user. */
async function serversOf(scene: Scene, user: string): Promise<number> {
  const rows = await scene.pooler.console('SHOW SERVERS');
  return rows.filter((row) => row['user'] === user).length;
}

describe('max_client_conn', () => {
  const settings = { max_client_conn: 3 };

  it('is the number of clients that come in', async () => {
    await withPooler(postgres, { settings }, async (scene) => {
      const [first] = await scene.logins(3);
      expect(await refusalOf(scene.login())).toBe(TOO_MANY);
      await first.close();
      const next = await loginSoon(scene);
      expect(await refusalOf(scene.login())).toBe(TOO_MANY);
      expect((await next.simpleQuery('SELECT 1')).errors).toEqual([]);
    });
  });

  it('does not count the console, which can be reached when it is used up', async () => {
    await withPooler(postgres, { settings }, async (scene) => {
      await scene.login({ database: 'pgbouncer' });
      await scene.logins(3);
      expect(await refusalOf(scene.login())).toBe(TOO_MANY);
      const rows = await scene.pooler.console('SHOW LISTS');
      expect(rows.find((row) => row['list'] === 'used_clients')?.['items']).toBe('5');
    });
  });

  it('counts clients that still log in', async () => {
    const auth = { auth_type: 'plain', max_client_conn: 1 };
    await withPooler(postgres, { settings: auth, password: 'x' }, async (scene) => {
      const slow = await scene.connect();
      slow.startup({ user: 'postgres', database: 'app' });
      await slow.readUntil('R');
      expect(await refusalOf(scene.login({ user: 'postgres', password: 'x' }))).toBe(TOO_MANY);
      slow.destroy();
      await loginSoon(scene, { user: 'postgres', password: 'x' });
    });
  });

  it('does not count connections that have sent nothing, nor failed logins', async () => {
    await withPooler(postgres, { settings }, async (scene) => {
      for (let count = 0; count < 5; count++) {
        await scene.connect();
        expect(await refusalOf(scene.login({ user: 'nobody' }))).toContain('28P01');
      }
      await scene.logins(2);
      await loginSoon(scene);
    });
  });

  it('may change while clients are in', async () => {
    await withPooler(postgres, { settings }, async (scene) => {
      await scene.logins(3);
      await scene.pooler.console('SET max_client_conn = 4');
      await scene.login();
      await scene.pooler.console('SET max_client_conn = 1');
      expect(await refusalOf(scene.login())).toBe(TOO_MANY);
    });
  });
});

describe('max_db_client_connections', () => {
  it('holds for each database, that of the database before the global one', async () => {
    const options = {
      settings: { max_db_client_connections: 2 },
      databases: { small: { max_db_client_connections: 1 }, other: {} },
    };
    await withPooler(postgres, options, async (scene) => {
      await scene.logins(2);
      expect(await refusalOf(scene.login())).toBe(TOO_MANY_OF_DATABASE);
      const only = await scene.login({ database: 'small' });
      expect(await refusalOf(scene.login({ database: 'small' }))).toBe(TOO_MANY_OF_DATABASE);
      await scene.logins(2, { database: 'other' });
      await only.close();
      await loginSoon(scene, { database: 'small' });
    });
  });
});

describe('max_user_client_connections', () => {
  it('holds for each user over all databases, that of the user before the global one', async () => {
    const options = {
      settings: { max_user_client_connections: 2 },
      databases: { other: {} },
      database: { user: postgres.user },
      logins: ['busy', 'single'],
      users: { single: { max_user_client_connections: 1 } },
    };
    await withPooler(postgres, options, async (scene) => {
      await scene.login({ user: 'busy' });
      const second = await scene.login({ user: 'busy' });
      expect(await refusalOf(scene.login({ user: 'busy' }))).toBe(TOO_MANY_OF_USER);
      expect(await refusalOf(scene.login({ user: 'busy', database: 'other' }))).toBe(
        TOO_MANY_OF_USER,
      );
      await scene.login({ user: 'single' });
      expect(await refusalOf(scene.login({ user: 'single' }))).toBe(TOO_MANY_OF_USER);
      await second.close();
      await loginSoon(scene, { user: 'busy' });
    });
  });

  it('leaves the console to admins', async () => {
    const settings = { max_user_client_connections: 1 };
    await withPooler(postgres, { settings }, async (scene) => {
      await scene.login();
      expect(await refusalOf(scene.login())).toBe(TOO_MANY_OF_USER);
      expect(await scene.pooler.console('SHOW VERSION')).toHaveLength(1);
    });
  });
});

describe('the size of a pool', () => {
  it('is never passed, and clients are served in the order of their requests', async () => {
    await withPooler(postgres, { settings: { default_pool_size: 2 } }, async (scene) => {
      const holders = await scene.logins(2);
      for (const holder of holders) {
        await holder.query('BEGIN');
      }
      const clients = await scene.logins(6);
      for (const [index, client] of clients.entries()) {
        client.send(frontend.query(`SELECT nextval('pg_temp.none'), ${String(index)}`));
        await scene.waitForPool({ cl_waiting: index + 1 });
      }
      expect(await serversOf(scene, postgres.user)).toBe(2);
      const order: number[] = [];
      const answers = clients.map(async (client, index) => {
        await client.readOutcome();
        order.push(index);
      });
      await holders[0].query('COMMIT');
      await Promise.all(answers);
      expect(order).toEqual([0, 1, 2, 3, 4, 5]);
      await holders[1].query('COMMIT');
    });
  });
});

describe('reserve_pool_size', () => {
  const settings = { reserve_pool_size: 1, reserve_pool_timeout: '300ms' };

  it('is used when a client has waited for reserve_pool_timeout, and no further', async () => {
    await withPooler(postgres, { settings }, async (scene) => {
      const holder = await scene.login();
      const second = await scene.login();
      const third = await scene.login();
      await holder.query('BEGIN');
      const startMs = performance.now();
      await second.query('BEGIN');
      expect(performance.now() - startMs).toBeGreaterThanOrEqual(300);
      await scene.pooler.waitForEvent('reserve_pool_used');
      third.send(frontend.query('SELECT 1'));
      await scene.waitForPool({ cl_waiting: 1, sv_active: 2 });
      await waitFor('a wait as long as the timeout', async () => {
        const row = await scene.pool();
        return Number(row['maxwait']) * 1e6 + Number(row['maxwait_us']) > 900_000;
      });
      expect(await serversOf(scene, postgres.user)).toBe(2);
      await holder.query('COMMIT');
      expect((await third.readOutcome()).errors).toEqual([]);
      await second.query('COMMIT');
    });
  });

  it('is left alone by clients that are served in time', async () => {
    await withPooler(postgres, { settings }, async (scene) => {
      const [first, second] = await scene.logins(2);
      for (let round = 0; round < 50; round++) {
        await Promise.all([first.query('SELECT 1'), second.query('SELECT 2')]);
      }
      expect(await serversOf(scene, postgres.user)).toBe(1);
      expect(scene.pooler.logs.some(({ event }) => event === 'reserve_pool_used')).toBe(false);
    });
  });
});

describe('max_db_connections', () => {
  const options = {
    settings: { max_db_connections: 1, default_pool_size: 5 },
    logins: ['limit_one', 'limit_two'],
  };

  /** Roles that PostgreSQL trusts. */
  async function makeRoles(): Promise<void> {
    await postgres.createRole('limit_one');
    await postgres.createRole('limit_two');
  }

  it('lets a pool close an idle server connection of another user', async () => {
    await makeRoles();
    await withPooler(postgres, options, async (scene) => {
      const one = await scene.login({ user: 'limit_one' });
      const two = await scene.login({ user: 'limit_two' });
      const pid = await backendPid(one);
      expect(await backendPid(two)).not.toBe(pid);
      expect(await serversOf(scene, 'limit_one')).toBe(0);
      const line = await scene.pooler.waitForLog(
        'eviction',
        ({ event, reason }) => event === 'server_disconnected' && reason === 'evicted',
      );
      expect(line['user']).toBe('limit_one');
      expect((await one.simpleQuery('SELECT 1')).errors).toEqual([]);
      expect(await serversOf(scene, 'limit_two')).toBe(0);
    });
  });

  it('lets it wait for one that is in use', async () => {
    await makeRoles();
    await withPooler(postgres, options, async (scene) => {
      const one = await scene.login({ user: 'limit_one' });
      await one.query('BEGIN');
      // Its welcome comes from a server connection as well.
      const login = scene.login({ user: 'limit_two' });
      await scene.pooler.waitForLog(
        'the second client',
        ({ event, user }) => event === 'client_login_attempted' && user === 'limit_two',
      );
      expect(await serversOf(scene, 'limit_two')).toBe(0);
      expect((await one.simpleQuery('SELECT 1')).status).toBe('T');
      await one.query('COMMIT');
      const two = await login;
      expect((await two.simpleQuery('SELECT 1')).errors).toEqual([]);
      expect(await serversOf(scene, 'limit_one')).toBe(0);
    });
  });

  it('does not hold across databases', async () => {
    const databases = { other: {} };
    await withPooler(postgres, { ...options, databases }, async (scene) => {
      const a = await scene.login();
      const b = await scene.login({ database: 'other' });
      await a.query('BEGIN');
      await b.query('BEGIN');
      expect(await serversOf(scene, postgres.user)).toBe(2);
      await a.query('COMMIT');
      await b.query('COMMIT');
    });
  });

  it('lets two busy pools take turns', async () => {
    await makeRoles();
    await withPooler(postgres, options, async (scene) => {
      const one = await scene.login({ user: 'limit_one' });
      const two = await scene.login({ user: 'limit_two' });
      for (let round = 0; round < 10; round++) {
        const [a, b] = await Promise.all([
          one.query('SELECT session_user AS name'),
          two.query('SELECT session_user AS name'),
        ]);
        expect([a, b]).toEqual([[{ name: 'limit_one' }], [{ name: 'limit_two' }]]);
      }
    });
  });
});

describe('max_user_connections', () => {
  it('holds over all databases of a user, and evicts among them', async () => {
    const options = {
      settings: { default_pool_size: 5 },
      databases: { other: {} },
      users: { [postgres.user]: { max_user_connections: 1 } },
    };
    await withPooler(postgres, options, async (scene) => {
      const a = await scene.login();
      const b = await scene.login({ database: 'other' });
      await a.query('BEGIN');
      b.send(frontend.query('SELECT 1'));
      await scene.waitForPool({ cl_waiting: 1 }, 'other');
      expect(await serversOf(scene, postgres.user)).toBe(1);
      await a.query('COMMIT');
      expect((await b.readOutcome()).errors).toEqual([]);
      expect(await serversOf(scene, postgres.user)).toBe(1);
    });
  });
});

describe('default_pool_size 0', () => {
  it('is no limit', async () => {
    const server = await FakeServer.start();
    await withPooler(server, { settings: { default_pool_size: 0 } }, async (scene) => {
      const clients = await scene.logins(30);
      for (const client of clients) {
        await client.query('BEGIN');
      }
      expect(await serversOf(scene, 'postgres')).toBe(30);
      for (const client of clients) {
        await client.query('COMMIT');
      }
    });
    await server.stop();
  });
});
