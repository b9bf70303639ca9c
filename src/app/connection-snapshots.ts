import type {
  ClientSnapshot,
  ConnectionEnds,
  ServerSnapshot,
  SocketSnapshot,
} from '../admin/snapshots.ts';
import type { ClientConnection } from '../client/client-connection.ts';
import { ClientState, ServerState } from '../pool/states.ts';
import type { ClientEnd, RelayPool } from '../relay/ends.ts';
import { ServerConnection } from '../server/server-connection.ts';
import { CONSOLE_USER } from './admissions.ts';
import type { CancelCarrier } from './cancel-carrier.ts';
import { LazyEnds } from './connection-ends.ts';
import { findEarlyClients, type EarlyClient } from './early-clients.ts';
import type { Pooler } from './pooler.ts';

/** Name of the console's own database. */
export const CONSOLE_DATABASE = 'pgbouncer';
const APPLICATION_NAME = 'application_name';
const US_PER_MS = 1000;

/** One moment: what all rows of a snapshot have in common. */
interface Moment {
  readonly pooler: Pooler;
  readonly nowMs: number;
  /** What to add to clock ms for ms since 1970. */
  readonly epochMs: number;
  readonly applicationName: number;
}

function momentOf(pooler: Pooler): Moment {
  const nowMs = pooler.nowMs();
  return {
    pooler,
    nowMs,
    epochMs: pooler.wallMs() - nowMs,
    applicationName: pooler.tracked.indexOf(APPLICATION_NAME),
  };
}

/**
 * A client as it was when the row was made. What never changes is asked of the connection when it is
 * shown: ten thousand rows are made at once, in one turn of the event loop.
 */
class ClientRow implements ClientSnapshot {
  readonly state: ClientSnapshot['state'];
  readonly requestTimeMs: number;
  readonly waitUs: number;
  readonly queuedUs: number;
  readonly linkId: number | null;
  readonly applicationName: string;
  readonly isCloseNeeded = false;
  readonly preparedStatements = 0;
  readonly #client: ClientConnection;
  readonly #moment: Moment;
  readonly #early: EarlyClient | null;

  constructor(client: ClientConnection, moment: Moment, early: EarlyClient | null = null) {
    this.#client = client;
    this.#moment = moment;
    this.#early = early;
    const { pooler, nowMs, epochMs } = moment;
    const { link, state } = client;
    const isWaiting = state === ClientState.Waiting || state === ClientState.WaitingLogin;
    const isActive = link !== null || pooler.admissions.consoles.has(client);
    const { waitStartMs } = client;
    const isQueued = waitStartMs > 0 && state !== ClientState.WaitingLogin;
    const sinceMs = isQueued ? waitStartMs : client.queryStartMs;
    const toUs = (startMs: number): number =>
      startMs === 0 ? 0 : Math.round((nowMs - startMs) * US_PER_MS);
    this.state = early?.state ?? (isWaiting ? 'waiting' : isActive ? 'active' : 'idle');
    this.requestTimeMs = epochMs + client.lastRequestMs;
    this.waitUs = toUs(sinceMs);
    this.queuedUs = toUs(early === null ? waitStartMs : client.connectedAtMs);
    this.linkId =
      link?.server instanceof ServerConnection ? link.server.id : (early?.linkId ?? null);
    this.applicationName = client.parameters[moment.applicationName] ?? '';
  }

  get id(): number {
    return this.#client.id;
  }

  get user(): string | null {
    return this.#early === null ? (this.#client.identity?.user.name ?? null) : null;
  }

  get database(): string | null {
    const own = this.#client.identity?.databaseName ?? null;
    return this.#early === null ? own : (this.#early.pool?.database.name ?? null);
  }

  get replication(): ClientSnapshot['replication'] {
    return this.#client.replication?.kind ?? 'none';
  }

  get ends(): ConnectionEnds {
    const { unixPath } = this.#client;
    return new LazyEnds(
      this.#client,
      unixPath === null ? null : this.#moment.pooler.settings.listenPort,
    );
  }

  get connectTimeMs(): number {
    return this.#moment.epochMs + this.#client.connectedAtMs;
  }

