import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

const postgres = sharedPostgres();
const run = promisify(execFile);
const DEADLINE_MS = 30_000;

/** A Python that has `module`: that of the system before the first one in PATH; null for none. */
function pythonWith(module: string): string | null {
  const found = ['/usr/bin/python3', 'python3'].find((command) => {
    try {
      execFileSync(command, ['-c', `import ${module}`], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  });
  return found ?? null;
}

const PSYCOPG2 = pythonWith('psycopg2');
const PSYCOPG3 = pythonWith('psycopg');

/** Runs a script that prints one JSON value, with the URL of a database of the scene in `url`. */
async function play(
  python: string | null,
  scene: Scene,
  script: string,
  database = 'app',
): Promise<unknown> {
  const url = scene.pooler.url(database, postgres.user);
  const preamble = `import json, sys, threading, io\nurl = sys.argv[1]\n`;
  const { stdout } = await run(python ?? '', ['-c', preamble + script, url], {
    timeout: DEADLINE_MS,
  });
  return JSON.parse(stdout);
}

beforeAll(async () => {
  await postgres.query(`DROP TABLE IF EXISTS python_rows;
    CREATE TABLE python_rows (id int PRIMARY KEY, v text)`);
});

describe.skipIf(PSYCOPG2 === null)('psycopg2, where it is installed', () => {
  it('commits, copies in binary, cancels, and goes on after errors', async () => {
    await withPooler(postgres, { settings: { default_pool_size: 2 } }, async (scene) => {
      const script = `
import psycopg2
c = psycopg2.connect(url)
cu = c.cursor()
cu.execute('TRUNCATE python_rows')
cu.copy_from(io.StringIO(''.join('%d\\tv\\n' % i for i in range(5000))), 'python_rows')
c.commit()
out = io.BytesIO()
cu.copy_expert('COPY python_rows TO STDOUT (FORMAT binary)', out)
cu.execute('TRUNCATE python_rows')
out.seek(0)
cu.copy_expert('COPY python_rows FROM STDIN (FORMAT binary)', out)
result = [cu.rowcount]
c.commit()
try:
    cu.execute('SELECT 1/0')
except psycopg2.Error as e:
    result.append(e.pgcode)
c.rollback()
named = c.cursor('named')
named.itersize = 7
named.execute('SELECT generate_series(1, 50)')
result.append(len(list(named)))
c.commit()
timer = threading.Timer(0.3, c.cancel)
timer.start()
try:
    cu.execute('SELECT pg_sleep(20)')
except psycopg2.Error as e:
    result.append(e.pgcode)
timer.join()
c.rollback()
cu.execute('SELECT count(*) FROM python_rows')
result.append(cu.fetchone()[0])
c.close()
print(json.dumps(result))
`;
      expect(await play(PSYCOPG2, scene, script)).toEqual([5000, '22012', 50, '57014', 5000]);
    });
  });

  it('looks at the console with its usual transactions and parameters', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const script = `
import psycopg2
with psycopg2.connect(url) as c:
    with c.cursor() as cu:
        cu.execute('SHOW DATABASES WHERE name = %s', ('app',))
        names = [d[0] for d in cu.description]
        print(json.dumps([names[:3], [type(v).__name__ for v in cu.fetchone()[:3]]]))
`;
      expect(await play(PSYCOPG2, scene, script, 'pgbouncer')).toEqual([
        ['name', 'host', 'port'],
        ['str', 'str', 'int'],
      ]);
    });
  });
});

describe.skipIf(PSYCOPG3 === null)('psycopg 3, where it is installed', () => {
  it('runs pipelines with errors in them, and nested transactions', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const script = `
import psycopg
c = psycopg.connect(url, autocommit=True, prepare_threshold=None)
with c.pipeline() as p:
    cursors = [c.execute('SELECT %s::int', [i]) for i in range(200)]
    p.sync()
    result = [sum(cu.fetchone()[0] for cu in cursors)]
try:
    with c.pipeline():
        c.execute('SELECT 1/0').fetchone()
except psycopg.Error as e:
    result.append(e.sqlstate)
with c.transaction():
    try:
        with c.transaction():
            c.execute('SELECT nonsense')
    except psycopg.Error as e:
        result.append(e.sqlstate)
    result.append(c.execute('SELECT 7').fetchone()[0])
print(json.dumps(result))
`;
      expect(await play(PSYCOPG3, scene, script)).toEqual([19900, '22012', '42703', 7]);
    });
  });

  it('says why statement mode takes no transaction', async () => {
    await withPooler(postgres, { settings: { pool_mode: 'statement' } }, async (scene) => {
      const script = `
import psycopg
c = psycopg.connect(url, prepare_threshold=None)
try:
    c.execute('SELECT 1')
except psycopg.Error as e:
    print(json.dumps(str(e)))
`;
      // Some versions put words of their own in front of it.
      expect(await play(PSYCOPG3, scene, script)).toContain(
        'transaction blocks not allowed in statement pooling mode',
      );
    });
  });
});
