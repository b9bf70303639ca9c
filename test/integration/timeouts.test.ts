import { describe, expect, it } from 'vitest';
import * as backend from '../support/backend-messages.ts';
import type { BackendError } from '../support/backend-messages.ts';
import type { FakeConnection } from '../support/fake-connection.ts';
import { FakeServer } from '../support/fake-server.ts';
import * as frontend from '../support/frontend-messages.ts';
import type { RawClient } from '../support/raw-client.ts';
import { backendPid, firstConnection, withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const postgres = sharedPostgres();

/** A FATAL error, and the end of the connection right after it. */
async function expectFatal(
  client: RawClient,
  sqlState: string,
  text: string,
): Promise<BackendError> {
  const error = await client.readError();
  expect([error.severity, error.sqlState, error.text]).toEqual(['FATAL', sqlState, text]);
  expect((await client.readToEnd()).length).toBe(0);
  return error;
}

/** The pool serves the next client, on a server connection outside of any transaction. */
async function expectServing(scene: Scene): Promise<void> {
  const next = await scene.login();
  expect((await next.simpleQuery('SELECT 1')).status).toBe('I');
  await scene.waitForPool({ sv_active: 0, cl_waiting: 0 });
}

describe.concurrent('query_wait_timeout', () => {
  it('ends the wait for a first server connection as well', async () => {
    const settings = { query_wait_timeout: '1s', client_login_timeout: 0, server_login_retry: 0 };
    const database = { port: 1 };
    await withPooler(postgres, { settings, database }, async (scene) => {
      await expect(scene.login()).rejects.toMatchObject({
        sqlState: '53300',
        text: 'query_wait_timeout',
      });
    });
  });

  it('ends a client that waits too long, and says what for', async () => {
    await withPooler(postgres, { settings: { query_wait_timeout: '1s' } }, async (scene) => {
      const [holder, client, other] = await scene.logins(3);
      await holder.query('BEGIN');
      client.send(frontend.query('SELECT 1'));
      other.send(frontend.query('SELECT 1'));
      const error = await expectFatal(client, '53300', 'query_wait_timeout');
      expect(error.fields['D']).toMatch(
        /^pool app\/\w+, size 1, 1 server connections in use, [12] clients waiting, oldest transaction [1-9]\d*\.\d s$/,
      );
      await expectFatal(other, '53300', 'query_wait_timeout');
      await holder.query('COMMIT');
      await expectServing(scene);
    });
  });

  it('leaves those alone who are served in time, or wait where it is off', async () => {
    const options = {
      settings: { query_wait_timeout: '1s', default_pool_size: 1 },
      databases: { patient: { query_wait_timeout: 0 } },
    };
    await withPooler(postgres, options, async (scene) => {
      const [holder, client] = await scene.logins(2);
      const [patientHolder, patient] = await scene.logins(2, { database: 'patient' });
      await patientHolder.query('BEGIN');
      patient.send(frontend.query('SELECT 1'));
      await scene.waitForPool({ cl_waiting: 1 }, 'patient');
      await holder.query('BEGIN');
      client.send(frontend.query('SELECT 1'));
      await client.readError();
      // The patient one has waited for longer than that.
      expect(patient.bufferedBytes).toBe(0);
      await patientHolder.query('COMMIT');
      expect((await patient.readOutcome()).types).toBe('TDCZ');
    });
  });
});

describe.concurrent('query_wait_notify', () => {
  it('tells the first in the queue that it waits, once', async () => {
    await withPooler(postgres, { settings: { query_wait_notify: 1 } }, async (scene) => {
      const [holder, client] = await scene.logins(2);
      await holder.query('BEGIN');
      client.send(frontend.query('SELECT 1'));
      const notice = await client.readMessage();
      expect(notice.type).toBe('N');
      expect(client.notices[0]).toMatchObject({
        S: 'NOTICE',
        C: '00000',
        M: 'No server connection available in postgres backend, client being queued',
      });
      await holder.query('COMMIT');
      expect((await client.readOutcome()).types).toBe('TDCZ');
    });
  });

  it('0 tells nobody', async () => {
    const settings = { query_wait_notify: 0, query_wait_timeout: '1s' };
    await withPooler(postgres, { settings }, async (scene) => {
      const [holder, client] = await scene.logins(2);
      await holder.query('BEGIN');
      client.send(frontend.query('SELECT 1'));
      await client.readError();
      expect(client.notices).toEqual([]);
    });
  });
});

describe.concurrent('query_timeout', () => {
  it('ends a query that runs too long, on the server as well', async () => {
    await withPooler(postgres, { settings: { query_timeout: '1s' } }, async (scene) => {
      const client = await scene.login();
      client.send(frontend.query('SELECT pg_sleep(59)'));
      await expectFatal(client, '57014', 'query timeout');
      await expectServing(scene);
      const running = "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(59)'";
      await waitFor(
        'the query to end on the server',
        async () => (await postgres.query(`${running} AND state = 'active'`)).length === 0,
      );
    });
  });

  it('ends a client that waits for that long in the queue', async () => {
    const settings = { query_timeout: '2s', query_wait_timeout: 0, default_pool_size: 1 };
    await withPooler(postgres, { settings }, async (scene) => {
      const [holder, client] = await scene.logins(2);
      await holder.query('BEGIN');
      client.send(frontend.query('SELECT 1'));
      await expectFatal(client, '57014', 'query_timeout');
      expect((await holder.simpleQuery('COMMIT')).status).toBe('I');
    });
  });

  it('counts each query anew, and leaves idle transactions alone', async () => {
    await withPooler(postgres, { settings: { query_timeout: '1s' } }, async (scene) => {
      const client = await scene.login();
      await client.query('BEGIN');
      for (let round = 0; round < 5; round++) {
        expect((await client.simpleQuery('SELECT pg_sleep(0.3)')).errors).toEqual([]);
      }
      expect((await client.simpleQuery('COMMIT')).status).toBe('I');
    });
  });

  it('of a user takes the place of the global one', async () => {
    const options = {
      settings: { query_timeout: 0 },
      users: { [postgres.user]: { query_timeout: 1 } },
    };
    await withPooler(postgres, options, async (scene) => {
      const client = await scene.login();
      client.send(frontend.query('SELECT pg_sleep(59)'));
      await expectFatal(client, '57014', 'query timeout');
    });
  });
});

describe.concurrent('transaction_timeout', () => {
  it('ends a transaction that takes too long, however busy it is', async () => {
    await withPooler(postgres, { settings: { transaction_timeout: '1s' } }, async (scene) => {
      const client = await scene.login();
      await client.query('BEGIN');
      const work = async (): Promise<void> => {
        for (;;) {
          await client.query('SELECT pg_sleep(0.05)');
        }
      };
      await expect(work()).rejects.toMatchObject({
        severity: 'FATAL',
        sqlState: '25P04',
        text: 'transaction timeout',
      });
      await expectServing(scene);
    });
  });

  it('counts each transaction anew', async () => {
    await withPooler(postgres, { settings: { transaction_timeout: '1s' } }, async (scene) => {
      const client = await scene.login();
      for (let round = 0; round < 5; round++) {
        expect((await client.simpleQuery('SELECT pg_sleep(0.3)')).errors).toEqual([]);
      }
    });
  });
});

describe.concurrent('idle_transaction_timeout', () => {
  it('ends a client that idles in a transaction, and rolls back', async () => {
    await withPooler(postgres, { settings: { idle_transaction_timeout: '1s' } }, async (scene) => {
      const client = await scene.login();
      const pid = await backendPid(client);
      await client.query('BEGIN');
      await expectFatal(client, '25P03', 'idle transaction timeout');
      const next = await scene.login();
      expect(await backendPid(next)).toBe(pid);
      await expectServing(scene);
    });
  });

  it('leaves alone who works in a transaction, or idles outside of one', async () => {
    const settings = { pool_mode: 'session', default_pool_size: 3, idle_transaction_timeout: '1s' };
    await withPooler(postgres, { settings }, async (scene) => {
      const [busy, outside, victim] = await scene.logins(3);
      await outside.query('SELECT 1');
      await busy.query('BEGIN');
      busy.send(frontend.query('SELECT pg_sleep(2)'));
      await victim.query('BEGIN');
      await expectFatal(victim, '25P03', 'idle transaction timeout');
      expect((await busy.readOutcome()).status).toBe('T');
      await busy.query('COMMIT');
      expect((await outside.simpleQuery('SELECT 1')).types).toBe('TDCZ');
    });
  });
});

describe.concurrent('client_idle_timeout', () => {
  it('ends a client that idles, and spares those who work or are in a transaction', async () => {
    const settings = { client_idle_timeout: '1s', default_pool_size: 3 };
    await withPooler(postgres, { settings }, async (scene) => {
      const [idle, inside, busy] = await scene.logins(3);
      await inside.query('BEGIN');
      busy.send(frontend.query('SELECT pg_sleep(2)'));
      await expectFatal(idle, '57P05', 'client_idle_timeout');
      expect((await busy.readOutcome()).types).toBe('TDCZ');
      expect((await inside.simpleQuery('COMMIT')).status).toBe('I');
    });
  });

  it('counts from the end of a query, however long that took', async () => {
    const settings = { client_idle_timeout: '3s', default_pool_size: 2 };
    await withPooler(postgres, { settings }, async (scene) => {
      const [client, other] = await scene.logins(2);
      expect((await client.simpleQuery('SELECT pg_sleep(4)')).types).toBe('TDCZ');
      // Longer than the pooler takes to look again.
      await (await postgres.login()).query('SELECT pg_sleep(0.8)');
      expect((await client.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      await expectFatal(other, '57P05', 'client_idle_timeout');
      await expectFatal(client, '57P05', 'client_idle_timeout');
    });
  });
});

describe.concurrent('client_login_timeout', () => {
  const startup = frontend.startupMessage({ user: postgres.user, database: 'app' });
  const password = frontend.passwordMessage('secret');
  const stages = [
    Buffer.alloc(0),
    startup.subarray(0, 11),
    frontend.sslRequest(),
    startup,
    Buffer.concat([startup, password.subarray(0, 7)]),
  ];

  /** Connects and sends the begin of a login. */
  async function stall(scene: Scene, bytes: Buffer): Promise<RawClient> {
    const client = await scene.connect();
    if (bytes.length > 0) {
      client.send(bytes);
    }
    return client;
  }

  it('closes 1,000 sockets that stall at any stage, while others log in', async () => {
    const settings = { client_login_timeout: '3s', max_client_conn: 2_000, auth_type: 'md5' };
    await withPooler(postgres, { settings, password: 'secret' }, async (scene) => {
      const stalled: RawClient[] = [];
      while (stalled.length < 1_000) {
        const batch = stages.map((bytes) => stall(scene, bytes));
        stalled.push(...(await Promise.all(batch)));
      }
      const friend = await scene.login();
      expect((await friend.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      expect(stalled.some((client) => !client.hasEnded)).toBe(true);
      for (const client of stalled) {
        expect((await client.readToEnd()).toString('latin1')).toContain('client_login_timeout');
        client.destroy();
      }
      expect((await friend.simpleQuery('SELECT 1')).types).toBe('TDCZ');
    });
  });

  it('ends an authenticated client for which no server connection comes up', async () => {
    const server = await FakeServer.start({ onStartup: () => {} });
    const settings = { client_login_timeout: '1s', server_connect_timeout: '30s' };
    await withPooler(server, { settings }, async (scene) => {
      await expect(scene.login()).rejects.toMatchObject({
        severity: 'FATAL',
        sqlState: '08006',
        text: 'client_login_timeout (server down)',
      });
    });
    await server.stop();
  });

  it('does not concern clients that are logged in', async () => {
    await withPooler(postgres, { settings: { client_login_timeout: '1s' } }, async (scene) => {
      const client = await scene.login();
      const stalled = await scene.connect();
      await stalled.readToEnd();
      expect((await client.simpleQuery('SELECT 1')).types).toBe('TDCZ');
    });
  });
});

describe.concurrent('server_connect_timeout', () => {
  it('gives up a server that does not answer the startup packet, and tries again', async () => {
    const server = await FakeServer.start({ onStartup: () => {} });
    const settings = { server_connect_timeout: '1s', server_login_retry: '1s' };
    await withPooler(server, { settings }, async (scene) => {
      const login = scene.login();
      const first = await firstConnection(server);
      await waitFor('the first connection to be given up', () => first.hasEnded);
      server.script = {};
      const client = await login;
      expect((await client.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      expect(server.connections.length).toBeGreaterThan(1);
    });
    await server.stop();
  });
});

describe.concurrent('server_login_retry', () => {
  it('passes the error of the server on, and leaves it in peace for a while', async () => {
    const refusal = { S: 'FATAL', C: '28000', M: 'not today' };
    const server = await FakeServer.start({
      onStartup: (connection) => {
        connection.send(backend.errorResponse(refusal));
        connection.end();
      },
    });
    await withPooler(server, { settings: { server_login_retry: '2s' } }, async (scene) => {
      const expected = { sqlState: '28000', text: 'not today' };
      await expect(scene.login()).rejects.toMatchObject(expected);
      const attempts = server.connections.length;
      expect(attempts).toBe(1);
      const second = scene.login();
      second.catch(() => {});
      server.script = {};
      const client = await second;
      expect((await client.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      expect(server.connections.length).toBe(2);
    });
    await server.stop();
  });

  it('keeps clients waiting while a server is starting up, and tries again soon', async () => {
    let attempts = 0;
    const server = await FakeServer.start({
      onStartup: (connection) => {
        attempts++;
        if (attempts < 3) {
          connection.send(backend.errorResponse({ S: 'FATAL', C: '57P03', M: 'starting up' }));
          connection.end();
        } else {
          connection.acceptLogin();
        }
      },
    });
    await withPooler(server, { settings: { server_login_retry: '60s' } }, async (scene) => {
      const client = await scene.login();
      expect((await client.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      expect(attempts).toBe(3);
    });
    await server.stop();
  });
});

describe.concurrent('a server that starts up for too long', () => {
  it('is what those are told of who waited in vain', async () => {
    const script = {
      onStartup: (connection: FakeConnection): void => {
        connection.send(backend.errorResponse({ S: 'FATAL', C: '57P03', M: 'starting up' }));
        connection.end();
      },
    };
    const server = await FakeServer.start();
    const settings = { query_wait_timeout: '2s', client_login_timeout: '1s' };
    const options = { settings, databases: { other: {} } };
    await withPooler(server, options, async (scene) => {
      const client = await scene.login();
      const connection = await firstConnection(server);
      server.script = script;
      connection.end();
      await scene.waitForPool({ sv_idle: 0 });
      client.send(frontend.query('SELECT 1'));
      const error = await expectFatal(client, '53300', 'query_wait_timeout');
      const end = /1 clients waiting, .*, last login to the server failed: starting up \(57P03\)$/;
      expect(error.fields['D']).toMatch(end);
      await expect(scene.login({ database: 'other' })).rejects.toMatchObject({
        sqlState: '08006',
        text: 'client_login_timeout (server down)',
        fields: { D: expect.stringMatching(end) as string },
      });
    });
    await server.stop();
  });
});

describe.concurrent('server_idle_timeout', () => {
  it('closes server connections that nobody uses', async () => {
    const settings = { server_idle_timeout: '1s', default_pool_size: 2 };
    await withPooler(postgres, { settings }, async (scene) => {
      const [idle, busy] = await scene.logins(2);
      await busy.query('BEGIN');
      await idle.query('SELECT 1');
      await scene.waitForPool({ sv_idle: 1, sv_active: 1 });
      await scene.waitForPool({ sv_idle: 0, sv_active: 1 });
      const { reason } = await scene.pooler.waitForEvent('server_disconnected');
      expect(reason).toBe('server idle timeout');
      expect((await busy.simpleQuery('COMMIT')).status).toBe('I');
    });
  });

  it('keeps min_pool_size of them', async () => {
    const settings = { server_idle_timeout: '1s', default_pool_size: 3, min_pool_size: 1 };
    await withPooler(postgres, { settings }, async (scene) => {
      const clients = await scene.logins(3);
      for (const client of clients) {
        await client.query('BEGIN');
      }
      const pids = await Promise.all(clients.map(backendPid));
      for (const client of clients) {
        await client.query('COMMIT');
      }
      await scene.waitForPool({ sv_idle: 3 });
      await scene.waitForPool({ sv_idle: 1 });
      expect(pids).toContain(await backendPid(clients[0]));
    });
  });
});

describe.concurrent('server_lifetime', () => {
  it('closes an old server connection once it is free, never in a transaction', async () => {
    await withPooler(postgres, { settings: { server_lifetime: '1s' } }, async (scene) => {
      const client = await scene.login();
      await client.query('BEGIN');
      const pid = await backendPid(client);
      await client.query('SELECT pg_sleep(1.2)');
      expect(await backendPid(client)).toBe(pid);
      await client.query('COMMIT');
      expect(await backendPid(client)).not.toBe(pid);
      const { reason } = await scene.pooler.waitForEvent('server_disconnected');
      expect(reason).toBe('server lifetime over');
    });
  });

  it('0 closes it after its first use', async () => {
    await withPooler(postgres, { settings: { server_lifetime: 0 } }, async (scene) => {
      const client = await scene.login();
      const pids = [await backendPid(client), await backendPid(client), await backendPid(client)];
      expect(new Set(pids).size).toBe(3);
    });
  });

  it('leaves younger ones alone', async () => {
    await withPooler(postgres, { settings: { server_lifetime: '1h' } }, async (scene) => {
      const client = await scene.login();
      expect(await backendPid(client)).toBe(await backendPid(client));
    });
  });
});

describe.concurrent('server_check_query', () => {
  it('is run on a server connection that idled for server_check_delay', async () => {
    const server = await FakeServer.start();
    const settings = { server_check_query: 'SELECT 42', server_check_delay: '1s' };
    await withPooler(server, { settings }, async (scene) => {
      const client = await scene.login();
      await client.query('SELECT 1');
      await client.query('SELECT 2');
      await scene.waitForPool({ sv_used: 1 });
      expect((await client.simpleQuery('SELECT 3')).types).toBe('TDCZ');
      const connection = await firstConnection(server);
      expect(connection.queries).toEqual(['SELECT 1', 'SELECT 2', 'SELECT 42', 'SELECT 3']);
    });
    await server.stop();
  });

  it('of the value <empty> is an empty query', async () => {
    const server = await FakeServer.start();
    const settings = { server_check_query: '<empty>', server_check_delay: 0 };
    await withPooler(server, { settings }, async (scene) => {
      const client = await scene.login();
      await client.query('SELECT 1');
      await scene.waitForPool({ sv_used: 1 });
      await client.query('SELECT 2');
      const connection = await firstConnection(server);
      expect(connection.queries).toEqual(['SELECT 1', '', 'SELECT 2']);
    });
    await server.stop();
  });

  it('finds a dead server connection before a client does', async () => {
    const server = await FakeServer.start();
    const settings = {
      server_check_query: 'SELECT 42',
      server_check_delay: 0,
      server_connect_timeout: '1s',
    };
    await withPooler(server, { settings }, async (scene) => {
      const client = await scene.login();
      await client.query('SELECT 1');
      await scene.waitForPool({ sv_used: 1 });
      const dead = await firstConnection(server);
      dead.pause();
      expect((await client.simpleQuery('SELECT 2')).types).toBe('TDCZ');
      expect(server.connections).toHaveLength(2);
      expect(server.connections[1]?.queries).toEqual(['SELECT 2']);
    });
    await server.stop();
  });

  it('is off when it is empty', async () => {
    const server = await FakeServer.start();
    const settings = { server_check_query: '', server_check_delay: 0 };
    await withPooler(server, { settings }, async (scene) => {
      const client = await scene.login();
      await client.query('SELECT 1');
      await scene.waitForPool({ sv_idle: 1 });
      await client.query('SELECT 2');
      expect(server.connections[0]?.queries).toEqual(['SELECT 1', 'SELECT 2']);
    });
    await server.stop();
  });
});

describe.concurrent('cancel_wait_timeout', () => {
  it('gives up a cancel request that cannot be sent', async () => {
    // Cancel requests are never answered by this server, and there may be one at a time.
    const server = await FakeServer.start({ onMessage: () => {} });
    await withPooler(server, { settings: { cancel_wait_timeout: '1s' } }, async (scene) => {
      const client = await scene.login();
      client.send(frontend.query('SELECT 1'));
      const connection = await firstConnection(server);
      await connection.waitForMessage('Q');
      server.script = { onConnect: () => new Promise<void>(() => {}) };
      const { processId = 0, secretKey = Buffer.alloc(0) } = client.backendKey ?? {};
      const request = frontend.cancelRequest(processId, secretKey);
      const sent = await scene.connect();
      sent.send(request);
      await scene.waitForPool({ cl_active_cancel_req: 1 });
      const waiting = await scene.connect();
      waiting.send(request);
      await scene.waitForPool({ cl_active_cancel_req: 1, cl_waiting_cancel_req: 1 });
      await scene.waitForPool({ cl_active_cancel_req: 1, cl_waiting_cancel_req: 0 });
      expect((await waiting.readToEnd()).length).toBe(0);
      expect(sent.hasEnded).toBe(false);
      scene.dropClients();
      server.connections.forEach((one) => {
        one.destroy();
      });
    });
    await server.stop();
  });
});
