import { describe, expect, it } from 'vitest';
import { CLEANUP_DEADLINE_MS, GOODBYE_GRACE_MS } from '../../../src/relay/cleanup.ts';
import * as b from '../../support/backend-messages.ts';
import * as f from '../../support/frontend-messages.ts';
import { RelayFixture, type FakeClient, type FakeServer } from './relay-fixture.ts';

const DONE = Buffer.concat([b.commandComplete('SELECT 1'), b.readyForQuery('I')]);
const COPY_IN = f.message('G', Buffer.of(0), f.int16(0));
const ERROR = b.errorResponse({ S: 'ERROR', V: 'ERROR', C: '22023', M: 'bad value' });
const FATAL = b.errorResponse({ S: 'FATAL', V: 'FATAL', C: '57P01', M: 'terminating connection' });
const ROLLBACK = f.query('ROLLBACK');
const RESET = f.query('DISCARD ALL');
/** What undoes work that was executed without a Sync. */
const ROLLBACK_UNSYNCED = Buffer.concat([
  f.parse('ROLLBACK'),
  f.bind({ resultFormats: [0] }),
  f.execute(),
  f.sync(),
]);
const ROLLED_BACK = Buffer.concat([
  f.message('1'),
  f.message('2'),
  b.commandComplete('ROLLBACK'),
  b.readyForQuery('I'),
]);

interface Pair {
  readonly client: FakeClient;
  readonly server: FakeServer;
}

