import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import * as frontend from '../support/frontend-messages.ts';
import { startPooler } from '../support/pooler-fixture.ts';
import type { PoolerFixture } from '../support/pooler-fixture.ts';
import { RawClient } from '../support/raw-client.ts';
import { lastWords, refusalOf } from '../support/refusal.ts';
import { backendPid, withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

// What a setting does, for those that no other file is about.

const postgres = sharedPostgres();
const LIMITED = 'effects_limited';
const FREE = 'effects_free';

beforeAll(async () => {
  await postgres.createRole(LIMITED);
  await postgres.createRole(FREE);
});

const LOGINS = { logins: [LIMITED, FREE] };

describe('server_fast_close', () => {
  it.each([
    [true, 'ends the client of an outdated server connection that is between transactions'],
    [false, 'leaves it alone when it is off'],
  ])('%s %s', async (isOn) => {
    const settings = { pool_mode: 'session', server_fast_close: isOn };
    await withPooler(postgres, { settings }, async (scene) => {
      const client = await scene.login();
      const pid = await backendPid(client);
      await scene.pooler.console('RECONNECT app');
      if (isOn) {
        expect(await lastWords(client)).toBe('FATAL 57P01: database configuration changed');
      } else {
        await scene.waitForPool({ sv_active: 1 });
        expect(await backendPid(client)).toBe(pid);
      }
    });
  });
});

describe('autodb_idle_timeout', () => {
  const databases = { '*': { dbname: postgres.database } };

  async function databaseCount(scene: Scene): Promise<number> {
    const memory = await scene.pooler.console('SHOW MEM');
    return Number(memory.find(({ name }) => name === 'db_cache')?.['used']);
  }

  it('forgets a database made from * that nobody uses', async () => {
    // Its server connection is a use of it as well.
    const settings = { autodb_idle_timeout: 1, server_idle_timeout: 1 };
    await withPooler(postgres, { settings, databases }, async (scene) => {
      const before = await databaseCount(scene);
      const client = await scene.login({ database: 'effects_auto' });
      await client.query('SELECT 1');
      expect(await databaseCount(scene)).toBe(before + 1);
      await client.close();
      await waitFor(
        'the database to be forgotten',
        async () => (await databaseCount(scene)) === before,
      );
    });
  });

  it('of 0 keeps it', async () => {
    const settings = { autodb_idle_timeout: 0, server_idle_timeout: 1 };
    await withPooler(postgres, { settings, databases }, async (scene) => {
      const before = await databaseCount(scene);
      const client = await scene.login({ database: 'effects_auto' });
      await client.query('SELECT 1');
      await client.close();
      await waitFor('the server connection to go', async () => {
        const servers = await scene.pooler.console('SHOW SERVERS');
        return servers.length === 0;
      });
      await scene.pooler.console('SHOW VERSION');
      expect(await databaseCount(scene)).toBe(before + 1);
      // It is out of sight meanwhile.
      const lists = await scene.pooler.console('SHOW LISTS');
      const shown = await scene.pooler.console('SHOW DATABASES');
      expect(shown.map(({ name }) => name)).not.toContain('effects_auto');
      expect(lists.find(({ list }) => list === 'databases')?.['items']).toBe(String(shown.length));
    });
  });
});

/** What the kernel knows of the sockets of a listening port. Linux. */
function kernelSockets(port: number): readonly (readonly string[])[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(`:${hex}`) === true);
}

const ESTABLISHED = '01';
const KEEPALIVE_TIMER = '02';
/** Units of the timers in /proc/net/tcp in a second. */
const TICKS_PER_SECOND = 100;

