import { assert } from '../base/assert.ts';
import { LinkedList } from '../base/linked-list.ts';
import type { PoolClient, PoolServer } from './members.ts';
import type { PoolHost } from './pool-host.ts';
import { CLIENT_SUCCESSORS, ClientState, mayServerGo, ServerState } from './states.ts';

/**
 * Who is in a pool, and in which state: a connection's state is the list it is in, so the counts
 * shown to operators are list lengths. What is to happen next is decided by `Pool`.
 */
export class PoolMembers<C extends PoolClient<C, S>, S extends PoolServer<C, S>> {
  protected readonly host: PoolHost<C, S>;

  readonly loginServers = new LinkedList<S>(ServerState.Login);
  readonly idleServers = new LinkedList<S>(ServerState.Idle);
  readonly activeServers = new LinkedList<S>(ServerState.Active);
  readonly usedServers = new LinkedList<S>(ServerState.Used);
  readonly testedServers = new LinkedList<S>(ServerState.Tested);
  readonly canceledServers = new LinkedList<S>(ServerState.BeingCanceled);

  readonly activeClients = new LinkedList<C>(ClientState.Active);
  readonly waitingClients = new LinkedList<C>(ClientState.Waiting);
  readonly welcomeClients = new LinkedList<C>(ClientState.WaitingLogin);
  /** Replication clients without their server connection yet. */
  readonly replicationClients = new LinkedList<C>(ClientState.WaitingLogin);

  /** Cancel requests that have not been sent yet, count. */
  waitingCancels = 0;
  /** Cancel requests on their way, count. */
  activeCancels = 0;

  constructor(host: PoolHost<C, S>) {
    this.host = host;
  }

  /** Server connections in any state, count. */
  get serverCount(): number {
    return this.connectedCount + this.loginServers.length;
  }

  /** Server connections that are logged in, count. */
  get connectedCount(): number {
    return (
      this.idleServers.length +
      this.activeServers.length +
      this.usedServers.length +
      this.testedServers.length +
      this.canceledServers.length
    );
  }

  /** Clients in any state from WaitingLogin on, count. */
  get clientCount(): number {
    return (
      this.activeClients.length +
      this.waitingClients.length +
      this.welcomeClients.length +
      this.replicationClients.length
    );
  }

  /** Whether it has neither clients nor server connections, nor cancel requests for any. */
  get isEmpty(): boolean {
    return this.clientCount + this.serverCount + this.waitingCancels + this.activeCancels === 0;
  }

  /** The lists of server connections, in the order of SHOW SERVERS. */
  serverLists(): readonly LinkedList<S>[] {
    return [
      this.activeServers,
      this.idleServers,
      this.usedServers,
      this.testedServers,
      this.loginServers,
      this.canceledServers,
    ];
  }

  /** Moves a client to the list of its new state. The only writer of `state`. */
  protected changeClientState(client: C, next: ClientState): void {
    if (!CLIENT_SUCCESSORS[client.state].includes(next)) {
      assert(false, `client may not go from ${client.state} to ${next}`);
    }
    client.list?.remove(client);
    client.state = next;
    if (next === ClientState.Active) {
      this.activeClients.push(client);
    } else if (next === ClientState.Waiting) {
      this.waitingClients.push(client);
    } else if (next === ClientState.WaitingLogin) {
      (client.replication === null ? this.welcomeClients : this.replicationClients).push(client);
    }
  }

  /** Moves a server connection to the list of its new state. The only writer of `state`. */
  protected changeServerState(server: S, next: ServerState): void {
    if (!mayServerGo(server.state, next)) {
      assert(false, `server connection may not go from ${server.state} to ${next}`);
    }
    server.list?.remove(server);
    server.state = next;
    switch (next) {
      case ServerState.Idle:
        // LIFO keeps the caches of few server processes warm and lets the others time out.
        if (this.host.settings.serverRoundRobin || server.isCloseNeeded) {
          this.idleServers.push(server);
        } else {
          this.idleServers.unshift(server);
        }
        return;
      case ServerState.Active:
        this.activeServers.push(server);
        return;
      case ServerState.Used:
        this.usedServers.push(server);
        return;
      case ServerState.Tested:
        server.testStartMs = this.host.nowMs();
        this.testedServers.push(server);
        return;
      case ServerState.BeingCanceled:
        this.canceledServers.push(server);
        return;
      case ServerState.Login:
      case ServerState.Closed:
        return;
    }
  }
}
