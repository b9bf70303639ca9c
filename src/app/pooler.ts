import type { Credentials } from '../auth/credentials.ts';
import { PasswordDeriver } from '../auth/password-derivation.ts';
import type { UserLookups } from '../auth/user-lookups.ts';
import { LinkedList } from '../base/linked-list.ts';
import { ClientConnection } from '../client/client-connection.ts';
import type { Config, Settings } from '../config/config.ts';
import type { Logger } from '../log/logger.ts';
import type { DnsCache } from '../net/dns-cache.ts';
import type { DnsZones } from '../net/dns-zones.ts';
import type { AcceptedSocket } from '../net/raw-socket.ts';
import type { ServerTls } from '../net/tls-upgrade.ts';
import { AuthBudget, LocalBudget } from '../pool/budget.ts';
import type { Database } from '../pool/database.ts';
import type { PoolHost } from '../pool/pool-host.ts';
import { PoolRegistry } from '../pool/pool-registry.ts';
import { ServerState } from '../pool/states.ts';
import type { ClientEnd, RelayPool, ServerEnd } from '../relay/ends.ts';
import { LinkHost } from '../relay/link-host.ts';
import { TrackedParameters } from '../relay/parameter-cache.ts';
import { requestKinds } from '../relay/request-framer.ts';
import { ServerConnection } from '../server/server-connection.ts';
import type { ServerHost } from '../server/server-host.ts';
import { HostTurns, type HostLookup } from '../server/server-target.ts';
import { Admissions } from './admissions.ts';
import type { AuthQueries } from './auth-queries.ts';
import type { CancelBroker } from './cancel-broker.ts';
import { CancelKeys } from './cancel-keys.ts';
import { adviseOnCredentials } from './credential-advice.ts';
import type { ExternalJudges } from './external-judges.ts';
import { makeDnsCache, makeDnsZones, makeResolver } from './host-names.ts';
import { LoginMethods } from './login-methods.ts';
import { LoginGuard } from './login-guard.ts';
import type { LoginPlanner } from './login-planner.ts';
import type { Peers } from './peers.ts';
import type { PoolerEnvironment } from './pooler-environment.ts';
import { PoolerModes } from './pooler-modes.ts';
import {
  makeAuthQueries,
  makeCancelBroker,
  makeCredentials,
  makeExternalJudges,
  makeLoginPlanner,
  makePeers,
  makeServerPasswords,
  makeUserLookups,
} from './pooler-parts.ts';
import { ServerCredentials } from './server-credentials.ts';
import type { ServerPasswords } from './server-passwords.ts';
import { SocketTuner } from './socket-tuner.ts';
import { canHaveTls, TlsKeeper } from './tls-keeper.ts';
import { UsersLoader } from './users-loader.ts';

/** Derivations of SCRAM keys at a time: half of the thread pool stays free for other work. */
const MAX_DERIVATIONS = 2;

/** Settings that say how clients log in, with the files that belong to them. */
const ACCESS_SETTINGS = ['authType', 'authHbaFile', 'authIdentFile', 'authLdapOptions'] as const;

/**
 * The composition root of one process: all connections, pools and limits, and the ports through
 * which they reach each other.
 */
export class Pooler implements PoolHost<ClientEnd, ServerEnd>, ServerHost {
  readonly environment: PoolerEnvironment;
  readonly tracked: TrackedParameters;
  readonly registry: PoolRegistry<ClientEnd, ServerEnd>;
  readonly budget = new LocalBudget();
  readonly authBudget = new AuthBudget();
  readonly blockedPools = new Set<RelayPool>();
  readonly deriver = new PasswordDeriver({ maxInFlight: MAX_DERIVATIONS });
  readonly credentials: Credentials;
  readonly external: ExternalJudges;
  readonly loginMethods: LoginMethods;
  readonly tuner: SocketTuner;
  readonly lookups: UserLookups;
  readonly authQueries: AuthQueries;
  readonly planner: LoginPlanner;
  readonly passwords: ServerPasswords;
  readonly serverCredentials: ServerCredentials;
  readonly users = new UsersLoader(this);
  readonly keys: CancelKeys;
  readonly broker: CancelBroker;
  readonly peers: Peers;
  readonly admissions: Admissions;
  readonly guard: LoginGuard;
  readonly modes: PoolerModes;
  readonly link: LinkHost;
  readonly tls: TlsKeeper;
  readonly dns: DnsCache;
  readonly zones: DnsZones;
  readonly hostTurns = new HostTurns<RelayPool>();
  /** Clients that have not authenticated yet, cancel requests included. */
  readonly logins = new LinkedList<ClientEnd>('login');
  /** Every client connection from accept until it is closed, by id. */
  readonly clients = new Map<number, ClientConnection>();
  /** Closed client connections whose sockets linger. */
  readonly lingering = new Set<ClientConnection>();
  #config: Config;
  #nextId = 1;

