import type { ShowTopic } from './command-parser.ts';
import { SHOW_CLIENTS, SHOW_SERVERS } from './show-connections.ts';
import type { ShowTable } from './show-columns.ts';
import { SHOW_DATABASES, SHOW_POOLS, SHOW_USERS } from './show-pools.ts';
import { SHOW_CONFIG, SHOW_LISTS, SHOW_STATE, SHOW_VERSION } from './show-process.ts';
import { SHOW_STATS, SHOW_STATS_AVERAGES, SHOW_STATS_TOTALS, SHOW_TOTALS } from './show-stats.ts';

/** Topics of SHOW with a result set: all but HELP, which is a notice. */
export type TableTopic = Exclude<ShowTopic, 'help'>;

/** The result set of each topic. */
export const SHOW_TABLES: Readonly<Record<TableTopic, ShowTable>> = {
  clients: SHOW_CLIENTS,
  config: SHOW_CONFIG,
  databases: SHOW_DATABASES,
  lists: SHOW_LISTS,
  pools: SHOW_POOLS,
  servers: SHOW_SERVERS,
  state: SHOW_STATE,
  stats: SHOW_STATS,
  stats_averages: SHOW_STATS_AVERAGES,
  stats_totals: SHOW_STATS_TOTALS,
  totals: SHOW_TOTALS,
  users: SHOW_USERS,
  version: SHOW_VERSION,
};

/**
 * The commands that SHOW HELP lists, one a line.
 *
 * COMPAT: PgBouncer's list less the commands that are refused here as not supported yet.
 */
export const HELP_LINES: readonly string[] = [
  'SHOW HELP|CONFIG|DATABASES|POOLS|CLIENTS|SERVERS|USERS|VERSION',
  'SHOW LISTS|STATE',
  'SHOW STATS|STATS_TOTALS|STATS_AVERAGES|TOTALS',
  'SET key = arg',
  'RELOAD',
  'PAUSE [<db>]',
  'RESUME [<db>]',
  'DISABLE <db>',
  'ENABLE <db>',
  'RECONNECT [<db>]',
  'KILL [<db>]',
  'KILL_CLIENT <client_id>',
  'SHUTDOWN',
  'SHUTDOWN WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS',
  'WAIT_CLOSE [<db>]',
];
