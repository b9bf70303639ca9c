import type {
  ClientSnapshot,
  DatabaseSnapshot,
  PoolSnapshot,
  ServerSnapshot,
  StatsCounters,
  StatsSnapshot,
  UserSnapshot,
} from '../../../src/admin/snapshots.ts';

/** 2025-06-15 15:06:40 UTC. */
const CONNECT_TIME_MS = 1_750_000_000_000;

/** Each number differs from all others, so that no two columns can be mixed up unnoticed. */
export const POOL: PoolSnapshot = {
  database: 'shop',
  user: 'web',
  clActive: 1,
  clWaiting: 2,
  clActiveCancelReq: 3,
  clWaitingCancelReq: 4,
  svActive: 5,
  svActiveCancel: 6,
  svBeingCanceled: 7,
  svIdle: 8,
  svUsed: 9,
  svTested: 10,
  svLogin: 11,
  maxwaitUs: 12_345_678,
  poolMode: 'transaction',
  loadBalanceHosts: null,
};

export const DATABASE: DatabaseSnapshot = {
  name: 'shop',
  host: null,
  port: 5432,
  database: 'shop_v2',
  forceUser: null,
  poolSize: 20,
  minPoolSize: 1,
  reservePoolSize: 5,
  serverLifetimeMs: 3_600_000,
  poolMode: null,
  loadBalanceHosts: null,
  maxConnections: 50,
  currentConnections: 7,
  maxClientConnections: 100,
  currentClientConnections: 40,
  isPaused: true,
  isDisabled: false,
};

export const USER: UserSnapshot = {
  name: 'web',
  poolSize: 10,
  reservePoolSize: 3,
  poolMode: 'session',
  maxUserConnections: 30,
  currentConnections: 4,
  maxUserClientConnections: 60,
  currentClientConnections: 5,
};

export const CLIENT: ClientSnapshot = {
  id: 31,
  user: 'web',
  database: 'shop',
  replication: 'none',
  state: 'active',
  ends: { addr: '192.0.2.7', port: 51_000, localAddr: '192.0.2.1', localPort: 6432 },
  connectTimeMs: CONNECT_TIME_MS,
  requestTimeMs: CONNECT_TIME_MS + 1500,
  waitUs: 3_250_000,
  queuedUs: 0,
  isCloseNeeded: false,
  linkId: 32,
  remotePid: 0,
  tls: 'TLSv1.3/TLS_AES_256_GCM_SHA384',
  applicationName: 'psql\nü',
  preparedStatements: 2,
};

export const SERVER: ServerSnapshot = {
  ...CLIENT,
  id: 32,
  state: 'being_canceled',
  isCloseNeeded: true,
  linkId: 31,
  remotePid: 4711,
};

/** The counters 1 to 12 in the order in which they are shown. */
export const COUNTERS: StatsCounters = {
  serverAssignmentCount: 1,
  xactCount: 2,
  queryCount: 3,
  receivedBytes: 4,
  sentBytes: 5,
  xactTimeUs: 6,
  queryTimeUs: 7,
  waitTimeUs: 8,
  clientParseCount: 9,
  serverParseCount: 10,
  bindCount: 11,
  clientLoginCount: 12,
};

/** Makes the statistics of one database. */
export function statsOf(
  database: string,
  totals: StatsCounters,
  averages: StatsCounters,
): StatsSnapshot {
  return { database, totals, averages };
}