describe('keepalive of clients', () => {
  async function timerOf(settings: object): Promise<{ kind: string; seconds: number }> {
    let timer = { kind: '', seconds: 0 };
    await withPooler(postgres, { settings: { ...settings } }, async (scene) => {
      const client = await scene.login();
      await client.query('SELECT 1');
      const localPort = client.socket.localPort ?? 0;
      // The acknowledgement of the last answer may still be under way.
      await waitFor('the socket to be quiet', () => {
        const remote = localPort.toString(16).toUpperCase().padStart(4, '0');
        const row = kernelSockets(scene.pooler.port).find(
          (fields) => fields[2]?.endsWith(`:${remote}`) === true && fields[3] === ESTABLISHED,
        );
        const [kind = '', ticks = ''] = row?.[5]?.split(':') ?? [];
        timer = { kind, seconds: Number.parseInt(ticks, 16) / TICKS_PER_SECOND };
        return kind === '00' || kind === KEEPALIVE_TIMER;
      });
    });
    return timer;
  }

  it('is probed after tcp_keepidle with tcp_keepalive', async () => {
    const timer = await timerOf({ tcp_keepalive: true, tcp_keepidle: 40 });
    expect(timer.kind).toBe(KEEPALIVE_TIMER);
    expect(timer.seconds).toBeGreaterThan(20);
    expect(timer.seconds).toBeLessThanOrEqual(40);
  });

  it('is not probed without tcp_keepalive', async () => {
    expect((await timerOf({ tcp_keepalive: false })).kind).toBe('00');
  });
});

describe('listen_backlog', () => {
  /** How many of ten connections come about while nobody accepts them. */
  async function connectedCount(pooler: PoolerFixture): Promise<number> {
    pooler.signal('SIGSTOP');
    const attempts = Array.from({ length: 10 }, () => RawClient.connect(pooler.target));
    // One that the kernel drops tries again after a second: what has not come by then is left out.
    const settled = await Promise.all(
      attempts.map((attempt) => Promise.race([attempt, delay(700, null)])),
    );
    pooler.signal('SIGCONT');
    for (const client of await Promise.all(attempts)) {
      client.destroy();
    }
    return settled.filter((client) => client !== null).length;
  }

  it.each([
    [1, 2],
    [128, 10],
  ])('of %i lets %i of ten connections in that nobody accepts yet', async (backlog, count) => {
    const maitred = { listen_backlog: backlog, tcp_defer_accept: false };
    const pooler = await startPooler({ config: { maitred } });
    try {
      expect(await connectedCount(pooler)).toBe(count);
      await pooler.stop();
    } finally {
      pooler.signal('SIGCONT');
      await pooler.kill();
    }
  });
});

describe('scram_iterations', () => {
  it.each([4096, 5000])('of %i is what clients are asked for', async (iterations) => {
    const settings = { auth_type: 'scram-sha-256', scram_iterations: iterations };
    await withPooler(postgres, { settings, password: 'secret' }, async (scene) => {
      const client = await scene.connect();
      client.startup({ user: 'postgres', database: 'app' });
      expect((await client.readMessage()).type).toBe('R');
      client.send(frontend.saslInitialResponse('SCRAM-SHA-256', 'n,,n=,r=nonce'));
      const { body } = await client.readMessage();
      expect(body.toString('latin1', 4)).toMatch(new RegExp(`,i=${String(iterations)}$`));
    });
  });
});

