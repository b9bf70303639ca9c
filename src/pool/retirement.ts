import type { PoolClient, PoolServer } from './members.ts';
import type { Pool } from './pool.ts';
import type { PoolHost } from './pool-host.ts';

/** Whether `server` has lived as long as it may. */
function isLifetimeOver<C extends PoolClient<C, S>, S extends PoolServer<C, S>>(
  pool: Pool<C, S>,
  server: S,
  nowMs: number,
): boolean {
  const ageMs = nowMs - server.connectedAtMs;
  return ageMs > pool.limits.serverLifetimeMs * server.lifetimeShare;
}

/** HOT PATH: why a server connection must not be used again that has become free, or null. */
export function reasonToCloseFree<C extends PoolClient<C, S>, S extends PoolServer<C, S>>(
  pool: Pool<C, S>,
  host: PoolHost<C, S>,
  server: S,
): string | null {
  if (server.isCloseNeeded) {
    return 'close_needed';
  }
  if (pool.isPaused) {
    return 'pause mode';
  }
  // Outside of session mode it has just answered, and the clock need not be asked.
  const isRecent = pool.limits.poolMode !== 'session';
  if (isLifetimeOver(pool, server, isRecent ? server.lastActivityMs : host.nowMs())) {
    return 'server lifetime over';
  }
  if (pool.yieldCount > 0) {
    pool.yieldCount--;
    return pool.excessCount > 0 ? 'too many servers in the pool' : 'evicted';
  }
  // A busy pool has no idle connection that could make room for a replication client.
  if (pool.replicationClients.length > 0 && pool.loginServers.length === 0 && pool.isFull) {
    return 'evicted';
  }
  return null;
}

/** Why a server connection that nobody uses must be closed, or null. Once per tick. */
export function reasonToCloseIdle<C extends PoolClient<C, S>, S extends PoolServer<C, S>>(
  pool: Pool<C, S>,
  host: PoolHost<C, S>,
  server: S,
): string | null {
  if (server.isCloseNeeded) {
    return 'database configuration changed';
  }
  if (pool.isPaused) {
    return 'pause mode';
  }
  if (isLifetimeOver(pool, server, host.nowMs())) {
    return 'server lifetime over';
  }
  if (pool.excessCount > 0) {
    return 'too many servers in the pool';
  }
  const { serverIdleTimeoutMs } = host.settings;
  const idleMs = host.nowMs() - server.lastActivityMs;
  const isIdleTooLong = serverIdleTimeoutMs > 0 && idleMs > serverIdleTimeoutMs;
  return isIdleTooLong && pool.connectedCount > pool.limits.minPoolSize
    ? 'server idle timeout'
    : null;
}
