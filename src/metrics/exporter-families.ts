import { CLIENT_LABELS, clientSamples } from './client-samples.ts';
import { familiesOf, single, type MetricFamily } from './metric-family.ts';
import type { MetricsSnapshot } from './metrics-snapshot.ts';
import type {
  DatabaseNumbers,
  DatabaseTotals,
  ListNumbers,
  PoolNumbers,
} from './metrics-source.ts';

const US_PER_SECOND = 1e6;

/** @source pgbouncer_exporter 0.12: SHOW DATABASES */
const DATABASE_FAMILIES = familiesOf<DatabaseNumbers>(
  {
    type: 'gauge',
    prefix: 'pgbouncer_databases',
    rows: ({ databases }) => databases,
    labels: {
      name: (database) => database.name,
      host: (database) => database.host,
      port: (database) => database.port,
      database: (database) => database.database,
      force_user: (database) => database.forceUser,
      pool_mode: (database) => database.poolMode,
    },
  },
  [
    ['pool_size', 'Server connections a pool may have.', (database) => database.poolSize],
    [
      'reserve_pool',
      'Server connections a pool may have on top when clients wait for long.',
      (database) => database.reservePoolSize,
    ],
    [
      'max_connections',
      'Server connections all pools of the database may have, 0 for no limit.',
      (database) => database.maxConnections,
    ],
    [
      'current_connections',
      'Server connections of the database.',
      (database) => database.currentConnections,
    ],
    ['paused', '1 while the database is paused.', (database) => Number(database.isPaused)],
    [
      'disabled',
      '1 while the database takes no clients.',
      (database) => Number(database.isDisabled),
    ],
  ],
);

/** @source pgbouncer_exporter 0.12: SHOW STATS_TOTALS. Its `queries_total` reads a column that PgBouncer has not had since 1.8. */
const STATS_FAMILIES = familiesOf<DatabaseTotals>(
  {
    type: 'counter',
    prefix: 'pgbouncer_stats_totals',
    rows: ({ stats }) => stats,
    labels: { database: ({ database }) => database },
  },
  [
    ['queries_pooled_total', 'Queries of clients.', ({ totals }) => totals.queryCount],
    [
      'queries_duration_seconds_total',
      'Time that queries ran on servers.',
      ({ totals }) => totals.queryTimeUs / US_PER_SECOND,
    ],
    ['received_bytes_total', 'Bytes received from clients.', ({ totals }) => totals.receivedBytes],
    ['sent_bytes_total', 'Bytes sent to clients.', ({ totals }) => totals.sentBytes],
    [
      'client_wait_seconds_total',
      'Time that clients waited for a server connection.',
      ({ totals }) => totals.waitTimeUs / US_PER_SECOND,
    ],
    ['sql_transactions_pooled_total', 'Transactions of clients.', ({ totals }) => totals.xactCount],
    [
      'server_in_transaction_seconds_total',
      'Time that servers were in a transaction, idle in it or not.',
      ({ totals }) => totals.xactTimeUs / US_PER_SECOND,
    ],
    [
      'client_parses_total',
      'Prepared statements made by clients.',
      ({ totals }) => totals.clientParseCount,
    ],
    [
      'server_parses_total',
      'Prepared statements made on servers.',
      ({ totals }) => totals.serverParseCount,
    ],
    ['binds_total', 'Prepared statements bound to values.', ({ totals }) => totals.bindCount],
    [
      'server_assignments_total',
      'Times that a client got a server connection.',
      ({ totals }) => totals.serverAssignmentCount,
    ],
  ],
);

