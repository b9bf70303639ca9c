import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import pg from 'pg';
import postgresJs from 'postgres';
import { beforeAll, describe, expect, it } from 'vitest';
import { withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

const postgres = sharedPostgres();
const run = promisify(execFile);

beforeAll(async () => {
  await postgres.query(`DROP TABLE IF EXISTS drivers_accounts;
    CREATE TABLE drivers_accounts (id int PRIMARY KEY, balance int NOT NULL);
    DROP TYPE IF EXISTS drivers_mood; CREATE TYPE drivers_mood AS ENUM ('calm', 'cross')`);
});

function urlOf(scene: Scene): string {
  return scene.pooler.url('app', postgres.user);
}

describe('node-postgres', () => {
  it('runs queries with parameters of many types', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = new pg.Client({ connectionString: urlOf(scene) });
      await client.connect();
      const values = [42, 'tëxt', null, true, new Date(0), Buffer.from([0, 255]), [1, 2], { a: 1 }];
      const { rows } = await client.query<Record<string, unknown>>(
        `SELECT $1::int AS n, $2::text AS t, $3::text AS nothing, $4::bool AS yes,
           $5::timestamptz AS at, $6::bytea AS bytes, $7::int[] AS list, $8::jsonb AS object`,
        values,
      );
      expect(Object.values(rows[0] ?? {})).toEqual(values);
      await client.end();
    });
  });

  it('commits and rolls back transactions', async () => {
    await postgres.query('TRUNCATE drivers_accounts');
    await withPooler(postgres, {}, async (scene) => {
      const client = new pg.Client({ connectionString: urlOf(scene) });
      await client.connect();
      for (const end of ['COMMIT', 'ROLLBACK']) {
        await client.query('BEGIN');
        await client.query(
          'INSERT INTO drivers_accounts SELECT max(id) + 1, 1 FROM (SELECT 0 AS id UNION SELECT id FROM drivers_accounts) x',
        );
        await client.query(end);
      }
      const { rows } = await client.query('SELECT count(*)::int AS n FROM drivers_accounts');
      expect(rows).toEqual([{ n: 1 }]);
      await client.end();
    });
  });

  it('reports errors with their SQLSTATE and goes on', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = new pg.Client({ connectionString: urlOf(scene) });
      await client.connect();
      await expect(client.query('SELECT 1 / $1::int', [0])).rejects.toMatchObject({
        code: '22012',
      });
      await expect(client.query('nonsense')).rejects.toMatchObject({ code: '42601' });
      await client.query('BEGIN');
      await expect(client.query('SELECT 1 / 0')).rejects.toMatchObject({ code: '22012' });
      await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: '25P02' });
      await client.query('ROLLBACK');
      expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
      await client.end();
    });
  });

  it('moves money between accounts with 20 clients on 2 server connections', async () => {
    await postgres.query(`TRUNCATE drivers_accounts;
      INSERT INTO drivers_accounts SELECT n, 100 FROM generate_series(0, 9) n`);
    await withPooler(postgres, { settings: { default_pool_size: 2 } }, async (scene) => {
      const pool = new pg.Pool({ connectionString: urlOf(scene), max: 20 });
      const transfer = async (index: number): Promise<void> => {
        const client = await pool.connect();
        try {
          await client.query('BEGIN');
          // In one order, so that they cannot deadlock.
          await client.query('SELECT 1 FROM drivers_accounts ORDER BY id FOR UPDATE');
          const sql = 'UPDATE drivers_accounts SET balance = balance + $1 WHERE id = $2';
          await client.query(sql, [-1, index % 10]);
          await client.query(sql, [1, (index * 7 + 3) % 10]);
          await client.query(index % 5 === 0 ? 'ROLLBACK' : 'COMMIT');
        } finally {
          client.release();
        }
      };
      await Promise.all(Array.from({ length: 200 }, (_, index) => transfer(index)));
      const { rows } = await pool.query('SELECT sum(balance)::int AS total FROM drivers_accounts');
      expect(rows).toEqual([{ total: 1000 }]);
      const servers = await scene.pooler.console('SHOW SERVERS');
      expect(servers.length).toBeLessThanOrEqual(2);
      await pool.end();
    });
  });

  it('reads a cursor inside a transaction while others work', async () => {
    await withPooler(postgres, { settings: { default_pool_size: 2 } }, async (scene) => {
      const pool = new pg.Pool({ connectionString: urlOf(scene), max: 5 });
      const client = await pool.connect();
      await client.query('BEGIN');
      await client.query('DECLARE rows CURSOR FOR SELECT n FROM generate_series(1, 1000) n');
      const seen: number[] = [];
      for (;;) {
        const [{ rows }] = await Promise.all([
          client.query<{ n: number }>('FETCH 100 FROM rows'),
          pool.query('SELECT 1'),
        ]);
        if (rows.length === 0) {
          break;
        }
        seen.push(...rows.map(({ n }) => n));
      }
      await client.query('COMMIT');
      client.release();
      expect(seen).toEqual(Array.from({ length: 1000 }, (_, index) => index + 1));
      await pool.end();
    });
  });

  it('uses named statements in session mode', async () => {
    await withPooler(postgres, { settings: { pool_mode: 'session' } }, async (scene) => {
      const client = new pg.Client({ connectionString: urlOf(scene) });
      await client.connect();
      for (let n = 0; n < 3; n++) {
        const query = { name: 'twice', text: 'SELECT $1::int * 2 AS n', values: [n] };
        expect((await client.query(query)).rows).toEqual([{ n: n * 2 }]);
      }
      await client.end();
    });
  });

  it('hears notifications in session mode', async () => {
    const settings = { pool_mode: 'session', default_pool_size: 2 };
    await withPooler(postgres, { settings }, async (scene) => {
      const client = new pg.Client({ connectionString: urlOf(scene) });
      await client.connect();
      const heard = new Promise((resolve) => client.once('notification', resolve));
      await client.query('LISTEN drivers_news');
      await postgres.query("NOTIFY drivers_news, 'hello'");
      expect(await heard).toMatchObject({ channel: 'drivers_news', payload: 'hello' });
      await client.end();
    });
  });
});

