import { describe, expect, it } from 'vitest';
import * as frontend from '../support/frontend-messages.ts';
import { withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

const postgres = sharedPostgres();

describe('SHOW USERS', () => {
  it('lists every user that is known: of auth_file, of the section users, forced ones', async () => {
    const options = {
      logins: ['filed'],
      users: { settled: { pool_size: 3 } },
      databases: { forced: { user: 'owner', min_pool_size: 1 } },
      settings: { max_user_connections: 7, server_login_retry: 3600 },
    };
    await withPooler(postgres, options, async (scene) => {
      const rows = await scene.pooler.console('SHOW USERS');
      const names = rows.map(({ name }) => name);
      expect(names).toEqual(
        [...new Set(['filed', 'owner', 'pgbouncer', 'postgres', 'settled', postgres.user])].sort(),
      );
      expect(rows.find(({ name }) => name === 'filed')).toEqual({
        name: 'filed',
        pool_size: '',
        reserve_pool_size: '',
        pool_mode: null,
        max_user_connections: '7',
        current_connections: '0',
        max_user_client_connections: '0',
        current_client_connections: '0',
      });
      expect(rows.find(({ name }) => name === 'settled')?.['pool_size']).toBe('        3');
      const lists = await scene.pooler.console("SHOW LISTS WHERE list = 'users'");
      expect(lists[0]?.['items']).toBe(String(names.length));
    });
  });
});

describe('SHOW USERS and SHOW LISTS', () => {
  async function namesOf(scene: Scene): Promise<(string | null | undefined)[]> {
    const names = (await scene.pooler.console('SHOW USERS')).map(({ name }) => name);
    const lists = await scene.pooler.console("SHOW LISTS WHERE list = 'users'");
    expect(lists[0]?.['items']).toBe(String(names.length));
    return names;
  }

  it('have who asks auth_query, and who is forced by * once that is used', async () => {
    const options = {
      databases: { asked: { auth_user: 'asker' }, '*': { user: 'starred' } },
    };
    await withPooler(postgres, options, async (scene) => {
      const before = await namesOf(scene);
      expect(before).toContain('asker');
      expect(before).not.toContain('starred');
      await scene.login({ user: 'postgres', database: 'anything' }).catch(() => null);
      expect(await namesOf(scene)).toContain('starred');
    });
  });

  it('do not have names that only try to log in', async () => {
    const settings = { auth_type: 'scram-sha-256' };
    await withPooler(postgres, { settings, password: 'x', logins: ['known'] }, async (scene) => {
      for (const user of ['stranger', 'known']) {
        const client = await scene.connect();
        client.startup({ user, database: 'app' });
        await client.readUntil('R');
      }
      const names = await namesOf(scene);
      expect(names).toContain('known');
      expect(names).not.toContain('stranger');
    });
  });
});

describe('SHOW CLIENTS', () => {
  it('goes pool by pool, with those that wait behind the others', async () => {
    const options = { databases: { zoo: {}, abc: {} } };
    await withPooler(postgres, options, async (scene) => {
      const waiting = await scene.login({ database: 'zoo' });
      const active = await scene.login({ database: 'zoo' });
      const idle = await scene.login({ database: 'zoo' });
      await scene.login({ database: 'abc' });
      await active.query('BEGIN');
      waiting.send(frontend.query('SELECT 1'));
      await scene.waitForPool({ cl_waiting: 1 }, 'zoo');
      const rows = await scene.pooler.console('SHOW CLIENTS');
      expect(rows.map(({ database, state }) => `${String(database)} ${String(state)}`)).toEqual([
        'abc idle',
        'pgbouncer active',
        'zoo active',
        'zoo idle',
        'zoo waiting',
      ]);
      await active.query('COMMIT');
      await waiting.readUntil('Z');
      expect((await idle.simpleQuery('SELECT 1')).errors).toEqual([]);
    });
  });
});
