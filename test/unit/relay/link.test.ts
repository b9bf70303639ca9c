import { describe, expect, it } from 'vitest';
import * as b from '../../support/backend-messages.ts';
import * as f from '../../support/frontend-messages.ts';
import { RelayFixture, type FakeClient, type FakeServer } from './relay-fixture.ts';

const DONE = Buffer.concat([b.commandComplete('SELECT 1'), b.readyForQuery('I')]);
const IN_TRANSACTION = Buffer.concat([b.commandComplete('BEGIN'), b.readyForQuery('T')]);
const COPY_IN = f.message('G', Buffer.of(0), f.int16(0));
const ERROR = b.errorResponse({ S: 'ERROR', V: 'ERROR', C: '22023', M: 'bad value' });
const FATAL = b.errorResponse({ S: 'FATAL', V: 'FATAL', C: '57P01', M: 'terminating connection' });
const ROLLBACK = f.query('ROLLBACK');
const RESET = f.query('DISCARD ALL');
interface Pair {
  readonly client: FakeClient;
  readonly server: FakeServer;
}

describe('Link: pairing and tracked parameters', () => {
  function pair(
    clientValues: Record<string, string>,
    serverValues: Record<string, string>,
    accepted: readonly string[] = [],
    tracked: readonly string[] = [],
  ): Pair & { isReady: boolean; fixture: RelayFixture } {
    const fixture = new RelayFixture({ tracked });
    for (const key of accepted) {
      fixture.pool.acceptedValues.add(key);
    }
    const server = fixture.addServer(serverValues);
    const client = fixture.addClient(clientValues);
    fixture.pool.acquire(client);
    return { client, server, fixture, isReady: server.link.begin(client) };
  }

  it('sends nothing ahead when client and server agree', () => {
    const { client, server, isReady } = pair({ TimeZone: 'UTC' }, { TimeZone: 'UTC' });
    expect(isReady).toBe(true);
    client.send(f.query('SELECT 1'));
    expect(server.takeInput()).toEqual(f.query('SELECT 1'));
  });

  it('asks for nothing where the client has no value', () => {
    expect(pair({}, { TimeZone: 'UTC' }).isReady).toBe(true);
  });

  it('sets values that are known to be accepted in the same write as the first request', () => {
    const { client, server, isReady } = pair({ TimeZone: 'UTC' }, { TimeZone: 'Asia/Tokyo' }, [
      'TimeZone=UTC',
    ]);
    expect(isReady).toBe(true);
    expect(server.snapshots).toEqual([]);
    client.send(f.query('SELECT 1'));
    const expected = Buffer.concat([f.query("SET TimeZone='UTC';"), f.query('SELECT 1')]);
    expect(server.snapshots).toEqual([expected]);
    server.reply(b.commandComplete('SET'), b.parameterStatus('TimeZone', 'UTC'));
    server.reply(b.readyForQuery('I'), DONE);
    expect(client.output).toEqual(DONE);
    expect(server.state).toBe('idle');
  });

  it('sets values that nobody has tried ahead, and lets requests wait for the answer', () => {
    const { client, server, isReady, fixture } = pair({ TimeZone: 'UTC' }, { TimeZone: 'GMT' });
    expect(isReady).toBe(false);
    client.heldRequests = f.query('SELECT 1');
    expect(server.takeInput()).toEqual(f.query("SET TimeZone='UTC';"));
    server.reply(b.commandComplete('SET'));
    expect(client.events).toEqual([]);
    server.reply(b.parameterStatus('TimeZone', 'Etc/UTC'), b.readyForQuery('I'));
    expect(client.events).toEqual(['ready']);
    expect(server.takeInput()).toEqual(f.query('SELECT 1'));
    // Both take over the spelling of the server.
    expect(client.parameters[2]).toBe('Etc/UTC');
    expect(server.parameters[2]).toBe('Etc/UTC');
    expect(fixture.pool.acceptedValues.has('TimeZone=UTC')).toBe(true);
    server.reply(DONE);
    expect(client.output).toEqual(DONE);
    expect(client.link).toBeNull();
  });

  it('sets a parameter that the server does not report, and remembers it', () => {
    const { client, server } = pair({ search_path: 'a, b' }, {}, [], ['search_path']);
    expect(server.takeInput()).toEqual(
      f.query("SELECT pg_catalog.set_config('search_path','a, b',false);"),
    );
    server.reply(b.rowDescription(['set_config']), b.dataRow(['a, b']), DONE);
    expect(client.output).toEqual(Buffer.alloc(0));
    expect(server.parameters[5]).toBe('a, b');
  });

  it.each([
    ['alone', false],
    ['ahead of a request', true],
  ])('remembers a value set %s for a client that has vanished meanwhile', (_how, isKnown) => {
    const accepted = isKnown ? ['search_path=theirs'] : [];
    const { client, server } = pair({ search_path: 'theirs' }, {}, accepted, ['search_path']);
    if (isKnown) {
      client.send(f.parse('SELECT 1'), f.flush());
    }
    client.close(false);
    // The cancel comes too late for the change, and hits what was asked for behind it.
    server.reply(
      b.rowDescription(['set_config']),
      b.dataRow(['theirs']),
      DONE,
      ...(isKnown ? [ERROR, b.readyForQuery('I')] : []),
    );
    expect(server.parameters[5]).toBe('theirs');
  });

  it('lets a value wait for its answer again that was accepted once and is refused now', () => {
    const values = { TimeZone: 'UTC' };
    const { client, server, fixture } = pair(values, { TimeZone: 'GMT' }, ['TimeZone=UTC']);
    client.send(f.query('SELECT 1'));
    server.reply(ERROR, b.readyForQuery('I'), DONE);
    expect(client.error?.reason).toBe('invalidServerParameter');
    const next = fixture.addClient(values);
    expect(fixture.pool.acquire(next)).toBe(server);
    expect(server.link.begin(next)).toBe(false);
  });

  it('refuses the client when the server refuses a value, and keeps the server connection', () => {
    const { client, server, fixture } = pair({ TimeZone: 'nowhere' }, { TimeZone: 'GMT' });
    server.takeInput();
    server.reply(ERROR, b.readyForQuery('I'));
    expect(client.error).toMatchObject({
      reason: 'invalidServerParameter',
      sqlstate: '22023',
      detail: 'bad value',
    });
    expect(client.output).toEqual(Buffer.alloc(0));
    expect(server.state).toBe('idle');
    expect(fixture.pool.acceptedValues.size).toBe(0);
  });

  it('takes over what the client changes by itself', () => {
    const { client, server } = pair({ TimeZone: 'UTC' }, { TimeZone: 'UTC' });
    client.send(f.query("SET TimeZone='GMT'"));
    server.reply(b.parameterStatus('TimeZone', 'GMT'), DONE);
    expect(client.parameters[2]).toBe('GMT');
    expect(server.parameters[2]).toBe('GMT');
  });

  it('keeps a change of one client from the next one', () => {
    const { client, server, fixture } = pair({ TimeZone: 'UTC' }, { TimeZone: 'UTC' });
    client.send(f.query("SET TimeZone='GMT'"));
    server.reply(b.parameterStatus('TimeZone', 'GMT'), DONE);
    server.takeInput();
    const next = fixture.addClient({ TimeZone: 'UTC' });
    fixture.pool.acquire(next);
    server.link.begin(next);
    expect(server.takeInput()).toEqual(f.query("SET TimeZone='UTC';"));
  });

  it.each([
    ['is too long to be held whole', b.parameterStatus('TimeZone', 'x'.repeat(40_000))],
    ['is malformed', f.message('S', Buffer.from('TimeZone'))],
  ])('gives a server to nobody else whose ParameterStatus %s', (_what, report) => {
    const { client, server } = pair({ TimeZone: 'UTC' }, { TimeZone: 'UTC' });
    client.send(f.query('SET TimeZone'));
    server.reply(report.subarray(0, 30_000));
    server.reply(report.subarray(30_000), DONE);
    expect(client.output).toEqual(Buffer.concat([report, DONE]));
    expect(server.closeReason).toBe('close_needed');
  });

  it('ignores a ParameterStatus that is not tracked', () => {
    const { client, server } = pair({}, {});
    client.send(f.query('x'));
    server.reply(b.parameterStatus('is_superuser', 'on'));
    expect(client.parameters.every((value) => value === null)).toBe(true);
    expect(server.isClosed).toBe(false);
  });
});

