import type {
  ClientSnapshot,
  DatabaseSnapshot,
  DnsHostSnapshot,
  ListsSnapshot,
  MemorySnapshot,
  PeerPoolSnapshot,
  PeerSnapshot,
  PoolSnapshot,
  ServerSnapshot,
  SocketSnapshot,
  UserSnapshot,
} from '../admin/snapshots.ts';
import type { ClientConnection } from '../client/client-connection.ts';
import type { DatabaseConfig } from '../config/config.ts';
import { positive } from '../pool/effective-settings.ts';
import { ClientState, ServerState } from '../pool/states.ts';
import type { ClientEnd, RelayPool } from '../relay/ends.ts';
import { ServerConnection } from '../server/server-connection.ts';
import { hostsOf } from '../server/server-target.ts';
import { LazyEnds } from './connection-ends.ts';
import { CONSOLE_USER } from './admissions.ts';
import type { Pooler } from './pooler.ts';

/** Name of the console's own database. */
const CONSOLE_DATABASE = 'pgbouncer';
/** What PgBouncer shows as the size of the console's own pool. */
const CONSOLE_POOL_SIZE = 2;
/** Index of application_name among the tracked parameters. */
const APPLICATION_NAME = 'application_name';

/** Takes snapshots of the pooler for the console and for metrics. */
export class Snapshots {
  readonly #pooler: Pooler;

  constructor(pooler: Pooler) {
    this.#pooler = pooler;
  }

