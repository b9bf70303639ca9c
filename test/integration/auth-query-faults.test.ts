import { describe, expect, it } from 'vitest';
import { AUTH_USER, withAuthQuery } from '../support/auth-query-scene.ts';
import type { AuthQueryOptions } from '../support/auth-query-scene.ts';
import { refuse, sessionUser } from '../support/login-outcome.ts';
import * as backend from '../support/backend-messages.ts';
import type { FakeConnection } from '../support/fake-connection.ts';
import { FakeServer } from '../support/fake-server.ts';
import * as frontend from '../support/frontend-messages.ts';
import type { PoolerFixture } from '../support/pooler-fixture.ts';
import { startPostgres } from '../support/postgres-fixture.ts';
import { RawClient } from '../support/raw-client.ts';
import { refusedWith } from '../support/refusal.ts';
import { waitFor } from '../support/wait-for.ts';

const LOGIN = { user: 'fay', database: 'app', password: 'pencil' };
const CONFIG_ERROR = 'FATAL 28000: bouncer config error';
/** What a function with OUT parameters returns that has found nobody. */
const NOBODY = backend.dataRow([null, null]);
const ROW = backend.dataRow(['fay', 'pencil']);
const COLUMNS = backend.rowDescription(['name', 'secret']);
const DONE = backend.commandComplete('SELECT 1');

/** Answers the question behind its Bind, with `parts` in place of the result. */
function answering(...parts: readonly Buffer[]): (connection: FakeConnection) => void {
  return (connection) => {
    const head = [frontend.message('1'), frontend.message('2')];
    connection.send(...head, ...parts, backend.readyForQuery('I'));
  };
}

/** A server that answers questions in a way of its own and clients in the usual one. */
async function withServer(
  onQuestion: (connection: FakeConnection) => void,
  options: AuthQueryOptions,
  body: (pooler: PoolerFixture, server: FakeServer) => Promise<void>,
): Promise<void> {
  const server = await FakeServer.start({
    onMessage: (connection, message) => {
      if (connection.startup?.parameters.get('user') !== AUTH_USER || message.type === 'X') {
        connection.answer(message);
      } else if (message.type === 'S') {
        onQuestion(connection);
      }
    },
  });
  try {
    const target = { host: server.host, port: server.port, database: 'fake' };
    const settings = { auth_type: 'plain', ...options.settings };
    await withAuthQuery(target, { ...options, settings }, (pooler) => body(pooler, server));
  } finally {
    await server.stop();
  }
}

describe('the question', () => {
  it('is one prepared query with the name as its only parameter', async () => {
    await withServer(answering(COLUMNS, ROW, DONE), {}, async (pooler, server) => {
      await sessionUser(pooler, { ...LOGIN, parameters: { application_name: 'mine' } });
      const [connection] = server.connections;
      expect(connection?.receivedTypes).toBe('PBDES');
      expect(connection?.received[1]?.body.toString('latin1')).toContain('fay');
      expect([...(connection?.startup?.parameters ?? [])]).toEqual([
        ['user', AUTH_USER],
        ['database', 'fake'],
        ['client_encoding', 'UTF8'],
        ['search_path', 'pg_catalog, pg_temp'],
      ]);
    });
  });
});

