import { describe, expect, it } from 'vitest';
import * as b from '../../support/backend-messages.ts';
import * as f from '../../support/frontend-messages.ts';
import { RelayFixture, type FakeClient, type FakeServer } from './relay-fixture.ts';

const DONE = Buffer.concat([b.commandComplete('SELECT 1'), b.readyForQuery('I')]);
const IN_TRANSACTION = Buffer.concat([b.commandComplete('BEGIN'), b.readyForQuery('T')]);
interface Pair {
  readonly client: FakeClient;
  readonly server: FakeServer;
}

describe('Link: timeouts and times', () => {
  const LIMITS = {
    queryTimeoutMs: 1000,
    transactionTimeoutMs: 5000,
    idleTransactionTimeoutMs: 2000,
  };

  function limited(poolMode: 'session' | 'transaction' = 'transaction'): Pair & {
    fixture: RelayFixture;
    tick: (ms: number) => void;
  } {
    const fixture = new RelayFixture({ poolMode, settings: LIMITS });
    const pair = fixture.link();
    const tick = (ms: number): void => {
      fixture.clock.advance(ms);
      pair.server.link.checkTimeouts(fixture.clock.nowMs());
    };
    return { ...pair, fixture, tick };
  }

  it('query_timeout ends a query that runs longer, not one that runs as long', () => {
    const { client, server, tick } = limited();
    client.send(f.query('SELECT'));
    tick(1000);
    expect(client.isClosed).toBe(false);
    tick(1);
    expect(client.error?.reason).toBe('queryTimeout');
    expect(server.cancelCount).toBe(1);
  });

  it.each([
    [LIMITS, 1000, 'queryTimeout'],
    [{ ...LIMITS, queryTimeoutMs: 0 }, 5000, 'transactionTimeout'],
  ])('count while a server sets parameters without an answer: %j', (settings, limitMs, reason) => {
    const fixture = new RelayFixture({ settings });
    const server = fixture.addServer({ TimeZone: 'UTC' });
    const client = fixture.addClient({ TimeZone: 'EET' });
    fixture.clock.advance(100_000);
    fixture.pool.acquire(client);
    expect(server.link.begin(client)).toBe(false);
    fixture.clock.advance(limitMs);
    server.link.checkTimeouts(fixture.clock.nowMs());
    expect(client.isClosed).toBe(false);
    fixture.clock.advance(1);
    server.link.checkTimeouts(fixture.clock.nowMs());
    expect(client.error?.reason).toBe(reason);
  });

  it('idle_transaction_timeout counts from the last activity of the server', () => {
    const { client, server, tick } = limited();
    client.send(f.query('BEGIN'));
    tick(500);
    server.reply(IN_TRANSACTION);
    tick(2000);
    expect(client.isClosed).toBe(false);
    tick(1);
    expect(client.error?.reason).toBe('idleTransactionTimeout');
  });

  it('transaction_timeout counts from the first request', () => {
    const { client, server, tick } = limited();
    for (let count = 0; count < 5; count++) {
      client.send(f.query('x'));
      server.reply(IN_TRANSACTION);
      tick(1000);
    }
    expect(client.isClosed).toBe(false);
    tick(1);
    expect(client.error?.reason).toBe('transactionTimeout');
  });

  it('idle_transaction_timeout counts for who stalls within COPY data behind the last query', () => {
    const { client, server, tick } = limited();
    client.send(f.query('x'), f.copyData('stray').subarray(0, 8));
    server.reply(DONE);
    expect(server.state).toBe('active');
    tick(2000);
    expect(client.isClosed).toBe(false);
    tick(1);
    expect(client.error?.reason).toBe('idleTransactionTimeout');
    expect(server.isClosed).toBe(true);
  });

  it('it does not in session mode, nor for data that are whole', () => {
    const session = limited('session');
    session.client.send(f.query('x'), f.copyData('stray').subarray(0, 8));
    session.server.reply(DONE);
    session.tick(1_000_000);
    expect(session.client.isClosed).toBe(false);
    const { client, server, tick } = limited();
    client.send(f.query('x'), f.copyData('stray'));
    server.reply(DONE);
    expect(server.state).toBe('idle');
    tick(1_000_000);
    expect(client.isClosed).toBe(false);
  });

  it('no timeout hits a client that is idle in session mode', () => {
    const { client, server, tick } = limited('session');
    client.send(f.query('x'));
    server.reply(DONE);
    tick(1_000_000);
    expect(client.isClosed).toBe(false);
  });

  it.each([
    ['Flush', f.flush()],
    ['stray CopyData', f.copyData('x')],
    ['stray CopyDone', f.copyDone()],
  ])('%s begins no query: a later one has its whole time', (_name, message) => {
    const { client, server, tick, fixture } = limited('session');
    client.send(f.query('x'));
    server.reply(DONE);
    client.send(message);
    tick(100_000);
    client.send(f.query('y'));
    tick(900);
    expect(client.isClosed).toBe(false);
    expect(fixture.pool.stats.queryCount).toBe(2);
  });

  it('forgets the time in the queue of a client that then asked for nothing', () => {
    const { client, server, fixture } = limited();
    client.queuedSinceMs = fixture.clock.nowMs();
    client.send(f.flush());
    expect([server.state, client.queuedSinceMs, client.queryStartMs]).toEqual(['idle', 0, 0]);
  });

  it('count for each query and transaction of a pipeline by itself', () => {
    const { client, server, fixture, tick } = limited();
    const requests = 8;
    client.send(...Array.from({ length: requests }, () => f.query('SELECT')));
    for (let answered = 1; answered < requests; answered++) {
      tick(1000);
      server.reply(DONE);
    }
    expect(client.isClosed).toBe(false);
    expect(fixture.pool.stats).toMatchObject({ queryTimeMs: 7000, xactTimeMs: 7000 });
    tick(1001);
    expect(client.error?.reason).toBe('queryTimeout');
  });

  it('transaction_timeout counts on through a pipeline inside a transaction', () => {
    const { client, server, tick } = limited();
    client.send(...Array.from({ length: 8 }, () => f.query('x')));
    for (let answered = 0; answered < 5; answered++) {
      tick(1000);
      server.reply(IN_TRANSACTION);
    }
    expect(client.isClosed).toBe(false);
    tick(1);
    expect(client.error?.reason).toBe('transactionTimeout');
  });

  it('counts queries, transactions, bytes and times', () => {
    const { client, server, fixture } = limited();
    client.queuedSinceMs = fixture.clock.nowMs();
    fixture.clock.advance(10);
    client.send(f.query('BEGIN'));
    fixture.clock.advance(20);
    server.reply(IN_TRANSACTION);
    fixture.clock.advance(30);
    client.send(f.query('COMMIT'));
    fixture.clock.advance(40);
    server.reply(DONE);
    const { stats } = fixture.pool;
    expect(stats).toMatchObject({ queryCount: 2, xactCount: 1, queryTimeMs: 70, xactTimeMs: 100 });
    expect(stats.receivedBytes).toBe(f.query('BEGIN').length + f.query('COMMIT').length);
    expect(stats.sentBytes).toBe(IN_TRANSACTION.length + DONE.length);
    expect([client.queryStartMs, client.xactStartMs, client.queuedSinceMs]).toEqual([0, 0, 0]);
  });
});
