import { LINGER_MS } from '../client/client-connection.ts';
import { resolveClientSettings } from '../pool/effective-settings.ts';
import { maintainPool } from '../pool/janitor.ts';
import { poolerError, type PoolerError } from '../protocol/pooler-errors.ts';
import type { ClientEnd, RelayPool } from '../relay/ends.ts';
import type { Pooler } from './pooler.ts';

/** One maintenance pass over everything; all timeouts are found here, none has a timer. */
export function runTick(pooler: Pooler): void {
  const nowMs = pooler.nowMs();
  const { suspension } = pooler.modes;
  if (suspension.isOn) {
    // All other timeouts stand still.
    suspension.proceed();
    pooler.modes.checkWaiting();
    return;
  }
  watchLogins(pooler, nowMs);
  pooler.guard.onTick();
  for (const pool of [...pooler.registry.pools]) {
    for (const server of pooler.serversOf(pool)) {
      server.link.checkTimeouts(nowMs);
    }
    closeIdleClients(pooler, pool, nowMs);
    closeRetiredReplication(pool);
    if (pooler.settings.serverFastClose) {
      closeRetiredPairs(pool);
    }
    maintainPool(
      pool,
      pooler,
      (client) => queryWaitTimeoutMs(pooler, pool, client),
      (target) => describeQueue(pooler, target),
    );
  }
  pooler.registry.makeBusyPoolsGiveWay();
  pooler.broker.onTick();
  pooler.peers.onTick();
  pooler.zones.onTick();
  dropUnusedPools(pooler, nowMs);
  pooler.external.onTick();
  pooler.authQueries.onTick();
  pooler.passwords.onTick();
  pooler.tls.onTick();
  dropUnusedDatabases(pooler, nowMs);
  for (const client of [...pooler.lingering]) {
    if (nowMs - client.closedAtMs > LINGER_MS) {
      client.destroy();
    }
  }
  pooler.modes.drain.proceed();
  pooler.modes.checkWaiting();
}

function watchLogins(pooler: Pooler, nowMs: number): void {
  const limitMs = pooler.settings.clientLoginTimeoutMs;
  if (limitMs === 0) {
    return;
  }
  // Oldest first, so the walk ends at the first that has time left.
  for (let client = pooler.logins.head; client !== null; client = pooler.logins.head) {
    if (nowMs - client.connectedAtMs <= limitMs) {
      return;
    }
    const error = poolerError('loginTimeout');
    const connection = pooler.admissions.clientOf(client);
    if (connection !== null) {
      pooler.guard.onRefused(connection, error, error.message);
    }
    client.disconnect(error);
  }
}

function queryWaitTimeoutMs(pooler: Pooler, pool: RelayPool, client: ClientEnd): number {
  const user = pooler.admissions.clientOf(client)?.identity?.user ?? pool.user;
  return resolveClientSettings(pooler.settings, pool.database, user).queryWaitTimeoutMs;
}

function closeIdleClients(pooler: Pooler, pool: RelayPool, nowMs: number): void {
  const isOff = pooler.settings.clientIdleTimeoutMs === 0 && pooler.config.users.size === 0;
  if (isOff) {
    return;
  }
  for (const client of pool.activeClients.toArray()) {
    const user = pooler.admissions.clientOf(client)?.identity?.user ?? pool.user;
    const limitMs = resolveClientSettings(pooler.settings, pool.database, user).clientIdleTimeoutMs;
    const idleMs = nowMs - Math.max(client.lastRequestMs, client.lastReplyMs);
    if (limitMs > 0 && client.link === null && idleMs > limitMs) {
      client.disconnect(poolerError('clientIdleTimeout'));
    }
  }
}

/** Replication has no end by itself, so its retired connections are not waited for. */
function closeRetiredReplication(pool: RelayPool): void {
  for (let server = pool.activeServers.head; server !== null;) {
    const next = server.listNext;
    if (server.owner !== null && server.isCloseNeeded) {
      server.owner.disconnect(poolerError('databaseChanged'));
    }
    server = next;
  }
}

/** `server_fast_close`: session clients between transactions leave with their retired server. */
function closeRetiredPairs(pool: RelayPool): void {
  if (pool.limits.poolMode !== 'session') {
    return;
  }
  for (const server of pool.activeServers.toArray()) {
    if (server.isCloseNeeded && server.link.isBetweenTransactions) {
      server.link.client?.disconnect(poolerError('databaseChanged'));
    }
  }
}

/** What an operator wants to know when a client waited in vain. */
function describeQueue(pooler: Pooler, pool: RelayPool): string {
  const nowMs = pooler.nowMs();
  let oldestMs = 0;
  for (const server of pool.activeServers.toArray()) {
    const startMs = server.link.client?.xactStartMs ?? 0;
    if (startMs > 0) {
      oldestMs = Math.max(oldestMs, nowMs - startMs);
    }
  }
  const { poolSize, reservePoolSize } = pool.limits;
  const reserve = reservePoolSize > 0 ? ` + ${String(reservePoolSize)} in reserve` : '';
  const size = poolSize === 0 ? 'unlimited' : `${String(poolSize)}${reserve}`;
  return [
    `pool ${pool.database.name}/${pool.user.name}`,
    `size ${size}`,
    `${String(pool.activeServers.length)} server connections in use`,
    `${String(pool.waitingClients.length + pool.welcomeClients.length)} clients waiting`,
    `oldest transaction ${(oldestMs / 1000).toFixed(1)} s`,
    ...(pool.lastLoginError === null ? [] : [describeLoginError(pool.lastLoginError)]),
  ].join(', ');
}

/** While a server is starting up or full its clients wait, and are not told its own error. */
function describeLoginError({ message, sqlstate }: PoolerError): string {
  return `last login to the server failed: ${message} (${sqlstate})`;
}

function dropUnusedDatabases(pooler: Pooler, nowMs: number): void {
  const limitMs = pooler.settings.autodbIdleTimeoutMs;
  for (const database of [...pooler.registry.databases.values()]) {
    if (!database.isAuto || pooler.registry.isInUse(database)) {
      continue;
    }
    const isOver = limitMs > 0 && nowMs - database.lastUsedMs > limitMs;
    if (isOver && !database.isPaused && !database.isDisabled) {
      pooler.logDropped(database);
      pooler.registry.dropDatabase(database);
    }
  }
}

/** `pool_idle_timeout`. A pool that `min_pool_size` fills without clients is never unused. */
function dropUnusedPools(pooler: Pooler, nowMs: number): void {
  const { registry, settings, logger } = pooler;
  const limitMs = settings.poolIdleTimeoutMs;
  for (const pool of [...registry.pools]) {
    const { database, user, limits } = pool;
    const isKeptFull = database.config.user !== null && limits.minPoolSize > 0;
    if (!pool.isEmpty || isKeptFull) {
      pool.lastUsedMs = nowMs;
    } else if (limitMs > 0 && nowMs - pool.lastUsedMs > limitMs) {
      registry.dropPool(pool);
      registry.forgetUser(user);
      logger.info('pool_closed', {
        database: database.name,
        user: user.name,
        reason: 'pool idle timeout',
        ageSeconds: Math.floor((nowMs - pool.lastUsedMs) / 1000),
      });
    }
  }
}