describe.each([
  ['transaction mode without prepared statements', 'transaction', { prepare: false }],
  ['session mode with its defaults', 'session', {}],
] as const)('postgres.js in %s', (_what, poolMode, options) => {
  /** Runs `body` with a client of one connection unless it asks for more. */
  async function withSql(
    body: (sql: postgresJs.Sql) => Promise<void>,
    more: postgresJs.Options<Record<string, never>> = {},
  ): Promise<void> {
    const settings = { pool_mode: poolMode, default_pool_size: 2 };
    await withPooler(postgres, { settings }, async (scene) => {
      const sql = postgresJs(urlOf(scene), { max: 1, onnotice: () => {}, ...options, ...more });
      try {
        await body(sql);
      } finally {
        await sql.end({ timeout: 5 });
      }
    });
  }

  it('runs 50 queries at once on one connection', async () => {
    await withSql(async (sql) => {
      const numbers = Array.from({ length: 50 }, (_, index) => index);
      const results = await Promise.all(
        numbers.map((n) => sql<{ n: number }[]>`SELECT ${n}::int AS n, pg_sleep(0.001)::text`),
      );
      expect(results.map(([row]) => row?.n)).toEqual(numbers);
    });
  });

  it('keeps the others when one query of a pipeline fails', async () => {
    await withSql(async (sql) => {
      const settled = await Promise.allSettled(
        Array.from({ length: 30 }, (_, n) => sql`SELECT 10 / (${n}::int - 5) AS n`),
      );
      const failed = settled.flatMap(({ status }, index) => (status === 'rejected' ? [index] : []));
      expect(failed).toEqual([5]);
      expect(settled[5]).toMatchObject({ reason: { code: '22012' } });
      expect(settled[6]).toMatchObject({ value: [{ n: 10 }] });
    });
  });

  it('runs transactions, and rolls back those that fail', async () => {
    await postgres.query('TRUNCATE drivers_accounts');
    await withSql(
      async (sql) => {
        const insert = (id: number, isGood: boolean): Promise<unknown> =>
          sql.begin(async (tx) => {
            await tx`INSERT INTO drivers_accounts VALUES (${id}, 1)`;
            await tx.savepoint((inner) => inner`SELECT 1 / 0`).catch(() => {});
            if (!isGood) {
              throw new Error('changed my mind');
            }
          });
        const settled = await Promise.allSettled(
          Array.from({ length: 12 }, (_, id) => insert(id, id % 3 !== 0)),
        );
        expect(settled.filter(({ status }) => status === 'rejected')).toHaveLength(4);
        const rows = await sql`SELECT id FROM drivers_accounts ORDER BY id`;
        expect(rows.map((row) => row['id'] as number)).toEqual([1, 2, 4, 5, 7, 8, 10, 11]);
      },
      { max: poolMode === 'session' ? 2 : 6 },
    );
  });

  it('knows array types, which it asks for when it connects', async () => {
    await withSql(async (sql) => {
      await sql`SELECT 1`;
      const rows = await sql`SELECT ${sql.array([1, 2, 3])}::int[] AS list,
        ARRAY['calm', 'cross']::drivers_mood[] AS moods`;
      expect(rows[0]).toEqual({ list: [1, 2, 3], moods: ['calm', 'cross'] });
    });
  });

  it('reads a cursor and copies rows out', async () => {
    await withSql(async (sql) => {
      const sizes = await sql.begin(async (tx) => {
        const found: number[] = [];
        await tx`SELECT generate_series(1, 25) AS n`.cursor(10, (rows) => {
          found.push(rows.length);
        });
        return found;
      });
      expect(sizes).toEqual([10, 10, 5]);
      const stream = await sql`COPY (SELECT generate_series(1, 3)) TO STDOUT`.readable();
      const chunks: Buffer[] = [];
      for await (const chunk of stream) {
        chunks.push(chunk as Buffer);
      }
      expect(Buffer.concat(chunks).toString()).toBe('1\n2\n3\n');
    });
  });
});

