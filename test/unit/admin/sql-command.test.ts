import { describe, expect, it } from 'vitest';
import { parseCommand } from '../../../src/admin/command-parser.ts';
import { MAX_SQL_LENGTH } from '../../../src/admin/sql-lexer.ts';
import { ConsoleFixture, summary } from './console-fixture.ts';
import { CLIENT, POOL } from './samples.ts';

const READY = 'ReadyForQuery I';

/** Pools whose numbers order differently as text. */
function pools(): ConsoleFixture {
  const fixture = new ConsoleFixture('stats');
  fixture.control.poolRows = [
    { ...POOL, database: 'a', user: "o'neil", clWaiting: 9, loadBalanceHosts: 'disable' },
    { ...POOL, database: 'b', user: 'Web_1', clWaiting: 10 },
    { ...POOL, database: 'c', user: 'web%', clWaiting: 100 },
  ];
  return fixture;
}

/** The databases that a condition selects, in order. */
function selected(rest: string): string {
  const lines = summary(pools().query(`SELECT database FROM pgbouncer.pools ${rest}`));
  expect(lines.at(-1)).toBe(READY);
  return lines
    .filter((line) => !/^(?:RowDescription|CommandComplete|ReadyForQuery)/.test(line))
    .map((line) => line.replace(/^DataRow /, ''))
    .join('');
}

describe('conditions', () => {
  it.each([
    ['', 'abc'],
    ["WHERE database = 'b'", 'b'],
    ["where DATABASE <> 'b'", 'ac'],
    ["WHERE user = 'o''neil'", 'a'],
    ['WHERE cl_waiting > 9', 'bc'],
    ['WHERE cl_waiting >= 9.5', 'bc'],
    ["WHERE cl_waiting = '10'", 'b'],
    ['WHERE 10 < cl_waiting', 'c'],
    ['WHERE cl_waiting > -1', 'abc'],
    ['WHERE cl_waiting != sv_used', 'bc'],
    ['WHERE cl_waiting IN (9, 100)', 'ac'],
    ['WHERE cl_waiting NOT IN (9, 100)', 'b'],
    ['WHERE cl_waiting NOT IN (9, NULL)', ''],
    ["WHERE user LIKE 'Web\\_%'", 'b'],
    ["WHERE user LIKE 'web_'", 'c'],
    ["WHERE user ILIKE 'WEB%'", 'bc'],
    ["WHERE user NOT LIKE '%eb%'", 'a'],
    ['WHERE load_balance_hosts IS NULL', 'bc'],
    ['WHERE load_balance_hosts IS NOT NULL', 'a'],
    ['WHERE load_balance_hosts = NULL', ''],
    ["WHERE NOT load_balance_hosts = 'x'", 'a'],
    ["WHERE database = 'a' OR database = 'b' AND cl_waiting = 0", 'a'],
    ["WHERE (database = 'a' OR database = 'b') AND NOT cl_waiting = 9", 'b'],
    ['ORDER BY cl_waiting DESC', 'cba'],
    ['ORDER BY pool_mode, user', 'bac'],
    ['ORDER BY load_balance_hosts, database DESC', 'acb'],
    ['ORDER BY database DESC LIMIT 1 OFFSET 1;', 'b'],
    ['LIMIT 0', ''],
    ['LIMIT ALL OFFSET 2', 'c'],
  ])('%s', (rest, expected) => {
    expect(selected(rest)).toBe(expected);
  });

  it.each([
    [
      'WHERE cl_wating = 1',
      '42703',
      'column "cl_wating" does not exist, did you mean "cl_waiting"?',
    ],
    [
      'WHERE "Database" = \'a\'',
      '42703',
      'column "Database" does not exist, did you mean "database"?',
    ],
    ['ORDER BY nothing_like_it', '42703', 'column "nothing_like_it" does not exist'],
    ["WHERE cl_waiting = 'x'", '22P02', 'invalid input syntax for type numeric: "x"'],
    ['WHERE', '42601', 'syntax error at end of input'],
    ['WHERE cl_waiting', '42601', 'syntax error at end of input'],
    ['WHERE cl_waiting = 1 2', '42601', 'syntax error at or near "2"'],
    ['LIMIT x', '42601', 'syntax error at or near "x"'],
    ['LIMIT 1 LIMIT 2', '42601', 'syntax error at or near "limit"'],
    ["WHERE user LIKE 'x\\'", '42601', 'LIKE pattern must not end with escape character'],
    [`WHERE ${'('.repeat(51)}1=1${')'.repeat(51)}`, '54001', 'condition nested too deeply'],
    [`WHERE ${'1=1 OR '.repeat(100)}1=1`, '54001', 'condition has too many parts'],
    [`WHERE user LIKE '${'%'.repeat(257)}'`, '54000', 'LIKE pattern is too long'],
  ])('%s is refused', (rest, sqlstate, message) => {
    expect(selected(rest)).toBe(`ErrorResponse ERROR ${sqlstate} ${message}`);
  });

  it('matches a hostile pattern quickly', () => {
    const fixture = new ConsoleFixture();
    fixture.control.clientRows = [{ ...CLIENT, applicationName: 'a'.repeat(10_000) }];
    const startMs = performance.now();
    const pattern = `${'%a'.repeat(120)}%b`;
    const sql = `SHOW CLIENTS WHERE application_name LIKE '${pattern}'`;
    expect(summary(fixture.query(sql))).toContain('CommandComplete SHOW');
    expect(performance.now() - startMs).toBeLessThan(2000);
  });
});

