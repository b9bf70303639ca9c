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
import { Tally } from '../base/tally.ts';
import type { DatabaseConfig } from '../config/config.ts';
import type { Database } from '../pool/database.ts';
import { positive } from '../pool/effective-settings.ts';
import type { RelayPool } from '../relay/ends.ts';
import { hostsOf } from '../server/server-target.ts';
import { CONSOLE_USER } from './admissions.ts';
import { CONSOLE_DATABASE, ConnectionSnapshots } from './connection-snapshots.ts';
import { findEarlyClients } from './early-clients.ts';
import type { Pooler } from './pooler.ts';

/** What PgBouncer shows as the size of the console's own pool. */
const CONSOLE_POOL_SIZE = 2;

/** Takes snapshots of the pooler for the console and for metrics. */
export class Snapshots {
  readonly #pooler: Pooler;
  readonly #connections: ConnectionSnapshots;

  constructor(pooler: Pooler) {
    this.#pooler = pooler;
    this.#connections = new ConnectionSnapshots(pooler);
  }

  /** All pools, the console's own last. */
  pools(): PoolSnapshot[] {
    const nowMs = this.#pooler.nowMs();
    const others = countOthers(this.#pooler);
    const rows = this.#pooler.registry.pools.map((pool): PoolSnapshot => {
      const more = others.get(pool) ?? NO_OTHERS;
      // Questions are clients of their pool; those who wait for the answers are shown instead.
      const isForClients = pool.purpose === 'clients';
      const { head } = pool.waitingClients;
      const waitedMs = head === null ? 0 : nowMs - head.waitStartMs;
      return {
        database: pool.database.name,
        user: pool.user.name,
        clActive: isForClients ? pool.activeClients.length : 0,
        clWaiting: isForClients
          ? pool.waitingClients.length + pool.welcomeClients.length + pool.replicationClients.length
          : more.waiting,
        clActiveCancelReq: more.activeRequests,
        clWaitingCancelReq: more.waitingRequests,
        svActive: pool.activeServers.length,
        svActiveCancel: more.sentCarriers,
        svBeingCanceled: pool.canceledServers.length,
        svIdle: pool.idleServers.length,
        svUsed: pool.usedServers.length,
        svTested: pool.testedServers.length,
        svLogin: pool.loginServers.length + more.newCarriers,
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

  /** See {@link ConnectionSnapshots.clients}. */
  clients(): ClientSnapshot[] {
    return this.#connections.clients();
  }

  /** See {@link ConnectionSnapshots.servers}. */
  servers(): ServerSnapshot[] {
    return this.#connections.servers();
  }

  /** See {@link ConnectionSnapshots.sockets}. */
  sockets(): SocketSnapshot[] {
    return this.#connections.sockets();
  }

  /** The counts of SHOW MEM. */
  memory(): MemorySnapshot {
    const { registry, clients } = this.#pooler;
    const servers = registry.pools.flatMap((pool) => this.#pooler.serversOf(pool));
    return {
      // The console has a database and a pool of its own.
      users: this.#userNames().size,
      databases: registry.databases.size + 1,
      pools: registry.pools.length + 1,
      outstandingRequests: servers.reduce((sum, { link }) => sum + link.ledger.length, 0),
      servers: servers.length,
      clients: clients.size,
      peers: this.peers().length,
      peerPools: this.peerPools().length,
    };
  }

  /**
   * All databases, the console's own last; but of those made from `*` only the ones that are used,
   * or that a command has marked: nobody would find what is to be resumed otherwise.
   */
  databases(): DatabaseSnapshot[] {
    const { settings } = this.#pooler;
    const rows: DatabaseSnapshot[] = [];
    for (const database of this.#visibleDatabases()) {
      const { config } = database;
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

  #visibleDatabases(): Database[] {
    return [...this.#pooler.registry.databases.values()].filter((database) => !isHidden(database));
  }

  /**
   * All known users: those of the files, those who came in, forced ones, those who ask `auth_query`,
   * and the console's own. As in PgBouncer, a name is not known for being tried.
   */
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
    const named = [...registry.databases.values()].flatMap(({ config: { user, authUser } }) =>
      [user ?? '', authUser ?? ''].filter((name) => name !== ''),
    );
    return new Set([
      ...this.#presentUserNames(),
      ...credentials.userNames,
      ...config.users.keys(),
      ...named,
      CONSOLE_USER,
    ]);
  }

  /** Users with a pool or with a client whose login is over. */
  #presentUserNames(): string[] {
    const { registry, logins, admissions } = this.#pooler;
    const loggingIn = new Tally<string>();
    for (let end = logins.head; end !== null; end = end.listNext) {
      const client = admissions.clientOf(end);
      const name = client?.identity?.user.name;
      if (name !== undefined && client?.isCounted === true) {
        loggingIn.add(name);
      }
    }
    const present = [...registry.users.values()].filter(
      ({ name, clientCount, poolCount }) => poolCount > 0 || clientCount > loggingIn.of(name),
    );
    const ofConsoles = [...admissions.consoles].flatMap(({ identity }) => identity?.user ?? []);
    return [...present, ...ofConsoles].map(({ name }) => name);
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
    const servers = registry.pools.reduce((sum, { serverCount }) => sum + serverCount, 0);
    const { broker, peers } = this.#pooler;
    return {
      // The console's own is one more.
      databases: this.#visibleDatabases().length + 1,
      users: this.#userNames().size,
      peers: this.peers().length,
      pools: registry.pools.length + 1,
      peerPools: this.peerPools().length,
      freeClients: 0,
      // As in PgBouncer: all there are, logins and idle servers included.
      usedClients: clients.size,
      loginClients: logins.length - findEarlyClients(this.#pooler).length,
      freeServers: 0,
      usedServers: servers + broker.carriers.length + peers.carriers.length,
      dnsNames: this.#pooler.dns.entries.length,
      dnsZones: this.#pooler.zones.entries.length,
      dnsQueries: this.#pooler.dns.queryCount,
    };
  }
}

/** What is shown with a pool and in none of its lists. */
interface Others {
  waiting: number;
  waitingRequests: number;
  activeRequests: number;
  newCarriers: number;
  sentCarriers: number;
}

const NO_OTHERS: Readonly<Others> = {
  waiting: 0,
  waitingRequests: 0,
  activeRequests: 0,
  newCarriers: 0,
  sentCarriers: 0,
};

function countOthers(pooler: Pooler): ReadonlyMap<RelayPool, Others> {
  const counts = new Map<RelayPool, Others>();
  const count = (pool: RelayPool | null, name: keyof Others): void => {
    if (pool !== null) {
      const others = counts.get(pool) ?? { ...NO_OTHERS };
      others[name] += 1;
      counts.set(pool, others);
    }
  };
  for (const { pool, state } of findEarlyClients(pooler)) {
    const isRequest = state === 'waiting_cancel_req' ? 'waitingRequests' : 'activeRequests';
    count(pool, state === 'waiting' ? 'waiting' : isRequest);
  }
  for (const { pool, isSent } of pooler.broker.carriers) {
    count(pool, isSent ? 'sentCarriers' : 'newCarriers');
  }
  return counts;
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

/** Whether a database was made from `*`, and nobody uses it now. */
function isHidden(database: Database): boolean {
  const isMarked = database.isPaused || database.isDisabled;
  return database.isAuto && !isMarked && database.clientCount + database.serverCount === 0;
}

/** The setting, if there is something to choose from. */
function loadBalanceHosts(config: DatabaseConfig): string | null {
  return hostsOf(config).length > 1 ? config.loadBalanceHosts : null;
}
