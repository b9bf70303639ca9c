import { describe, expect, it } from 'vitest';
import { ConsoleFixture, summary } from './console-fixture.ts';
import type { Decoded } from './decode.ts';
import type { FakeControl } from './fake-control.ts';
import { CLIENT, COUNTERS, DATABASE, POOL, SERVER, statsOf, USER } from './samples.ts';

const TYPE_LETTERS = new Map([
  ['25/-1', 't'],
  ['23/4', 'i'],
  ['20/8', 'q'],
  ['1700/-1', 'n'],
]);

const CONNECTION_COLUMNS =
  'type t, user t, database t, replication t, state t, addr t, port i, local_addr t, ' +
  'local_port i, connect_time t, request_time t, wait i, wait_us i, close_needed i, ptr t, ' +
  'link t, remote_pid i, tls t, application_name t, prepared_statements i, id i';

/** Columns, order and types as operators' tools know them: `name letter`, see TYPE_LETTERS. */
const EXPECTED_COLUMNS = {
  VERSION: 'version t',
  CONFIG: 'key t, value t, default t, changeable t',
  STATE: 'key t, value t',
  LISTS: 'list t, items i',
  DATABASES:
    'name t, host t, port i, database t, force_user t, pool_size i, min_pool_size i, ' +
    'reserve_pool_size i, server_lifetime i, pool_mode t, load_balance_hosts t, ' +
    'max_connections i, current_connections i, max_client_connections i, ' +
    'current_client_connections i, paused i, disabled i',
  POOLS:
    'database t, user t, cl_active i, cl_waiting i, cl_active_cancel_req i, ' +
    'cl_waiting_cancel_req i, sv_active i, sv_active_cancel i, sv_being_canceled i, sv_idle i, ' +
    'sv_used i, sv_tested i, sv_login i, maxwait i, maxwait_us i, pool_mode t, ' +
    'load_balance_hosts t',
  CLIENTS: CONNECTION_COLUMNS,
  SERVERS: CONNECTION_COLUMNS,
  USERS:
    'name t, pool_size t, reserve_pool_size t, pool_mode t, max_user_connections i, ' +
    'current_connections i, max_user_client_connections i, current_client_connections i',
  STATS:
    'database t, total_server_assignment_count n, total_xact_count n, total_query_count n, ' +
    'total_received n, total_sent n, total_xact_time n, total_query_time n, total_wait_time n, ' +
    'total_client_parse_count n, total_server_parse_count n, total_bind_count n, ' +
    'total_client_login_count n, avg_server_assignment_count n, avg_xact_count n, ' +
    'avg_query_count n, avg_recv n, avg_sent n, avg_xact_time n, avg_query_time n, ' +
    'avg_wait_time n, avg_client_parse_count n, avg_server_parse_count n, avg_bind_count n, ' +
    'avg_client_login_count n',
  STATS_TOTALS:
    'database t, server_assignment_count n, xact_count n, query_count n, bytes_received n, ' +
    'bytes_sent n, xact_time n, query_time n, wait_time n, client_parse_count n, ' +
    'server_parse_count n, bind_count n, client_login_count n',
  STATS_AVERAGES:
    'database t, server_assignment_count n, xact_count n, query_count n, bytes_received n, ' +
    'bytes_sent n, xact_time n, query_time n, wait_time n, avg_client_parse_count n, ' +
    'avg_server_parse_count n, avg_bind_count n, avg_client_login_count n',
  TOTALS: 'name t, value n',
} as const;

function show(topic: string, prepare: (control: FakeControl) => void): Decoded[] {
  const fixture = new ConsoleFixture('stats');
  prepare(fixture.control);
  return fixture.query(`SHOW ${topic};`);
}

/** The rows of a SHOW as objects by column name. */
function rows(
  topic: string,
  prepare: (control: FakeControl) => void,
): Record<string, string | null>[] {
  const [description, ...rest] = show(topic, prepare);
  if (description?.type !== 'RowDescription') {
    throw new Error('no RowDescription');
  }
  const names = description.columns.map(({ name }) => name);
  return rest
    .filter((message) => message.type === 'DataRow')
    .map(({ values }) =>
      Object.fromEntries(names.map((name, index) => [name, values[index] ?? null])),
    );
}

describe('columns', () => {
  it.each(Object.entries(EXPECTED_COLUMNS))('SHOW %s has those of PgBouncer', (topic, expected) => {
    const [description] = show(topic, () => undefined);
    if (description?.type !== 'RowDescription') {
      throw new Error('no RowDescription');
    }
    const columns = description.columns.map(
      ({ name, typeOid, typeSize }) =>
        `${name} ${TYPE_LETTERS.get(`${typeOid}/${typeSize}`) ?? '?'}`,
    );
    expect(columns.join(', ')).toBe(expected);
    for (const column of description.columns) {
      expect(column).toMatchObject({
        tableOid: 0,
        columnNumber: 0,
        typeModifier: -1,
        format: 0,
      });
    }
  });

  it.each(Object.keys(EXPECTED_COLUMNS))('SHOW %s ends in its tag and ReadyForQuery', (topic) => {
    expect(summary(show(topic, () => undefined)).slice(-2)).toEqual([
      'CommandComplete SHOW',
      'ReadyForQuery I',
    ]);
  });
});

