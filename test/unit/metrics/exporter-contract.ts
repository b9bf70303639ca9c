/** One metric of pgbouncer_exporter: name, type, names of its labels, value for the samples. */
export type ContractRow = readonly [
  name: string,
  type: 'gauge' | 'counter',
  labels: readonly string[],
  value: number,
];

const DATABASE_LABELS = ['name', 'host', 'port', 'database', 'force_user', 'pool_mode'];
const POOL_LABELS = ['database', 'user'];

/**
 * What pgbouncer_exporter 0.12.1 exports of a PgBouncer without `requests` in its statistics, and
 * of the process, with the values that follow from the snapshot in samples.ts.
 */
export const EXPORTER_CONTRACT: readonly ContractRow[] = [
  ['pgbouncer_databases_pool_size', 'gauge', DATABASE_LABELS, 20],
  ['pgbouncer_databases_reserve_pool', 'gauge', DATABASE_LABELS, 21],
  ['pgbouncer_databases_max_connections', 'gauge', DATABASE_LABELS, 22],
  ['pgbouncer_databases_current_connections', 'gauge', DATABASE_LABELS, 23],
  ['pgbouncer_databases_paused', 'gauge', DATABASE_LABELS, 1],
  ['pgbouncer_databases_disabled', 'gauge', DATABASE_LABELS, 0],

  ['pgbouncer_stats_totals_queries_pooled_total', 'counter', ['database'], 33],
  ['pgbouncer_stats_totals_queries_duration_seconds_total', 'counter', ['database'], 0.000037],
  ['pgbouncer_stats_totals_received_bytes_total', 'counter', ['database'], 34],
  ['pgbouncer_stats_totals_sent_bytes_total', 'counter', ['database'], 35],
  [
    'pgbouncer_stats_totals_client_wait_seconds_total',
    'counter',
    ['database'],
    (2 ** 53 - 1) / 1e6,
  ],
  ['pgbouncer_stats_totals_sql_transactions_pooled_total', 'counter', ['database'], 32],
  ['pgbouncer_stats_totals_server_in_transaction_seconds_total', 'counter', ['database'], 36],
  ['pgbouncer_stats_totals_client_parses_total', 'counter', ['database'], 38],
  ['pgbouncer_stats_totals_server_parses_total', 'counter', ['database'], 39],
  ['pgbouncer_stats_totals_binds_total', 'counter', ['database'], 40],
  ['pgbouncer_stats_totals_server_assignments_total', 'counter', ['database'], 31],

  ['pgbouncer_pools_client_active_connections', 'gauge', POOL_LABELS, 1],
  ['pgbouncer_pools_client_waiting_connections', 'gauge', POOL_LABELS, 2],
  ['pgbouncer_pools_client_active_cancel_connections', 'gauge', POOL_LABELS, 3],
  ['pgbouncer_pools_client_waiting_cancel_connections', 'gauge', POOL_LABELS, 4],
  ['pgbouncer_pools_server_active_connections', 'gauge', POOL_LABELS, 5],
  ['pgbouncer_pools_server_active_cancel_connections', 'gauge', POOL_LABELS, 6],
  ['pgbouncer_pools_server_being_canceled_connections', 'gauge', POOL_LABELS, 7],
  ['pgbouncer_pools_server_idle_connections', 'gauge', POOL_LABELS, 8],
  ['pgbouncer_pools_server_used_connections', 'gauge', POOL_LABELS, 9],
  ['pgbouncer_pools_server_testing_connections', 'gauge', POOL_LABELS, 10],
  ['pgbouncer_pools_server_login_connections', 'gauge', POOL_LABELS, 11],
  ['pgbouncer_pools_client_maxwait_seconds', 'gauge', POOL_LABELS, 12],

  ['pgbouncer_databases', 'gauge', [], 51],
  ['pgbouncer_users', 'gauge', [], 52],
  ['pgbouncer_pools', 'gauge', [], 53],
  ['pgbouncer_free_clients', 'gauge', [], 54],
  ['pgbouncer_used_clients', 'gauge', [], 55],
  ['pgbouncer_login_clients', 'gauge', [], 56],
  ['pgbouncer_free_servers', 'gauge', [], 57],
  ['pgbouncer_used_servers', 'gauge', [], 58],
  ['pgbouncer_cached_dns_names', 'gauge', [], 59],
  ['pgbouncer_cached_dns_zones', 'gauge', [], 60],
  ['pgbouncer_in_flight_dns_queries', 'gauge', [], 61],

  ['pgbouncer_config_max_client_connections', 'gauge', [], 71],
  ['pgbouncer_config_max_user_connections', 'gauge', [], 0],

  ['pgbouncer_client_connections', 'gauge', ['database', 'user', 'application_name', 'state'], 1],

  ['pgbouncer_version_info', 'gauge', ['version'], 1],
  ['pgbouncer_up', 'gauge', [], 1],

  ['pgbouncer_process_cpu_seconds_total', 'counter', [], 81.5],
  ['pgbouncer_process_open_fds', 'gauge', [], 84],
  ['pgbouncer_process_max_fds', 'gauge', [], 85],
  ['pgbouncer_process_virtual_memory_bytes', 'gauge', [], 83],
  ['pgbouncer_process_virtual_memory_max_bytes', 'gauge', [], 2 ** 64],
  ['pgbouncer_process_resident_memory_bytes', 'gauge', [], 82],
  ['pgbouncer_process_start_time_seconds', 'gauge', [], 1700000000.25],
];