describe('a result of auth_query', () => {
  it.each([
    ['of one column', [backend.rowDescription(['a']), backend.dataRow(['fay']), DONE], 'not 1'],
    ['of three', [backend.rowDescription(['a', 'b', 'c']), DONE], 'not 3'],
    ['of two rows', [COLUMNS, ROW, ROW, DONE], 'more than one row'],
    ['of NULLs and a row', [COLUMNS, NOBODY, ROW, DONE], 'more than one row'],
    ['of a NULL name', [COLUMNS, backend.dataRow([null, 'pencil']), DONE], 'null user name'],
    ['of an empty name', [COLUMNS, backend.dataRow(['', 'pencil']), DONE], 'user name that is'],
    ['of a long name', [COLUMNS, backend.dataRow(['x'.repeat(128), 'p']), DONE], 'user name that'],
    ['of a long secret', [COLUMNS, backend.dataRow(['f', 'x'.repeat(65_531)]), DONE], 'too long'],
    ['without columns', [frontend.message('n'), DONE], 'it returns no rows'],
    ['of a row without columns', [ROW, DONE], 'unexpected message'],
    ['of a row cut off', [COLUMNS, frontend.message('D', frontend.int16(2)), DONE], 'malformed'],
    ['of an error', [backend.errorResponse({ S: 'ERROR', C: '42501', M: 'no' })], '(42501)'],
    ['of nothing', [], 'unexpected message'],
  ])('%s admits nobody, and the log says why', async (_what, parts, reason) => {
    await withServer(answering(...parts), {}, async (pooler) => {
      expect(await refuse(pooler, LOGIN)).toBe(CONFIG_ERROR);
      const line = await pooler.waitForEvent('auth_query_failed');
      expect(line).toMatchObject({ database: 'app', user: AUTH_USER });
      expect(line['error']).toContain(reason);
    });
  });

  it('without a row, of NULLs, or with a NULL secret, is answered like a wrong password', async () => {
    for (const row of [[], [NOBODY], [backend.dataRow(['fay', null])]]) {
      await withServer(answering(COLUMNS, ...row, DONE), {}, async (pooler) => {
        expect(await refuse(pooler, LOGIN)).toBe('FATAL 28P01: password authentication failed');
      });
    }
  });

  it('of notices and parameters beside the row is read as one', async () => {
    const noise = [
      backend.noticeResponse({ S: 'NOTICE', M: 'x' }),
      backend.parameterStatus('a', 'b'),
    ];
    await withServer(answering(...noise, COLUMNS, ROW, ...noise, DONE), {}, async (pooler) => {
      const client = await pooler.login(LOGIN);
      await client.close();
    });
  });

  it('of many megabytes is not held', async () => {
    const long = backend.dataRow(['fay', 'x'.repeat(8_000_000)]);
    await withServer(answering(COLUMNS, long, DONE), {}, async (pooler, server) => {
      expect(await refuse(pooler, LOGIN)).toBe(CONFIG_ERROR);
      const line = await pooler.waitForEvent('auth_query_failed');
      expect(line['error']).toBe('the reply is too long');
      await waitFor('the connection to be closed', () => server.connections[0]?.hasEnded);
    });
  });

  it.each([
    ['a transaction left open', backend.readyForQuery('T'), 'left a transaction open'],
    ['COPY', frontend.message('H', Buffer.from([0, 0, 0])), 'unexpected response'],
  ])('that is %s ends the connection', async (_what, end, reason) => {
    const bad = (connection: FakeConnection): void => {
      connection.send(frontend.message('1'), frontend.message('2'), COLUMNS, ROW, DONE, end);
    };
    const badCopy = (connection: FakeConnection): void => {
      connection.send(frontend.message('1'), frontend.message('2'), frontend.message('n'), end);
    };
    const onQuestion = end[0] === 0x48 ? badCopy : bad;
    await withServer(onQuestion, {}, async (pooler, server) => {
      expect(await refuse(pooler, LOGIN)).toBe(CONFIG_ERROR);
      const line = await pooler.waitForEvent('auth_query_failed');
      expect(line['error']).toContain(reason);
      await waitFor('the connection to be closed', () => server.connections[0]?.hasEnded);
    });
  });
});

