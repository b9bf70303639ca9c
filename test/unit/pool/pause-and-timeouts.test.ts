import { describe, expect, it } from 'vitest';
import { FakeHost, serverCounts } from './fake-host.ts';

describe.each<[string, (host: FakeHost, isPaused: boolean) => void]>([
  ['of everything', (host, isPaused) => (host.isPaused = isPaused)],
  ['of the database', (host, isPaused) => (host.pool().database.isPaused = isPaused)],
])('PAUSE %s', (_name, setPaused) => {
  it('hands out nothing: clients queue, and nothing is opened for them', () => {
    const host = new FakeHost();
    const pool = host.pool();
    host.fill(pool, 1);
    setPaused(host, true);
    const client = host.client(pool).ask();
    const newcomer = host.newcomer(pool);
    host.pass(333);
    expect([client.state, newcomer.state]).toEqual(['waiting', 'waiting_login']);
    expect(host.launched).toHaveLength(1);
  });

  it('closes idle connections at the tick and busy ones when they are released', () => {
    const host = new FakeHost({ settings: { serverCheckQuery: '', serverCheckDelayMs: 1000 } });
    const pool = host.pool();
    const [holder] = host.occupy(pool, 3);
    host.launched[1]?.client?.finish();
    host.pass(1001);
    host.launched[2]?.client?.finish();
    expect(serverCounts(pool)).toEqual({ active: 1, idle: 1, used: 1 });
    setPaused(host, true);
    host.pass(333);
    expect(serverCounts(pool)).toEqual({ active: 1 });
    host.client(pool).ask();
    holder?.finish();
    expect(host.launched.map(({ closeReason }) => closeReason)).toEqual([
      'pause mode',
      'pause mode',
      'pause mode',
    ]);
    expect(pool.serverCount).toBe(0);
  });

  it('closes connections whose login, check or cancel ends during it', () => {
    const host = new FakeHost({ settings: { poolMode: 'session', serverResetQuery: 'reset' } });
    const pool = host.pool();
    const [tested, canceled] = host.occupy(pool, 2);
    tested?.leave();
    const [testedServer, canceledServer] = host.launched;
    canceledServer?.sendCancel();
    canceled?.leave();
    host.client(pool).ask().leave();
    host.client(pool).ask();
    host.client(pool).ask();
    const opening = host.opening(pool);
    setPaused(host, true);
    testedServer?.passTest();
    if (canceledServer !== undefined) {
      pool.onCancelDone(canceledServer);
    }
    opening.logIn();
    expect(host.launched.map(({ closeReason }) => closeReason)).toEqual([
      'pause mode',
      'pause mode',
      'pause mode',
    ]);
    expect(pool.waitingClients.length).toBe(2);
  });

  it('ends with RESUME: those who waited are served in order', () => {
    const host = new FakeHost();
    const pool = host.pool();
    setPaused(host, true);
    host.client(pool, 'first').ask();
    host.client(pool, 'second').ask();
    setPaused(host, false);
    pool.pump();
    host.logIn(pool);
    host.logIn(pool);
    expect(host.assigned).toEqual(['first', 'second']);
  });

  it('lets query_wait_timeout run, but announces no wait', () => {
    const host = new FakeHost({ settings: { queryWaitTimeoutMs: 1000, queryWaitNotifyMs: 10 } });
    const pool = host.pool();
    setPaused(host, true);
    const client = host.client(pool).ask();
    host.pass(1001);
    expect(client.noticeCount).toBe(0);
    expect(client.error?.reason).toBe('queryWaitTimeout');
  });
});

describe('time in the queue', () => {
  const SIZE_1 = { defaultPoolSize: 1 };

  it('is limited by query_wait_timeout, with the numbers of the queue in the detail', () => {
    const host = new FakeHost({ settings: { ...SIZE_1, queryWaitTimeoutMs: 1000 } });
    const pool = host.pool();
    host.occupy(pool, 1);
    const early = host.client(pool).ask();
    host.clock.advance(500);
    const late = host.client(pool).ask();
    host.pass(500);
    expect(early.error).toBeNull();
    host.pass(1);
    expect(early.error).toMatchObject({
      sqlstate: '53300',
      message: 'query_wait_timeout',
      detail: '2 clients waiting',
    });
    expect(late.error).toBeNull();
    host.pass(500);
    expect(late.error?.detail).toBe('1 clients waiting');
  });

  it('is limited by query_timeout as well', () => {
    const host = new FakeHost({
      settings: { ...SIZE_1, queryWaitTimeoutMs: 0, queryTimeoutMs: 1000 },
    });
    const pool = host.pool();
    const [holder] = host.occupy(pool, 1);
    const client = host.client(pool).ask();
    host.pass(1001);
    expect(client.error).toMatchObject({ sqlstate: '57014', message: 'query_timeout' });
    expect(client.error?.detail).toBe('1 clients waiting');
    expect(holder?.error).toBeNull();
  });

  it('is limited by query_timeout of the user instead of the global one', () => {
    const host = new FakeHost({
      settings: { ...SIZE_1, queryWaitTimeoutMs: 0, queryTimeoutMs: 1000 },
      users: { patient: { queryTimeoutMs: 5000 } },
    });
    const [pool, patient] = [host.pool(), host.pool('app', 'patient')];
    host.occupy(pool, 1);
    host.occupy(patient, 1);
    const [client, other] = [host.client(pool).ask(), host.client(patient).ask()];
    host.pass(5000);
    expect([client.error?.reason, other.error]).toEqual(['queryTimeoutQueued', null]);
    host.pass(1);
    expect(other.error?.reason).toBe('queryTimeoutQueued');
  });

  it('is not limited when both are 0', () => {
    const host = new FakeHost({
      settings: { ...SIZE_1, queryWaitTimeoutMs: 0, queryTimeoutMs: 0 },
    });
    const pool = host.pool();
    host.occupy(pool, 1);
    const client = host.client(pool).ask();
    host.pass(86_400_000);
    expect(client.state).toBe('waiting');
  });

  it('is announced to the head of the queue only, once per wait', () => {
    const host = new FakeHost({ settings: { ...SIZE_1, queryWaitNotifyMs: 5000 } });
    const pool = host.pool();
    const [holder] = host.occupy(pool, 1);
    const head = host.client(pool).ask();
    const second = host.client(pool).ask();
    host.pass(5000);
    expect(head.noticeCount).toBe(0);
    host.pass(1);
    host.pass(333);
    expect([head.noticeCount, second.noticeCount]).toEqual([1, 0]);
    holder?.finish();
    host.pass(333);
    expect([head.noticeCount, second.noticeCount]).toEqual([1, 1]);
    head.finish();
    second.finish();
    second.ask();
    second.finish();
    const again = host.client(pool).ask();
    second.ask();
    host.pass(5001);
    again.finish();
    host.pass(333);
    expect(second.noticeCount).toBe(2);
  });

  it('is not announced with query_wait_notify 0', () => {
    const host = new FakeHost({ settings: { ...SIZE_1, queryWaitNotifyMs: 0 } });
    const pool = host.pool();
    host.occupy(pool, 1);
    const client = host.client(pool).ask();
    host.pass(60_000);
    expect(client.noticeCount).toBe(0);
  });
});