/** @source pgbouncer_exporter 0.12: SHOW POOLS */
const POOL_FAMILIES = familiesOf<PoolNumbers>(
  {
    type: 'gauge',
    prefix: 'pgbouncer_pools',
    rows: ({ pools }) => pools,
    labels: { database: ({ database }) => database, user: ({ user }) => user },
  },
  [
    [
      'client_active_connections',
      'Clients that do not wait for a server connection.',
      (pool) => pool.clActive,
    ],
    [
      'client_active_cancel_connections',
      'Cancel requests on their way to a server.',
      (pool) => pool.clActiveCancelReq,
    ],
    [
      'client_waiting_connections',
      'Clients that wait for a server connection.',
      (pool) => pool.clWaiting,
    ],
    [
      'client_waiting_cancel_connections',
      'Cancel requests not yet on their way to a server.',
      (pool) => pool.clWaitingCancelReq,
    ],
    ['server_active_connections', 'Servers linked to a client.', (pool) => pool.svActive],
    [
      'server_active_cancel_connections',
      'Server connections that carry a cancel request.',
      (pool) => pool.svActiveCancel,
    ],
    [
      'server_being_canceled_connections',
      'Servers that wait for the end of a cancel request.',
      (pool) => pool.svBeingCanceled,
    ],
    ['server_idle_connections', 'Servers ready for a client.', (pool) => pool.svIdle],
    [
      'server_used_connections',
      'Servers that are checked before their next use.',
      (pool) => pool.svUsed,
    ],
    [
      'server_testing_connections',
      'Servers that run the reset or the check query.',
      (pool) => pool.svTested,
    ],
    ['server_login_connections', 'Servers connecting or logging in.', (pool) => pool.svLogin],
    [
      'client_maxwait_seconds',
      'Age of the oldest request that waits, in whole seconds.',
      (pool) => Math.trunc(pool.maxwaitUs / US_PER_SECOND),
    ],
  ],
);

/** @source pgbouncer_exporter 0.12: SHOW LISTS */
const LIST_COLUMNS: readonly (readonly [keyof ListNumbers, name: string, help: string])[] = [
  ['databases', 'databases', 'Databases.'],
  ['users', 'users', 'Users.'],
  ['pools', 'pools', 'Pools.'],
  ['freeClients', 'free_clients', 'Client slots kept for reuse; always 0.'],
  ['usedClients', 'used_clients', 'Clients that have logged in.'],
  ['loginClients', 'login_clients', 'Clients in login.'],
  ['freeServers', 'free_servers', 'Server connections not in use.'],
  ['usedServers', 'used_servers', 'Server connections in use.'],
  ['dnsNames', 'cached_dns_names', 'Host names in the cache.'],
  ['dnsZones', 'cached_dns_zones', 'DNS zones in the cache.'],
  ['dnsQueries', 'in_flight_dns_queries', 'Host names being looked up.'],
];

const LIST_FAMILIES = LIST_COLUMNS.map(([list, name, help]) =>
  single('gauge', `pgbouncer_${name}`, help, ({ lists }) => lists[list]),
);

function settingNumber(key: string): (snapshot: MetricsSnapshot) => number | null {
  return ({ settings }) => {
    const value = settings.find((setting) => setting.key === key)?.value ?? '';
    return /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : null;
  };
}

/** @source pgbouncer_exporter 0.12: SHOW CONFIG */
const CONFIG_FAMILIES = [
  single(
    'gauge',
    'pgbouncer_config_max_client_connections',
    'The setting max_client_conn.',
    settingNumber('max_client_conn'),
  ),
  single(
    'gauge',
    'pgbouncer_config_max_user_connections',
    'The setting max_user_connections, 0 for no limit.',
    settingNumber('max_user_connections'),
  ),
];

const CLIENT_FAMILY: MetricFamily = {
  name: 'pgbouncer_client_connections',
  type: 'gauge',
  help: 'Clients by database, user, application name and state.',
  labelNames: CLIENT_LABELS,
  samples: ({ clients }) => clientSamples(clients),
};

const VERSION_FAMILY: MetricFamily = {
  name: 'pgbouncer_version_info',
  type: 'gauge',
  help: 'Always 1; the label has the text of SHOW VERSION.',
  labelNames: ['version'],
  samples: ({ version }) => [{ labels: { version }, value: 1 }],
};

/**
 * The metrics of prometheus-community's pgbouncer_exporter about the pooler, under its names:
 * dashboards and alerts made for it work unchanged.
 */
export const EXPORTER_FAMILIES: readonly MetricFamily[] = [
  single('gauge', 'pgbouncer_up', 'Always 1: who answers is up.', () => 1),
  VERSION_FAMILY,
  ...DATABASE_FAMILIES,
  ...STATS_FAMILIES,
  ...POOL_FAMILIES,
  ...LIST_FAMILIES,
  ...CONFIG_FAMILIES,
  CLIENT_FAMILY,
];