describe('a server that fails at the question', () => {
  it('by silence is given up after auth_query_timeout, and the query is cancelled', async () => {
    const settings = { auth_query_timeout: '300ms' };
    await withServer(
      () => {},
      { settings },
      async (pooler, server) => {
        expect(await refuse(pooler, LOGIN)).toBe('FATAL 08006: auth_query_timeout');
        await waitFor('a cancel request', () => server.cancels.length > 0);
        server.connections[0]?.destroy();
      },
    );
  });

  it('by silence is given up after client_login_timeout in any case', async () => {
    const settings = { auth_query_timeout: 0, client_login_timeout: '300ms' };
    await withServer(
      () => {},
      { settings },
      async (pooler, server) => {
        expect(await refuse(pooler, LOGIN)).toBe('FATAL 57014: client_login_timeout');
        server.connections[0]?.destroy();
      },
    );
  });

  it('by closing the connection tells the client, and the next login asks again', async () => {
    let count = 0;
    const onQuestion = (connection: FakeConnection): void => {
      count += 1;
      if (count === 1) {
        connection.destroy();
      } else {
        answering(COLUMNS, ROW, DONE)(connection);
      }
    };
    await withServer(onQuestion, {}, async (pooler) => {
      const { fields } = await refusedWith(pooler.login(LOGIN));
      expect(fields).toEqual({ S: 'FATAL', V: 'FATAL', C: '08006', M: 'server conn crashed?' });
      const client = await pooler.login(LOGIN);
      await client.close();
    });
  });

  it('tells clients what it said when it cannot take a login', async () => {
    await withServer(answering(COLUMNS, ROW, DONE), {}, async (pooler, server) => {
      server.script = {
        onStartup: (connection) => {
          connection.send(
            backend.errorResponse({ S: 'FATAL', V: 'FATAL', C: '57P01', M: 'going down' }),
          );
          connection.end();
        },
      };
      expect(await refuse(pooler, LOGIN)).toBe('FATAL 57P01: going down');
    });
  });

  it('keeps the refusal of auth_user itself from clients', async () => {
    await withServer(answering(COLUMNS, ROW, DONE), {}, async (pooler, server) => {
      server.script = {
        onStartup: (connection) => {
          const M = `password authentication failed for user "${AUTH_USER}"`;
          connection.send(backend.errorResponse({ S: 'FATAL', V: 'FATAL', C: '28P01', M }));
          connection.end();
        },
      };
      expect(await refuse(pooler, LOGIN)).toBe(CONFIG_ERROR);
      const line = await pooler.waitForEvent('auth_query_failed');
      expect(line['error']).toContain('password authentication failed for user');
      // The next one is told before the server has been asked again.
      expect(await refuse(pooler, LOGIN)).toBe(CONFIG_ERROR);
    });
  });
});

/** Who is asked for; the name is the only parameter of the Bind. */
function nameAsked(connection: FakeConnection): string {
  const bind = connection.received.findLast(({ type }) => type === 'B');
  return /(hung_\w+|fay|ben)/.exec(bind?.body.toString('latin1') ?? '')?.[0] ?? '';
}

/** A question that hangs for names with `hung`, and is answered for others. */
function hangingFor(connection: FakeConnection): void {
  const name = nameAsked(connection);
  if (!name.startsWith('hung')) {
    answering(COLUMNS, backend.dataRow([name, 'pencil']), DONE)(connection);
  }
}

describe('a question that hangs', () => {
  const settings = { auth_query_timeout: '2s', auth_query_cache_ttl: '60s' };

  it.each(['md5', 'scram-sha-256'])(
    'does not hold up a login by %s that has a kept answer',
    async (auth_type) => {
      let isHung = false;
      const onQuestion = (connection: FakeConnection): void => {
        if (!isHung) {
          hangingFor(connection);
        }
      };
      const options = { settings: { ...settings, auth_type, auth_query_timeout: '30s' } };
      await withServer(onQuestion, options, async (pooler, server) => {
        await (await pooler.login(LOGIN)).close();
        isHung = true;
        // The first one waits a moment for a newer answer; far from 30 seconds.
        await (await pooler.login(LOGIN)).close();
        const count = (): number =>
          server.connections.reduce((sum, { received }) => {
            return sum + received.filter(({ type }) => type === 'B').length;
          }, 0);
        const asked = count();
        for (let i = 0; i < 10; i++) {
          await (await pooler.login(LOGIN)).close();
        }
        expect(count()).toBe(asked);
        expect(await refuse(pooler, { ...LOGIN, password: 'wrong' })).toContain('28P01');
        for (const connection of server.connections) {
          connection.destroy();
        }
      });
    },
  );

  it('ends with its deadline though its client has gone, and leaves its place to others', async () => {
    await withServer(hangingFor, { settings }, async (pooler, server) => {
      // As many as there are connections for auth_query.
      for (const user of ['hung_one', 'hung_two']) {
        const client = await RawClient.connect(pooler.target);
        client.startup({ user, database: 'app' });
        await waitFor('the question', () =>
          server.connections.some((connection) => nameAsked(connection) === user),
        );
        client.destroy();
      }
      await waitFor('their deadline', () => pooler.waitForEvent('auth_query_failed'));
      await (await pooler.login({ ...LOGIN, user: 'ben' })).close();
      await waitFor('the hung ones to be closed', () =>
        server.connections.slice(0, 2).every(({ hasEnded }) => hasEnded),
      );
      await waitFor('cancel requests', () => server.cancels.length >= 2);
    });
  });

  it('is ended with its client where there is no deadline', async () => {
    const options = { settings: { ...settings, auth_query_timeout: 0 } };
    await withServer(hangingFor, options, async (pooler, server) => {
      for (const user of ['hung_one', 'hung_two', 'hung_three']) {
        const client = await RawClient.connect(pooler.target);
        client.startup({ user, database: 'app' });
        await waitFor('the question', () =>
          server.connections.some((connection) => nameAsked(connection) === user),
        );
        client.destroy();
      }
      await (await pooler.login(LOGIN)).close();
    });
  });
});

