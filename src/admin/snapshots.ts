/**
 * Plain data that the console shows. Every number is in the unit its name ends in and is not
 * rounded for display: formatting happens in the SHOW tables, so that metrics can read the same
 * snapshots.
 */

/** How long a client keeps its server connection. */
export type PoolModeName = 'session' | 'transaction' | 'statement';

/** One pool: the connections of a database and user pair, counted by state. */
export interface PoolSnapshot {
  readonly database: string;
  /** The server user: the forced user of the database if it has one. */
  readonly user: string;
  /** Logged-in clients that do not wait in the queue, linked or not. */
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
  /** Age of the query of the client at the head of the wait queue in µs, 0 if nobody waits. */
  readonly maxwaitUs: number;
  readonly poolMode: PoolModeName;
  /** The setting in force, `null` unless the database has more than one host. */
  readonly loadBalanceHosts: string | null;
}

/**
 * The two ends of a connection. They never change, and asking the system for them is slow: they are
 * asked for when they are shown, not with the snapshot. Empty and 0 if it is closed by then.
 */
export interface ConnectionEnds {
  /** Address of the peer, `unix` for a Unix socket. */
  readonly addr: string;
  readonly port: number;
  readonly localAddr: string;
  readonly localPort: number;
}

/** What client and server connections have in common. */
export interface ConnectionSnapshot {
  /** Number from one counter for clients and servers, never reused while the pooler runs. */
  readonly id: number;
  /** `null` while unknown, as for a cancel request. */
  readonly user: string | null;
  /** `null` while unknown, as for a cancel request. */
  readonly database: string | null;
  readonly replication: 'none' | 'logical' | 'physical';
  readonly ends: ConnectionEnds;
  /** Milliseconds since 1970 UTC. */
  readonly connectTimeMs: number;
  /** Start of the latest request in ms since 1970 UTC; the time of connecting if there was none. */
  readonly requestTimeMs: number;
  /** Time since the current query started in µs, queued or running; 0 if there is none. */
  readonly waitUs: number;
  readonly isCloseNeeded: boolean;
  /** `id` of the connection at the other end of the link, `null` if not linked. */
  readonly linkId: number | null;
  /** Process id of the peer if known, else 0. */
  readonly remotePid: number;
  /** As `TLSv1.3/TLS_AES_256_GCM_SHA384`, empty without TLS. */
  readonly tls: string;
  /** May hold anything the client sent. */
  readonly applicationName: string;
  /** Named statements known on this connection. */
  readonly preparedStatements: number;
}

/** One client connection that has logged in, waits for its login to finish, or asks for a cancel. */
export interface ClientSnapshot extends ConnectionSnapshot {
  readonly state: 'active' | 'idle' | 'waiting' | 'active_cancel_req' | 'waiting_cancel_req';
  /** Time spent waiting in µs, for the end of the login as well; 0 while it does not wait. */
  readonly queuedUs: number;
}

/** One server connection. */
export interface ServerSnapshot extends ConnectionSnapshot {
  readonly state:
    'active' | 'idle' | 'used' | 'tested' | 'new' | 'active_cancel' | 'being_canceled';
}

/** One database entry with the settings in force for it. */
export interface DatabaseSnapshot {
  readonly name: string;
  /** Host or comma list of hosts, `null` for a Unix socket. */
  readonly host: string | null;
  readonly port: number;
  /** Name of the database on the server. */
  readonly database: string;
  readonly forceUser: string | null;
  readonly poolSize: number;
  readonly minPoolSize: number;
  readonly reservePoolSize: number;
  readonly serverLifetimeMs: number;
  /** `null` if the database inherits the global pool mode. */
  readonly poolMode: PoolModeName | null;
  /** The setting in force, `null` unless the database has more than one host. */
  readonly loadBalanceHosts: string | null;
  /** Limit of server connections, 0 for none. */
  readonly maxConnections: number;
  readonly currentConnections: number;
  /** Limit of client connections, 0 for none. */
  readonly maxClientConnections: number;
  readonly currentClientConnections: number;
  readonly isPaused: boolean;
  readonly isDisabled: boolean;
}

/** One known user with the user's own settings. */
export interface UserSnapshot {
  readonly name: string;
  /** `null` if not set for this user. */
  readonly poolSize: number | null;
  /** `null` if not set for this user. */
  readonly reservePoolSize: number | null;
  /** `null` if not set for this user. */
  readonly poolMode: PoolModeName | null;
  /** Limit of server connections, 0 for none. */
  readonly maxUserConnections: number;
  readonly currentConnections: number;
  /** Limit of client connections, 0 for none. */
  readonly maxUserClientConnections: number;
  readonly currentClientConnections: number;
}

/**
 * The counters of a database.
 *
 * As totals they are whole numbers up to 2^53, counted since the pools came to be. As averages a
 * count or a number of bytes is per second; `queryTimeUs` is per query, `xactTimeUs` per
 * transaction and `waitTimeUs` per server assignment of the same window, 0 if there were none.
 */