describe('Link: a client that vanishes', () => {
  /** Links a pair and lets `requests` and `replies` pass; then the client goes. */
  function vanish(
    requests: Buffer,
    replies: Buffer,
    isGoodbye = false,
  ): Pair & { fixture: RelayFixture } {
    const fixture = new RelayFixture();
    const pair = fixture.link();
    pair.client.send(requests);
    pair.server.reply(replies);
    pair.server.takeInput();
    pair.client.close(isGoodbye);
    return { ...pair, fixture };
  }

  /** The reset query runs, and its end makes the server connection idle. */
  function expectReset(server: FakeServer): void {
    expect(server.takeInput()).toEqual(RESET);
    expect(server.state).toBe('tested');
    server.reply(DONE);
    expect(server.state).toBe('idle');
    expect(server.link.ledger.isEmpty).toBe(true);
  }

  it('before it has asked for anything leaves the server connection as it is', () => {
    const { server } = vanish(Buffer.alloc(0), Buffer.alloc(0));
    expect(server.state).toBe('idle');
    expect(server.takeInput()).toEqual(Buffer.alloc(0));
  });

  it.each(['T', 'E'])('in a transaction of status %s has it rolled back and reset', (status) => {
    const { server } = vanish(
      f.query('BEGIN'),
      Buffer.concat([b.commandComplete('BEGIN'), b.readyForQuery(status)]),
    );
    expect(server.cancelCount).toBe(0);
    expect(server.takeInput()).toEqual(ROLLBACK);
    server.reply(DONE);
    expectReset(server);
  });

  it('while a query runs has it cancelled, the rest drained, and the state reset', () => {
    const { client, server } = vanish(f.query('SELECT'), b.rowDescription(['a']));
    expect(server.cancelCount).toBe(1);
    expect(server.takeInput()).toEqual(Buffer.alloc(0));
    server.reply(b.dataRow(['x']), ERROR);
    server.reply(b.readyForQuery('I'));
    expect(client.output).toEqual(b.rowDescription(['a']));
    expectReset(server);
  });

  it('in the middle of a row lets the rest of it pass to nobody', () => {
    const row = b.dataRow(['x'.repeat(100)]);
    const { server, fixture } = vanish(f.query('SELECT'), row.subarray(0, 50));
    const next = fixture.addClient();
    fixture.pool.acquire(next);
    server.reply(row.subarray(50), DONE);
    server.reply(DONE);
    expect(next.output).toEqual(Buffer.alloc(0));
    expect(next.events).toContain('assigned');
  });

  it('in the middle of a notice behind ReadyForQuery lets the rest pass to nobody', () => {
    const notice = b.noticeResponse({ M: 'x'.repeat(100) });
    for (let at = 1; at < notice.length; at++) {
      const { server, fixture } = vanish(
        f.query('SELECT'),
        Buffer.concat([DONE, notice.subarray(0, at)]),
      );
      const next = fixture.addClient();
      fixture.pool.acquire(next);
      expect(server.link.client).toBeNull();
      server.reply(notice.subarray(at));
      expectResetFor(server, next);
    }
  });

  function expectResetFor(server: FakeServer, next: FakeClient): void {
    expect(server.takeInput()).toEqual(RESET);
    server.reply(DONE);
    expect(next.output).toEqual(Buffer.alloc(0));
    expect(next.events).toContain('assigned');
  }

  it('without Sync has its work rolled back: a Sync alone would commit it', () => {
    const { server } = vanish(
      Buffer.concat([f.parse('INSERT'), f.bind(), f.execute(), f.flush()]),
      Buffer.concat([f.message('1'), f.message('2'), b.commandComplete('INSERT 0 1')]),
    );
    expect(server.takeInput()).toEqual(ROLLBACK_UNSYNCED);
    server.reply(ROLLED_BACK);
    expectReset(server);
  });

  it('without Sync, while an extended query runs', () => {
    const { server } = vanish(
      Buffer.concat([f.parse('SELECT'), f.bind(), f.execute()]),
      Buffer.alloc(0),
    );
    expect(server.takeInput()).toEqual(ROLLBACK_UNSYNCED);
    expect(server.cancelCount).toBe(1);
    server.reply(f.message('1'), f.message('2'), ERROR, b.readyForQuery('I'));
    expectReset(server);
  });

  it('without Sync, behind an error', () => {
    const { server } = vanish(Buffer.concat([f.parse('x'), f.bind()]), ERROR);
    expect(server.takeInput()).toEqual(ROLLBACK_UNSYNCED);
    server.reply(b.readyForQuery('I'));
    expectReset(server);
  });

  it('in COPY IN has it failed', () => {
    const { server } = vanish(f.query('COPY t FROM STDIN'), COPY_IN);
    expect(server.takeInput()).toEqual(f.copyFail('client disconnected'));
    expect(server.cancelCount).toBe(0);
    server.reply(ERROR, b.readyForQuery('I'));
    expectReset(server);
  });

  it('in COPY IN of the extended protocol has it failed and synchronised', () => {
    const { server } = vanish(f.execute(), COPY_IN);
    expect(server.takeInput()).toEqual(
      Buffer.concat([f.copyFail('client disconnected'), ROLLBACK_UNSYNCED]),
    );
    server.reply(ERROR, b.readyForQuery('I'));
    expectReset(server);
  });

  it('in COPY IN with Sync sent ahead costs the server connection, whose state is unclear', () => {
    const { server } = vanish(Buffer.concat([f.execute(), f.sync()]), COPY_IN);
    server.reply(ERROR, b.readyForQuery('I'));
    expect(server.closeReason).toBe('state left by the client is unclear');
  });

  it('before CopyInResponse has the COPY failed when it begins', () => {
    const { server } = vanish(f.query('COPY t FROM STDIN'), Buffer.alloc(0));
    expect(server.takeInput()).toEqual(Buffer.alloc(0));
    server.reply(COPY_IN);
    expect(server.takeInput()).toEqual(f.copyFail('client disconnected'));
    server.reply(ERROR, b.readyForQuery('I'));
    expectReset(server);
  });

  it('after it has sent a whole COPY ahead lets it end by itself', () => {
    const copy = Buffer.concat([f.query('COPY t FROM STDIN'), f.copyData('1\n'), f.copyDone()]);
    const { server } = vanish(copy, Buffer.alloc(0), true);
    server.reply(COPY_IN, DONE);
    expect(server.cancelCount).toBe(0);
    expectReset(server);
  });

  it('in the middle of a body costs the server connection', () => {
    const request = f.query('SELECT 1');
    for (let at = 5; at < request.length; at++) {
      const { server } = vanish(request.subarray(0, at), Buffer.alloc(0));
      expect(server.closeReason).toMatch(/before everything was sent/);
    }
  });

  it('in the middle of a header costs nothing: none of it has been forwarded', () => {
    for (let at = 1; at < 5; at++) {
      const { server } = vanish(f.query('SELECT 1').subarray(0, at), Buffer.alloc(0));
      expect(server.state).toBe('idle');
    }
  });

  it('while its parameters are being set', () => {
    const fixture = new RelayFixture();
    const server = fixture.addServer({ TimeZone: 'UTC' });
    const client = fixture.addClient({ TimeZone: 'GMT' });
    fixture.pool.acquire(client);
    expect(server.link.begin(client)).toBe(false);
    server.takeInput();
    client.close(true);
    server.reply(b.parameterStatus('TimeZone', 'GMT'), DONE);
    expect(client.events).toEqual([]);
    expectReset(server);
    expect(server.parameters[2]).toBe('GMT');
  });

  it('is given a moment to have its last requests done when it said goodbye', () => {
    const { server, fixture } = vanish(f.query('INSERT'), Buffer.alloc(0), true);
    expect(server.cancelCount).toBe(0);
    fixture.clock.advance(GOODBYE_GRACE_MS);
    server.link.checkTimeouts(fixture.clock.nowMs());
    expect(server.cancelCount).toBe(0);
    fixture.clock.advance(1);
    server.link.checkTimeouts(fixture.clock.nowMs());
    expect(server.cancelCount).toBe(1);
    // Asked for once a tick: a cancel request may have come before the query that it is meant for.
    server.link.checkTimeouts(fixture.clock.nowMs());
    expect(server.cancelCount).toBe(2);
    server.reply(DONE);
    expectReset(server);
  });

  it('is given up in the end', () => {
    const { server, fixture } = vanish(f.query('SELECT'), Buffer.alloc(0));
    fixture.clock.advance(CLEANUP_DEADLINE_MS);
    server.link.checkTimeouts(fixture.clock.nowMs());
    expect(server.isClosed).toBe(false);
    fixture.clock.advance(1);
    server.link.checkTimeouts(fixture.clock.nowMs());
    expect(server.closeReason).toBe('client disconnected with query in progress');
    expect(fixture.pool.serverCount).toBe(0);
  });

  it('whose server closes while it is cleared up', () => {
    const { server } = vanish(f.query('SELECT'), Buffer.alloc(0));
    server.disconnect('gone');
    server.link.checkTimeouts(Number.MAX_SAFE_INTEGER);
    expect(server.closeReason).toBe('gone');
  });

  it('whose server says FATAL instead of ReadyForQuery', () => {
    const { server } = vanish(f.execute(), Buffer.alloc(0));
    server.reply(FATAL, b.readyForQuery('I'));
    expect(server.closeReason).toBe('terminating connection');
  });
});
