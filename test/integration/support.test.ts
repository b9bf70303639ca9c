import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as backend from '../support/backend-messages.ts';
import { BackendError } from '../support/backend-messages.ts';
import { FakeServer } from '../support/fake-server.ts';
import * as frontend from '../support/frontend-messages.ts';
import { startPostgres } from '../support/postgres-fixture.ts';
import type { PostgresFixture } from '../support/postgres-fixture.ts';
import { RawClient } from '../support/raw-client.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const USER_PASSWORD = 'pä$s, word=';

describe('RawClient on a real PostgreSQL', () => {
  const postgres = sharedPostgres();

  beforeAll(async () => {
    await postgres.createRole('support_md5', USER_PASSWORD, 'md5');
    await postgres.createRole('support_scram', USER_PASSWORD, 'scram-sha-256');
    await postgres.createRole('support_plain', USER_PASSWORD, 'scram-sha-256');
    await postgres.query(`GRANT auth_md5 TO support_md5; GRANT auth_scram TO support_scram;
      GRANT auth_password TO support_plain`);
  });

  it('logs in with trust and learns parameters and cancel key', async () => {
    const client = await postgres.login({ parameters: { application_name: 'support' } });
    expect(client.authenticationCodes).toEqual([0]);
    expect(client.parameters.get('application_name')).toBe('support');
    expect(client.backendKey?.secretKey.length).toBe(4);
    await client.close();
  });

  it('logs in over the unix socket', async () => {
    const target = { socketDir: postgres.socketDir, port: postgres.port };
    const client = await RawClient.login(target, { user: postgres.user });
    expect(await client.query('SELECT inet_client_addr() AS address')).toEqual([{ address: null }]);
    await client.close();
  });

  it.each([
    ['support_md5', [5, 0]],
    ['support_scram', [10, 11, 12, 0]],
    ['support_plain', [3, 0]],
  ])('logs in as %s with its password', async (user, codes) => {
    const options = { user, database: 'postgres', password: USER_PASSWORD };
    const client = await RawClient.login(postgres.target, options);
    expect(client.authenticationCodes).toEqual(codes);
    expect(await client.query('SELECT current_user AS me')).toEqual([{ me: user }]);
    await client.close();
  });

  it.each(['support_md5', 'support_scram', 'support_plain'])(
    'throws the error of the server when %s gives a wrong password',
    async (user) => {
      const options = { user, database: 'postgres', password: 'wrong' };
      await expect(RawClient.login(postgres.target, options)).rejects.toMatchObject({
        name: 'BackendError',
        sqlState: '28P01',
        severity: 'FATAL',
      });
    },
  );

  it('receives a longer cancel key in protocol 3.2', async () => {
    const client = await postgres.login({ protocolVersion: frontend.PROTOCOL_3_2 });
    expect(client.backendKey?.secretKey.length).toBe(32);
    await client.close();
  });

  it('sorts the results of a query with several statements', async () => {
    const client = await postgres.login();
    const outcome = await client.simpleQuery("SELECT 1 AS a; SELECT 'x' AS b, NULL AS c");
    expect(outcome.types).toBe('TDCTDCZ');
    expect(outcome.results.map(({ rows, tag }) => [rows, tag])).toEqual([
      [[['1']], 'SELECT 1'],
      [[['x', null]], 'SELECT 1'],
    ]);
    expect(outcome.status).toBe('I');
    await client.close();
  });

  it('runs the extended protocol and reports an error with its SQLSTATE', async () => {
    const client = await postgres.login();
    const good = await client.extendedQuery('SELECT $1::int + 1 AS n', ['41']);
    expect(good.types).toBe('12TDCZ');
    expect(good.results[0]?.rows).toEqual([['42']]);
    const bad = await client.extendedQuery('SELECT 1 / $1::int', ['0']);
    expect(bad.errors.map(({ sqlState }) => sqlState)).toEqual(['22012']);
    await client.close();
  });

  it('copies rows in and out', async () => {
    const client = await postgres.login();
    await client.query('CREATE TEMP TABLE copied (a int, b text)');
    expect(await client.copyIn('COPY copied FROM STDIN', ['1\to', 'ne\n2\ttwo\n'])).toBe('COPY 2');
    expect((await client.copyOut('COPY copied TO STDOUT')).toString()).toBe('1\tone\n2\ttwo\n');
    await expect(client.copyOut('COPY missing TO STDOUT')).rejects.toThrow(BackendError);
    await client.close();
  });

  it('cancels a running statement with the cancel key', async () => {
    const client = await postgres.login();
    client.send(frontend.query('SELECT pg_sleep(60)'));
    const isRunning = "SELECT 1 AS one FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'";
    await waitFor('the statement to run', async () => (await postgres.query(isRunning))[0]);
    await client.cancel();
    expect((await client.readOutcome()).errors.map(({ sqlState }) => sqlState)).toEqual(['57014']);
    await client.close();
  });

  it('reads a result that comes in many chunks', async () => {
    const client = await postgres.login();
    const outcome = await client.simpleQuery("SELECT repeat('x', 3000000) AS big");
    expect(outcome.results[0]?.rows[0]?.[0]?.length).toBe(3_000_000);
    await client.close();
  });
});

