import { describe, expect, it } from 'vitest';
import { MAX_PORTALS, MAX_STATEMENTS } from '../../../src/admin/statement-store.ts';
import * as f from '../../support/frontend-messages.ts';
import { ConsoleFixture } from './console-fixture.ts';
import { CLIENT, COUNTERS, POOL, statsOf } from './samples.ts';

const READY = 'ReadyForQuery I';
const VERSION_ROW = 'DataRow PgBouncer 1.25.2 (maitred 0.1.0)';

function error(sqlstate: string, message: string): string {
  return `ErrorResponse ERROR ${sqlstate} ${message}`;
}

/** Sends what most drivers send for one query. */
function run(fixture: ConsoleFixture, sql: string): string[] {
  return fixture.exchange(f.parse(sql), f.bind(), f.describe('P'), f.execute(), f.sync());
}

describe('a query by the extended protocol', () => {
  it('is described and answered', () => {
    expect(run(new ConsoleFixture(), 'SHOW VERSION')).toEqual([
      'ParseComplete',
      'BindComplete',
      'RowDescription version',
      VERSION_ROW,
      'CommandComplete SHOW',
      READY,
    ]);
  });

  it('without result set is described as such and answered', () => {
    const replies = ['ParseComplete', 'BindComplete', 'NoData'];
    const fixture = new ConsoleFixture();
    expect(run(fixture, 'RELOAD')).toEqual([...replies, 'CommandComplete RELOAD', READY]);
    expect(run(fixture, '')).toEqual([...replies, 'EmptyQueryResponse', READY]);
    expect(fixture.control.calls).toHaveLength(1);
  });

  it('that is described only is not carried out, nor is a snapshot taken', () => {
    const fixture = new ConsoleFixture();
    fixture.control.pools = () => {
      throw new Error('a snapshot was taken');
    };
    const [, , columns] = fixture.exchange(
      f.parse('SHOW POOLS', 's'),
      f.describe('S', 's'),
      f.parse('PAUSE', 'p'),
      f.bind({ statement: 'p' }),
      f.describe('P'),
      f.sync(),
    );
    expect(columns).toMatch(/^RowDescription database,user,cl_active/);
    expect(fixture.control.calls).toEqual([]);
    expect(fixture.audited).toEqual([]);
  });

  it.each(['PAUSE', 'KILL_SERVER 1', 'SHOW FDS'])('%s is denied to a read-only user', (sql) => {
    const fixture = new ConsoleFixture('stats');
    expect(run(fixture, sql)).toEqual([error('42501', 'admin access needed'), READY]);
    expect(fixture.control.calls).toEqual([]);
  });

  it('that fails is skipped up to Sync, a simple query included', () => {
    const fixture = new ConsoleFixture();
    const message = "invalid command 'nonsense', use SHOW HELP;";
    expect(
      fixture.exchange(f.parse('nonsense'), f.bind(), f.query('RELOAD'), f.functionCall(1, [])),
    ).toEqual([error('42601', message)]);
    expect(fixture.exchange(f.sync())).toEqual([READY]);
    expect(fixture.control.calls).toEqual([]);
    expect(run(fixture, 'RELOAD').at(-2)).toBe('CommandComplete RELOAD');
  });

  it('that waits is answered later and in order', () => {
    const fixture = new ConsoleFixture();
    fixture.control.outcomes.push('waiting');
    fixture.take(f.parse('PAUSE'), f.bind(), f.execute(), f.sync());
    fixture.take(f.parse('SHOW VERSION'), f.bind(), f.execute(), f.sync());
    expect(fixture.exchange()).toEqual(['ParseComplete', 'BindComplete']);
    fixture.control.waiting[0]?.({ kind: 'done' });
    expect(fixture.exchange()).toEqual([
      'CommandComplete PAUSE',
      READY,
      'ParseComplete',
      'BindComplete',
      VERSION_ROW,
      'CommandComplete SHOW',
      READY,
    ]);
  });

  it('that waits and is cancelled ends with an error up to Sync', () => {
    const fixture = new ConsoleFixture();
    fixture.control.outcomes.push('waiting');
    fixture.exchange(f.parse('PAUSE'), f.bind(), f.execute(), f.execute());
    fixture.session.onCancel();
    expect(fixture.exchange(f.sync())).toEqual([
      error('57014', 'canceling statement due to user request'),
      READY,
    ]);
  });
});

