import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startPooler } from '../support/pooler-fixture.ts';
import type { PoolerFixture } from '../support/pooler-fixture.ts';
import { rowsByName } from '../support/query-outcome.ts';
import type { QueryOutcome, StatementResult, TextRow } from '../support/query-outcome.ts';
import type { RawClient } from '../support/raw-client.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

// What prometheus-community/pgbouncer_exporter 0.12.1 does on the console, with lib/pq below it.

const postgres = sharedPostgres();

const TEXT = 25;
const INT4 = 23;
const NUMERIC = 1700;

/** Sent by lib/pq in every startup packet. */
const LIB_PQ_PARAMETERS = {
  client_encoding: 'UTF8',
  datestyle: 'ISO, MDY',
  extra_float_digits: '2',
};

type Columns = readonly (readonly [name: string, type: number])[];

function texts(...names: string[]): Columns {
  return names.map((name) => [name, TEXT]);
}

function int4s(...names: string[]): Columns {
  return names.map((name) => [name, INT4]);
}

const DATABASES: Columns = [
  ...texts('name', 'host'),
  ...int4s('port'),
  ...texts('database', 'force_user'),
  ...int4s('pool_size', 'min_pool_size', 'reserve_pool_size', 'server_lifetime'),
  ...texts('pool_mode', 'load_balance_hosts'),
  ...int4s('max_connections', 'current_connections'),
  ...int4s('max_client_connections', 'current_client_connections', 'paused', 'disabled'),
];

const POOLS: Columns = [
  ...texts('database', 'user'),
  ...int4s('cl_active', 'cl_waiting', 'cl_active_cancel_req', 'cl_waiting_cancel_req'),
  ...int4s('sv_active', 'sv_active_cancel', 'sv_being_canceled', 'sv_idle', 'sv_used'),
  ...int4s('sv_tested', 'sv_login', 'maxwait', 'maxwait_us'),
  ...texts('pool_mode', 'load_balance_hosts'),
];

const COUNTERS = [
  'server_assignment_count',
  'xact_count',
  'query_count',
  'bytes_received',
  'bytes_sent',
  'xact_time',
  'query_time',
  'wait_time',
  'client_parse_count',
  'server_parse_count',
  'bind_count',
  'client_login_count',
];
const STATS_TOTALS: Columns = [
  ...texts('database'),
  ...COUNTERS.map((name) => [name, NUMERIC] as const),
];

const LISTS = [
  'databases',
  'users',
  'peers',
  'pools',
  'peer_pools',
  'free_clients',
  'used_clients',
  'login_clients',
  'free_servers',
  'used_servers',
  'dns_names',
  'dns_zones',
  'dns_queries',
  'dns_pending',
];

let pooler: PoolerFixture;
let exporter: RawClient;
/** A client whose numbers the exporter sees. */
let client: RawClient;

/** Logs in as lib/pq does. */
function loginAsLibPq(database: string): Promise<RawClient> {
  return pooler.login({ user: postgres.user, database, parameters: LIB_PQ_PARAMETERS });
}

/** Runs a query of the exporter, which must have one result set and nothing else. */
async function ask(sql: string): Promise<StatementResult> {
  const outcome: QueryOutcome = await exporter.simpleQuery(sql);
  expect(outcome.types).toMatch(/^TD*CZ$/);
  expect(outcome.status).toBe('I');
  const [result] = outcome.results;
  if (result === undefined) {
    throw new Error(`${sql} has no result`);
  }
  expect(new Set(result.fields.map(({ format }) => format))).toEqual(new Set([0]));
  return result;
}

function columnsOf(result: StatementResult): Columns {
  return result.fields.map(({ name, typeOid }) => [name, typeOid] as const);
}

/** How the exporter takes a value: what is no number in a column of numbers is a failed scrape. */
function expectNumbers(rows: readonly TextRow[], columns: Columns): void {
  const numeric = columns.filter(([, type]) => type !== TEXT).map(([name]) => name);
  for (const row of rows) {
    for (const name of numeric) {
      expect(row[name], name).toMatch(/^-?\d+$/);
    }
  }
}

beforeAll(async () => {
  const { host, port, user, address } = postgres;
  const target = { host, port, dbname: address.database };
  pooler = await startPooler({
    config: {
      maitred: { admin_users: '', stats_users: user, ignore_startup_parameters: '' },
      databases: {
        app: { ...target, pool_mode: 'transaction' },
        forced: { ...target, user },
      },
    },
    users: { [user]: '' },
    consoleUser: user,
  });
  exporter = await loginAsLibPq('pgbouncer');
  client = await pooler.login({
    user,
    database: 'app',
    parameters: { application_name: 'web' },
  });
  await client.query('BEGIN');
});

