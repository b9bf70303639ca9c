import { describe, expect, it } from 'vitest';
import * as b from '../../support/backend-messages.ts';
import * as f from '../../support/frontend-messages.ts';
import {
  RelayFixture,
  type FakeClient,
  type FakeServer,
  type FixtureOptions,
} from './relay-fixture.ts';

const DONE = Buffer.concat([b.commandComplete('SELECT 1'), b.readyForQuery('I')]);
const COPY_BOTH = f.message('W', Buffer.of(0), f.int16(0));
const WAL = f.message('d', Buffer.from('w'.repeat(100)));
const END = f.message('c');

interface Pair {
  readonly client: FakeClient;
  readonly server: FakeServer;
  readonly fixture: RelayFixture;
}

/** A replication client with the server connection that was opened for it. */
function ownPair(options: FixtureOptions = {}): Pair {
  const fixture = new RelayFixture(options);
  const server = fixture.addNewServer();
  const client = fixture.addClient();
  server.owner = client;
  server.link.pairWithOwner(client);
  fixture.pool.onOwnServerLoggedIn(server, new Map());
  return { client, server, fixture };
}

describe('Link: a server connection with an owner', () => {
  it.each(['session', 'transaction', 'statement'] as const)(
    'stays with it behind queries and transactions in %s mode',
    (poolMode) => {
      const { client, server } = ownPair({ poolMode });
      client.send(f.query('IDENTIFY_SYSTEM'));
      server.reply(DONE);
      client.send(f.query('BEGIN'));
      server.reply(b.commandComplete('BEGIN'), b.readyForQuery('T'));
      client.send(f.query('COMMIT'));
      server.reply(b.commandComplete('COMMIT'), b.readyForQuery('I'));
      expect([client.isClosed, client.link, server.state]).toEqual([false, server.link, 'active']);
    },
  );

  it('has no parameters set, though those of its client differ', () => {
    const fixture = new RelayFixture();
    const server = fixture.addNewServer();
    const client = fixture.addClient({ TimeZone: 'UTC' });
    server.owner = client;
    server.link.pairWithOwner(client);
    fixture.pool.onOwnServerLoggedIn(server, new Map());
    client.send(f.query('SHOW x'));
    expect(server.takeInput()).toEqual(f.query('SHOW x'));
  });

  it.each([true, false])('ends with its client, Terminate or not: %s', (isGoodbye) => {
    const { client, server, fixture } = ownPair();
    client.link?.onClientGone(isGoodbye);
    expect(server.closeReason).toBe('replication client was closed');
    expect([server.cancelCount, fixture.pool.serverCount]).toEqual([0, 0]);
  });

  it('ends with its client in the middle of a stream, without a cancel request', () => {
    const { client, server } = ownPair();
    client.send(f.query('START_REPLICATION 0/0'));
    server.reply(COPY_BOTH, WAL);
    server.takeInput();
    client.link?.onClientGone(false);
    expect(server.closeReason).toBe('replication client was closed');
    expect([server.cancelCount, server.takeInput().length]).toEqual([0, 0]);
  });

  it('takes its client along when it is lost', () => {
    const { client, server } = ownPair();
    client.send(f.query('START_REPLICATION 0/0'));
    server.reply(COPY_BOTH, WAL);
    server.disconnect('reset');
    expect(client.error?.reason).toBe('serverCrashed');
  });
});

describe('Link: a stream of replication', () => {
  it('passes both ways until both have said CopyDone, and then serves on', () => {
    const { client, server } = ownPair();
    client.send(f.query('START_REPLICATION 0/0'));
    server.reply(COPY_BOTH, WAL, WAL);
    server.takeInput();
    client.send(f.copyData('status'), f.copyData('status'));
    expect(server.takeInput()).toEqual(Buffer.concat([f.copyData('status'), f.copyData('status')]));
    client.send(f.copyDone());
    expect(server.takeInput()).toEqual(f.copyDone());
    server.reply(WAL, END, DONE);
    expect(client.output).toEqual(Buffer.concat([COPY_BOTH, WAL, WAL, WAL, END, DONE]));
    expect(server.link.ledger.isEmpty).toBe(true);
    client.send(f.query('IDENTIFY_SYSTEM'));
    server.reply(DONE);
    expect(client.isClosed).toBe(false);
  });

  it('is out of reach of query_timeout and transaction_timeout; other requests are not', () => {
    const settings = { queryTimeoutMs: 1000, transactionTimeoutMs: 1000 };
    const { client, server, fixture } = ownPair({ settings });
    client.send(f.query('START_REPLICATION 0/0'));
    server.reply(COPY_BOTH);
    fixture.clock.advance(60_000);
    server.link.checkTimeouts(fixture.clock.nowMs());
    expect(client.isClosed).toBe(false);
    client.send(f.copyDone());
    server.reply(END, DONE);
    client.send(f.query('SELECT pg_sleep(9)'));
    fixture.clock.advance(1001);
    server.link.checkTimeouts(fixture.clock.nowMs());
    expect(client.error?.reason).toBe('queryTimeout');
  });

  it('ends without an error when the server shuts down, behind CommandComplete', () => {
    const { client, server } = ownPair();
    client.send(f.query('START_REPLICATION 0/0'));
    server.reply(COPY_BOTH, WAL, b.commandComplete('COPY 0'));
    server.disconnect('server conn crashed?');
    expect([client.error, client.isClosed]).toEqual([null, true]);
    expect(client.events.at(-1)).toBe('silently server conn crashed?');
  });

  it('ends with an error when the server is lost behind the next request', () => {
    const { client, server } = ownPair();
    client.send(f.query('START_REPLICATION 0/0'));
    server.reply(COPY_BOTH);
    client.send(f.copyDone());
    server.reply(END, b.commandComplete('COPY 0'), b.readyForQuery('I'));
    client.send(f.query('SELECT 1'));
    server.disconnect('server conn crashed?');
    expect(client.error?.reason).toBe('serverCrashed');
  });

  it('pauses the server while the client lags', () => {
    const { client, server } = ownPair();
    client.send(f.query('START_REPLICATION 0/0'));
    client.isLagging = true;
    server.reply(COPY_BOTH, WAL);
    expect(server.isPaused).toBe(true);
    client.pendingBytes = 0;
    client.link?.onClientDrain();
    expect(server.isPaused).toBe(false);
  });
});
