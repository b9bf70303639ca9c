/**
 * What metrics read of the pooler: the part of the console's snapshots that they need, told again
 * here because metrics and console do not import each other. Numbers are in the unit their name
 * ends in.
 */

/** One pool: the connections of a database and user pair, counted by state. */
export interface PoolNumbers {
  readonly database: string;
  readonly user: string;
  readonly clActive: number;
  readonly clWaiting: number;
  readonly clActiveCancelReq: number;
  readonly clWaitingCancelReq: number;
  readonly svActive: number;
  readonly svActiveCancel: number;
  readonly svBeingCanceled: number;
  readonly svIdle: number;
  readonly svUsed: number;
  readonly svTested: number;
  readonly svLogin: number;
  /** Age of the oldest request in the queue in µs, 0 if nobody waits. */
  readonly maxwaitUs: number;
}

/** One client connection. */
export interface ClientNumbers {
  /** `null` while unknown. */
  readonly user: string | null;
  /** `null` while unknown. */
  readonly database: string | null;
  /** May hold anything the client sent. */
  readonly applicationName: string;
  readonly state: string;
}

/** One database entry. */
export interface DatabaseNumbers {
  readonly name: string;
  /** `null` for a Unix socket. */
  readonly host: string | null;
  readonly port: number;
  /** Name of the database on the server. */
  readonly database: string;
  readonly forceUser: string | null;
  /** `null` if the database inherits the global pool mode. */
  readonly poolMode: string | null;
  readonly poolSize: number;
  readonly reservePoolSize: number;
  /** Limit of server connections, 0 for none. */
  readonly maxConnections: number;
  readonly currentConnections: number;
  readonly isPaused: boolean;
  readonly isDisabled: boolean;
}

/** The totals of one database, counted since its pools came to be. */
export interface DatabaseTotals {
  readonly database: string;
  readonly totals: {
    readonly serverAssignmentCount: number;
    readonly xactCount: number;
    readonly queryCount: number;
    /** Bytes received from clients. */
    readonly receivedBytes: number;
    /** Bytes sent to clients. */
    readonly sentBytes: number;
    readonly xactTimeUs: number;
    readonly queryTimeUs: number;
    readonly waitTimeUs: number;
    readonly clientParseCount: number;
    readonly serverParseCount: number;
    readonly bindCount: number;
  };
}

/** How many of each kind of thing there are. */
export interface ListNumbers {
  readonly databases: number;
  readonly users: number;
  readonly pools: number;
  readonly freeClients: number;
  readonly usedClients: number;
  readonly loginClients: number;
  readonly freeServers: number;
  readonly usedServers: number;
  readonly dnsNames: number;
  readonly dnsZones: number;
  readonly dnsQueries: number;
}

/** What has become of logins. */
export interface LoginNumbers {
  /** Refused logins by reason, every reason included. */
  readonly failures: readonly { readonly reason: string; readonly count: number }[];
  /** Logins that wait for their turn or are slowed down, count. */
  readonly waitingCount: number;
  /** Bytes kept for clients that have not logged in. */
  readonly heldBytes: number;
}

/** When a certificate expires that maitred shows. */
export interface CertificateNumbers {
  /** The setting that names its file. */
  readonly setting: string;
  readonly file: string;
  /** In wall clock ms. */
  readonly expiresAtMs: number;
}

/** One setting, as text in the form of the ini file. */
export interface SettingText {
  readonly key: string;
  readonly value: string | null;
}

/**
 * Where metrics get the numbers of the pooler. Each call takes a snapshot that never changes
 * afterwards. No method throws.
 */
export interface MetricsSource {
  /** All pools, in any order. */
  pools(): readonly PoolNumbers[];
  /** All clients but those in login, in any order. */
  clients(): readonly ClientNumbers[];
  /** All databases, in any order. */
  databases(): readonly DatabaseNumbers[];
  /** One entry for each database that has a pool, in any order. */
  stats(): readonly DatabaseTotals[];
  lists(): ListNumbers;
  logins(): LoginNumbers;
  /** The certificates in use, in any order. */
  certificates(): readonly CertificateNumbers[];
  settings(): readonly SettingText[];
  /** The whole text of SHOW VERSION. */
  version(): string;
}