describe('Link: when the server connection is given back', () => {
  function ask(poolMode: 'session' | 'transaction' | 'statement', request: Buffer): Pair {
    const pair = new RelayFixture({ poolMode }).link();
    pair.client.send(request);
    return pair;
  }

  it('releases when ReadyForQuery is I in transaction mode', () => {
    const { client, server } = ask('transaction', f.query('SELECT 1'));
    server.reply(DONE);
    expect(client.events).toEqual(['released']);
    expect([client.link, server.link.client, server.state]).toEqual([null, null, 'idle']);
  });

  it.each(['T', 'E'])('keeps it when ReadyForQuery is %s, until the transaction ends', (status) => {
    const { client, server } = ask('transaction', f.query('BEGIN'));
    server.reply(b.commandComplete('BEGIN'), b.readyForQuery(status));
    expect(server.state).toBe('active');
    client.send(f.query('COMMIT'));
    expect(server.state).toBe('active');
    server.reply(DONE);
    expect(server.state).toBe('idle');
  });

  it('keeps it in session mode', () => {
    const { client, server } = ask('session', f.query('SELECT 1'));
    server.reply(DONE);
    expect(server.link.client).toBe(client);
  });

  it('keeps it while replies to a pipeline are owed', () => {
    const { server } = ask('transaction', Buffer.concat([f.query('a'), f.query('b')]));
    server.reply(DONE);
    expect(server.state).toBe('active');
    server.reply(DONE);
    expect(server.state).toBe('idle');
  });

  it('keeps it while Sync is missing', () => {
    const { client, server } = ask('transaction', Buffer.concat([f.parse('x'), f.flush()]));
    server.reply(f.message('1'));
    expect(server.state).toBe('active');
    client.send(f.sync());
    server.reply(b.readyForQuery('I'));
    expect(server.state).toBe('idle');
  });

  it('keeps it while the next message of the client has begun', () => {
    const next = f.query('SELECT 2');
    for (let at = 5; at < next.length; at++) {
      const { client, server } = ask('transaction', f.query('SELECT 1'));
      client.send(next.subarray(0, at));
      server.reply(DONE);
      expect(server.state).toBe('active');
      client.send(next.subarray(at));
      server.reply(DONE);
      expect(server.state).toBe('idle');
    }
  });

  it('gives it back while the header of the next message is not whole, which the client keeps', () => {
    const next = f.query('SELECT 2');
    for (let at = 1; at < 5; at++) {
      const { client, server } = ask('transaction', f.query('SELECT 1'));
      client.send(next.subarray(0, at));
      server.reply(DONE);
      expect(server.state).toBe('idle');
      expect(client.framer.isAtBoundary).toBe(true);
      expect(client.heldRequests).toEqual(next.subarray(0, at));
      expect(server.takeInput()).toEqual(f.query('SELECT 1'));
    }
  });

  it('keeps it while the server is within a message', () => {
    const notice = b.noticeResponse({ M: 'x'.repeat(100) });
    for (let at = 1; at < notice.length; at++) {
      const { client, server } = ask('transaction', f.query('SELECT 1'));
      server.reply(DONE, notice.subarray(0, at));
      expect(server.state).toBe('active');
      server.reply(notice.subarray(at));
      expect(server.state).toBe('idle');
      expect(client.output).toEqual(Buffer.concat([DONE, notice]));
    }
  });

  it('gives it back behind messages that have no reply', () => {
    for (const message of [f.flush(), f.copyData('x'), f.copyDone(), f.copyFail('x')]) {
      const { client, server } = ask('transaction', message);
      expect(server.state).toBe('idle');
      expect(client.events).toEqual(['released']);
    }
  });

  it('gives it back behind a cut-off message that turns out to have no reply', () => {
    const { client, server } = ask('transaction', f.query('COPY t FROM STDIN'));
    client.send(f.copyData('late').subarray(0, 6));
    server.reply(ERROR, b.readyForQuery('I'));
    expect(server.state).toBe('active');
    client.send(f.copyData('late').subarray(6));
    expect(server.state).toBe('idle');
  });

  it('refuses a transaction block in statement mode and rolls it back', () => {
    const { client, server } = ask('statement', f.query('BEGIN'));
    server.takeInput();
    server.reply(IN_TRANSACTION);
    expect(client.error?.reason).toBe('statementModeTransaction');
    expect(server.takeInput()).toEqual(ROLLBACK);
    server.reply(DONE);
    expect(server.takeInput()).toEqual(RESET);
    server.reply(DONE);
    expect(server.state).toBe('idle');
  });

  it('refuses it at once in a pipeline, so that no reply comes without its ReadyForQuery', () => {
    const { client, server } = ask('statement', f.query('BEGIN'));
    client.send(f.query('SELECT 1'), f.query('COMMIT'));
    server.reply(IN_TRANSACTION, b.commandComplete('SELECT 1'), b.readyForQuery('T'));
    expect(client.error?.reason).toBe('statementModeTransaction');
    expect(client.output).toHaveLength(0);
    server.takeInput();
    server.reply(DONE);
    expect(server.takeInput()).toEqual(RESET);
    expect(client.output).toHaveLength(0);
  });

  it('does not reuse a server connection of which the state is unclear', () => {
    const { client, server } = ask('transaction', f.execute());
    client.send(f.sync());
    server.reply(COPY_IN);
    client.send(f.copyData('x'), f.copyDone(), f.sync());
    server.reply(ERROR, b.readyForQuery('I'));
    expect(server.closeReason).toBe('state left by the client is unclear');
    expect(client.isClosed).toBe(false);
    expect(client.events).toContain('released');
  });

  it('does not reuse one that may run a query that came in the midst of COPY', () => {
    const { client, server } = ask('transaction', f.query('COPY t FROM STDIN'));
    server.reply(COPY_IN);
    client.send(f.copyData('bad'), f.query('SELECT secret'));
    server.reply(ERROR, b.readyForQuery('I'));
    expect(server.isClosed).toBe(true);
  });
});