function hasCommand(name: string): boolean {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(!hasCommand('psql'))('psql', () => {
  /** Runs psql with a script. @returns What it printed. */
  async function psql(scene: Scene, ...commands: string[]): Promise<string> {
    const script = commands.flatMap((command) => ['-c', command]);
    const { stdout } = await run('psql', [urlOf(scene), '-XqAt', ...script]);
    return stdout;
  }

  it('runs queries, meta-commands and transactions', async () => {
    await withPooler(postgres, {}, async (scene) => {
      expect(await psql(scene, 'SELECT 1; SELECT 2')).toBe('1\n2\n');
      expect(await psql(scene, '\\dt drivers_*')).toContain('drivers_accounts');
      expect(await psql(scene, 'BEGIN', 'SELECT 3', 'COMMIT')).toBe('3\n');
    });
  });

  it('copies both ways', async () => {
    await postgres.query('TRUNCATE drivers_accounts');
    await withPooler(postgres, {}, async (scene) => {
      const file = scene.pooler.writeFile('rows.txt', '1\t10\n2\t20\n');
      await psql(scene, `\\copy drivers_accounts FROM '${file}'`);
      expect(await psql(scene, '\\copy drivers_accounts TO STDOUT')).toBe('1\t10\n2\t20\n');
    });
  });

  it('fails with the error of the server', async () => {
    await withPooler(postgres, {}, async (scene) => {
      await expect(psql(scene, 'SELECT 1 / 0')).rejects.toMatchObject({
        stderr: expect.stringContaining('division by zero') as unknown,
      });
    });
  });
});

describe.skipIf(!hasCommand('pgbench'))('pgbench', () => {
  it.each(['simple', 'extended'])(
    'runs with the %s protocol, without a failure',
    async (protocol) => {
      await postgres.createDatabase('drivers_bench');
      const options = { settings: { default_pool_size: 3 }, database: { dbname: 'drivers_bench' } };
      await withPooler(postgres, options, async (scene) => {
        await run('pgbench', [
          '-i',
          '-q',
          '-s',
          '1',
          postgres.urlFor(postgres.user, 'drivers_bench'),
        ]);
        const { stdout } = await run('pgbench', [
          ...['-n', '-M', protocol, '-c', '10', '-j', '1', '-t', '50'],
          urlOf(scene),
        ]);
        expect(stdout).toContain('number of transactions actually processed: 500/500');
        expect(stdout).toMatch(/number of failed transactions: 0 /);
      });
      await postgres.dropDatabase('drivers_bench');
    },
  );
});