  constructor(config: Config, environment: PoolerEnvironment) {
    this.#config = config;
    this.environment = environment;
    this.tracked = new TrackedParameters(config.settings.trackExtraParameters);
    this.credentials = makeCredentials(this, config.settings);
    this.tuner = new SocketTuner(environment.native, environment.logger);
    this.keys = new CancelKeys(
      (bytes) => this.randomBytes(bytes),
      () => this.settings.peerId,
    );
    this.external = makeExternalJudges(this);
    this.loginMethods = new LoginMethods(this);
    this.link = new LinkHost(
      this.tracked,
      config.settings.maxPacketSizeBytes,
      environment.clock.nowMs,
      requestKinds(config.settings.disablePqexec),
    );
    this.peers = makePeers(this, config);
    this.broker = makeCancelBroker(this);
    this.tls = new TlsKeeper(this);
    const resolver = makeResolver(config.settings);
    this.dns = makeDnsCache(this, resolver);
    this.zones = makeDnsZones(this, resolver);
    this.modes = new PoolerModes(this);
    this.guard = new LoginGuard(this);
    this.admissions = new Admissions(this);
    this.registry = new PoolRegistry<ClientEnd, ServerEnd>(config, this);
    this.passwords = makeServerPasswords(this);
    this.serverCredentials = new ServerCredentials(this);
    this.authQueries = makeAuthQueries(this);
    this.lookups = makeUserLookups(this);
    this.planner = makeLoginPlanner(this);
    this.users.load();
    this.loginMethods.load();
    this.#adviseOnCredentials();
  }

  // ---- configuration ----

  get config(): Config {
    return this.#config;
  }

  get settings(): Settings {
    return this.#config.settings;
  }

  get logger(): Logger {
    return this.environment.logger;
  }

  /** Takes over a configuration that has been read without error, and reads `auth_file` again. */
  applyConfig(next: Config): void {
    this.#config = next;
    this.link.maxPacketSizeBytes = next.settings.maxPacketSizeBytes;
    const removed = this.registry.applyConfig(next);
    this.lookups.clear();
    this.passwords.retain(this.registry.databases);
    this.users.load();
    for (const id of this.peers.applyConfig(next)) {
      const problem = `dropping peer ${String(id)} as it does not exist anymore`;
      this.logger.warn('config_warning', { problem });
    }
    this.loginMethods.load();
    this.guard.onReload();
    this.#adviseOnCredentials();
    for (const database of removed) {
      this.logDropped(database);
      this.modes.removeDatabase(database);
      this.credentials.forgetDatabase(database.name);
    }
    for (const pool of this.registry.pools) {
      pool.pump();
    }
  }

  /** Logs that a database is about to be forgotten. */
  logDropped({ name }: Database): void {
    const problem = `dropping database '${name}' as it does not exist anymore or inactive auto-database`;
    this.logger.warn('config_warning', { problem });
  }

  /** Changes settings only, for SET. */
  applySettings(next: Config): void {
    const before = this.settings;
    this.#config = next;
    this.link.maxPacketSizeBytes = next.settings.maxPacketSizeBytes;
    this.users.onSettingsChanged(before);
    if (ACCESS_SETTINGS.some((name) => next.settings[name] !== before[name])) {
      this.loginMethods.load();
    }
    for (const pool of this.registry.pools) {
      pool.applySettings();
    }
  }

