import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import pg from 'pg';
import postgresJs from 'postgres';
import { describe, expect, it } from 'vitest';
import * as f from '../support/frontend-messages.ts';
import { residentBytes, withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

const postgres = sharedPostgres();
const run = promisify(execFile);

function consoleUrl(scene: Scene): string {
  return scene.pooler.url('pgbouncer', 'postgres');
}

async function withConsole(
  scene: Scene,
  body: (client: pg.Client) => Promise<void>,
): Promise<void> {
  const client = new pg.Client({ connectionString: consoleUrl(scene) });
  await client.connect();
  try {
    await body(client);
  } finally {
    await client.end();
  }
}

/** A query that node-postgres sends by the extended protocol, though it has no parameters. */
function extended(text: string, more: object = {}): pg.QueryConfig {
  return { text, queryMode: 'extended', ...more } as pg.QueryConfig;
}

describe('node-postgres on the console', () => {
  it('gets tables by unnamed and by named statements', async () => {
    await withPooler(postgres, {}, async (scene) => {
      await withConsole(scene, async (client) => {
        for (const query of [
          extended('SHOW POOLS'),
          extended('SHOW POOLS', { name: 'pools' }),
          extended('SHOW POOLS', { name: 'pools' }),
        ]) {
          const { rows } = await client.query(query);
          expect(rows).toEqual([expect.objectContaining({ database: 'pgbouncer', cl_active: 1 })]);
        }
      });
    });
  });

  it('gets binary numbers', async () => {
    await withPooler(postgres, {}, async (scene) => {
      await withConsole(scene, async (client) => {
        const text = "SELECT items FROM maitred.lists WHERE list = 'pools'";
        expect((await client.query(extended(text, { binary: true }))).rows).toEqual([{ items: 1 }]);
      });
    });
  });

  it('is refused parameters, and goes on', async () => {
    await withPooler(postgres, {}, async (scene) => {
      await withConsole(scene, async (client) => {
        const refused = client.query('SHOW POOLS WHERE database = $1', ['app']);
        await expect(refused).rejects.toMatchObject({ code: '42P02' });
        expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
      });
    });
  });

  it('gets the answer to a PAUSE when it is done', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const busy = await scene.login();
      await busy.query('BEGIN');
      await withConsole(scene, async (client) => {
        let isAnswered = false;
        const paused = client.query(extended('PAUSE app')).then(({ command }) => {
          isAnswered = true;
          return command;
        });
        await scene.waitForPool({ sv_active: 1 });
        expect(isAnswered).toBe(false);
        await busy.query('COMMIT');
        expect(await paused).toBe('PAUSE');
        await client.query(extended('RESUME app'));
      });
    });
  });
});

describe('postgres.js on the console', () => {
  it('works with its defaults, types query and transactions included', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const sql = postgresJs(consoleUrl(scene), { max: 1, onnotice: () => undefined });
      try {
        const tables = await Promise.all(
          Array.from({ length: 20 }, () => sql`SHOW DATABASES WHERE name = 'app'`),
        );
        for (const rows of tables) {
          expect(rows).toEqual([expect.objectContaining({ name: 'app', pool_size: 1 })]);
        }
        const inBlock = await sql.begin(async (block) => await block`SHOW VERSION`);
        expect(inBlock[0]?.['version']).toMatch(/^PgBouncer /);
        await expect(sql`SHOW NOTHING`).rejects.toMatchObject({ code: '42601' });
        const failed = sql.begin(async (block) => await block`PAUSE nowhere`);
        await expect(failed).rejects.toMatchObject({ code: '3D000' });
        expect(await sql`SELECT 1 AS one`).toEqual([{ one: 1 }]);
      } finally {
        await sql.end();
      }
    });
  });
});

describe('psql on the console', () => {
  it('runs in one transaction', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const sql = 'SELECT name FROM maitred.databases ORDER BY name LIMIT 1';
      const { stdout } = await run('psql', [consoleUrl(scene), '-XAt1', '-c', sql]);
      expect(stdout).toBe('app\n');
    });
  });
});

