import { expect, it } from 'vitest';
import { databaseConfig, DEFAULT_SETTINGS } from '../../../src/config/config.ts';
import {
  connectOptions,
  describeConnectError,
  hostsOf,
  HostTurns,
  serverAddress,
} from '../../../src/server/server-target.ts';

const noLookup = (): never => {
  throw new Error('a look-up that is not needed');
};

function poolOf(keys: Readonly<Record<string, string>>) {
  const config = databaseConfig('app', new Map(Object.entries(keys)));
  return { database: { config } };
}

function nextHosts(pool: ReturnType<typeof poolOf>, turns: HostTurns<typeof pool>, count: number) {
  return Array.from({ length: count }, () => turns.next(pool).host);
}

it.each([
  ['/run/pg', '/run/pg/.s.PGSQL.5433', 'unix'],
  ['@pg', '\0pg/.s.PGSQL.5433', 'unix'],
  [null, `${DEFAULT_SETTINGS.unixSocketDir}/.s.PGSQL.5433`, 'unix'],
])('host %s is the unix socket %j', (host, path, address) => {
  const target = { host, port: 5433 };
  expect(connectOptions(target, DEFAULT_SETTINGS, noLookup)).toEqual({ path });
  expect(serverAddress(target)).toEqual({ address, port: 5433 });
});

it('no host is in /tmp when maitred has no unix socket of its own', () => {
  const settings = { ...DEFAULT_SETTINGS, unixSocketDir: '' };
  const options = connectOptions({ host: null, port: 5432 }, settings, noLookup);
  expect(options).toEqual({ path: '/tmp/.s.PGSQL.5432' });
});

it('a name is looked up by the function given, addresses with their families', () => {
  const target = { host: 'db.test', port: 5433 };
  const options = connectOptions(target, DEFAULT_SETTINGS, (host, done) => {
    done(null, host === 'db.test' ? ['10.0.0.1', '::1'] : []);
  });
  expect(options).toMatchObject({ host: 'db.test', port: 5433 });
  const found: unknown[] = [];
  if ('lookup' in options) {
    options.lookup?.('db.test', {}, (_error, addresses) => found.push(addresses));
  }
  expect(found).toEqual([
    [
      { address: '10.0.0.1', family: 4 },
      { address: '::1', family: 6 },
    ],
  ]);
});

it('splits a list of hosts, and takes no host as one', () => {
  expect(hostsOf(databaseConfig('app', new Map([['host', 'a,/run/pg,::1']])))).toEqual([
    'a',
    '/run/pg',
    '::1',
  ]);
  expect(hostsOf(databaseConfig('app'))).toEqual([null]);
});

it('round-robin takes one step per attempt, for each pool by itself', () => {
  const turns = new HostTurns<ReturnType<typeof poolOf>>();
  const [one, two] = [poolOf({ host: 'a,b,c' }), poolOf({ host: 'a,b,c' })];
  expect(nextHosts(one, turns, 4)).toEqual(['a', 'b', 'c', 'a']);
  expect(nextHosts(two, turns, 2)).toEqual(['a', 'b']);
  turns.onFailed(one);
  expect(nextHosts(one, turns, 1)).toEqual(['b']);
});

it('disable goes on to the next host after a failure only', () => {
  const turns = new HostTurns<ReturnType<typeof poolOf>>();
  const pool = poolOf({ host: 'a,b', load_balance_hosts: 'disable' });
  expect(nextHosts(pool, turns, 2)).toEqual(['a', 'a']);
  turns.onFailed(pool);
  expect(nextHosts(pool, turns, 2)).toEqual(['b', 'b']);
  turns.onFailed(pool);
  expect(nextHosts(pool, turns, 1)).toEqual(['a']);
});

it('goes on with a list that a reload has made shorter', () => {
  const turns = new HostTurns<ReturnType<typeof poolOf>>();
  const pool = poolOf({ host: 'a,b,c' });
  nextHosts(pool, turns, 2);
  pool.database.config = databaseConfig('app', new Map([['host', 'x']]));
  expect(nextHosts(pool, turns, 2)).toEqual(['x', 'x']);
});

it('names each address that was tried in vain', () => {
  const errors = [new Error('connect ECONNREFUSED 10.0.0.1:1'), 'odd'];
  expect(describeConnectError(new AggregateError(errors))).toBe(
    'connect ECONNREFUSED 10.0.0.1:1; odd',
  );
  expect(describeConnectError(new Error('one'))).toBe('one');
});
