import { describe, expect, it } from 'vitest';
import type { QueryOutcome } from '../support/query-outcome.ts';
import type { RawClient } from '../support/raw-client.ts';
import { withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const postgres = sharedPostgres();
const target = { host: postgres.host, port: postgres.port, dbname: postgres.database };
const COLUMNS = [
  'kind',
  'name',
  'key',
  'change',
  'old',
  'new',
  'needs_restart',
  'clients',
  'servers',
];

function openConsole(scene: Scene): Promise<RawClient> {
  return scene.login({ user: 'postgres', database: 'pgbouncer' });
}

function rowsOf({ results }: QueryOutcome): readonly (string | null)[][] {
  return (results[0]?.rows ?? []) as (string | null)[][];
}

/** The tables that a reload could change. */
async function stateOf(console: RawClient): Promise<unknown> {
  const tables = ['CONFIG', 'DATABASES', 'USERS', 'SERVERS', "CLIENTS WHERE database = 'app'"];
  const rows: unknown[] = [];
  for (const table of tables) {
    const shown = await console.query(`SHOW ${table}`);
    rows.push(shown.map((row) => ({ ...row, request_time: null, wait: null, wait_us: null })));
  }
  return rows;
}

describe('RELOAD DRY RUN', () => {
  it('lists what would change and whom it would hit, and changes nothing', async () => {
    const options = { databases: { going: {} }, users: { bob: { pool_size: 2 } } };
    await withPooler(postgres, options, async (scene) => {
      const going = await scene.login({ database: 'going' });
      const staying = await scene.login();
      await going.query('SELECT 1');
      await staying.query('SELECT 1');
      const console = await openConsole(scene);
      const before = await stateOf(console);
      scene.pooler.rewriteConfig({
        maitred: { pool_mode: 'transaction', default_pool_size: 3, listen_backlog: 64 },
        databases: { app: { ...target, host: 'localhost', password: 'hunter2' }, coming: target },
        users: { bob: { pool_size: 4 }, eve: {} },
      });
      const expected = [
        ['setting', 'default_pool_size', null, 'changed', '1', '3', 'no', null, null],
        ['setting', 'listen_backlog', null, 'changed', '128', '64', 'yes', null, null],
        ['database', 'coming', null, 'added', null, null, null, null, null],
        ['database', 'going', null, 'removed', null, null, null, null, null],
        ['database', 'app', 'host', 'changed', target.host, 'localhost', null, null, null],
        ['database', 'app', 'password', 'changed', '', '***', null, null, null],
        ['user', 'eve', null, 'added', null, null, null, null, null],
        ['user', 'bob', 'pool_size', 'changed', '2', '4', null, null, null],
        ['pool', `going/${postgres.user}`, null, 'closed', null, null, null, '1', '1'],
        ['pool', `app/${postgres.user}`, null, 'recycled', null, null, null, '1', '1'],
      ];
      const byKind = (rows: readonly (string | null)[][]): unknown =>
        rows.toSorted((a, b) => (a.join() < b.join() ? -1 : 1));
      for (const outcome of [
        await console.simpleQuery('RELOAD DRY RUN'),
        await console.extendedQuery('reload dry run;'),
      ]) {
        expect(outcome.errors).toEqual([]);
        expect(outcome.results[0]?.tag).toBe('RELOAD DRY RUN');
        expect(outcome.results[0]?.fields.map(({ name }) => name)).toEqual(COLUMNS);
        expect(byKind(rowsOf(outcome))).toEqual(byKind(expected));
      }
      expect(await stateOf(console)).toEqual(before);
      expect((await going.simpleQuery('SELECT 1')).errors).toEqual([]);
      // RELOAD does what was said.
      await console.query('RELOAD');
      expect(rowsOf(await console.simpleQuery('RELOAD DRY RUN'))).toEqual([
        ['setting', 'listen_backlog', null, 'changed', '128', '64', 'yes', null, null],
      ]);
      expect((await going.readError()).text).toBe('database removed');
      const audit = scene.pooler.logs.filter(({ msg }) => msg === 'RELOAD DRY RUN command issued');
      expect(audit.map(({ user }) => user)).toEqual(['postgres', 'postgres', 'postgres']);
      going.destroy();
    });
  });

  it('tells of pools made from the database *', async () => {
    await withPooler(postgres, { databases: { '*': {} } }, async (scene) => {
      const client = await scene.login({ database: postgres.database });
      await client.query('SELECT 1');
      const console = await openConsole(scene);
      const config = { pool_mode: 'transaction', default_pool_size: 1 };
      scene.pooler.rewriteConfig({ maitred: config, databases: { app: target } });
      expect(rowsOf(await console.simpleQuery('RELOAD DRY RUN'))).toEqual([
        ['database', '*', null, 'removed', null, null, null, null, null],
        [
          'pool',
          `${postgres.database}/${postgres.user}`,
          null,
          'closed',
          null,
          null,
          null,
          '1',
          '1',
        ],
      ]);
    });
  });

  it('lists the pools that changed TLS settings for servers recycle, as RELOAD does', async () => {
    const local = { host: postgres.socketDir, port: postgres.port, dbname: postgres.database };
    const databases = { app: target, local, unused: target };
    await withPooler(postgres, { databases: { local, unused: {} } }, async (scene) => {
      const clients = [await scene.login(), await scene.login({ database: 'local' })];
      for (const client of clients) {
        await client.query('SELECT 1');
      }
      const console = await openConsole(scene);
      const idsOf = async (database: string): Promise<unknown> =>
        (await console.query('SHOW SERVERS'))
          .filter((row) => row['database'] === database)
          .map((row) => row['id']);
      const before = [await idsOf('app'), await idsOf('local')];
      const settings = { pool_mode: 'transaction', default_pool_size: 1 };
      const broken = { server_tls_sslmode: 'prefer', server_tls_ca_file: '/nowhere.crt' };
      scene.pooler.rewriteConfig({ maitred: { ...settings, ...broken }, databases });
      const [planned] = (await console.simpleQuery('RELOAD DRY RUN')).errors;
      expect(planned?.text).toContain('server_tls_ca_file: could not read "/nowhere.crt"');
      const mode = { server_tls_sslmode: 'allow' };
      scene.pooler.rewriteConfig({ maitred: { ...settings, ...mode }, databases });
      expect(rowsOf(await console.simpleQuery('RELOAD DRY RUN'))).toEqual([
        ['setting', 'server_tls_sslmode', null, 'changed', 'prefer', 'allow', 'no', null, null],
        ['pool', `app/${postgres.user}`, null, 'recycled', null, null, null, '1', '1'],
      ]);
      expect([await idsOf('app'), await idsOf('local')]).toEqual(before);
      await console.query('RELOAD');
      await waitFor('the server connection over TCP to be replaced', async () => {
        await clients[0]?.query('SELECT 1');
        return JSON.stringify(await idsOf('app')) !== JSON.stringify(before[0]);
      });
      await clients[1]?.query('SELECT 1');
      expect(await idsOf('local')).toEqual(before[1]);
      expect(rowsOf(await console.simpleQuery('RELOAD DRY RUN'))).toEqual([]);
    });
  });

  it('is empty when nothing has changed', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const console = await openConsole(scene);
      expect(rowsOf(await console.simpleQuery('RELOAD DRY RUN'))).toEqual([]);
    });
  });

  it('fails as RELOAD does, and the session goes on', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const console = await openConsole(scene);
      scene.pooler.rewriteConfig({ maitred: { pool_mode: 'swimming' }, databases: {} });
      const [planned] = (await console.simpleQuery('RELOAD DRY RUN')).errors;
      const [extended] = (await console.extendedQuery('RELOAD DRY RUN')).errors;
      const [reloaded] = (await console.simpleQuery('RELOAD')).errors;
      expect(planned?.message).toContain('F0000: RELOAD failed, see logs for additional details: ');
      expect(planned?.message).toContain('swimming');
      expect([planned?.message, extended?.message]).toEqual([reloaded?.message, reloaded?.message]);
      const problems = scene.pooler.logs.filter(
        ({ event, problem }) => event === 'config_reload_failed' && problem !== undefined,
      );
      expect(problems.length).toBe(3);
      const wrong = (await console.simpleQuery('RELOAD DRY')).errors[0];
      expect(wrong?.text).toBe("invalid command 'RELOAD DRY', use SHOW HELP;");
      expect((await console.simpleQuery('RELOAD DRY RUN NOW')).errors[0]?.sqlState).toBe('42601');
      expect((await console.simpleQuery('RELOAD app')).errors[0]?.sqlState).toBe('42601');
    });
  });
});
