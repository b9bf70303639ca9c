/** What SHOW can show. */
export const SHOW_TOPICS = [
  'active_sockets',
  'clients',
  'config',
  'databases',
  'dns_hosts',
  'dns_zones',
  'fds',
  'help',
  'lists',
  'mem',
  'peer_pools',
  'peers',
  'pools',
  'servers',
  'sockets',
  'state',
  'stats',
  'stats_averages',
  'stats_totals',
  'totals',
  'users',
  'version',
  'waits',
] as const;
/** One of {@link SHOW_TOPICS}. */
export type ShowTopic = (typeof SHOW_TOPICS)[number];

/** What PgBouncer's SHOW can show and this one cannot: refused by name, not as a typing error. */
export const UNSUPPORTED_TOPICS: readonly string[] = [];

/** Topics for admins only: what they show would let others act. */
export const ADMIN_TOPICS: ReadonlySet<ShowTopic> = new Set<ShowTopic>(['fds']);