  get remotePid(): number {
    return this.#client.peer?.pid ?? 0;
  }

  get tls(): string {
    return this.#client.security.text;
  }
}

function serverRow(pool: RelayPool, server: ServerConnection, moment: Moment): ServerSnapshot {
  const { remote } = server;
  const { pooler, epochMs } = moment;
  return {
    id: server.id,
    state: serverStateName(server.state),
    user: pool.user.name,
    database: pool.database.name,
    replication: server.owner?.replication?.kind ?? 'none',
    ends: new LazyEnds(server, remote.address === 'unix' ? remote.port : null),
    connectTimeMs: epochMs + server.connectedAtMs,
    requestTimeMs: epochMs + server.lastActivityMs,
    // As in PgBouncer: it is its client that waits.
    waitUs: 0,
    isCloseNeeded: server.isCloseNeeded,
    linkId: pooler.admissions.clientOf(server.link.client)?.id ?? null,
    remotePid: server.processId,
    tls: server.tls,
    applicationName: server.parameters[moment.applicationName] ?? '',
    preparedStatements: 0,
  };
}

function carrierRow(carrier: CancelCarrier, { epochMs }: Moment): ServerSnapshot {
  const { pool, remote, connectedAtMs } = carrier;
  return {
    id: carrier.id,
    state: carrier.isSent ? 'active_cancel' : 'new',
    user: pool?.user.name ?? null,
    database: pool?.database.name ?? null,
    replication: 'none',
    ends: new LazyEnds(carrier, remote.address === 'unix' ? remote.port : null),
    connectTimeMs: epochMs + connectedAtMs,
    requestTimeMs: epochMs + connectedAtMs,
    waitUs: 0,
    isCloseNeeded: false,
    linkId: carrier.requesterId,
    remotePid: 0,
    tls: '',
    applicationName: '',
    preparedStatements: 0,
  };
}

/** A pool, or the console's own; in the order of its name and user. */
interface Group {
  readonly key: string;
  readonly pool: RelayPool | null;
}

/** Takes snapshots of single connections: of clients, of servers, of sockets. */
export class ConnectionSnapshots {
  readonly #pooler: Pooler;

  constructor(pooler: Pooler) {
    this.#pooler = pooler;
  }