describe('keys of a database', () => {
  it.each([
    ['client_encoding', 'LATIN1', 'client_encoding'],
    ['datestyle', 'German, DMY', 'DateStyle'],
    ['timezone', 'Asia/Tokyo', 'TimeZone'],
    ['application_name', 'from the file', 'application_name'],
  ])('%s %j is what its server connections begin with', async (key, value, parameter) => {
    const databases = { other: {} };
    await withPooler(postgres, { database: { [key]: value }, databases }, async (scene) => {
      const client = await scene.login();
      expect(client.parameters.get(parameter)).toBe(value);
      const other = await scene.login({ database: 'other' });
      expect(other.parameters.get(parameter)).not.toBe(value);
    });
  });

  it('connect_query is run once on each server connection', async () => {
    const database = { connect_query: "SET work_mem = '7777kB'" };
    await withPooler(postgres, { database, databases: { other: {} } }, async (scene) => {
      const client = await scene.login();
      expect(await client.query('SHOW work_mem')).toEqual([{ work_mem: '7777kB' }]);
      const other = await scene.login({ database: 'other' });
      expect(await other.query('SHOW work_mem')).not.toEqual([{ work_mem: '7777kB' }]);
    });
  });

  it('pool_size goes before default_pool_size', async () => {
    const settings = { default_pool_size: 1 };
    await withPooler(
      postgres,
      { settings, databases: { two: { pool_size: 2 } } },
      async (scene) => {
        for (const [database, waiting] of [
          ['app', 2],
          ['two', 1],
        ] as const) {
          const clients = await scene.logins(3, { database });
          clients.forEach((client) => client.send(frontend.query('BEGIN')));
          await scene.waitForPool({ sv_active: 3 - waiting, cl_waiting: waiting }, database);
          scene.dropClients();
        }
      },
    );
  });

  it('query_wait_timeout goes before the global one', async () => {
    const settings = { query_wait_timeout: 100 };
    const database = { query_wait_timeout: 1 };
    await withPooler(postgres, { settings, database }, async (scene) => {
      const [first, second] = await scene.logins(2);
      await first.query('BEGIN');
      second.send(frontend.query('SELECT 1'));
      expect(await lastWords(second)).toContain('query_wait_timeout');
      await first.query('COMMIT');
    });
  });

  it('server_lifetime goes before the global one', async () => {
    await withPooler(postgres, { database: { server_lifetime: 1 } }, async (scene) => {
      const client = await scene.login();
      await client.query('SELECT 1');
      await scene.waitForPool({ sv_idle: 0, sv_used: 0 });
    });
  });

  it.each([
    ['min_pool_size', { min_pool_size: 2 }, { sv_idle: 2 }],
    ['pool_mode', { pool_mode: 'session' }, { sv_active: 1 }],
  ])('%s goes before the global one', async (_key, database, expected) => {
    const settings = { default_pool_size: 3 };
    await withPooler(postgres, { settings, database }, async (scene) => {
      const client = await scene.login();
      await client.query('SELECT 1');
      await scene.waitForPool(expected);
    });
  });

  it('max_db_connections goes before the global one', async () => {
    const settings = { default_pool_size: 5, max_db_connections: 5 };
    const database = { max_db_connections: 2 };
    await withPooler(postgres, { settings, database, ...LOGINS }, async (scene) => {
      const clients = await scene.logins(3, { user: LIMITED });
      for (const client of clients) {
        client.send(frontend.query('BEGIN'));
      }
      await waitFor('two server connections and one who waits', async () => {
        const row = await scene.pool('app', LIMITED);
        return Number(row['sv_active']) === 2 && Number(row['cl_waiting']) === 1;
      });
      scene.dropClients();
    });
  });

  it('port is where the server is looked for', async () => {
    const databases = { other: { port: 1 } };
    const settings = { client_login_timeout: 1 };
    await withPooler(postgres, { settings, databases }, async (scene) => {
      expect(await refusalOf(scene.login({ database: 'other' }))).toContain('server down');
      const client = await scene.login();
      expect((await client.simpleQuery('SELECT 1')).errors).toEqual([]);
    });
  });

  it('reserve_pool_size goes before the global one', async () => {
    const settings = { reserve_pool_timeout: 0.1 };
    const database = { reserve_pool_size: 1 };
    await withPooler(postgres, { settings, database }, async (scene) => {
      const [first, second] = await scene.logins(2);
      await first.query('BEGIN');
      await second.query('SELECT 1');
      await first.query('COMMIT');
    });
  });
});

/** What a user does whom a timeout ends: each statement is sent, only the last one is not answered. */
const USER_TIMEOUTS: readonly (readonly [key: string, sql: readonly string[], text: string])[] = [
  ['query_timeout', ['SELECT pg_sleep(60)'], 'query timeout'],
  ['idle_transaction_timeout', ['BEGIN'], 'idle transaction timeout'],
  ['transaction_timeout', ['BEGIN', 'SELECT pg_sleep(60)'], 'transaction timeout'],
  ['client_idle_timeout', ['SELECT 1'], 'client_idle_timeout'],
];

