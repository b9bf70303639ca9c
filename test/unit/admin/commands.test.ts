import { describe, expect, it } from 'vitest';
import { ADMIN_TOPICS, SHOW_TOPICS, UNSUPPORTED_TOPICS } from '../../../src/admin/topics.ts';
import { ConsoleFixture, summary } from './console-fixture.ts';

const READY = 'ReadyForQuery I';
const DENIED = ['ErrorResponse ERROR 42501 admin access needed', READY];

function error(sqlstate: string, message: string): string[] {
  return [`ErrorResponse ERROR ${sqlstate} ${message}`, READY];
}

/** Every command that acts: query, what reaches the pooler, tag, line of the audit log. */
const ACTIONS = [
  ['RELOAD', 'reload', [], 'RELOAD', 'RELOAD'],
  ['PAUSE', 'pause', [null], 'PAUSE', 'PAUSE'],
  ['PAUSE shop', 'pause', ['shop'], 'PAUSE', "PAUSE 'shop'"],
  ['RESUME', 'resume', [null], 'RESUME', 'RESUME'],
  ['RESUME shop', 'resume', ['shop'], 'RESUME', "RESUME 'shop'"],
  ['DISABLE shop', 'disable', ['shop'], 'DISABLE', "DISABLE 'shop'"],
  ['ENABLE shop', 'enable', ['shop'], 'ENABLE', "ENABLE 'shop'"],
  ['RECONNECT', 'reconnect', [null], 'RECONNECT', 'RECONNECT'],
  ['RECONNECT shop', 'reconnect', ['shop'], 'RECONNECT', "RECONNECT 'shop'"],
  ['KILL', 'kill', [null], 'KILL', 'KILL'],
  ['KILL shop', 'kill', ['shop'], 'KILL', "KILL 'shop'"],
  ['KILL_CLIENT 42', 'killClient', [42], 'KILL_CLIENT', "KILL_CLIENT '42'"],
  ['KILL_SERVER 43', 'killServer', [43], 'KILL_SERVER', "KILL_SERVER '43'"],
  ['KILL_CLIENT 0x1F', 'killClient', [31], 'KILL_CLIENT', "KILL_CLIENT '0x1F'"],
  ['WAIT_CLOSE', 'waitClose', [null], 'WAIT_CLOSE', 'WAIT_CLOSE'],
  ['WAIT_CLOSE shop', 'waitClose', ['shop'], 'WAIT_CLOSE', "WAIT_CLOSE 'shop'"],
  [
    'SHUTDOWN WAIT_FOR_SERVERS',
    'shutdown',
    ['wait_for_servers'],
    'SHUTDOWN',
    'SHUTDOWN WAIT_FOR_SERVERS',
  ],
  [
    'SHUTDOWN WAIT_FOR_CLIENTS',
    'shutdown',
    ['wait_for_clients'],
    'SHUTDOWN',
    'SHUTDOWN WAIT_FOR_CLIENTS',
  ],
  [
    "SET auth_user = 's3cret'",
    'set',
    ['auth_user', 's3cret'],
    'SET auth_user=s3cret',
    "SET 'auth_user'",
  ],
] as const;

describe('commands that act, given by an admin', () => {
  it.each(ACTIONS)('%s is carried out, answered and logged', (query, name, args, tag, logged) => {
    const fixture = new ConsoleFixture('admin');
    expect(summary(fixture.query(query))).toEqual([`CommandComplete ${tag}`, READY]);
    expect(fixture.control.calls).toEqual([{ name, args, actor: 'alice@192.0.2.1:5000' }]);
    expect(fixture.audited).toEqual([`alice@192.0.2.1:5000: ${logged} command issued`]);
  });

  it.each(ACTIONS)('%s that fails is answered with the error alone', (query) => {
    const fixture = new ConsoleFixture('admin');
    fixture.control.outcomes.push({ kind: 'error', sqlstate: '55000', message: 'not now' });
    expect(summary(fixture.query(query))).toEqual(error('55000', 'not now'));
  });

  it('SHUTDOWN gets no answer and ends the session', () => {
    const fixture = new ConsoleFixture('admin');
    expect(fixture.send('SHUTDOWN')).toBe(false);
    expect(fixture.output()).toEqual([]);
    expect(fixture.control.calls).toMatchObject([{ name: 'shutdown', args: ['immediate'] }]);
    expect(fixture.audited).toEqual(['alice@192.0.2.1:5000: SHUTDOWN command issued']);
    expect(fixture.send('SHOW VERSION')).toBe(false);
    expect(fixture.output()).toEqual([]);
  });

  it('SHUTDOWN that is refused leaves the session open', () => {
    const fixture = new ConsoleFixture('admin');
    fixture.control.outcomes.push({ kind: 'error', sqlstate: '55000', message: 'not now' });
    expect(fixture.send('SHUTDOWN')).toBe(true);
    expect(summary(fixture.output())).toEqual(error('55000', 'not now'));
  });

  it('sends notices before the tag, and a tag of the pooler instead of its own', () => {
    const fixture = new ConsoleFixture('admin');
    fixture.control.outcomes.push({ kind: 'done', tag: 'OTHER', notices: ['first', 'second'] });
    expect(summary(fixture.query('SET x = y'))).toEqual([
      'NoticeResponse NOTICE 00000 first',
      'NoticeResponse NOTICE 00000 second',
      'CommandComplete OTHER',
      READY,
    ]);
  });

  it('keeps a name with line breaks on one line of the log', () => {
    const fixture = new ConsoleFixture('admin');
    fixture.query('PAUSE "a\nFATAL forged\u0085line"');
    expect(fixture.audited).toEqual([
      "alice@192.0.2.1:5000: PAUSE 'a?FATAL forged?line' command issued",
    ]);
  });
});