describe('SHOW POOLS', () => {
  it('puts each count in its column and splits maxwait', () => {
    const [row] = rows('POOLS', (control) => (control.poolRows = [POOL]));
    expect(Object.values(row ?? {})).toEqual([
      ...['shop', 'web', '1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11'],
      ...['12', '345678', 'transaction', null],
    ]);
  });

  it('sorts by database, then user, capitals first', () => {
    const pairs = [
      ['b', 'x'],
      ['a', 'y'],
      ['a', 'x'],
      ['B', 'z'],
    ] as const;
    const sorted = rows('POOLS', (control) => {
      control.poolRows = pairs.map(([database, user]) => ({ ...POOL, database, user }));
    });
    expect(sorted.map(({ database, user }) => `${database ?? ''}.${user ?? ''}`)).toEqual([
      'B.z',
      'a.x',
      'a.y',
      'b.x',
    ]);
  });
});

describe('SHOW DATABASES and SHOW USERS', () => {
  it('shows seconds, nulls and flags as 0 or 1', () => {
    const [row] = rows('DATABASES', (control) => (control.databaseRows = [DATABASE]));
    expect(Object.values(row ?? {})).toEqual([
      ...['shop', null, '5432', 'shop_v2', null, '20', '1', '5', '3600', null, null],
      ...['50', '7', '100', '40', '1', '0'],
    ]);
  });

  it('sorts databases by name', () => {
    const sorted = rows('DATABASES', (control) => {
      control.databaseRows = ['z', 'pgbouncer', 'a'].map((name) => ({ ...DATABASE, name }));
    });
    expect(sorted.map(({ name }) => name)).toEqual(['a', 'pgbouncer', 'z']);
  });

  it('pads the sizes of users to nine columns and leaves unset ones empty', () => {
    const users = rows('USERS', (control) => {
      control.userRows = [
        { ...USER, name: 'z' },
        { ...USER, name: 'a', poolSize: null },
      ];
    });
    expect(users.map((user) => Object.values(user))).toEqual([
      ['a', '', '        3', 'session', '30', '4', '60', '5'],
      ['z', '       10', '        3', 'session', '30', '4', '60', '5'],
    ]);
  });
});

describe('SHOW CLIENTS and SHOW SERVERS', () => {
  it('shows a linked client', () => {
    const [row] = rows('CLIENTS', (control) => (control.clientRows = [CLIENT]));
    expect(row).toMatchObject({
      type: 'C',
      user: 'web',
      database: 'shop',
      replication: 'none',
      state: 'active',
      addr: '192.0.2.7',
      port: '51000',
      local_addr: '192.0.2.1',
      local_port: '6432',
      wait: '3',
      wait_us: '250000',
      close_needed: '0',
      ptr: '0x1f',
      link: '0x20',
      remote_pid: '0',
      tls: 'TLSv1.3/TLS_AES_256_GCM_SHA384',
      application_name: 'psql\nü',
      prepared_statements: '2',
      id: '31',
    });
    expect(row?.['connect_time']).toMatch(/^2025-06-1[456] \d\d:\d\d:40 [A-Z+-][A-Z0-9]+$/);
    expect(row?.['request_time']).toMatch(/^2025-06-1[456] \d\d:\d\d:41 /);
  });

  it('shows a server that is not linked, of an unknown user', () => {
    const [row] = rows('SERVERS', (control) => {
      control.serverRows = [{ ...SERVER, user: null, database: null, linkId: null }];
    });
    expect(row).toMatchObject({
      type: 'S',
      user: '(nouser)',
      database: '(nodb)',
      state: 'being_canceled',
      close_needed: '1',
      link: '',
      remote_pid: '4711',
    });
  });

  it('keeps the order of the snapshot', () => {
    const clients = rows('CLIENTS', (control) => {
      control.clientRows = [5, 1, 9].map((id) => ({ ...CLIENT, id }));
    });
    expect(clients.map(({ id }) => id)).toEqual(['5', '1', '9']);
  });

  it('keeps int4 columns in the range of int4', () => {
    const [row] = rows('SERVERS', (control) => {
      control.serverRows = [{ ...SERVER, remotePid: 4_000_000_000 }];
    });
    expect(row?.['remote_pid']).toBe('2147483647');
  });
});

