import { describe, expect, it } from 'vitest';
import { ClientState, ServerState } from '../../../src/pool/states.ts';
import { FakeHost, type FakeClient, type FakeServer } from './fake-host.ts';

const SIZE_ONE = { settings: { defaultPoolSize: 1 } };

/** The newest server connection, which must be for `owner`. */
function own(host: FakeHost, owner: FakeClient): FakeServer {
  const server = host.launched.at(-1);
  if (server?.owner !== owner) {
    throw new Error(`no server connection was opened for ${owner.name}`);
  }
  return server;
}

/** A client that has been served once, so that the pool knows a welcome and an idle server. */
function warmUp(host: FakeHost): FakeServer {
  const client = host.newcomer(host.pool());
  const server = host.launched.at(-1);
  if (server === undefined) {
    throw new Error('no server connection was opened');
  }
  server.logIn();
  client.leave();
  return server;
}

describe('a replication client', () => {
  it('gets a server connection of its own, though an idle one is there', () => {
    const host = new FakeHost();
    const pool = host.pool();
    const idle = warmUp(host);
    const client = host.replicator(pool);
    const server = own(host, client);
    expect(client.state).toBe(ClientState.WaitingLogin);
    expect(pool.clientCount).toBe(1);
    server.logIn();
    expect([client.state, client.server]).toEqual([ClientState.Active, server]);
    expect([server.state, idle.state]).toEqual([ServerState.Active, ServerState.Idle]);
    expect(pool.stats.serverAssignmentCount).toBe(0);
  });

  it('leaves nothing to others: its connection ends with it', () => {
    const host = new FakeHost(SIZE_ONE);
    const pool = host.pool();
    warmUp(host).disconnect('server idle timeout');
    const client = host.replicator(pool);
    const server = own(host, client).logIn();
    const other = host.client(pool).ask();
    client.leave();
    expect(server.closeReason).toBe('replication client was closed');
    expect(host.launched.at(-1)?.owner).toBeNull();
    host.launched.at(-1)?.logIn();
    expect(other.server).toBe(host.launched.at(-1));
  });

  it('that leaves during the login of its server ends that as well', () => {
    const host = new FakeHost();
    const client = host.replicator(host.pool());
    const server = own(host, client);
    client.leave();
    expect(server.closeReason).toBe('replication client was closed');
    expect(host.pool().serverCount).toBe(0);
    expect(host.launched).toHaveLength(1);
  });

  it('does not make the welcome of the others, nor wait for theirs', () => {
    const host = new FakeHost();
    const pool = host.pool();
    const client = host.replicator(pool);
    own(host, client).logIn(new Map([['server_encoding', 'SQL_ASCII']]));
    expect(pool.welcome).toBeNull();
    const shared = host.newcomer(pool);
    expect(shared.isWelcome).toBe(false);
    host.launched.at(-1)?.logIn();
    expect(shared.isWelcome).toBe(true);
    expect(pool.welcome?.get('server_encoding')).toBeUndefined();
  });

  it('makes room by an idle server connection when the pool is full', () => {
    const host = new FakeHost(SIZE_ONE);
    const idle = warmUp(host);
    const client = host.replicator(host.pool());
    expect(idle.closeReason).toBe('evicted');
    own(host, client).logIn();
    expect(client.state).toBe(ClientState.Active);
  });

  it('gets the place of the next server connection that is released in a full busy pool', () => {
    const host = new FakeHost(SIZE_ONE);
    const pool = host.pool();
    const busy = warmUp(host);
    const first = host.client(pool).ask();
    const client = host.replicator(pool);
    const second = host.client(pool).ask();
    expect(host.launched).toHaveLength(1);
    first.finish();
    expect(busy.closeReason).toBe('evicted');
    own(host, client).logIn();
    expect(second.server).toBeNull();
    client.leave();
    host.launched.at(-1)?.logIn();
    expect(second.server).not.toBeNull();
  });

  it.each(['maxDbConnections', 'maxUserConnections'] as const)('keeps to %s', (limit) => {
    const host = new FakeHost({ settings: { [limit]: 1 } });
    const pool = host.pool();
    const first = host.replicator(pool);
    own(host, first).logIn();
    const second = host.replicator(pool);
    host.pass(333);
    expect(host.launched).toHaveLength(1);
    first.leave();
    own(host, second).logIn();
    expect(second.state).toBe(ClientState.Active);
  });

  it('waits for client_login_timeout at most', () => {
    const host = new FakeHost({ settings: { defaultPoolSize: 1, clientLoginTimeoutMs: 2000 } });
    const pool = host.pool();
    own(host, host.replicator(pool)).logIn();
    const second = host.replicator(pool);
    host.pass(1900);
    expect(second.error).toBeNull();
    host.pass(400);
    expect(second.error?.message).toBe('client_login_timeout (server down)');
  });

  it('waits while the pool is paused, and its login begins again after PAUSE', () => {
    const host = new FakeHost();
    const pool = host.pool();
    const client = host.replicator(pool);
    host.isPaused = true;
    own(host, client).disconnect('pause mode');
    expect(host.launched).toHaveLength(1);
    host.isPaused = false;
    pool.pump();
    own(host, client).logIn();
    expect(client.state).toBe(ClientState.Active);
  });
});

describe('a login that fails for a replication client', () => {
  it('is told to that client only, and to others neither now nor later', () => {
    const host = new FakeHost();
    const pool = host.pool();
    const client = host.replicator(pool);
    const waiting = host.newcomer(pool);
    own(host, client).refuse('28000', 'must be replication role');
    expect(client.error?.message).toBe('must be replication role');
    expect(waiting.error).toBeNull();
    // No server_login_retry: the attempts of the pool have not failed.
    expect(host.launched).toHaveLength(2);
    host.launched.at(-1)?.logIn();
    expect(waiting.isWelcome).toBe(true);
    host.client(pool).ask();
    expect(host.launched.at(-1)?.state).toBe(ServerState.Active);
  });

  it('is tried once, and the next replication client has its own attempt', () => {
    const host = new FakeHost();
    const pool = host.pool();
    const first = host.replicator(pool);
    const second = host.replicator(pool);
    own(host, first).failToConnect();
    expect(first.state).toBe(ClientState.Closed);
    own(host, second).logIn();
    expect(second.state).toBe(ClientState.Active);
  });

  it('does not spare those who share: a pool with replication alone fails fast', () => {
    const host = new FakeHost();
    const pool = host.pool();
    warmUp(host).disconnect('lost');
    own(host, host.replicator(pool)).logIn();
    const first = host.client(pool).ask();
    host.launched.at(-1)?.refuse('28P01', 'password authentication failed');
    expect(first.error?.message).toBe('password authentication failed');
    const second = host.client(pool).ask();
    expect(second.error?.message).toBe('password authentication failed');
  });
});