describe('commands that act, given by a read-only user (CVE-2026-6667)', () => {
  it.each([
    ...ACTIONS.map(([query]) => query),
    'SHUTDOWN',
    'SUSPEND',
    'SHOW FDS',
    'DISABLE',
    'ENABLE',
    'KILL_CLIENT',
    'KILL_CLIENT x',
    'PAUSE pgbouncer',
    'kill_client 42;',
    '"KILL_CLIENT" "42"',
  ])('%s is denied, not carried out and not logged', (query) => {
    const fixture = new ConsoleFixture('stats');
    expect(summary(fixture.query(query))).toEqual(DENIED);
    expect(fixture.control.calls).toEqual([]);
    expect(fixture.audited).toEqual([]);
  });

  it.each(['RELOAD x', 'SUSPEND x', 'SHUTDOWN x'])('%s is a syntax error first', (query) => {
    const fixture = new ConsoleFixture('stats');
    expect(summary(fixture.query(query))).toEqual(
      error('42601', `invalid command '${query}', use SHOW HELP;`),
    );
  });
});

describe.each(['admin', 'stats'] as const)('commands open to all, given by %s', (role) => {
  const open = SHOW_TOPICS.filter((topic) => role === 'admin' || !ADMIN_TOPICS.has(topic));
  it.each(open)('SHOW %s is answered', (topic) => {
    const fixture = new ConsoleFixture(role);
    const replies = summary(fixture.query(`SHOW ${topic}`));
    expect(replies.slice(-2)).toEqual(['CommandComplete SHOW', READY]);
    expect(fixture.audited).toEqual([]);
  });

  it.each(UNSUPPORTED_TOPICS)('SHOW %s is refused as not supported', (topic) => {
    expect(summary(new ConsoleFixture(role).query(`SHOW ${topic}`))).toEqual(
      error('0A000', `SHOW ${topic.toUpperCase()} is not supported yet`),
    );
  });

  it('SET of a client-side parameter is ignored with a notice', () => {
    const fixture = new ConsoleFixture(role);
    expect(summary(fixture.query("SET client_encoding TO 'UTF8'"))).toEqual([
      'NoticeResponse NOTICE 00000 SET ignored',
      'CommandComplete SET',
      READY,
    ]);
    expect(fixture.control.calls).toEqual([]);
  });

  it('SHOW of a client-side parameter is answered under its lower-case name', () => {
    expect(summary(new ConsoleFixture(role).query('SHOW DateStyle'))).toEqual([
      'RowDescription datestyle',
      'DataRow ISO',
      'CommandComplete SHOW',
      READY,
    ]);
  });

  it('an empty query is answered as one', () => {
    expect(summary(new ConsoleFixture(role).query(''))).toEqual(['EmptyQueryResponse', READY]);
  });

  it('a second statement makes the query invalid and nothing is carried out', () => {
    const fixture = new ConsoleFixture(role);
    expect(summary(fixture.query('RELOAD; RELOAD'))).toEqual(
      error('42601', "invalid command 'RELOAD; RELOAD', use SHOW HELP;"),
    );
    expect(fixture.control.calls).toEqual([]);
  });
});

describe('commands that an admin gives in vain', () => {
  it.each([
    ['DISABLE', '42601', 'a database is required'],
    ['ENABLE', '42601', 'a database is required'],
    ['KILL_CLIENT', '42601', 'invalid client pointer supplied'],
    ['KILL_CLIENT abc', '42601', 'invalid client pointer supplied'],
    ['KILL_CLIENT "-1"', '42601', 'invalid client pointer supplied'],
    ['KILL_CLIENT "1e3"', '42601', 'invalid client pointer supplied'],
    ['KILL_CLIENT ""', '42601', 'invalid client pointer supplied'],
    ['KILL_CLIENT 9007199254740993', '42704', 'client not found'],
    ['KILL_SERVER', '42601', 'invalid server pointer supplied'],
    ['KILL_SERVER abc', '42601', 'invalid server pointer supplied'],
    ['KILL_SERVER 9007199254740993', '42704', 'server not found'],
    ['PAUSE pgbouncer', '42501', 'cannot pause admin db: pgbouncer'],
    ['PAUSE maitred', '42501', 'cannot pause admin db: maitred'],
    ['KILL pgbouncer', '42501', 'cannot kill admin db: pgbouncer'],
    ['RECONNECT pgbouncer', '42501', 'cannot reconnect admin db: pgbouncer'],
    ['WAIT_CLOSE pgbouncer', '42501', 'cannot wait in admin db: pgbouncer'],
    ['DISABLE pgbouncer', '42501', 'cannot disable admin db: pgbouncer'],
    ['ENABLE pgbouncer', '42501', 'cannot enable admin db: pgbouncer'],
    ['RESUME pgbouncer', '55000', 'database pgbouncer is not paused'],
  ])('%s is refused', (query, sqlstate, message) => {
    const fixture = new ConsoleFixture('admin');
    expect(summary(fixture.query(query))).toEqual(error(sqlstate, message));
    expect(fixture.control.calls).toEqual([]);
  });
});