  /** All pools, the console's own last. */
  pools(): PoolSnapshot[] {
    const nowMs = this.#pooler.nowMs();
    const rows = this.#pooler.registry.pools.map((pool): PoolSnapshot => {
      const head = pool.waitingClients.head ?? pool.welcomeClients.head;
      const waitedMs = head === null || head.waitStartMs === 0 ? 0 : nowMs - head.waitStartMs;
      return {
        database: pool.database.name,
        user: pool.user.name,
        clActive: pool.activeClients.length,
        clWaiting:
          pool.waitingClients.length + pool.welcomeClients.length + pool.replicationClients.length,
        clActiveCancelReq: pool.activeCancels,
        clWaitingCancelReq: pool.waitingCancels,
        svActive: pool.activeServers.length,
        svActiveCancel: pool.activeCancels,
        svBeingCanceled: pool.canceledServers.length,
        svIdle: pool.idleServers.length,
        svUsed: pool.usedServers.length,
        svTested: pool.testedServers.length,
        svLogin: pool.loginServers.length,
        maxwaitUs: Math.round(waitedMs * 1000),
        poolMode: pool.limits.poolMode,
        loadBalanceHosts: loadBalanceHosts(pool.database.config),
      };
    });
    const merged = mergePools(rows);
    merged.push({
      database: CONSOLE_DATABASE,
      user: CONSOLE_USER,
      clActive: this.#pooler.admissions.consoles.size,
      clWaiting: 0,
      clActiveCancelReq: 0,
      clWaitingCancelReq: 0,
      svActive: 0,
      svActiveCancel: 0,
      svBeingCanceled: 0,
      svIdle: 0,
      svUsed: 0,
      svTested: 0,
      svLogin: 0,
      maxwaitUs: 0,
      poolMode: 'statement',
      loadBalanceHosts: null,
    });
    return merged;
  }

  /** All clients but those in login: pool by pool, those that wait behind the others; then cancel requests. */
  clients(): ClientSnapshot[] {
    const { admissions, registry } = this.#pooler;
    const groups = registry.pools.map((pool) => ({
      key: `${pool.database.name}\0${pool.user.name}`,
      ends: [pool.activeClients, pool.waitingClients, pool.welcomeClients].flatMap((list) =>
        list.toArray(),
      ),
    }));
    const consoles: ClientEnd[] = [...admissions.consoles];
    groups.push({ key: `${CONSOLE_DATABASE}\0${CONSOLE_USER}`, ends: consoles });
    const rows = groups
      .toSorted((a, b) => (a.key < b.key ? -1 : 1))
      .flatMap(({ ends }) => ends)
      .map((end) => admissions.clientOf(end))
      .filter((client) => client !== null)
      .map((client) => this.#client(client));
    for (const end of this.#pooler.logins.toArray()) {
      const client = this.#pooler.admissions.clientOf(end);
      const progress = client?.cancelProgress ?? null;
      if (client !== null && progress !== null) {
        rows.push({ ...this.#client(client), state: progress.state });
      }
    }
    return rows;
  }

  #client(client: ClientConnection): ClientSnapshot {
    const isWaiting =
      client.state === ClientState.Waiting || client.state === ClientState.WaitingLogin;
    const isActive = client.link !== null || this.#pooler.admissions.consoles.has(client);
    const sinceMs = client.waitStartMs > 0 ? client.waitStartMs : client.queryStartMs;
    return {
      id: client.id,
      state: isWaiting ? 'waiting' : isActive ? 'active' : 'idle',
      user: client.identity?.user.name ?? null,
      database: client.identity?.databaseName ?? null,
      replication: client.replication?.kind ?? 'none',
      ends: new LazyEnds(
        client,
        client.unixPath === null ? null : this.#pooler.settings.listenPort,
      ),
      connectTimeMs: this.#wall(client.connectedAtMs),
      requestTimeMs: this.#wall(client.lastRequestMs),
      waitUs: sinceMs === 0 ? 0 : Math.round((this.#pooler.nowMs() - sinceMs) * 1000),
      isCloseNeeded: false,
      linkId: client.link?.server instanceof ServerConnection ? client.link.server.id : null,
      remotePid: client.peer?.pid ?? 0,
      tls: client.security.text,
      applicationName: this.#applicationName(client.parameters),
      preparedStatements: 0,
    };
  }

  #applicationName(values: readonly (string | null)[]): string {
    return values[this.#pooler.tracked.indexOf(APPLICATION_NAME)] ?? '';
  }

  /** Turns clock ms into wall clock ms. */
  #wall(clockMs: number): number {
    return this.#pooler.wallMs() - (this.#pooler.nowMs() - clockMs);
  }

  /** All server connections, pool by pool. */
  servers(): ServerSnapshot[] {
    return this.#pooler.registry.pools.flatMap((pool) =>
      this.#pooler.serversOf(pool).map((server) => this.#server(pool, server)),
    );
  }

  #server(pool: RelayPool, server: ServerConnection): ServerSnapshot {
    const { remote } = server;
    const client = server.link.client;
    const startMs = client?.queryStartMs ?? 0;
    return {
      id: server.id,
      state: serverStateName(server.state),
      user: pool.user.name,
      database: pool.database.name,
      replication: server.owner?.replication?.kind ?? 'none',
      ends: new LazyEnds(server, remote.address === 'unix' ? remote.port : null),
      connectTimeMs: this.#wall(server.connectedAtMs),
      requestTimeMs: this.#wall(server.lastActivityMs),
      waitUs: startMs === 0 ? 0 : Math.round((this.#pooler.nowMs() - startMs) * 1000),
      isCloseNeeded: server.isCloseNeeded,
      linkId: this.#pooler.admissions.clientOf(client)?.id ?? null,
      remotePid: server.processId,
      tls: server.tls,
      applicationName: this.#applicationName(server.parameters),
      preparedStatements: 0,
    };
  }

  /** All sockets of clients and servers, logins included. */
  sockets(): SocketSnapshot[] {
    const clients = [...this.#pooler.clients.values()].map((client): SocketSnapshot => ({
      type: 'C',
      connection: this.#client(client),
      state: clientListName(client.state),
      packetRemainBytes: client.framer.bodyRemaining,
      sendRemainBytes: client.unsentBytes,
    }));
    const servers = this.#pooler.registry.pools.flatMap((pool) =>
      this.#pooler.serversOf(pool).map((server): SocketSnapshot => ({
        type: 'S',
        connection: this.#server(pool, server),
        state: `sv_${server.state === ServerState.Closed ? ServerState.Login : server.state}`,
        packetRemainBytes: 0,
        sendRemainBytes: server.unsentBytes,
      })),
    );
    return [...clients, ...servers];
  }

  /** The counts of SHOW MEM. */
  memory(): MemorySnapshot {
    const { registry, clients } = this.#pooler;
    const servers = registry.pools.flatMap((pool) => this.#pooler.serversOf(pool));
    return {
      users: registry.users.size,
      databases: registry.databases.size,
      pools: registry.pools.length,
      outstandingRequests: servers.reduce((sum, { link }) => sum + link.ledger.length, 0),
      servers: servers.length,
      clients: clients.size,
      peers: this.peers().length,
      peerPools: this.peerPools().length,
    };
  }

  /** All databases but unused ones made from `*`; the console's own last. */
  databases(): DatabaseSnapshot[] {
    const { registry, settings } = this.#pooler;
    const rows: DatabaseSnapshot[] = [];
    for (const database of registry.databases.values()) {
      const { config } = database;
      const isIdleAuto =
        database.isAuto && database.clientCount === 0 && database.serverCount === 0;
      if (isIdleAuto) {
        continue;
      }
      rows.push({
        name: database.name,
        host: config.host,
        port: config.port,
        database: config.dbname ?? database.name,
        forceUser: config.user,
        poolSize: config.poolSize ?? settings.defaultPoolSize,
        minPoolSize: config.minPoolSize ?? settings.minPoolSize,
        reservePoolSize: config.reservePoolSize ?? settings.reservePoolSize,
        serverLifetimeMs: positive(config.serverLifetimeMs, settings.serverLifetimeMs),
        poolMode: config.poolMode,
        loadBalanceHosts: loadBalanceHosts(config),
        maxConnections: positive(config.maxDbConnections, settings.maxDbConnections),
        currentConnections: database.serverCount,
        maxClientConnections: positive(
          config.maxDbClientConnections,
          settings.maxDbClientConnections,
        ),
        currentClientConnections: database.clientCount,
        isPaused: database.isPaused,
        isDisabled: database.isDisabled,
      });
    }
    rows.push({
      name: CONSOLE_DATABASE,
      host: null,
      port: settings.listenPort,
      database: CONSOLE_DATABASE,
      forceUser: CONSOLE_USER,
      poolSize: CONSOLE_POOL_SIZE,
      minPoolSize: 0,
      reservePoolSize: 0,
      serverLifetimeMs: settings.serverLifetimeMs,
      poolMode: 'statement',
      loadBalanceHosts: null,
      maxConnections: settings.maxDbConnections,
      currentConnections: 0,
      maxClientConnections: settings.maxDbClientConnections,
      currentClientConnections: this.#pooler.admissions.consoles.size,
      isPaused: false,
      isDisabled: false,
    });
    return rows;
  }

  /** All known users: those of the files, those who came in, and the console's own. */
  users(): UserSnapshot[] {
    const { registry, settings, config } = this.#pooler;
    return [...this.#userNames()].map((name): UserSnapshot => {
      const user = registry.users.get(name);
      const keys = user?.config ?? config.users.get(name) ?? null;
      const isConsole = user === undefined && name === CONSOLE_USER;
      return {
        name,
        poolSize: keys?.poolSize ?? null,
        reservePoolSize: keys?.reservePoolSize ?? null,
        poolMode: keys?.poolMode ?? null,
        maxUserConnections: isConsole
          ? 0
          : positive(keys?.maxUserConnections, settings.maxUserConnections),
        currentConnections: user?.serverCount ?? 0,
        maxUserClientConnections: isConsole
          ? 0
          : positive(keys?.maxUserClientConnections, settings.maxUserClientConnections),
        currentClientConnections: user?.clientCount ?? 0,
      };
    });
  }

  #userNames(): Set<string> {
    const { registry, credentials, config } = this.#pooler;
    const forced = [...config.databases.values()].flatMap(({ user }) => user ?? []);
    return new Set([
      ...registry.users.keys(),
      ...credentials.userNames,
      ...config.users.keys(),
      ...forced,
      CONSOLE_USER,
    ]);
  }

  /** All configured peers. */
  peers(): PeerSnapshot[] {
    return this.#pooler.peers.list();
  }

  /** All peers to which something has been passed on. */
  peerPools(): PeerPoolSnapshot[] {
    return this.#pooler.peers.pools();
  }

  /** All host names that have been looked up. */
  dnsHosts(): DnsHostSnapshot[] {
    const nowMs = this.#pooler.nowMs();
    return this.#pooler.dns.entries.map(({ name, addresses, expiresAtMs }) => ({
      hostname: name,
      ttlMs: Math.max(expiresAtMs - nowMs, 0),
      addresses,
    }));
  }

  /** The counts of SHOW LISTS. */
  lists(): ListsSnapshot {
    const { registry, clients, logins } = this.#pooler;
    let idle = 0;
    let servers = 0;
    for (const pool of registry.pools) {
      idle += pool.idleServers.length + pool.usedServers.length;
      servers += pool.serverCount;
    }
    return {
      databases: registry.databases.size + 1,
      users: this.#userNames().size,
      peers: this.peers().length,
      pools: registry.pools.length + 1,
      peerPools: this.peerPools().length,
      freeClients: 0,
      usedClients: clients.size - logins.length,
      loginClients: logins.length,
      freeServers: idle,
      usedServers: servers - idle,
      dnsNames: this.#pooler.dns.entries.length,
      dnsZones: this.#pooler.zones.entries.length,
      dnsQueries: this.#pooler.dns.queryCount,
    };
  }
}