describe('parameters', () => {
  it.each([
    [f.parse('SHOW POOLS WHERE user = $1'), '42P02', 'there is no parameter $1'],
    [f.parse('PAUSE $1'), '42P02', 'there is no parameter $1'],
    [f.parse('SHOW POOLS', '', [25]), '0A000', ''],
  ])('are refused in Parse', (parse, sqlstate, text) => {
    const prefix = error(sqlstate, `${text}${text === '' ? '' : ': '}console commands take no`);
    const [reply] = new ConsoleFixture().exchange(parse);
    expect(reply?.startsWith(prefix)).toBe(true);
  });

  it('are refused in Bind', () => {
    const replies = new ConsoleFixture().exchange(f.parse('SHOW POOLS'), f.bind({ values: ['x'] }));
    expect(replies[1]).toBe(
      error('08P01', 'bind message supplies 1 parameters, but prepared statement "" requires 0'),
    );
  });
});

describe('named statements and portals', () => {
  it('last over Sync, and statements can be executed again and again', () => {
    const fixture = new ConsoleFixture();
    fixture.exchange(f.parse('SHOW VERSION', 's'), f.sync());
    for (let count = 0; count < 2; count += 1) {
      expect(fixture.exchange(f.bind({ statement: 's' }), f.execute(), f.sync())).toEqual([
        'BindComplete',
        VERSION_ROW,
        'CommandComplete SHOW',
        READY,
      ]);
    }
  });

  it.each([
    ['26000', 'prepared statement "x" does not exist', [f.bind({ statement: 'x' })]],
    ['26000', 'unnamed prepared statement does not exist', [f.describe('S')]],
    ['34000', 'portal "x" does not exist', [f.execute('x')]],
    ['42P05', 'prepared statement "s" already exists', [f.parse('', 's'), f.parse('', 's')]],
    ['42P03', 'cursor "p" already exists', [f.parse(''), ...twice(f.bind({ portal: 'p' }))]],
    [
      '55000',
      'portal "" cannot be run anymore',
      [f.parse('RELOAD'), f.bind(), ...twice(f.execute())],
    ],
    [
      '08P01',
      'bind message has 2 result formats but query has 1 columns',
      [f.parse('SHOW VERSION'), f.bind({ resultFormats: [0, 1] })],
    ],
    ['42601', 'cannot insert multiple commands into a prepared statement', [f.parse('BEGIN; END')]],
  ])('refuse with %s: %s', (sqlstate, message, messages) => {
    const replies = new ConsoleFixture().exchange(...messages);
    expect(replies.at(-1)).toBe(error(sqlstate, message));
  });

  it.each([
    ['statements', MAX_STATEMENTS, (n: number) => f.parse('', `s${n}`), f.close('S', 's0')],
    ['portals', MAX_PORTALS, (n: number) => f.bind({ portal: `p${n}` }), f.close('P', 'p0')],
  ])('named %s have a limit, and Close makes room', (_what, limit, make, close) => {
    const fixture = new ConsoleFixture();
    fixture.exchange(f.query('BEGIN'), f.parse(''));
    const all = Array.from({ length: limit }, (_unused, n) => make(n));
    expect(fixture.exchange(...all).filter((line) => line.startsWith('Error'))).toEqual([]);
    expect(fixture.exchange(close, make(limit))).toEqual([
      'CloseComplete',
      expect.stringMatching(/Complete$/),
    ]);
    expect(fixture.exchange(make(limit + 1))[0]).toMatch(/^ErrorResponse ERROR 54000/);
  });

  it('portals end at Sync outside of a transaction block, and at its end', () => {
    const fixture = new ConsoleFixture();
    const bound = [f.parse(''), f.bind({ portal: 'p' }), f.sync()];
    fixture.exchange(...bound);
    const gone = error('34000', 'portal "p" does not exist');
    expect(fixture.exchange(f.describe('P', 'p'), f.sync())[0]).toBe(gone);
    fixture.exchange(f.query('BEGIN'), ...bound);
    expect(fixture.exchange(f.describe('P', 'p'))).toEqual(['NoData']);
    expect(fixture.exchange(f.query('COMMIT'), f.describe('P', 'p')).at(-1)).toBe(gone);
  });

  it('Close of what does not exist is no error', () => {
    expect(new ConsoleFixture().exchange(f.close('S', 'x'), f.close('P', 'x'))).toEqual([
      'CloseComplete',
      'CloseComplete',
    ]);
  });

  it('DEALLOCATE and DISCARD ALL forget statements', () => {
    const fixture = new ConsoleFixture();
    const bind = f.bind({ statement: 's' });
    for (const sql of ['DEALLOCATE s', 'DEALLOCATE ALL', 'DISCARD ALL']) {
      fixture.exchange(f.parse('', 's'), f.sync(), f.query(sql));
      expect(fixture.exchange(bind, f.sync())[0]).toMatch(/^ErrorResponse ERROR 26000/);
    }
    expect(fixture.exchange(f.query('DEALLOCATE s'))[0]).toMatch(/^ErrorResponse ERROR 26000/);
  });
});