  #adviseOnCredentials(): void {
    for (const problem of adviseOnCredentials(this.#config, this.credentials)) {
      this.logger.warn('config_warning', { problem });
    }
  }

  // ---- time and chance ----

  nowMs(): number {
    return this.environment.clock.nowMs();
  }

  wallMs(): number {
    return this.environment.clock.wallMs();
  }

  random(): number {
    return this.environment.random();
  }

  randomBytes(bytes: number): Buffer {
    return this.environment.randomBytes(bytes);
  }

  // ---- TLS ----

  onServerTlsChanged(): void {
    this.retireWhere(canHaveTls, 'server TLS settings changed');
    for (const pool of this.registry.pools) {
      pool.forgetLoginFailure();
    }
  }

  get serverTls(): ServerTls | null {
    return this.tls.current.server;
  }

  // ---- host names ----

  readonly lookup: HostLookup = (host, done) => {
    this.dns.lookup(host, done);
  };

  /** Has server connections closed as soon as they are free, those in login at once. */
  retireWhere(isMeant: (server: ServerConnection) => boolean, reason: string): void {
    for (const server of this.registry.pools.flatMap((pool) => this.serversOf(pool))) {
      if (!isMeant(server)) {
        continue;
      }
      server.isCloseNeeded = true;
      if (server.state === ServerState.Login) {
        server.disconnect(reason);
      }
    }
  }

  // ---- connections ----

  /** The id of the last connection of either kind; 0 before the first. */
  get lastId(): number {
    return this.#nextId - 1;
  }

  takeId(): number {
    return this.#nextId++;
  }

  /** Takes a connection accepted by a listener. */
  accept(socket: AcceptedSocket, unixPath: string | null): void {
    if (this.isSuspended) {
      this.modes.suspension.hold(socket, unixPath);
      return;
    }
    const peer = unixPath === null ? null : this.tuner.peerOf(socket);
    if (unixPath === null) {
      this.tuner.tune(socket, this.settings);
    }
    const client = new ClientConnection(this.takeId(), socket, unixPath, this.admissions, peer);
    this.clients.set(client.id, client);
    client.begin();
  }

  tune(socket: AcceptedSocket): void {
    this.tuner.tune(socket, this.settings);
  }

  launch(pool: RelayPool, owner: ClientEnd | null): void {
    // It joins the pool by itself.
    new ServerConnection(this.takeId(), pool, this, owner);
  }

  /** Server connections of a pool, in the order of SHOW SERVERS. */
  serversOf(pool: RelayPool): ServerConnection[] {
    return pool
      .serverLists()
      .flatMap((list) => list.toArray())
      .filter((server) => server instanceof ServerConnection);
  }

  mayWarmUp(pool: RelayPool): boolean {
    return this.serverCredentials.mayWarmUp(pool);
  }

  cancel(server: ServerConnection): void {
    this.broker.cancelFor(server);
  }

  // ---- what pools ask for ----

  get isPaused(): boolean {
    return this.modes.isPaused;
  }

  get isSuspended(): boolean {
    return this.modes.suspension.isOn;
  }

  get isRefusingToQueue(): boolean {
    return this.modes.shutdown === 'wait_for_servers';
  }

  evictFor(pool: RelayPool): boolean {
    return this.registry.evictFor(pool);
  }

  onPermitReleased(pool: RelayPool): void {
    this.registry.onPermitReleased(pool);
    this.modes.checkWaiting();
  }

  onServerIdle(pool: RelayPool): void {
    if (this.blockedPools.size > 0) {
      this.registry.onPermitReleased(pool);
    }
  }

  onReserveUsed(pool: RelayPool): void {
    const client = this.admissions.clientOf(pool.waitingClients.head);
    this.logger.warn('reserve_pool_used', {
      ...client?.logFields(),
      database: pool.database.name,
      user: pool.user.name,
    });
  }
}