function serverStateName(state: ServerState): ServerSnapshot['state'] {
  return state === ServerState.Login || state === ServerState.Closed ? 'new' : state;
}

/** Columns of SHOW POOLS that add up. */
const POOL_COUNTS = [
  'clActive',
  'clWaiting',
  'clActiveCancelReq',
  'clWaitingCancelReq',
  'svActive',
  'svActiveCancel',
  'svBeingCanceled',
  'svIdle',
  'svUsed',
  'svTested',
  'svLogin',
] as const;

/**
 * Makes one row of pools of the same database and user: monitoring takes the two for the key. There
 * are two where clients log in as `auth_user` as well.
 */
function mergePools(rows: readonly PoolSnapshot[]): PoolSnapshot[] {
  const merged = new Map<string, PoolSnapshot>();
  for (const row of rows) {
    const key = `${row.database}\0${row.user}`;
    const first = merged.get(key);
    if (first === undefined) {
      merged.set(key, row);
      continue;
    }
    const sums = POOL_COUNTS.map((name) => [name, first[name] + row[name]] as const);
    merged.set(key, {
      ...first,
      ...Object.fromEntries(sums),
      maxwaitUs: Math.max(first.maxwaitUs, row.maxwaitUs),
    });
  }
  return [...merged.values()];
}

/** The setting, if there is something to choose from. */
function loadBalanceHosts(config: DatabaseConfig): string | null {
  return hostsOf(config).length > 1 ? config.loadBalanceHosts : null;
}

/** The list a client is in, by the names of SHOW SOCKETS. */
function clientListName(state: ClientState): string {
  switch (state) {
    case ClientState.Login:
      return 'cl_login';
    case ClientState.Waiting:
    case ClientState.WaitingLogin:
      return 'cl_waiting';
    default:
      return 'cl_active';
  }
}