function twice(message: Buffer): Buffer[] {
  return [message, message];
}

describe('Execute with a limit of rows', () => {
  it('suspends the portal and goes on where it stopped', () => {
    const fixture = new ConsoleFixture();
    fixture.control.poolRows = ['a', 'b', 'c'].map((database) => ({ ...POOL, database }));
    const sql = 'SELECT database FROM maitred.pools';
    expect(
      fixture.exchange(f.parse(sql), f.bind(), f.execute('', 2), f.execute('', 2), f.sync()),
    ).toEqual([
      'ParseComplete',
      'BindComplete',
      'DataRow a',
      'DataRow b',
      'PortalSuspended',
      'DataRow c',
      'CommandComplete SELECT 1',
      READY,
    ]);
  });

  it('shows one snapshot, whatever changes meanwhile, and nothing after the end', () => {
    const fixture = new ConsoleFixture();
    fixture.control.poolRows = ['a', 'b'].map((database) => ({ ...POOL, database }));
    const sql = 'SELECT database FROM maitred.pools';
    fixture.exchange(f.parse(sql), f.bind(), f.execute('', 1));
    fixture.control.poolRows = [];
    expect(fixture.exchange(f.execute(), f.execute())).toEqual([
      'DataRow b',
      'CommandComplete SELECT 1',
      'CommandComplete SELECT 0',
    ]);
  });
});

describe('binary results', () => {
  it('have the binary form of each type', () => {
    const fixture = new ConsoleFixture();
    const totals = { ...COUNTERS, xactCount: 2 ** 53 - 1, queryCount: 10_000, receivedBytes: 0 };
    fixture.control.statsRows = [statsOf('shop', totals, COUNTERS)];
    const sql =
      'SELECT database, total_xact_count, total_query_count, total_received FROM maitred.stats';
    expect(fixture.exchange(f.parse(sql), f.bind({ resultFormats: [1] }), f.execute())[2]).toBe(
      // 9007,1992,5474,0991 x 10000^3; 1 x 10000^1; no digits at all.
      'DataRow shop|\\x00040003000000002' +
        '32f07c815620' +
        '3df|\\x00010001000000000001|\\x0000000000000000',
    );
    const counted = f.parse('SELECT count(*) FROM maitred.stats');
    expect(fixture.exchange(counted, f.bind({ resultFormats: [1] }), f.execute())[2]).toBe(
      'DataRow \\x0000000000000001',
    );
  });

  it('may be asked for by column, and describe themselves', () => {
    const fixture = new ConsoleFixture();
    fixture.control.clientRows = [CLIENT];
    fixture.take(
      f.parse('SELECT user, port, id FROM maitred.clients'),
      f.bind({ resultFormats: [0, 1, 0] }),
      f.describe('P'),
      f.execute(),
    );
    const [, , description, row] = fixture.output();
    expect(description).toMatchObject({ columns: [{ format: 0 }, { format: 1 }, { format: 0 }] });
    expect(row).toMatchObject({ values: ['web', '\\x0000c738', '31'] });
  });
});