describe('Link: a Flush with a body', () => {
  it.each([
    ['alone', Buffer.alloc(0), Buffer.alloc(0)],
    ['behind a query', f.query('SELECT 1'), DONE],
  ])('%s keeps the server connection up to Sync, since it fails', (_where, first, reply) => {
    const { client, server } = new RelayFixture().link();
    client.send(first, f.message('H', Buffer.from('body')));
    server.reply(reply);
    expect(server.state).toBe('active');
    server.reply(ERROR);
    expect(server.state).toBe('active');
    client.send(f.query('ignored'), f.sync());
    server.reply(b.readyForQuery('I'));
    expect(server.state).toBe('idle');
    expect(client.output).toEqual(Buffer.concat([reply, ERROR, b.readyForQuery('I')]));
  });
});

describe('Link: a request that is cut off', () => {
  const half = f.query('SELECT 1').subarray(0, 8);

  it('is told from a whole one, since nothing may be sent behind it', () => {
    const { client, server } = new RelayFixture().link();
    expect(server.link.isMidRequest).toBe(false);
    client.send(f.query('BEGIN'));
    expect(server.link.isMidRequest).toBe(false);
    client.send(half);
    expect(server.link.isMidRequest).toBe(true);
  });

  it.each([
    ['its client vanishes', ({ client }: Pair) => client.close(false)],
    ['the server breaks the protocol', ({ server }: Pair) => server.reply(f.message('?'))],
  ])('stays so when %s', (_what, act) => {
    const both = new RelayFixture().link();
    both.client.send(f.query('BEGIN'), half);
    act(both);
    expect(both.server.isClosed).toBe(true);
    expect(both.server.link.isMidRequest).toBe(true);
  });
});