describe('single messages to the console', () => {
  it('are answered before Sync when Flush asks for it', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login({ user: 'postgres', database: 'pgbouncer' });
      client.send(f.parse('SHOW STATE', 's'), f.describe('S', 's'), f.flush());
      const types: string[] = [];
      while (types.at(-1) !== 'T') {
        types.push((await client.readMessage()).type);
      }
      expect(types).toEqual(['1', 't', 'T']);
      client.send(f.bind({ statement: 's' }), f.execute('', 1), f.execute('', 5), f.sync());
      const rest = await client.readUntil('Z');
      expect(rest.map(({ type }) => type).join('')).toBe('2DsDDCZ');
    });
  });

  it('that make no sense end in an error up to Sync', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login({ user: 'postgres', database: 'pgbouncer' });
      client.send(f.message('B', Buffer.alloc(3)), f.execute(), f.sync());
      const replies = await client.readUntil('Z');
      expect(replies.map(({ type }) => type).join('')).toBe('EZ');
      expect(await client.query('SHOW VERSION')).toHaveLength(1);
    });
  });
});

describe('SHOW WAITS', () => {
  it('shows who waits for a server connection', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const [busy, waiting] = await scene.logins(2, { parameters: { application_name: 'queued' } });
      await busy.query('BEGIN');
      expect(await scene.pooler.console('SHOW WAITS')).toEqual([]);
      waiting.send(f.query('SELECT 1'));
      await scene.waitForPool({ cl_waiting: 1 });
      expect(await scene.pooler.console('SHOW WAITS')).toEqual([
        expect.objectContaining({ database: 'app', application_name: 'queued', addr: '127.0.0.1' }),
      ]);
      await busy.query('COMMIT');
      await waiting.readUntil('Z');
    });
  });
});

describe('KILL_SERVER', () => {
  async function serverId(scene: Scene): Promise<string> {
    const [server] = await scene.pooler.console('SHOW SERVERS');
    return server?.['id'] ?? '';
  }

  it('ends the client that is linked with 57P01, and serves the next by a new one', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const [linked, waiting] = await scene.logins(2);
      await linked.query('BEGIN');
      waiting.send(f.query('SELECT 1'));
      await scene.waitForPool({ cl_waiting: 1 });
      const killed = await serverId(scene);
      await scene.pooler.console(`KILL_SERVER ${killed}`);
      await expect(linked.query('SELECT 1')).rejects.toMatchObject({ sqlState: '57P01' });
      expect((await waiting.readUntil('Z')).map(({ type }) => type)).toContain('D');
      expect(await serverId(scene)).not.toBe(killed);
    });
  });

  it('closes an idle server connection, and finds no other id', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      await client.query('SELECT 1');
      const killed = await serverId(scene);
      await scene.pooler.console(`KILL_SERVER ${killed}`);
      expect(await scene.pooler.console('SHOW SERVERS')).toEqual([]);
      const again = scene.pooler.console(`KILL_SERVER ${killed}`);
      await expect(again).rejects.toMatchObject({ sqlState: '42704' });
      await client.query('SELECT 1');
    });
  });
});

describe('SHOW SOCKETS and SHOW MEM', () => {
  it('show sockets with their state and counts that are true', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login();
      await client.query('SELECT 1');
      const sockets = await scene.pooler.console('SHOW SOCKETS');
      expect(sockets.map((row) => row['state']).sort()).toEqual([
        'cl_active',
        'cl_active',
        'sv_idle',
      ]);
      expect(Object.keys(sockets[0] ?? {})).toHaveLength(28);
      const memory = await scene.pooler.console("SHOW MEM WHERE name LIKE '%r_cache' AND used > 0");
      expect(memory.map((row) => [row['name'], row['used']])).toContainEqual(['server_cache', '1']);
    });
  });
});

describe('a console client that does not read', () => {
  it('gets all its answers in the end, and costs little memory meanwhile', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.pooler.login({ database: 'pgbouncer', user: 'postgres' });
      const count = 4000;
      const before = residentBytes(scene.pooler.pid);
      client.pause();
      client.send(...Array.from({ length: count }, () => f.query('SHOW CONFIG')));
      // Somebody else is served meanwhile.
      expect(await scene.pooler.console('SHOW VERSION')).toHaveLength(1);
      expect(residentBytes(scene.pooler.pid) - before).toBeLessThan(64 * 1024 * 1024);
      client.resume();
      for (let index = 0; index < count; index++) {
        await client.readUntil('Z');
      }
      client.destroy();
    });
  });
});
