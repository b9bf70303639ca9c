import { poolerError } from '../protocol/pooler-errors.ts';
import type { PoolClient, PoolServer } from './members.ts';
import type { Pool } from './pool.ts';
import type { PoolHost } from './pool-host.ts';
import { reasonToCloseIdle } from './retirement.ts';

/** Time between two passes, in ms: every timeout has this granularity. */
export const TICK_MS = 333;

/**
 * One maintenance pass over a pool: closes what is idle, old or retired, announces and ends waits
 * that are too long, opens connections towards `min_pool_size`, tries again after failures.
 * Timeouts of linked pairs are watched by the relay.
 */
export function maintainPool<C extends PoolClient<C, S>, S extends PoolServer<C, S>>(
  pool: Pool<C, S>,
  host: PoolHost<C, S>,
  queryWaitTimeoutMs: (client: C) => number,
  describeQueue: (pool: Pool<C, S>) => string,
): void {
  closeStaleServers(pool, host);
  watchQueue(pool, host, queryWaitTimeoutMs, describeQueue);
  watchHandshakes(pool, host, describeQueue);
  pool.fillToMinimum();
  const { waitingClients, welcomeClients, replicationClients } = pool;
  if (waitingClients.length + welcomeClients.length + replicationClients.length > 0) {
    pool.pump();
  }
}

function closeStaleServers<C extends PoolClient<C, S>, S extends PoolServer<C, S>>(
  pool: Pool<C, S>,
  host: PoolHost<C, S>,
): void {
  for (const list of [pool.idleServers, pool.usedServers]) {
    for (const server of list.toArray()) {
      const reason = reasonToCloseIdle(pool, host, server);
      if (reason !== null) {
        server.disconnect(reason);
      }
    }
  }
  const { serverCheckQuery, serverCheckDelayMs } = host.settings;
  if (serverCheckQuery === null) {
    return;
  }
  for (const server of pool.idleServers.toArray()) {
    if (host.nowMs() - server.lastActivityMs > serverCheckDelayMs) {
      pool.markUsed(server);
    }
  }
}

function watchQueue<C extends PoolClient<C, S>, S extends PoolServer<C, S>>(
  pool: Pool<C, S>,
  host: PoolHost<C, S>,
  queryWaitTimeoutMs: (client: C) => number,
  describeQueue: (pool: Pool<C, S>) => string,
): void {
  const { queryTimeoutMs } = pool.limits;
  const { queryWaitNotifyMs } = host.settings;
  const head = pool.waitingClients.head;
  const nowMs = host.nowMs();
  if (
    head !== null &&
    queryWaitNotifyMs > 0 &&
    !head.isWaitNotified &&
    !pool.isPaused &&
    nowMs - head.waitStartMs > queryWaitNotifyMs
  ) {
    head.isWaitNotified = true;
    head.notifyWait();
  }
  // As in PgBouncer, those who wait for a first server connection to be welcomed wait like others.
  for (const client of [
    ...pool.waitingClients.toArray(),
    ...pool.welcomeClients.toArray(),
    ...pool.replicationClients.toArray(),
  ]) {
    const waitedMs = nowMs - client.waitStartMs;
    const limitMs = queryWaitTimeoutMs(client);
    if (limitMs > 0 && waitedMs > limitMs) {
      client.disconnect(poolerError('queryWaitTimeout', '', { detail: describeQueue(pool) }));
    } else if (queryTimeoutMs > 0 && waitedMs > queryTimeoutMs) {
      client.disconnect(poolerError('queryTimeoutQueued', '', { detail: describeQueue(pool) }));
    }
  }
}

function watchHandshakes<C extends PoolClient<C, S>, S extends PoolServer<C, S>>(
  pool: Pool<C, S>,
  host: PoolHost<C, S>,
  describeQueue: (pool: Pool<C, S>) => string,
): void {
  const nowMs = host.nowMs();
  const { serverConnectTimeoutMs, clientLoginTimeoutMs } = host.settings;
  for (const server of pool.loginServers.toArray()) {
    if (serverConnectTimeoutMs > 0 && nowMs - server.connectedAtMs > serverConnectTimeoutMs) {
      server.disconnect('connect timeout');
    }
  }
  // A server that does not answer its check query would keep its pool waiting for ever.
  for (const server of pool.testedServers.toArray()) {
    if (serverConnectTimeoutMs > 0 && nowMs - server.testStartMs > serverConnectTimeoutMs) {
      server.disconnect('test query failed');
    }
  }
  for (const client of [...pool.welcomeClients.toArray(), ...pool.replicationClients.toArray()]) {
    if (clientLoginTimeoutMs > 0 && nowMs - client.connectedAtMs > clientLoginTimeoutMs) {
      client.disconnect(poolerError('loginTimeoutServerDown', '', { detail: describeQueue(pool) }));
    }
  }
}
