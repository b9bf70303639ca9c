import { describe, expect, it } from 'vitest';
import { numberOf, parseExposition } from '../support/exposition.ts';
import type { TextRow } from '../support/query-outcome.ts';
import { withPooler } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

// Every metric of prometheus-community/pgbouncer_exporter 0.12.1 about the pooler: name, type, labels
// and the column of the console that it is made from.

const postgres = sharedPostgres();
const SETTINGS = { metrics_listen_addr: '127.0.0.1', metrics_listen_port: 0 };

interface Contract {
  readonly topic: string;
  readonly type: 'counter' | 'gauge';
  readonly prefix: string;
  readonly labels: readonly string[];
  /** Column by the rest of the name. */
  readonly columns: Readonly<Record<string, string>>;
}

const DATABASES: Contract = {
  topic: 'DATABASES',
  type: 'gauge',
  prefix: 'pgbouncer_databases_',
  labels: ['name', 'host', 'port', 'database', 'force_user', 'pool_mode'],
  columns: {
    pool_size: 'pool_size',
    reserve_pool: 'reserve_pool_size',
    max_connections: 'max_connections',
    current_connections: 'current_connections',
    paused: 'paused',
    disabled: 'disabled',
  },
};

const STATS: Contract = {
  topic: 'STATS_TOTALS',
  type: 'counter',
  prefix: 'pgbouncer_stats_totals_',
  labels: ['database'],
  columns: {
    queries_pooled_total: 'query_count',
    queries_duration_seconds_total: 'query_time',
    received_bytes_total: 'bytes_received',
    sent_bytes_total: 'bytes_sent',
    client_wait_seconds_total: 'wait_time',
    sql_transactions_pooled_total: 'xact_count',
    server_in_transaction_seconds_total: 'xact_time',
    client_parses_total: 'client_parse_count',
    server_parses_total: 'server_parse_count',
    binds_total: 'bind_count',
    server_assignments_total: 'server_assignment_count',
  },
};

const POOLS: Contract = {
  topic: 'POOLS',
  type: 'gauge',
  prefix: 'pgbouncer_pools_',
  labels: ['database', 'user'],
  columns: {
    client_active_connections: 'cl_active',
    client_active_cancel_connections: 'cl_active_cancel_req',
    client_waiting_connections: 'cl_waiting',
    client_waiting_cancel_connections: 'cl_waiting_cancel_req',
    server_active_connections: 'sv_active',
    server_active_cancel_connections: 'sv_active_cancel',
    server_being_canceled_connections: 'sv_being_canceled',
    server_idle_connections: 'sv_idle',
    server_used_connections: 'sv_used',
    server_testing_connections: 'sv_tested',
    server_login_connections: 'sv_login',
    client_maxwait_seconds: 'maxwait',
  },
};

const LISTS: Readonly<Record<string, string>> = {
  pgbouncer_databases: 'databases',
  pgbouncer_users: 'users',
  pgbouncer_pools: 'pools',
  pgbouncer_free_clients: 'free_clients',
  pgbouncer_used_clients: 'used_clients',
  pgbouncer_login_clients: 'login_clients',
  pgbouncer_free_servers: 'free_servers',
  pgbouncer_used_servers: 'used_servers',
  pgbouncer_cached_dns_names: 'dns_names',
  pgbouncer_cached_dns_zones: 'dns_zones',
  pgbouncer_in_flight_dns_queries: 'dns_queries',
};

const CONFIG: Readonly<Record<string, string>> = {
  pgbouncer_config_max_client_connections: 'max_client_conn',
  pgbouncer_config_max_user_connections: 'max_user_connections',
};

/** Metrics of the process, which the exporter has with a pid file. */
const PROCESS: Readonly<Record<string, string>> = {
  pgbouncer_process_cpu_seconds_total: 'counter',
  pgbouncer_process_open_fds: 'gauge',
  pgbouncer_process_max_fds: 'gauge',
  pgbouncer_process_virtual_memory_bytes: 'gauge',
  pgbouncer_process_virtual_memory_max_bytes: 'gauge',
  pgbouncer_process_resident_memory_bytes: 'gauge',
  pgbouncer_process_start_time_seconds: 'gauge',
};