describe('Link: a server that is lost', () => {
  it('tells the client by an error that names the server and the cause', () => {
    const { client, server } = new RelayFixture().link();
    client.send(f.query('SELECT'));
    server.disconnect('reset by peer');
    expect(client.error).toMatchObject({ reason: 'serverCrashed', sqlstate: '08006' });
    expect(client.error?.detail).toBe('server of the test: reset by peer');
    expect(client.link).toBeNull();
  });

  it('adds nothing when the server itself has said FATAL', () => {
    const { client, server } = new RelayFixture().link();
    client.send(f.query('SELECT'));
    server.reply(FATAL);
    server.disconnect('server conn crashed?');
    expect(client.output).toEqual(FATAL);
    expect(client.events).toEqual(['silently terminating connection']);
    expect(server.link.fatal?.sqlstate).toBe('57P01');
  });

  it.each([
    ['no value was tried before', []],
    ['the values were accepted before', ['TimeZone=EET']],
  ])('passes on a FATAL that answered a SET of our own, when %s', (_when, accepted) => {
    const fixture = new RelayFixture();
    const server = fixture.addServer({ TimeZone: 'UTC' });
    for (const value of accepted) {
      fixture.pool.acceptedValues.add(value);
    }
    const client = fixture.addClient({ TimeZone: 'EET' });
    fixture.pool.acquire(client);
    if (server.link.begin(client)) {
      client.send(f.query('SELECT'));
    }
    server.reply(FATAL);
    server.disconnect('server conn crashed?');
    expect(client.output).toEqual(Buffer.alloc(0));
    expect(client.error).toMatchObject({
      severity: 'FATAL',
      sqlstate: '57P01',
      message: 'terminating connection',
    });
  });

  it.each(['session', 'transaction'] as const)(
    'is given to nobody once it has said FATAL, in %s mode',
    (poolMode) => {
      const fixture = new RelayFixture({ poolMode });
      const server = fixture.addServer();
      const [client, next] = [fixture.addClient(), fixture.addClient()];
      fixture.pool.acquire(client);
      server.link.begin(client);
      expect(fixture.pool.acquire(next)).toBeNull();
      server.reply(FATAL);
      expect(client.output).toEqual(FATAL);
      client.close(true);
      expect(server.closeReason).toBe('terminating connection');
      expect([next.state, next.events]).toEqual(['waiting', []]);
    },
  );

  it('adds nothing in the middle of a row, which an error would complete', () => {
    const { client, server } = new RelayFixture().link();
    client.send(f.query('SELECT'));
    const row = b.dataRow(['x'.repeat(100)]);
    server.reply(row.subarray(0, 50));
    server.disconnect('reset by peer');
    expect(client.output).toEqual(row.subarray(0, 50));
    expect(client.events).toEqual(['silently reset by peer']);
  });

  it('hurts nobody when no client is linked', () => {
    const server = new RelayFixture().addServer();
    server.reply(FATAL);
    expect(server.closeReason).toBe('terminating connection');
  });

  it('is no reason to close when it only reports something', () => {
    const server = new RelayFixture().addServer();
    server.reply(b.noticeResponse({ M: 'hello' }), b.parameterStatus('TimeZone', 'UTC'));
    expect(server.isClosed).toBe(false);
    expect(server.parameters[2]).toBe('UTC');
  });

  it('is closed when it talks out of turn while nobody uses it', () => {
    const server = new RelayFixture().addServer();
    server.reply(b.readyForQuery('I'));
    expect(server.closeReason).toMatch(/^unexpected message/);
  });
});

