import { assert } from '../base/assert.ts';
import { poolerError, type PoolerError } from '../protocol/pooler-errors.ts';
import type { PermitRequest } from './budget.ts';
import type { Database, User } from './database.ts';
import type { PoolClient, PoolServer } from './members.ts';
import type { PoolHost } from './pool-host.ts';
import { PoolStats } from './pool-stats.ts';
import { PoolTerms, type PoolPurpose } from './pool-terms.ts';
import { reasonToCloseFree } from './retirement.ts';
import { ClientState, ServerState } from './states.ts';
import { Supply } from './supply.ts';

/**
 * Server connections of one (database, user) pair and the clients that share them. Pure policy: it
 * opens no socket and reads no clock. State is list membership; only this class changes it.
 */
export class Pool<C extends PoolClient<C, S>, S extends PoolServer<C, S>>
  extends PoolTerms<C, S>
  implements PermitRequest
{
  readonly stats = new PoolStats();
  /** What servers of this pool report about themselves, by name; null before the first login. */
  welcome: ReadonlyMap<string, string> | null = null;
  /** Tracked parameter values that servers of this pool are known to accept, as `name=value`. */
  readonly acceptedValues = new Set<string>();

  readonly #supply: Supply<C, S>;
  /** When it last had a client or a server connection, in clock ms, as exact as the tick. */
  lastUsedMs: number;
  /** Server connections to close at release: too many, or wanted by a blocked pool elsewhere. */
  yieldCount = 0;

  constructor(
    host: PoolHost<C, S>,
    database: Database,
    user: User,
    purpose: PoolPurpose = 'clients',
  ) {
    super(host, database, user, purpose);
    this.#supply = new Supply(this, host);
    this.lastUsedMs = host.nowMs();
  }

  // ---- clients ----

  /** Adds a client whose login is complete. */
  addClient(client: C): void {
    assert(client.state !== ClientState.Waiting, 'a client that waits has logged in before');
    this.changeClientState(client, ClientState.Active);
  }

  /**
   * Adds an authenticated client that must wait for the first server connection, or for its own if
   * it replicates.
   */
  addWelcomeClient(client: C): void {
    client.waitStartMs = this.host.nowMs();
    this.changeClientState(client, ClientState.WaitingLogin);
    this.pump();
  }

  /**
   * HOT PATH: finds a server connection for `client`, which has sent a request.
   *
   * @returns the server connection, now active; or null when the client has been queued (it will
   *   be told by `onServerAssigned`) or disconnected.
   */
  acquire(client: C): S | null {
    assert(client.state === ClientState.Active, 'only an active client can ask');
    if (this.waitingClients.length === 0 && !this.isHeld) {
      const server = this.#takeIdle();
      if (server !== null) {
        this.stats.serverAssignmentCount++;
        return server;
      }
    }
    this.#enqueue(client);
    return null;
  }

  #enqueue(client: C): void {
    if (this.host.isRefusingToQueue) {
      client.disconnect(poolerError('serverShuttingDown'));
      return;
    }
    // The last login failed and no connection is left: waiting would only end in a timeout.
    if (this.#supply.isFailing && !this.#hasSharedServer() && !this.isHeld) {
      const cause = this.#supply.lastError;
      client.disconnect(
        cause?.reason === 'server_error'
          ? cause
          : poolerError('serverLoginRetry', cause?.message ?? 'connect failed'),
      );
      // Nobody is left waiting, so no tick would try again.
      this.#supply.launch(true);
      return;
    }
    client.waitStartMs = this.host.nowMs();
    client.isWaitNotified = false;
    this.changeClientState(client, ClientState.Waiting);
    this.pump();
  }

  /** Takes a client that waits out of the queue, for a cancel request. It stays in the pool. */
  withdraw(client: C): void {
    assert(client.state === ClientState.Waiting, 'only a waiting client can be withdrawn');
    client.waitStartMs = 0;
    this.changeClientState(client, ClientState.Active);
  }

  /** Forgets a client whose connection is gone. */
  onClientClosed(client: C): void {
    client.waitStartMs = 0;
    this.changeClientState(client, ClientState.Closed);
    if (client.replication !== null) {
      for (const server of this.loginServers.toArray()) {
        if (server.owner === client) {
          server.disconnect('replication client was closed');
        }
      }
    }
  }

  // ---- server connections ----

  /** Adds a connection that is being opened. Its permit has been taken. */
  addServer(server: S): void {
    assert(server.state === ServerState.Login, 'a server connection begins with its login');
    this.loginServers.push(server);
  }

  /**
   * A server connection has logged in.
   *
   * @param welcome - what it reported about itself.
   */
  onServerLoggedIn(server: S, welcome: ReadonlyMap<string, string>): void {
    assert(server.state === ServerState.Login, 'a server connection logs in once');
    this.#supply.onSuccess();
    this.welcome = welcome;
    for (const client of this.welcomeClients.toArray()) {
      this.#endWait(client);
      client.onWelcomeKnown();
    }
    this.#offer(server);
    this.pump();
  }

  /**
   * The server connection of a replication client has logged in.
   *
   * @param welcome - what it reported about itself.
   */
  onOwnServerLoggedIn(server: S, welcome: ReadonlyMap<string, string>): void {
    assert(server.state === ServerState.Login, 'a server connection logs in once');
    assert(server.owner !== null, 'it was opened for a replication client');
    this.changeServerState(server, ServerState.Active);
    this.#endWait(server.owner);
    server.owner.onOwnServer(server, welcome);
    this.pump();
  }

  /**
   * A server connection ended before it was logged in. Not for those of replication clients, whose
   * failures concern nobody else.
   *
   * @param error - what to tell clients, or null when they shall rather wait on.
   */
  onServerLoginFailed(error: PoolerError | null, fallback: PoolerError): void {
    const isPassing = this.#supply.onFailure(error ?? fallback);
    if (error === null || isPassing || this.#hasSharedServer()) {
      return;
    }
    for (const client of this.waitingClients.toArray()) {
      client.disconnect(error);
    }
    for (const client of this.welcomeClients.toArray()) {
      client.disconnect(error);
    }
  }

  /** Forgets a server connection that is gone and gives its permit back. */
  onServerClosed(server: S): void {
    this.changeServerState(server, ServerState.Closed);
    this.#supply.releasePermit();
    // Blocked pools first: this one would take the permit back before they are asked.
    this.host.onPermitReleased(this);
    this.pump();
  }

  /**
   * HOT PATH: takes back a server connection that owes nothing and is outside of a transaction.
   *
   * @param isResetNeeded - whether the client may have left state behind that must go.
   */
  release(server: S, isResetNeeded: boolean): void {
    assert(server.state === ServerState.Active, 'only an active server connection is released');
    this.#free(server, isResetNeeded);
  }

  #free(server: S, isResetNeeded: boolean): void {
    if (server.cancelsInFlight > 0) {
      server.isResetOwed = isResetNeeded;
      this.changeServerState(server, ServerState.BeingCanceled);
      return;
    }
    const reason = reasonToCloseFree(this, this.host, server);
    if (reason !== null) {
      server.disconnect(reason);
      return;
    }
    const { serverResetQuery, serverResetQueryAlways, serverCheckQuery, serverCheckDelayMs } =
      this.host.settings;
    if (
      serverResetQuery !== '' &&
      (isResetNeeded || serverResetQueryAlways || this.limits.poolMode === 'session')
    ) {
      this.changeServerState(server, ServerState.Tested);
      server.startReset();
      return;
    }
    if (serverCheckQuery !== null && serverCheckDelayMs === 0) {
      this.changeServerState(server, ServerState.Used);
      this.pump();
      this.host.onServerIdle(this);
      return;
    }
    this.#offer(server);
  }

  /** The reset query or the check query of a server connection is done. */
  onServerTested(server: S): void {
    assert(server.state === ServerState.Tested, 'only a tested server connection passes a test');
    if (server.cancelsInFlight > 0) {
      // It may have been the reset query that was cancelled.
      server.isResetOwed = true;
      this.changeServerState(server, ServerState.BeingCanceled);
      return;
    }
    const reason = reasonToCloseFree(this, this.host, server);
    if (reason !== null) {
      server.disconnect(reason);
      return;
    }
    this.#offer(server);
  }

  /** A cancel request for this server connection is done. */
  onCancelDone(server: S): void {
    assert(server.cancelsInFlight > 0, 'a cancel request that is done was in flight');
    server.cancelsInFlight--;
    if (server.state === ServerState.BeingCanceled && server.cancelsInFlight === 0) {
      this.#free(server, server.isResetOwed);
    }
  }

  /** Hands a free server connection to the client that waits longest, or lays it by. */
  #offer(server: S): void {
    if (this.isPaused) {
      server.disconnect('pause mode');
      return;
    }
    const client = this.waitingClients.head;
    if (client !== null && !this.host.isSuspended) {
      this.changeServerState(server, ServerState.Active);
      this.#assign(client, server);
      return;
    }
    this.changeServerState(server, ServerState.Idle);
    this.host.onServerIdle(this);
  }

  #assign(client: C, server: S): void {
    this.#endWait(client);
    this.changeClientState(client, ClientState.Active);
    this.stats.serverAssignmentCount++;
    client.onServerAssigned(server);
  }

  /** A client has got what it waited for: its turn, or its welcome. */
  #endWait(client: C): void {
    this.stats.waitTimeMs += this.host.nowMs() - client.waitStartMs;
    client.waitStartMs = 0;
  }

  #takeIdle(): S | null {
    for (;;) {
      const server = this.idleServers.head;
      if (server === null) {
        return null;
      }
      if (server.isCloseNeeded) {
        server.disconnect('obsolete connection');
        continue;
      }
      this.changeServerState(server, ServerState.Active);
      return server;
    }
  }

  /** Marks an idle server connection as in need of the check query. */
  markUsed(server: S): void {
    assert(server.state === ServerState.Idle, 'only an idle server connection goes stale');
    this.changeServerState(server, ServerState.Used);
  }

  // ---- progress ----

  /** Moves whatever can move: hands out, checks or opens server connections for who waits. */
  pump(): void {
    if (this.isHeld) {
      return;
    }
    this.#serveFromIdle();
    if (this.replicationClients.length > 0) {
      this.#supply.launchOwn();
    }
    const waiting = this.waitingClients.length;
    if (waiting > this.testedServers.length) {
      const stale = this.usedServers.tail;
      if (stale !== null) {
        this.changeServerState(stale, ServerState.Tested);
        stale.startCheck();
      }
    }
    if (waiting > this.testedServers.length || this.#isWelcomeWanted()) {
      this.#supply.launch(true);
    }
  }

  #serveFromIdle(): void {
    while (this.waitingClients.length > 0) {
      const server = this.#takeIdle();
      if (server === null) {
        return;
      }
      // Taking it may have closed others, and that may have served who was at the head.
      this.#offer(server);
    }
  }

  #isWelcomeWanted(): boolean {
    return this.welcomeClients.length > 0 && this.welcome === null;
  }

  /** Whether a server connection is up that may come to serve any client. */
  #hasSharedServer(): boolean {
    const isOwned = (server: S): boolean => server.owner !== null;
    const { connectedCount, activeServers } = this;
    return connectedCount > 0 && connectedCount > activeServers.toArray().filter(isOwned).length;
  }

  /** Opens one connection towards `min_pool_size`, if the pool is in use. Evicts nobody. */
  fillToMinimum(): void {
    this.#supply.fillToMinimum();
  }

  /** Why the last login failed; null once one has succeeded, or before the first. */
  get lastLoginError(): PoolerError | null {
    return this.#supply.lastError;
  }

  /** What logins depend on has changed: the next one need not fail as the last one did. */
  forgetLoginFailure(): void {
    if (this.#supply.lastError !== null) {
      this.#supply.onSuccess();
      this.pump();
    }
  }

  /**
   * Retires every server connection: closed as soon as it is free.
   *
   * @param isTargetChanged - the next ones go elsewhere, so what is known of the server is void.
   */
  markDirty(isTargetChanged: boolean): void {
    if (isTargetChanged) {
      this.welcome = null;
      this.acceptedValues.clear();
    }
    for (const list of this.serverLists()) {
      for (const server of list.toArray()) {
        server.isCloseNeeded = true;
        if (server.state === ServerState.Login) {
          server.disconnect('connect string changed');
        }
      }
    }
    if (isTargetChanged) {
      this.forgetLoginFailure();
    }
  }
}