describe('PostgresFixture', () => {
  let postgres: PostgresFixture;

  beforeAll(async () => {
    postgres = await startPostgres({
      hba: ['host all refused all reject'],
      settings: { work_mem: '5MB' },
    });
  });

  afterAll(() => postgres.stop());

  it('applies settings and puts HBA lines before those that trust everybody', async () => {
    expect(await postgres.query('SHOW work_mem')).toEqual([{ work_mem: '5MB' }]);
    await postgres.createRole('refused');
    await expect(postgres.login({ user: 'refused' })).rejects.toMatchObject({ sqlState: '28000' });
  });

  it('replaces HBA lines on reload', async () => {
    await postgres.createRole('refused_later');
    await postgres.reload(['host all refused_later all reject']);
    await waitFor('the new HBA lines', () =>
      postgres.login({ user: 'refused_later' }).then(
        (client) => {
          client.destroy();
          return false;
        },
        (error: unknown) => error instanceof BackendError && error.sqlState === '28000',
      ),
    );
  });

  it('ends open sessions when halted and accepts clients again after launch', async () => {
    const client = await postgres.login();
    await postgres.halt();
    expect((await client.readError()).sqlState).toBe('57P01');
    client.destroy();
    await expect(postgres.query('SELECT 1')).rejects.toThrow();
    await postgres.launch();
    expect(await postgres.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
  });

  it('runs beside another server', async () => {
    const other = await startPostgres();
    try {
      expect(other.port).not.toBe(postgres.port);
      expect(await other.query('SHOW work_mem')).not.toEqual([{ work_mem: '5MB' }]);
    } finally {
      await other.stop();
    }
  });
});

describe('FakeServer and RawClient', () => {
  it('log in and talk by the default script', async () => {
    const server = await FakeServer.start();
    const client = await RawClient.login(server, { user: 'u', database: 'd' });
    expect(await client.query('SELECT 1')).toEqual([{ answer: '1' }]);
    expect((await client.simpleQuery('BEGIN')).status).toBe('T');
    expect((await client.extendedQuery('SELECT 1')).types).toBe('12nCZ');
    const [connection] = await server.waitForConnections(1);
    expect(connection?.startup?.parameters.get('database')).toBe('d');
    expect(connection?.receivedTypes).toBe('QQPBDES');
    expect(connection?.queries).toEqual(['SELECT 1', 'BEGIN']);
    await client.close();
    await server.stop();
  });

  it('record a cancel request with its whole key', async () => {
    const server = await FakeServer.start();
    const client = await RawClient.login(server, { user: 'u' });
    await client.cancel();
    expect(server.cancels).toEqual([client.backendKey]);
    client.destroy();
    await server.stop();
  });

  it('carry an error without SQLSTATE, sent byte by byte', async () => {
    const server = await FakeServer.start({
      onMessage: async (connection) => {
        const error = backend.errorResponse({ S: 'ERROR', M: 'no code' });
        await connection.sendByteByByte(Buffer.concat([error, backend.readyForQuery('I')]));
      },
    });
    const client = await RawClient.login(server, { user: 'u' });
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ sqlState: '', text: 'no code' });
    client.destroy();
    await server.stop();
  });

  it('show a connection that ends in the middle of a message', async () => {
    const server = await FakeServer.start({
      onMessage: (connection) => {
        connection.send(frontend.messageWithLength('D', 100, Buffer.from('half')));
        connection.end();
      },
    });
    const client = await RawClient.login(server, { user: 'u' });
    await expect(client.query('SELECT 1')).rejects.toThrow(/ended before the 101 bytes/);
    client.destroy();
    await server.stop();
  });

  it('refuse a server signature made without the password', async () => {
    const server = await FakeServer.start({
      onStartup: async (connection) => {
        connection.send(backend.authenticationSasl(['SCRAM-SHA-256']));
        const first = await connection.receive();
        const nonce = /r=(.*)$/.exec(first?.body.toString('latin1') ?? '')?.[1] ?? '';
        connection.send(backend.authentication(11, Buffer.from(`r=${nonce}x,s=c2FsdA==,i=4096`)));
        await connection.receive();
        connection.send(backend.authentication(12, Buffer.from('v=AAAA')));
      },
    });
    await expect(RawClient.login(server, { user: 'u', password: 'p' })).rejects.toThrow(
      /signature is wrong/,
    );
    await server.stop();
  });

  it('fail the test when a step of the script throws', async () => {
    const server = await FakeServer.start({
      onMessage: () => {
        throw new Error('a bug in the script');
      },
    });
    const client = await RawClient.login(server, { user: 'u' });
    client.send(frontend.query('SELECT 1'));
    await client.readToEnd();
    await expect(server.stop()).rejects.toThrow(AggregateError);
    client.destroy();
  });
});