  /** The pools in PgBouncer's order: by names of databases and users. */
  #groups(): readonly Group[] {
    const groups: Group[] = this.#pooler.registry.pools.map((pool) => ({
      key: `${pool.database.name}\0${pool.user.name}`,
      pool,
    }));
    groups.push({ key: `${CONSOLE_DATABASE}\0${CONSOLE_USER}`, pool: null });
    return groups.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  }

  /** Clients of a pool that have logged in, those that wait behind the others. */
  #clientsOf(pool: RelayPool | null): readonly ClientConnection[] {
    const { admissions } = this.#pooler;
    if (pool === null) {
      return [...admissions.consoles];
    }
    const { activeClients, waitingClients, welcomeClients, replicationClients } = pool;
    const found: ClientConnection[] = [];
    for (const list of [activeClients, waitingClients, welcomeClients, replicationClients]) {
      for (let end: ClientEnd | null = list.head; end !== null; end = end.listNext) {
        const client = admissions.clientOf(end);
        if (client !== null) {
          found.push(client);
        }
      }
    }
    return found;
  }

  /** All clients but those in login, pool by pool; those without a pool are the last. */
  clients(): ClientSnapshot[] {
    const moment = momentOf(this.#pooler);
    const early = byPool(findEarlyClients(this.#pooler));
    const rows: ClientSnapshot[] = [];
    const add = (found: EarlyClient): number =>
      rows.push(new ClientRow(found.client, moment, found));
    for (const { pool } of this.#groups()) {
      for (const client of this.#clientsOf(pool)) {
        rows.push(new ClientRow(client, moment));
      }
      if (pool !== null) {
        early.get(pool)?.forEach(add);
      }
    }
    early.get(null)?.forEach(add);
    return rows;
  }

  /** All server connections, pool by pool, with those that carry cancel requests. */
  servers(): ServerSnapshot[] {
    const moment = momentOf(this.#pooler);
    const { broker, peers } = this.#pooler;
    const carriers = byPool(broker.carriers);
    const rows: ServerSnapshot[] = [];
    for (const { pool } of this.#groups()) {
      if (pool === null) {
        continue;
      }
      const servers = this.#pooler.serversOf(pool).map((server) => serverRow(pool, server, moment));
      const isCanceled = ({ state }: ServerSnapshot): boolean => state === 'being_canceled';
      rows.push(...servers.filter((row) => !isCanceled(row)));
      rows.push(...carrierRows(carriers.get(pool) ?? [], moment));
      rows.push(...servers.filter(isCanceled));
    }
    rows.push(...carrierRows(peers.carriers, moment));
    return rows;
  }

  /**
   * All sockets of clients and servers pool by pool, then those in login. As in PgBouncer, cancel
   * requests and server connections that are being cancelled are left out.
   */
  sockets(): SocketSnapshot[] {
    const moment = momentOf(this.#pooler);
    const { admissions, logins } = this.#pooler;
    const early = findEarlyClients(this.#pooler);
    const waiting = new Set(early.map(({ client }) => client));
    const earlyOf = byPool(early);
    const rows: SocketSnapshot[] = [];
    for (const { pool } of this.#groups()) {
      for (const client of this.#clientsOf(pool)) {
        rows.push(
          clientSocket(client, new ClientRow(client, moment), clientListName(client.state)),
        );
      }
      if (pool === null) {
        continue;
      }
      for (const found of earlyOf.get(pool) ?? []) {
        if (found.state === 'waiting') {
          const row = new ClientRow(found.client, moment, found);
          rows.push(clientSocket(found.client, row, 'cl_waiting'));
        }
      }
      for (const server of this.#pooler.serversOf(pool)) {
        if (server.state !== ServerState.BeingCanceled) {
          rows.push(serverSocket(server, serverRow(pool, server, moment)));
        }
      }
    }
    for (let end = logins.head; end !== null; end = end.listNext) {
      const client = admissions.clientOf(end);
      if (client !== null && !waiting.has(client)) {
        rows.push(clientSocket(client, new ClientRow(client, moment), 'cl_login'));
      }
    }
    return rows;
  }
}

/** Sorts what is shown with a pool, if there is one, by that. */
function byPool<T extends { readonly pool: RelayPool | null }>(
  all: readonly T[],
): ReadonlyMap<RelayPool | null, readonly T[]> {
  const groups = new Map<RelayPool | null, T[]>();
  for (const one of all) {
    const group = groups.get(one.pool);
    if (group === undefined) {
      groups.set(one.pool, [one]);
    } else {
      group.push(one);
    }
  }
  return groups;
}

function carrierRows(carriers: readonly CancelCarrier[], moment: Moment): ServerSnapshot[] {
  const rows = carriers.map((carrier) => carrierRow(carrier, moment));
  return rows.sort((a, b) => Number(a.state !== 'new') - Number(b.state !== 'new'));
}

function clientSocket(
  client: ClientConnection,
  connection: ClientSnapshot,
  state: string,
): SocketSnapshot {
  return {
    type: 'C',
    connection,
    state,
    packetRemainBytes: client.framer.bodyRemaining,
    sendRemainBytes: client.unsentBytes,
  };
}

function serverSocket(server: ServerConnection, connection: ServerSnapshot): SocketSnapshot {
  return {
    type: 'S',
    connection,
    state: `sv_${server.state === ServerState.Closed ? ServerState.Login : server.state}`,
    packetRemainBytes: 0,
    sendRemainBytes: server.unsentBytes,
  };
}

function serverStateName(state: ServerState): ServerSnapshot['state'] {
  return state === ServerState.Login || state === ServerState.Closed ? 'new' : state;
}

/** The list a client is in, by the names of SHOW SOCKETS. */
function clientListName(state: ClientState): string {
  const isWaiting = state === ClientState.Waiting || state === ClientState.WaitingLogin;
  return isWaiting ? 'cl_waiting' : 'cl_active';
}