describe('keys of a user', () => {
  it.each(USER_TIMEOUTS)('%s holds for this user alone', async (key, statements, text) => {
    const users = { [LIMITED]: { [key]: 1 } };
    await withPooler(postgres, { users, ...LOGINS }, async (scene) => {
      const limited = await scene.login({ user: LIMITED });
      const free = await scene.login({ user: FREE });
      for (const client of [free, limited]) {
        client.send(...statements.map((sql) => frontend.query(sql)));
      }
      const messages = await limited.readUntil('E');
      expect(messages.at(-1)?.body.toString()).toContain(text);
      expect(free.hasEnded).toBe(false);
      scene.dropClients();
    });
  });

  it('query_wait_timeout goes before that of the database', async () => {
    const users = { [LIMITED]: { query_wait_timeout: 1 } };
    const database = { query_wait_timeout: 100, user: postgres.user };
    await withPooler(postgres, { users, database, ...LOGINS }, async (scene) => {
      const busy = await scene.login({ user: FREE });
      await busy.query('BEGIN');
      const [free, limited] = [
        await scene.login({ user: FREE }),
        await scene.login({ user: LIMITED }),
      ];
      free.send(frontend.query('SELECT 1'));
      limited.send(frontend.query('SELECT 1'));
      expect(await lastWords(limited)).toContain('query_wait_timeout');
      expect(free.hasEnded).toBe(false);
      await busy.query('COMMIT');
      await free.readOutcome();
    });
  });

  it.each([
    ['pool_size', { pool_size: 2 }, { sv_active: 2, cl_waiting: 1 }],
    ['reserve_pool_size', { reserve_pool_size: 1 }, { sv_active: 2, cl_waiting: 1 }],
  ])('%s holds for this user alone', async (_key, keys, expected) => {
    const options = {
      settings: { default_pool_size: 1, reserve_pool_timeout: 0.1 },
      users: { [LIMITED]: keys },
      ...LOGINS,
    };
    await withPooler(postgres, options, async (scene) => {
      const matches = async (user: string, wanted: object): Promise<boolean> => {
        const row = await scene.pool('app', user);
        return Object.entries(wanted).every(([name, value]) => Number(row[name]) === value);
      };
      for (const user of [LIMITED, FREE]) {
        const clients = await scene.logins(3, { user });
        clients.forEach((client) => client.send(frontend.query('BEGIN')));
      }
      await waitFor('the limit of the user', () => matches(LIMITED, expected));
      await waitFor('that of the others', () => matches(FREE, { sv_active: 1, cl_waiting: 2 }));
      scene.dropClients();
    });
  });
});

describe('the log of an ini file', () => {
  it('names an unknown user and a database made from * as PgBouncer does', async () => {
    const pooler = await startPooler({
      configName: 'pgbouncer.ini',
      config: (directory) =>
        [
          '[pgbouncer]',
          'listen_addr = 127.0.0.1',
          'listen_port = 0',
          `unix_socket_dir = ${directory}`,
          `auth_file = ${directory}/userlist.txt`,
          'auth_type = trust',
          '[databases]',
          `* = host=${postgres.host} port=${String(postgres.port)} dbname=${postgres.database}`,
          '',
        ].join('\n'),
      env: { MAITRED_LOG_FORMAT: 'json', MAITRED_METRICS_LISTEN_ADDR: '' },
    });
    try {
      const client = await pooler.login({ user: 'postgres', database: 'made' });
      await client.close();
      await pooler.waitForEvent('database_registered');
      const refused = await RawClient.connect(pooler.target);
      refused.startup({ database: 'made' });
      await refused.readToEnd();
      const line = await pooler.waitForLog(
        'the refused startup packet',
        ({ event, reason }) => event === 'client_disconnected' && reason === 'no username supplied',
      );
      expect(line['user']).toBeUndefined();
      await pooler.stop();
    } finally {
      await pooler.kill();
    }
  });
});