describe("Link: maitred's own queries", () => {
  it.each([
    ['42601', 0, 'idle', null],
    ['57014', 0, 'closed', 'reset query failed: oh'],
    ['53200', 0, 'closed', 'reset query failed: oh'],
    ['57014', 1, 'being_canceled', null],
  ])('an error %s in the reset query, %d cancels in flight: %s', (code, cancels, state, reason) => {
    const fixture = new RelayFixture({ poolMode: 'session' });
    const { client, server } = fixture.link();
    client.close(true);
    expect(server.state).toBe('tested');
    server.cancelsInFlight = cancels;
    server.reply(b.errorResponse({ S: 'ERROR', C: code, M: 'oh' }), b.readyForQuery('I'));
    expect([server.state, server.closeReason]).toEqual([state, reason]);
  });

  it.each(['an error', 'no error'])('the check query ends well with %s', (what) => {
    const fixture = new RelayFixture();
    const server = fixture.addServer();
    fixture.pool.markUsed(server);
    fixture.pool.acquire(fixture.addClient());
    expect(server.state).toBe('tested');
    expect(server.takeInput()).toEqual(f.query('SELECT 1'));
    server.reply(what === 'an error' ? ERROR : b.commandComplete('SELECT 1'));
    expect(server.state).toBe('tested');
    server.reply(b.readyForQuery('I'));
    expect(server.state).not.toBe('tested');
  });

  it.each([
    ['well', b.commandComplete('SET'), null],
    ['with an error', ERROR, 'bad value'],
  ])('the connect query ends %s and is reported', (_how, reply, message) => {
    const server = new RelayFixture().addNewServer();
    server.link.internal.run('connect', 'SELECT 1');
    server.reply(reply, b.readyForQuery('I'));
    expect(server.connectQueryError?.message ?? null).toBe(message);
    expect(server.state).toBe('idle');
  });
});