describe('SHOW with a choice, and SELECT', () => {
  it('SHOW keeps all columns and its tag', () => {
    const fixture = pools();
    const all = fixture.query('SHOW POOLS');
    const chosen = fixture.query("SHOW POOLS WHERE database = 'b'");
    expect(chosen[0]).toEqual(all[0]);
    expect(chosen[1]).toEqual(all[2]);
    expect(summary(chosen.slice(2))).toEqual(['CommandComplete SHOW', READY]);
  });

  it('SELECT names columns, and counts', () => {
    const fixture = pools();
    const sql = "SELECT user AS who, cl_waiting FROM maitred.pools WHERE database = 'b'";
    expect(summary(fixture.query(sql))).toEqual([
      'RowDescription who,cl_waiting',
      'DataRow Web_1|10',
      'CommandComplete SELECT 1',
      READY,
    ]);
    const count = 'SELECT count(*) FROM pgbouncer.pools WHERE cl_waiting > 9';
    expect(summary(fixture.query(count)).slice(0, 2)).toEqual([
      'RowDescription count',
      'DataRow 2',
    ]);
  });

  it.each([
    ['SELECT * FROM pgbouncer.pool', '42P01', 'relation "pgbouncer.pool" does not exist'],
    ['SELECT nam FROM maitred.databases', '42703', 'column "nam" does not exist'],
    ['SELECT * FROM maitred.fds', '42501', 'admin access needed'],
    ['SHOW FDS WHERE fd = 1', '42501', 'admin access needed'],
    ['SELECT * FROM pools', '42601', "invalid command 'SELECT * FROM pools'"],
    ['SHOW POOLS; DROP TABLE x', '42601', "invalid command 'SHOW POOLS; DROP TABLE x'"],
    ['BEGIN; PAUSE', '42601', "invalid command 'BEGIN; PAUSE'"],
    ['SELECT * FROM pg_catalog.pg_type', '0A000', 'the console has no system catalogs'],
  ])('%s is refused', (sql, sqlstate, message) => {
    const [reply] = summary(new ConsoleFixture('stats').query(sql));
    expect(reply).toContain(`ErrorResponse ERROR ${sqlstate} ${message}`);
  });

  it('SHOW WAITS shows who waits, longest first, and nobody else', () => {
    const fixture = new ConsoleFixture();
    fixture.control.clientRows = [
      { ...CLIENT, id: 1, state: 'waiting', waitUs: 1_500_000, queuedUs: 1_500_000 },
      { ...CLIENT, id: 2, state: 'active', waitUs: 9_000_000 },
      { ...CLIENT, id: 3, state: 'waiting', waitUs: 2_000_001, queuedUs: 2_000_001 },
    ];
    const lines = summary(fixture.query('SELECT id, wait, wait_us FROM maitred.waits'));
    expect(lines.slice(1, -2)).toEqual(['DataRow 3|2|1', 'DataRow 1|1|500000']);
  });

  it('SHOW ACTIVE_SOCKETS shows those with something buffered', () => {
    const fixture = new ConsoleFixture();
    const socket = { type: 'C', connection: CLIENT, state: 'cl_active' } as const;
    fixture.control.socketRows = [
      { ...socket, packetRemainBytes: 0, sendRemainBytes: 0 },
      { ...socket, packetRemainBytes: 5, sendRemainBytes: 0 },
      { ...socket, packetRemainBytes: 0, sendRemainBytes: 7 },
    ];
    const sql = (table: string): string =>
      `SELECT state, pkt_remain, send_remain FROM maitred.${table}`;
    const active = summary(fixture.query(sql('active_sockets'))).slice(1, -2);
    expect(active).toEqual(['DataRow cl_active|5|0', 'DataRow cl_active|0|7']);
    expect(summary(fixture.query(sql('sockets')))).toHaveLength(6);
  });

  it('SHOW MEM multiplies counts and sizes', () => {
    const lines = summary(new ConsoleFixture().query("SHOW MEM WHERE name = 'iobuf_cache'"));
    expect(lines[1]).toBe('DataRow iobuf_cache|65536|5|0|327680');
  });
});

