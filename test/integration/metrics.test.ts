import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { numberOf, parseExposition } from '../support/exposition.ts';
import type { Scrape } from '../support/exposition.ts';
import * as frontend from '../support/frontend-messages.ts';
import { startPooler } from '../support/pooler-fixture.ts';
import type { PoolerFixture } from '../support/pooler-fixture.ts';
import type { TextRow } from '../support/query-outcome.ts';
import { withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

const postgres = sharedPostgres();

const METRICS_ON = { metrics_listen_addr: '127.0.0.1', metrics_listen_port: 0 };

async function get(pooler: PoolerFixture, path: string): Promise<Response> {
  const { port } = await pooler.waitForEvent('metrics_listening');
  return fetch(`http://127.0.0.1:${String(port)}${path}`);
}

async function scrape(pooler: PoolerFixture): Promise<Scrape> {
  const response = await get(pooler, '/metrics');
  expect(response.status).toBe(200);
  return parseExposition(await response.text());
}

async function withMetrics(body: (scene: Scene) => Promise<void>): Promise<void> {
  await withPooler(postgres, { settings: METRICS_ON }, body);
}

/** Numbers of the pool of the scene. */
async function poolNumbers(scene: Scene, ...names: string[]): Promise<number[]> {
  const metrics = await scrape(scene.pooler);
  return names.map((name) => numberOf(metrics, `pgbouncer_pools_${name}`, { database: 'app' }));
}

/** Checks that each row of a console table is in the scrape with the same numbers. */
function expectRows(
  metrics: Scrape,
  prefix: string,
  rows: readonly TextRow[],
  columns: Readonly<Record<string, string>>,
  labels: readonly string[],
): void {
  for (const [suffix, column] of Object.entries(columns)) {
    const name = `${prefix}_${suffix}`;
    expect(metrics.get(name)?.samples, name).toHaveLength(rows.length);
    for (const row of rows) {
      const wanted = Object.fromEntries(labels.map((label) => [label, row[label] ?? '']));
      expect(numberOf(metrics, name, wanted), name).toBe(Number(row[column]));
    }
  }
}

describe('/metrics', () => {
  it('shows clients that work and clients that wait', async () => {
    await withMetrics(async (scene) => {
      const names = ['client_waiting_connections', 'server_active_connections'];
      const [a, b] = await scene.logins(2);
      expect(await poolNumbers(scene, ...names)).toEqual([0, 0]);
      await a.query('BEGIN');
      b.send(frontend.query('SELECT 1'));
      await scene.waitForPool({ cl_waiting: 1 });
      expect(await poolNumbers(scene, ...names)).toEqual([1, 1]);
      await a.query('COMMIT');
      await b.readOutcome();
      expect(await poolNumbers(scene, ...names)).toEqual([0, 0]);
    });
  });

  it('counts what clients do, and times in seconds', async () => {
    await withMetrics(async (scene) => {
      const client = await scene.login();
      const total = (metrics: Scrape, name: string): number =>
        numberOf(metrics, `pgbouncer_stats_totals_${name}_total`, { database: 'app' });
      const before = await scrape(scene.pooler);
      await client.query('SELECT pg_sleep(0.2)');
      await client.query("SELECT repeat('x', 10000)");
      const after = await scrape(scene.pooler);
      const grown = (name: string): number => total(after, name) - total(before, name);
      expect(grown('queries_pooled')).toBe(2);
      expect(grown('sql_transactions_pooled')).toBe(2);
      expect(grown('server_assignments')).toBe(2);
      expect(grown('sent_bytes')).toBeGreaterThan(10_000);
      expect(grown('received_bytes')).toBeLessThan(1_000);
      expect(grown('queries_duration_seconds')).toBeGreaterThan(0.19);
      expect(grown('queries_duration_seconds')).toBeLessThan(20);
    });
  });

  it('has the numbers of the console', async () => {
    await withMetrics(async (scene) => {
      const client = await scene.login();
      await client.query('BEGIN');
      // Both see the console client of the command itself in their own way: leave its rows out.
      const isOther = ({ database, name }: TextRow): boolean => (name ?? database) !== 'pgbouncer';
      const rowsOf = async (topic: string): Promise<TextRow[]> =>
        (await scene.pooler.console(`SHOW ${topic}`)).filter(isOther);
      const [databases, pools, stats] = [
        await rowsOf('DATABASES'),
        await rowsOf('POOLS'),
        await rowsOf('STATS_TOTALS'),
      ];
      const metrics = new Map(
        [...(await scrape(scene.pooler))].map(([name, family]) => [
          name,
          { ...family, samples: family.samples.filter(({ labels }) => isOther(labels)) },
        ]),
      );
      expectRows(
        metrics,
        'pgbouncer_databases',
        databases,
        { pool_size: 'pool_size', current_connections: 'current_connections', paused: 'paused' },
        ['name', 'host', 'port', 'database', 'force_user', 'pool_mode'],
      );
      expectRows(
        metrics,
        'pgbouncer_pools',
        pools,
        { client_active_connections: 'cl_active', server_active_connections: 'sv_active' },
        ['database', 'user'],
      );
      expectRows(
        metrics,
        'pgbouncer_stats_totals',
        stats,
        { queries_pooled_total: 'query_count', received_bytes_total: 'bytes_received' },
        ['database'],
      );
      expect(numberOf(metrics, 'pgbouncer_pools_server_active_connections')).toBe(1);
      await client.query('COMMIT');
    });
  });

  it('tells of the process', async () => {
    await withMetrics(async (scene) => {
      const metrics = await scrape(scene.pooler);
      const [row] = await scene.pooler.console('SHOW VERSION');
      const labels = { version: row?.['version'] ?? '' };
      expect(numberOf(metrics, 'pgbouncer_version_info', labels)).toBe(1);
      expect(numberOf(metrics, 'pgbouncer_up')).toBe(1);
      expect(numberOf(metrics, 'pgbouncer_config_max_client_connections')).toBe(100);
      expect(numberOf(metrics, 'pgbouncer_process_cpu_seconds_total')).toBeGreaterThan(0);
      expect(numberOf(metrics, 'maitred_event_loop_active_seconds_total')).toBeGreaterThan(0);
      const startedAgo =
        Date.now() / 1000 - numberOf(metrics, 'pgbouncer_process_start_time_seconds');
      expect(startedAgo).toBeGreaterThan(0);
      expect(startedAgo).toBeLessThan(60);
    });
  });

  it('is not broken by the application_name of a client', async () => {
    await withMetrics(async (scene) => {
      const name = 'a"} 1\npgbouncer_up 0\\\r';
      await scene.login({ parameters: { application_name: name } });
      const metrics = await scrape(scene.pooler);
      const labels = { application_name: name.replace('\r', '\ufffd') };
      expect(numberOf(metrics, 'pgbouncer_client_connections', labels)).toBe(1);
      expect(numberOf(metrics, 'pgbouncer_up')).toBe(1);
    });
  });
});

describe('/readyz', () => {
  it('turns to 503 at SHUTDOWN WAIT_FOR_CLIENTS, while everything else goes on', async () => {
    const pooler = await startPooler({
      config: {
        maitred: { ...METRICS_ON, pool_mode: 'transaction' },
        databases: {
          app: { host: postgres.host, port: postgres.port, dbname: postgres.address.database },
        },
      },
      users: { postgres: '', [postgres.user]: '' },
    });
    try {
      const client = await pooler.login({ user: postgres.user, database: 'app' });
      expect((await get(pooler, '/readyz')).status).toBe(200);
      await pooler.console('SHUTDOWN WAIT_FOR_CLIENTS');
      expect((await get(pooler, '/readyz')).status).toBe(503);
      expect((await get(pooler, '/healthz')).status).toBe(200);
      expect(numberOf(await scrape(pooler), 'pgbouncer_used_clients')).toBe(1);
      expect(await client.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
      await client.close();
      expect(await pooler.exited).toMatchObject({ code: 0 });
      await expect(get(pooler, '/healthz')).rejects.toThrow('fetch failed');
    } finally {
      await pooler.kill();
    }
  });

  it('stays at 200 while paused and without a server: clients are accepted', async () => {
    const unused = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => unused.once('listening', resolve));
    const { port } = unused.address() as AddressInfo;
    await new Promise((resolve) => unused.close(resolve));
    const pooler = await startPooler({
      config: { maitred: METRICS_ON, databases: { app: { host: '127.0.0.1', port } } },
    });
    try {
      await pooler.console('PAUSE');
      expect((await get(pooler, '/readyz')).status).toBe(200);
      await pooler.console('RESUME');
      await pooler.stop();
    } finally {
      await pooler.kill();
    }
  });
});

describe('metrics_listen_addr and metrics_listen_port', () => {
  it('that are taken are a warning, and clients are served', async () => {
    const taken = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const { port } = taken.address() as AddressInfo;
    const settings = { metrics_listen_addr: '127.0.0.1', metrics_listen_port: port };
    try {
      await withPooler(postgres, { settings }, async (scene) => {
        const line = await scene.pooler.waitForEvent('listen_failed');
        expect(line).toMatchObject({ level: 'warn', address: '127.0.0.1', metrics: true });
        expect(line['error']).toContain('EADDRINUSE');
        const client = await scene.login();
        expect(await client.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
        const events = scene.pooler.logs.map(({ event }) => event);
        expect(events).not.toContain('metrics_listening');
      });
    } finally {
      taken.close();
    }
  });

  it('serve nothing when the address is empty', async () => {
    await withPooler(postgres, { settings: { metrics_listen_addr: '' } }, async (scene) => {
      await scene.pooler.waitForEvent('process_up');
      const events = scene.pooler.logs.map(({ event }) => event);
      expect(events).not.toContain('metrics_listening');
      expect(events).not.toContain('listen_failed');
    });
  });

  it('stand in SHOW CONFIG and cannot be changed at run time', async () => {
    await withMetrics(async (scene) => {
      const rows = await scene.pooler.console('SHOW CONFIG');
      expect(rows.filter(({ key }) => key?.startsWith('metrics_'))).toEqual([
        {
          key: 'metrics_listen_addr',
          value: '127.0.0.1',
          default: '127.0.0.1',
          changeable: 'no',
        },
        { key: 'metrics_listen_port', value: '0', default: '9127', changeable: 'no' },
      ]);
      await expect(scene.pooler.console('SET metrics_listen_port = 1')).rejects.toThrow();
      expect((await get(scene.pooler, '/healthz')).status).toBe(200);
    });
  });
});
