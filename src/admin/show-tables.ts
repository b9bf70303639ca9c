import type { ShowTable } from './show-columns.ts';
import {
  SHOW_ACTIVE_SOCKETS,
  SHOW_CLIENTS,
  SHOW_SERVERS,
  SHOW_SOCKETS,
  SHOW_WAITS,
} from './show-connections.ts';
import { SHOW_DNS_HOSTS, SHOW_DNS_ZONES } from './show-dns.ts';
import { SHOW_FDS } from './show-fds.ts';
import { SHOW_MEM } from './show-memory.ts';
import { SHOW_PEER_POOLS, SHOW_PEERS } from './show-peers.ts';
import { SHOW_DATABASES, SHOW_POOLS, SHOW_USERS } from './show-pools.ts';
import { SHOW_CONFIG, SHOW_LISTS, SHOW_STATE, SHOW_VERSION } from './show-process.ts';
import { SHOW_STATS, SHOW_STATS_AVERAGES, SHOW_STATS_TOTALS, SHOW_TOTALS } from './show-stats.ts';
import type { ShowTopic } from './topics.ts';

/** Topics of SHOW with a result set: all but HELP, which is a notice. */
export type TableTopic = Exclude<ShowTopic, 'help'>;

/** The result set of each topic. */
export const SHOW_TABLES: Readonly<Record<TableTopic, ShowTable>> = {
  active_sockets: SHOW_ACTIVE_SOCKETS,
  clients: SHOW_CLIENTS,
  config: SHOW_CONFIG,
  databases: SHOW_DATABASES,
  dns_hosts: SHOW_DNS_HOSTS,
  dns_zones: SHOW_DNS_ZONES,
  fds: SHOW_FDS,
  lists: SHOW_LISTS,
  mem: SHOW_MEM,
  peer_pools: SHOW_PEER_POOLS,
  peers: SHOW_PEERS,
  pools: SHOW_POOLS,
  servers: SHOW_SERVERS,
  sockets: SHOW_SOCKETS,
  state: SHOW_STATE,
  stats: SHOW_STATS,
  stats_averages: SHOW_STATS_AVERAGES,
  stats_totals: SHOW_STATS_TOTALS,
  totals: SHOW_TOTALS,
  users: SHOW_USERS,
  version: SHOW_VERSION,
  waits: SHOW_WAITS,
};

/**
 * The commands that SHOW HELP lists, one a line.
 *
 * COMPAT: PgBouncer's list less the commands that are refused here as not supported yet, and with
 * those that PgBouncer does not have.
 */
export const HELP_LINES: readonly string[] = [
  'SHOW HELP|CONFIG|DATABASES|POOLS|CLIENTS|SERVERS|USERS|VERSION',
  'SHOW PEERS|PEER_POOLS',
  'SHOW FDS|SOCKETS|ACTIVE_SOCKETS|LISTS|MEM|STATE',
  'SHOW WAITS|DNS_HOSTS|DNS_ZONES',
  'SHOW <table> [WHERE ...] [ORDER BY ...] [LIMIT n] [OFFSET n]',
  'SELECT *|<columns>|count(*) FROM maitred.<table> [WHERE ...] [ORDER BY ...] [LIMIT n]',
  'SHOW STATS|STATS_TOTALS|STATS_AVERAGES|TOTALS',
  'SET key = arg',
  'RELOAD [DRY RUN]',
  'PAUSE [<db>]',
  'RESUME [<db>]',
  'DISABLE <db>',
  'ENABLE <db>',
  'RECONNECT [<db>]',
  'KILL [<db>]',
  'KILL_CLIENT <client_id>',
  'KILL_SERVER <server_id>',
  'SUSPEND',
  'SHUTDOWN',
  'SHUTDOWN WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS',
  'WAIT_CLOSE [<db>]',
];