afterAll(async () => {
  await client.query('COMMIT');
  await client.close();
  await exporter.close();
  await pooler.expectBaseline();
  await pooler.stop();
});

describe('the login of lib/pq', () => {
  it('is accepted by the console although no startup parameter is ignored', () => {
    expect(exporter.parameters.get('server_version')).toMatch(/^\d+\.\d+\.\d+/);
    expect(exporter.parameters.get('TimeZone')).toBe('GMT');
    expect(exporter.parameters.get('client_encoding')).toBe('UTF8');
  });

  it('is refused by a database, as PgBouncer does', async () => {
    await expect(loginAsLibPq('app')).rejects.toThrow(
      'unsupported startup parameter: extra_float_digits',
    );
  });

  it('can be checked by the query of lib/pq for it', async () => {
    const { errors, types } = await exporter.simpleQuery(';');
    expect(errors).toEqual([]);
    expect(types).toBe('IZ');
  });
});

describe('the queries of the exporter', () => {
  it('SHOW STATS, its check of the connection', async () => {
    const result = await ask('SHOW STATS');
    expect(result.tag).toBe('SHOW');
    expect(columnsOf(result)[0]).toEqual(['database', TEXT]);
  });

  it('SHOW VERSION; has one column and the version that features follow from', async () => {
    const result = await ask('SHOW VERSION;');
    expect(columnsOf(result)).toEqual(texts('version'));
    expect(result.rows).toHaveLength(1);
    expect(result.rows[0]?.[0]).toMatch(/^PgBouncer 1\.25\.\d+/);
  });

  it('SHOW LISTS; has two columns, a name and a number', async () => {
    const result = await ask('SHOW LISTS;');
    expect(columnsOf(result)).toEqual([
      ['list', TEXT],
      ['items', INT4],
    ]);
    expect(result.rows.map(([name]) => name)).toEqual(LISTS);
    expectNumbers(rowsByName(result), columnsOf(result));
  });

  it('SHOW CONFIG; has four columns, of which two are never NULL', async () => {
    const result = await ask('SHOW CONFIG;');
    expect(columnsOf(result)).toEqual(texts('key', 'value', 'default', 'changeable'));
    const rows = rowsByName(result);
    for (const { key, changeable } of rows) {
      expect(key).toMatch(/^[a-z0-9_]+$/);
      expect(changeable).toMatch(/^(yes|no)$/);
    }
    const valueOf = (name: string): unknown => rows.find(({ key }) => key === name)?.['value'];
    expect(valueOf('max_client_conn')).toBe('100');
    expect(valueOf('max_user_connections')).toBe('0');
  });

  it('SHOW CLIENTS; has the columns it counts by, as text', async () => {
    const result = await ask('SHOW CLIENTS;');
    const columns = new Map(columnsOf(result));
    for (const name of ['database', 'user', 'application_name', 'state']) {
      expect(columns.get(name), name).toBe(TEXT);
    }
    const row = rowsByName(result).find(({ database }) => database === 'app');
    expect(row).toMatchObject({
      user: postgres.user,
      application_name: 'web',
      state: 'active',
    });
  });

  it('SHOW stats_totals; has its columns in order, as numeric', async () => {
    const result = await ask('SHOW stats_totals;');
    expect(columnsOf(result)).toEqual(STATS_TOTALS);
    const rows = rowsByName(result);
    expectNumbers(rows, STATS_TOTALS);
    expect(rows.find(({ database }) => database === 'app')).toMatchObject({ query_count: '1' });
  });

  it('SHOW pools; has its columns in order, counts as int4', async () => {
    const result = await ask('SHOW pools;');
    expect(columnsOf(result)).toEqual(POOLS);
    const rows = rowsByName(result);
    expectNumbers(rows, POOLS);
    expect(rows.find(({ database }) => database === 'app')).toMatchObject({
      user: postgres.user,
      cl_active: '1',
      sv_active: '1',
      maxwait: '0',
    });
  });

  it('SHOW databases; has its columns in order, switches as int4', async () => {
    const result = await ask('SHOW databases;');
    expect(columnsOf(result)).toEqual(DATABASES);
    const rows = rowsByName(result);
    expectNumbers(rows, DATABASES);
    expect(rows.map(({ name }) => name)).toEqual(['app', 'forced', 'pgbouncer']);
    expect(rows[0]).toMatchObject({ force_user: null, pool_mode: 'transaction', paused: '0' });
    expect(rows[1]).toMatchObject({ force_user: postgres.user, pool_mode: null, disabled: '0' });
  });

  it('all work for a user who may only read', async () => {
    const { errors } = await exporter.simpleQuery('RELOAD');
    expect(errors[0]?.sqlState).toBe('42501');
  });
});