describe('a client that waits for auth_query', () => {
  it('may send its password ahead, and may vanish', async () => {
    const asked: FakeConnection[] = [];
    await withServer(
      (connection) => asked.push(connection),
      {},
      async (pooler) => {
        const patient = await RawClient.connect(pooler.target);
        patient.startup({ user: 'fay', database: 'app' });
        patient.send(frontend.passwordMessage('pencil'), frontend.query('SELECT 1'));
        const hasty = await RawClient.connect(pooler.target);
        hasty.startup({ user: 'hasty', database: 'app' });
        const first = await waitFor('the question', () => asked[0]);
        hasty.destroy();
        answering(COLUMNS, ROW, DONE)(first);
        const messages = await patient.readUntil('Z');
        expect(messages.map(({ type }) => type)).toContain('R');
        const reply = await patient.readUntil('Z');
        expect(reply.map(({ type }) => type)).toEqual(['T', 'D', 'C', 'Z']);
        await patient.close();
        for (const connection of asked.slice(1)) {
          connection.destroy();
        }
      },
    );
  });

  it('is refused when it sends more than a password', async () => {
    await withServer(
      () => {},
      { settings: { auth_query_timeout: '2s' } },
      async (pooler) => {
        const client = await RawClient.connect(pooler.target);
        client.startup({ user: 'fay', database: 'app' });
        client.send(Buffer.alloc(70_000, 0x70));
        const error = await client.readError();
        expect([error.severity, error.sqlState]).toEqual(['FATAL', '08P01']);
        client.destroy();
      },
    );
  });
});

describe('databases that anybody can make up', () => {
  it('leave nothing behind when their auth_query cannot run', async () => {
    const server = await FakeServer.start({
      onStartup: (connection) => {
        connection.send(
          backend.errorResponse({ S: 'FATAL', V: 'FATAL', C: '3D000', M: 'no such database' }),
        );
        connection.end();
      },
    });
    const target = { host: server.host, port: server.port, database: 'fake' };
    const options = { databases: { '*': { host: server.host, port: server.port } } };
    try {
      await withAuthQuery(target, options, async (pooler) => {
        for (let i = 0; i < 10; i++) {
          const database = `made_up_${String(i)}`;
          expect(await refuse(pooler, { ...LOGIN, database })).toContain('3D000');
        }
        await waitFor('the databases to be forgotten', async () => {
          const rows = await pooler.console('SHOW MEM');
          const used = rows.find(({ name }) => name === 'db_cache')?.['used'];
          // That of the console stays.
          return used === '2';
        });
        expect(await pooler.console('SHOW POOLS')).toHaveLength(1);
      });
    } finally {
      await server.stop();
    }
  });
});

describe('PostgreSQL that is down', () => {
  it('is asked again when it is up, and what is remembered serves meanwhile', async () => {
    const postgres = await startPostgres();
    try {
      await postgres.createRole('remembered', 'pencil', 'scram-sha-256');
      await postgres.createRole('later', 'pencil', 'scram-sha-256');
      const settings = { auth_user: postgres.user, auth_query_timeout: '500ms' };
      await withAuthQuery(
        { host: postgres.host, port: postgres.port, database: postgres.database },
        { settings: { ...settings, auth_query_cache_ttl: '60s', server_login_retry: '200ms' } },
        async (pooler) => {
          const login = { database: 'app', password: 'pencil' };
          expect(await sessionUser(pooler, { ...login, user: 'remembered' })).toBe('remembered');
          await postgres.halt('immediate');
          const error = await refuse(pooler, { ...login, user: 'later' });
          expect(error).toMatch(
            /^FATAL 08006: (server login has been failing|server conn crashed)/,
          );
          const client = await pooler.login({ ...login, user: 'remembered' });
          await client.close();
          await postgres.launch();
          await expect
            .poll(() => sessionUser(pooler, { ...login, user: 'later' }).catch(String), {
              timeout: 10_000,
            })
            .toBe('later');
        },
      );
    } finally {
      await postgres.stop();
    }
  });
});
