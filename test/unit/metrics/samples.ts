import type { MetricsSnapshot } from '../../../src/metrics/metrics-snapshot.ts';
import type {
  ClientNumbers,
  DatabaseNumbers,
  DatabaseTotals,
  PoolNumbers,
} from '../../../src/metrics/metrics-source.ts';

/** A pool whose numbers all differ. */
export const POOL: PoolNumbers = {
  database: 'app',
  user: 'alice',
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
  maxwaitUs: 12_999_999,
};

/** A database whose numbers all differ. */
export const DATABASE: DatabaseNumbers = {
  name: 'app',
  host: 'db.example',
  port: 5433,
  database: 'app_prod',
  forceUser: 'owner',
  poolMode: 'transaction',
  poolSize: 20,
  reservePoolSize: 21,
  maxConnections: 22,
  currentConnections: 23,
  isPaused: true,
  isDisabled: false,
};

/** Totals that all differ. */
export const STATS: DatabaseTotals = {
  database: 'app',
  totals: {
    serverAssignmentCount: 31,
    xactCount: 32,
    queryCount: 33,
    receivedBytes: 34,
    sentBytes: 35,
    xactTimeUs: 36_000_000,
    queryTimeUs: 37,
    waitTimeUs: 2 ** 53 - 1,
    clientParseCount: 38,
    serverParseCount: 39,
    bindCount: 40,
  },
};

/** A client of the database. */
export const CLIENT: ClientNumbers = {
  user: 'alice',
  database: 'app',
  applicationName: 'web',
  state: 'active',
};

/** One of everything, with numbers that all differ. */
export const SNAPSHOT: MetricsSnapshot = {
  pools: [POOL],
  clients: [CLIENT],
  databases: [DATABASE],
  stats: [STATS],
  lists: {
    databases: 51,
    users: 52,
    pools: 53,
    freeClients: 54,
    usedClients: 55,
    loginClients: 56,
    freeServers: 57,
    usedServers: 58,
    dnsNames: 59,
    dnsZones: 60,
    dnsQueries: 61,
  },
  logins: {
    failures: [
      { reason: 'wrong_password', count: 111 },
      { reason: 'backoff', count: 112 },
    ],
    waitingCount: 113,
    heldBytes: 114,
  },
  certificates: [
    { setting: 'client_tls_cert_file', file: '/etc/tls.crt', expiresAtMs: 1_800_000_000_500 },
  ],
  settings: [
    { key: 'auth_file', value: null },
    { key: 'max_client_conn', value: '71' },
    { key: 'max_user_connections', value: '0' },
  ],
  version: 'PgBouncer 1.25.2 (maitred 0.1.0)',
  process: {
    cpuSeconds: 81.5,
    startTimeSeconds: 1_700_000_000.25,
    residentMemoryBytes: 82,
    virtualMemoryBytes: 83,
    virtualMemoryMaxBytes: 2 ** 64,
    openFds: 84,
    maxFds: 85,
  },
  eventLoop: {
    activeSeconds: 91.5,
    idleSeconds: 92.5,
    lag: { meanSeconds: 0.001, p99Seconds: 0.002, maxSeconds: 0.003 },
  },
};
