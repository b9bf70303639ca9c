import { column, defineTable, type ShowTable, sortedBy } from './show-columns.ts';
import type { DatabaseSnapshot, PoolSnapshot, UserSnapshot } from './snapshots.ts';

const US_PER_SECOND = 1_000_000;
const MS_PER_SECOND = 1000;

/** Columns that PgBouncer fills with `%9d`. */
const PADDED_WIDTH = 9;

/** SHOW POOLS, sorted by database and user. @source PgBouncer manual, "Admin console": SHOW POOLS */
export const SHOW_POOLS: ShowTable = defineTable<PoolSnapshot>(
  [
    column('database', 'text', (pool) => pool.database),
    column('user', 'text', (pool) => pool.user),
    column('cl_active', 'int4', (pool) => pool.clActive),
    column('cl_waiting', 'int4', (pool) => pool.clWaiting),
    column('cl_active_cancel_req', 'int4', (pool) => pool.clActiveCancelReq),
    column('cl_waiting_cancel_req', 'int4', (pool) => pool.clWaitingCancelReq),
    column('sv_active', 'int4', (pool) => pool.svActive),
    column('sv_active_cancel', 'int4', (pool) => pool.svActiveCancel),
    column('sv_being_canceled', 'int4', (pool) => pool.svBeingCanceled),
    column('sv_idle', 'int4', (pool) => pool.svIdle),
    column('sv_used', 'int4', (pool) => pool.svUsed),
    column('sv_tested', 'int4', (pool) => pool.svTested),
    column('sv_login', 'int4', (pool) => pool.svLogin),
    column('maxwait', 'int4', (pool) => pool.maxwaitUs / US_PER_SECOND),
    column('maxwait_us', 'int4', (pool) => pool.maxwaitUs % US_PER_SECOND),
    column('pool_mode', 'text', (pool) => pool.poolMode),
    column('load_balance_hosts', 'text', (pool) => pool.loadBalanceHosts),
  ],
  (control) =>
    sortedBy(
      control.pools(),
      (pool) => pool.database,
      (pool) => pool.user,
    ),
);

/** SHOW DATABASES, sorted by name. @source PgBouncer manual, "Admin console": SHOW DATABASES */
export const SHOW_DATABASES: ShowTable = defineTable<DatabaseSnapshot>(
  [
    column('name', 'text', (database) => database.name),
    column('host', 'text', (database) => database.host),
    column('port', 'int4', (database) => database.port),
    column('database', 'text', (database) => database.database),
    column('force_user', 'text', (database) => database.forceUser),
    column('pool_size', 'int4', (database) => database.poolSize),
    column('min_pool_size', 'int4', (database) => database.minPoolSize),
    column('reserve_pool_size', 'int4', (database) => database.reservePoolSize),
    column('server_lifetime', 'int4', (database) => database.serverLifetimeMs / MS_PER_SECOND),
    column('pool_mode', 'text', (database) => database.poolMode),
    column('load_balance_hosts', 'text', (database) => database.loadBalanceHosts),
    column('max_connections', 'int4', (database) => database.maxConnections),
    column('current_connections', 'int4', (database) => database.currentConnections),
    column('max_client_connections', 'int4', (database) => database.maxClientConnections),
    column('current_client_connections', 'int4', (database) => database.currentClientConnections),
    column('paused', 'int4', (database) => database.isPaused),
    column('disabled', 'int4', (database) => database.isDisabled),
  ],
  (control) => sortedBy(control.databases(), (database) => database.name),
);

function paddedSize(size: number | null): string {
  return size === null ? '' : String(size).padStart(PADDED_WIDTH);
}

/** SHOW USERS, sorted by name. @source PgBouncer manual, "Admin console": SHOW USERS */
export const SHOW_USERS: ShowTable = defineTable<UserSnapshot>(
  [
    column('name', 'text', (user) => user.name),
    column('pool_size', 'text', (user) => paddedSize(user.poolSize)),
    column('reserve_pool_size', 'text', (user) => paddedSize(user.reservePoolSize)),
    column('pool_mode', 'text', (user) => user.poolMode),
    column('max_user_connections', 'int4', (user) => user.maxUserConnections),
    column('current_connections', 'int4', (user) => user.currentConnections),
    column('max_user_client_connections', 'int4', (user) => user.maxUserClientConnections),
    column('current_client_connections', 'int4', (user) => user.currentClientConnections),
  ],
  (control) => sortedBy(control.users(), (user) => user.name),
);