describe('malformed messages', () => {
  it.each([
    ['a Bind that is cut off', f.message('B', Buffer.from('\0\0\0'))],
    [
      'a Bind with a value beyond its end',
      f.message('B', Buffer.from('\0\0\0\0\0\x01\x7f\xff\xff\xff', 'latin1')),
    ],
    [
      'a Bind with a format that does not exist',
      f.message('B', Buffer.from('\0\0\0\0\0\0\0\x01\0\x02')),
    ],
    ['a Parse without its zero byte', f.message('P', Buffer.from('x'))],
    ['a Describe of neither', f.message('D', Buffer.from('X\0'))],
    ['an Execute with bytes left over', f.message('E', Buffer.from('\0\0\0\0\0\0'))],
  ])('%s is refused up to Sync', (_what, bytes) => {
    const replies = new ConsoleFixture().exchange(bytes, f.execute(), f.sync());
    expect(replies).toEqual([expect.stringMatching(/^ErrorResponse ERROR 08P01 /), READY]);
  });
});

describe('a transaction block', () => {
  const FAILED = error(
    '25P02',
    'current transaction is aborted, commands ignored until end of transaction block',
  );

  it.each(['COMMIT', 'ROLLBACK', 'END', 'ABORT'])('shows in the status up to %s', (end) => {
    const fixture = new ConsoleFixture();
    const tag = end === 'COMMIT' || end === 'END' ? 'COMMIT' : 'ROLLBACK';
    expect(fixture.exchange(f.query('BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY'))).toEqual([
      'CommandComplete BEGIN',
      'ReadyForQuery T',
    ]);
    expect(fixture.exchange(f.query('SHOW VERSION')).at(-1)).toBe('ReadyForQuery T');
    expect(fixture.exchange(f.query(end))).toEqual([`CommandComplete ${tag}`, READY]);
  });

  it('fails by an error and does nothing more until it ends', () => {
    const fixture = new ConsoleFixture();
    fixture.query('START TRANSACTION');
    expect(fixture.exchange(f.query('nonsense')).at(-1)).toBe('ReadyForQuery E');
    expect(fixture.exchange(f.query('PAUSE'))).toEqual([FAILED, 'ReadyForQuery E']);
    expect(fixture.exchange(f.query('SHOW POOLS'))).toEqual([FAILED, 'ReadyForQuery E']);
    expect(run(fixture, 'RELOAD')).toEqual([FAILED, 'ReadyForQuery E']);
    expect(fixture.control.calls).toEqual([]);
    expect(run(fixture, 'COMMIT').slice(-2)).toEqual(['CommandComplete ROLLBACK', READY]);
  });

  it('is not there after an error outside of it', () => {
    expect(new ConsoleFixture().exchange(f.query('nonsense')).at(-1)).toBe(READY);
  });

  it('is mended by its savepoint, and by no other', () => {
    const fixture = new ConsoleFixture();
    fixture.exchange(f.query('BEGIN'), f.query('SAVEPOINT a'), f.query('nonsense'));
    expect(fixture.exchange(f.query('ROLLBACK TO b'))[0]).toMatch(/^ErrorResponse ERROR 3B001/);
    expect(fixture.exchange(f.query('ROLLBACK TO SAVEPOINT a'))).toEqual([
      'CommandComplete ROLLBACK',
      'ReadyForQuery T',
    ]);
    expect(fixture.exchange(f.query('RELEASE a')).at(-1)).toBe('ReadyForQuery T');
    expect(fixture.exchange(f.query('RELEASE a')).at(-1)).toBe('ReadyForQuery E');
  });

  it('that is not there can be ended with a warning, but has no savepoints', () => {
    const fixture = new ConsoleFixture();
    expect(fixture.exchange(f.query('ROLLBACK'))).toEqual([
      'NoticeResponse WARNING 25P01 there is no transaction in progress',
      'CommandComplete ROLLBACK',
      READY,
    ]);
    expect(fixture.exchange(f.query('SAVEPOINT a'))[0]).toMatch(/^ErrorResponse ERROR 25P01/);
  });
});