/** Of what the console's own work changes from one look to the next. */
function isConsole({ name, database }: TextRow): boolean {
  return (name ?? database) === 'pgbouncer';
}

describe('the metrics of the exporter', () => {
  it('are all there, with the names, types, labels and numbers of the exporter', async () => {
    const settings = { ...SETTINGS, max_user_connections: 17, reserve_pool_size: 3 };
    const databases = { forced: { user: postgres.user, pool_mode: 'session', pool_size: 7 } };
    await withPooler(postgres, { settings, databases }, async (scene) => {
      const client = await scene.login({ parameters: { application_name: 'web' } });
      await client.query('SELECT 1');
      await client.query('BEGIN');
      await scene.pooler.console('PAUSE forced');
      await scene.pooler.console('DISABLE forced');
      const look = async (topic: string): Promise<TextRow[]> =>
        scene.pooler.console(`SHOW ${topic}`);
      const expected = await Promise.all(
        [DATABASES, STATS, POOLS].map(async (contract) => ({
          contract,
          rows: (await look(contract.topic)).filter((row) => !isConsole(row)),
        })),
      );
      const lists = new Map((await look('LISTS')).map(({ list, items }) => [list, items]));
      const config = new Map((await look('CONFIG')).map(({ key, value }) => [key, value]));
      const { port } = await scene.pooler.waitForEvent('metrics_listening');
      const metrics = parseExposition(
        await (await fetch(`http://127.0.0.1:${String(port)}/metrics`)).text(),
      );

      for (const { contract, rows } of expected) {
        expect(rows, contract.topic).not.toEqual([]);
        for (const [suffix, column] of Object.entries(contract.columns)) {
          const name = contract.prefix + suffix;
          const family = metrics.get(name);
          expect(family?.type, name).toBe(contract.type);
          const samples = family?.samples.filter(({ labels }) => !isConsole(labels)) ?? [];
          expect(samples, name).toHaveLength(rows.length);
          for (const { labels } of samples) {
            expect(Object.keys(labels), name).toEqual(contract.labels);
          }
          const factor = suffix.endsWith('seconds_total') ? 1e-6 : 1;
          for (const row of rows) {
            const labels = Object.fromEntries(
              contract.labels.map((label) => [label, row[label] ?? '']),
            );
            expect(numberOf(metrics, name, labels), name).toBeCloseTo(
              Number(row[column]) * factor,
              9,
            );
          }
        }
      }
      for (const [name, list] of Object.entries(LISTS)) {
        expect(metrics.get(name), name).toMatchObject({ type: 'gauge', samples: [{ labels: {} }] });
        // A console client looked at the lists, and none is left at the scrape.
        const own = name === 'pgbouncer_used_clients' ? 1 : 0;
        expect(numberOf(metrics, name), name).toBe(Number(lists.get(list)) - own);
      }
      for (const [name, key] of Object.entries(CONFIG)) {
        expect(metrics.get(name)?.type, name).toBe('gauge');
        expect(numberOf(metrics, name), name).toBe(Number(config.get(key)));
      }
      for (const [name, type] of Object.entries(PROCESS)) {
        expect(metrics.get(name)?.type, name).toBe(type);
        expect(numberOf(metrics, name), name).toBeGreaterThan(0);
      }
      const clients = metrics.get('pgbouncer_client_connections');
      expect(clients?.type).toBe('gauge');
      expect(clients?.samples.filter(({ labels }) => !isConsole(labels))).toEqual([
        {
          labels: {
            database: 'app',
            user: postgres.user,
            application_name: 'web',
            state: 'active',
          },
          value: 1,
        },
      ]);
      expect(metrics.get('pgbouncer_up')).toMatchObject({ type: 'gauge' });
      expect(
        metrics.get('pgbouncer_version_info')?.samples.map(({ labels }) => Object.keys(labels)),
      ).toEqual([['version']]);
      await client.query('COMMIT');
      await scene.pooler.console('ENABLE forced');
      await scene.pooler.console('RESUME forced');
    });
  });
});