export interface StatsCounters {
  readonly serverAssignmentCount: number;
  readonly xactCount: number;
  readonly queryCount: number;
  /** Bytes received from clients. */
  readonly receivedBytes: number;
  /** Bytes received from servers, on their way to clients. */
  readonly sentBytes: number;
  readonly xactTimeUs: number;
  readonly queryTimeUs: number;
  readonly waitTimeUs: number;
  readonly clientParseCount: number;
  readonly serverParseCount: number;
  readonly bindCount: number;
  readonly clientLoginCount: number;
}

/** The statistics of one database that has a pool. */
export interface StatsSnapshot {
  readonly database: string;
  readonly totals: StatsCounters;
  /** Exact quotients, not rounded: SHOW TOTALS weighs them to an average over all databases. */
  readonly averages: StatsCounters;
}

/** One configured peer. */
export interface PeerSnapshot {
  readonly id: number;
  readonly host: string;
  readonly port: number;
  /** The size in force, 0 for the built-in one. */
  readonly poolSize: number;
}

/** What is on its way to one peer, to which something has been passed on before. */
export interface PeerPoolSnapshot {
  readonly id: number;
  /** Requests that the peer has. */
  readonly clActiveCancelReq: number;
  readonly clWaitingCancelReq: number;
  readonly svActiveCancel: number;
  /** Connections to it that are being opened. */
  readonly svLogin: number;
}

/** One host name that has been looked up. */
export interface DnsHostSnapshot {
  readonly hostname: string;
  /** Until it is looked up again, 0 when that is due. */
  readonly ttlMs: number;
  /** Numeric addresses; none after a failure. */
  readonly addresses: readonly string[];
}

/** How many of each kind of thing there are. */
export interface ListsSnapshot {
  readonly databases: number;
  readonly users: number;
  readonly peers: number;
  readonly pools: number;
  readonly peerPools: number;
  readonly freeClients: number;
  readonly usedClients: number;
  readonly loginClients: number;
  readonly freeServers: number;
  readonly usedServers: number;
  readonly dnsNames: number;
  readonly dnsZones: number;
  readonly dnsQueries: number;
}

/** The mode of the whole pooler; paused and disabled databases are not told here. */
export interface StateSnapshot {
  readonly isActive: boolean;
  readonly isPaused: boolean;
  readonly isSuspended: boolean;
}

/** One setting, as text in the form of the ini file. */
export interface SettingRow {
  readonly key: string;
  readonly value: string | null;
  readonly default: string | null;
  /** Whether it can be changed while the pooler runs. */
  readonly changeable: boolean;
}

/** One socket of a client or a server with what is buffered on it, in bytes. */
export interface SocketSnapshot {
  readonly type: 'C' | 'S';
  readonly connection: ConnectionSnapshot;
  /** The list it is in, such as `cl_active` or `sv_login`. */
  readonly state: string;
  /** Bytes still to come of the message that is being received. */
  readonly packetRemainBytes: number;
  /** Bytes written that the kernel has not taken yet. */
  readonly sendRemainBytes: number;
}

/** How many objects of each kind are kept. */
export interface MemorySnapshot {
  readonly users: number;
  readonly databases: number;
  readonly pools: number;
  /** Requests whose replies are still expected. */
  readonly outstandingRequests: number;
  readonly servers: number;
  /** Logins and consoles included. */
  readonly clients: number;
  readonly peers: number;
  readonly peerPools: number;
}

/** One thing that a reload would change. */
export interface ReloadChangeSnapshot {
  readonly kind: 'setting' | 'database' | 'user' | 'peer' | 'pool';
  readonly name: string;
  /** The changed key of a database, user or peer; null for anything else. */
  readonly key: string | null;
  /** `recycled`: server connections are replaced. `closed`: clients are disconnected as well. */
  readonly change: 'changed' | 'added' | 'removed' | 'recycled' | 'closed';
  /** Values in the form of SHOW CONFIG; null where there is none. Secrets are hidden. */
  readonly old: string | null;
  readonly new: string | null;
  /** For settings: whether they keep their value until a restart. */
  readonly needsRestart: boolean | null;
  /** Of a pool, count. */
  readonly clients: number | null;
  readonly servers: number | null;
}

/** One DNS zone of the host names that have been looked up. */
export interface DnsZoneSnapshot {
  readonly name: string;
  /** 0 until it is known. */
  readonly serial: number;
  /** Host names in it, count. */
  readonly count: number;
}

/** Tracked parameters that PgBouncer passes on with a connection; null where unknown. */
export interface SessionValues {
  readonly clientEncoding: string | null;
  readonly standardConformingStrings: string | null;
  readonly dateStyle: string | null;
  readonly timeZone: string | null;
}

/** One open socket. */
export interface DescriptorSnapshot {
  /** Number of the descriptor; -1 where the system has none to tell. */
  readonly fd: number;
  readonly task: 'pooler' | 'client' | 'server';
  readonly user: string | null;
  readonly database: string | null;
  readonly addr: string;
  readonly port: number;
  /** Its cancel key as one number in decimal digits; 0 for none. */
  readonly cancelKey: string;
  /** Descriptor of the connection it is paired with; 0 for none. */
  readonly linkFd: number;
  readonly parameters: SessionValues;
}