describe('what drivers say of their own accord', () => {
  it.each([
    ['SELECT 1', 'DataRow 1'],
    ['select 1 as one, NULL', 'DataRow 1|NULL'],
    ['SELECT version()', 'DataRow PgBouncer 1.25.2 (maitred 0.1.0)'],
    ['select pg_catalog.version()', 'DataRow PgBouncer 1.25.2 (maitred 0.1.0)'],
    ['SELECT current_schema()', 'DataRow public'],
    ['SELECT current_user', 'DataRow alice'],
    ['SELECT pg_is_in_recovery()', 'DataRow f'],
    ['SHOW server_version', 'DataRow 1.25.2/bouncer'],
    ['SHOW search_path', 'DataRow public'],
    ['show transaction isolation level', 'DataRow read committed'],
  ])('%s is answered', (sql, row) => {
    expect(summary(new ConsoleFixture('stats').query(sql))[1]).toBe(row);
  });

  it.each([
    ['SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY', 'SET'],
    ['SET search_path = a, "b"', 'SET'],
    ["SET TIME ZONE INTERVAL '+00:00' HOUR TO MINUTE", 'SET'],
    ['SET SESSION statement_timeout TO 5', 'SET'],
    ['RESET ALL', 'RESET'],
    ['DISCARD ALL', 'DISCARD ALL'],
    ['DEALLOCATE ALL', 'DEALLOCATE ALL'],
    ['UNLISTEN *', 'UNLISTEN'],
  ])('%s has no effect', (sql, tag) => {
    const fixture = new ConsoleFixture('stats');
    expect(summary(fixture.query(sql)).slice(-2)).toEqual([`CommandComplete ${tag}`, READY]);
    expect(fixture.control.calls).toEqual([]);
  });

  it.each(['SET server_version = 9', 'SET transaction_timeout = 9'])(
    '%s is for the pooler to refuse or take',
    (sql) => {
      expect(parseCommand(sql).kind).toBe('set');
    },
  );

  it('several in one query are answered each, with one ReadyForQuery', () => {
    const sql = 'SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;';
    expect(summary(new ConsoleFixture('stats').query(sql))).toEqual([
      'RowDescription pg_advisory_unlock_all',
      'DataRow ',
      'CommandComplete SELECT 1',
      'CommandComplete CLOSE CURSOR ALL',
      'CommandComplete UNLISTEN',
      'CommandComplete RESET',
      READY,
    ]);
  });

  it('ODBC asks for a parameter in the query that sets others', () => {
    const sql = "SET DateStyle = 'ISO';SET extra_float_digits = 2;show transaction_isolation";
    const replies = summary(new ConsoleFixture('stats').query(sql));
    expect(replies.filter((reply) => reply.startsWith('CommandComplete'))).toEqual([
      'CommandComplete SET',
      'CommandComplete SET',
      'CommandComplete SHOW',
    ]);
    expect(replies).toContain('DataRow read committed');
  });

  it('several in one query stop at the first that fails', () => {
    expect(summary(new ConsoleFixture().query('SELECT 1; SAVEPOINT x; SELECT 2')).slice(2)).toEqual(
      [
        'CommandComplete SELECT 1',
        'ErrorResponse ERROR 25P01 SAVEPOINT can only be used in transaction blocks',
        READY,
      ],
    );
  });

  it('a catalog query of plain columns gets no rows', () => {
    const sql = 'select b.oid, b.typarray from pg_catalog.pg_type a group by b.oid';
    expect(summary(new ConsoleFixture().query(sql))).toEqual([
      'RowDescription oid,typarray',
      'CommandComplete SELECT 0',
      READY,
    ]);
  });
});

describe('hostile SQL', () => {
  it.each([
    ['parentheses', `SHOW POOLS WHERE ${'('.repeat(MAX_SQL_LENGTH - 17)}`, '54001'],
    ['NOTs', `SHOW POOLS WHERE ${'NOT '.repeat(4000)}`, '54001'],
    ['single quotes', `SHOW POOLS WHERE ${"'".repeat(MAX_SQL_LENGTH - 17)}`, '42601'],
    ['more than the limit', `SHOW POOLS WHERE ${' '.repeat(MAX_SQL_LENGTH)} 1 = 1`, '42601'],
    ['statements', 'SELECT 1;'.repeat(21), '42601'],
  ])('%s are refused quickly', (_what, sql, sqlstate) => {
    const startMs = performance.now();
    expect(parseCommand(sql)).toMatchObject({ kind: 'error', sqlstate });
    expect(performance.now() - startMs).toBeLessThan(2000);
  });
});