describe('statistics', () => {
  const totals = { ...COUNTERS, queryCount: 2 ** 53 - 1 };

  it('shows totals and truncated averages in one row of SHOW STATS', () => {
    const averages = { ...COUNTERS, xactTimeUs: 6.999 };
    const [row] = rows(
      'STATS',
      (control) => (control.statsRows = [statsOf('a', totals, averages)]),
    );
    expect(Object.values(row ?? {})).toEqual([
      ...['a', '1', '2', '9007199254740991', '4', '5', '6', '7', '8', '9', '10', '11', '12'],
      ...['1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12'],
    ]);
  });

  it('shows totals alone and averages alone, sorted by database', () => {
    const prepare = (control: FakeControl): void => {
      control.statsRows = [
        statsOf('b', COUNTERS, { ...COUNTERS, bindCount: 99 }),
        statsOf('a', { ...COUNTERS, bindCount: 98 }, COUNTERS),
      ];
    };
    expect(rows('STATS_TOTALS', prepare).map((r) => [r['database'], r['bind_count']])).toEqual([
      ['a', '98'],
      ['b', '11'],
    ]);
    expect(
      rows('STATS_AVERAGES', prepare).map((r) => [r['database'], r['avg_bind_count']]),
    ).toEqual([
      ['a', '11'],
      ['b', '99'],
    ]);
  });

  it('adds up totals and rates over databases and weighs mean times by their events', () => {
    const table = rows('TOTALS', (control) => {
      control.statsRows = [
        statsOf('a', COUNTERS, { ...COUNTERS, queryCount: 1, queryTimeUs: 100 }),
        statsOf('b', COUNTERS, { ...COUNTERS, queryCount: 3, queryTimeUs: 200 }),
      ];
    });
    expect(table.map(({ name, value }) => `${name ?? ''}=${value ?? ''}`)).toEqual([
      'total_server_assignment_count=2',
      'total_xact_count=4',
      'total_query_count=6',
      'total_client_bytes=8',
      'total_server_bytes=10',
      'total_xact_time=12',
      'total_query_time=14',
      'total_wait_time=16',
      'total_ps_client_parse_count=18',
      'total_ps_server_parse_count=20',
      'total_ps_bind_count=22',
      'total_client_login_count=24',
      'avg_server_assignment_count=2',
      'avg_xact_count=4',
      'avg_query_count=4',
      'avg_client_bytes=8',
      'avg_server_bytes=10',
      'avg_xact_time=6',
      'avg_query_time=175',
      'avg_wait_time=8',
      'avg_ps_client_parse_count=18',
      'avg_ps_server_parse_count=20',
      'avg_ps_bind_count=22',
      'avg_client_login_count=24',
    ]);
  });

  it('shows zeros when there is no database at all', () => {
    const table = rows('TOTALS', (control) => (control.statsRows = []));
    expect(new Set(table.map(({ value }) => value))).toEqual(new Set(['0']));
  });

  it('shows 0 for a number that is none, and digits only for a huge one', () => {
    const [row] = rows('STATS_TOTALS', (control) => {
      control.statsRows = [
        statsOf(
          'a',
          { ...COUNTERS, xactCount: NaN, queryCount: Infinity, bindCount: 1e21 },
          COUNTERS,
        ),
      ];
    });
    expect(row).toMatchObject({
      xact_count: '0',
      query_count: '0',
      bind_count: '1000000000000000000000',
    });
  });
});

describe('the process', () => {
  it('shows PgBouncer first in the version', () => {
    expect(rows('VERSION', () => undefined)).toEqual([
      { version: 'PgBouncer 1.25.2 (maitred 0.1.0)' },
    ]);
  });

  it('shows fourteen lists', () => {
    expect(summary(show('LISTS', () => undefined)).slice(1, -2)).toEqual([
      'DataRow databases|1',
      'DataRow users|2',
      'DataRow peers|3',
      'DataRow pools|4',
      'DataRow peer_pools|5',
      'DataRow free_clients|6',
      'DataRow used_clients|7',
      'DataRow login_clients|8',
      'DataRow free_servers|9',
      'DataRow used_servers|10',
      'DataRow dns_names|11',
      'DataRow dns_zones|12',
      'DataRow dns_queries|13',
      'DataRow dns_pending|0',
    ]);
  });

  it('shows the mode as yes and no', () => {
    const table = show('STATE', (control) => {
      control.stateFlags = { isActive: false, isPaused: true, isSuspended: false };
    });
    expect(summary(table).slice(1, -2)).toEqual([
      'DataRow active|no',
      'DataRow paused|yes',
      'DataRow suspended|no',
    ]);
  });

  it('shows settings in their own order, with nulls', () => {
    const table = show('CONFIG', (control) => {
      control.settingRows = [
        { key: 'verbose', value: '0', default: '0', changeable: true },
        { key: 'auth_file', value: null, default: null, changeable: false },
      ];
    });
    expect(summary(table).slice(1, -2)).toEqual([
      'DataRow verbose|0|0|yes',
      'DataRow auth_file|NULL|NULL|no',
    ]);
  });

  it('answers SHOW HELP with a notice and no result set', () => {
    const messages = show('HELP', () => undefined);
    expect(summary(messages)).toEqual([
      'NoticeResponse NOTICE 00000 Console usage',
      'CommandComplete SHOW',
      'ReadyForQuery I',
    ]);
    const [notice] = messages;
    const detail = notice?.type === 'NoticeResponse' ? (notice.detail ?? '') : '';
    expect(detail).toMatch(/^\n\tSHOW HELP\|CONFIG\|DATABASES\|POOLS\|/);
    expect(
      detail
        .split('\n')
        .slice(1)
        .every((line) => line.startsWith('\t')),
    ).toBe(true);
    expect(detail).toContain('\n\tWAIT_CLOSE [<db>]');
  });
});
