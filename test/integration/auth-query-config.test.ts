import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { CONSOLE_PASSWORD, createAuthUser, withAuthQuery } from '../support/auth-query-scene.ts';
import { refuse, sessionUser } from '../support/login-outcome.ts';
import { startPooler } from '../support/pooler-fixture.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const postgres = sharedPostgres();
const LOGIN = { user: 'ac_user', database: 'app', password: 'pencil' };
const ASKER = 'ac_asker';

beforeAll(async () => {
  await createAuthUser(postgres);
  await postgres.createRole(LOGIN.user, LOGIN.password, 'scram-sha-256');
  await postgres.createRole(ASKER, 'asker & chips', 'scram-sha-256');
  await postgres.query(`ALTER ROLE ${ASKER} SUPERUSER; GRANT auth_scram TO ${ASKER}, ac_user`);
});

describe('an ini file', () => {
  const server = `host=${postgres.host} port=${String(postgres.port)} dbname=${postgres.database}`;

  it.each([
    ['behind the databases', `[databases]\napp = ${server}\n[pgbouncer]\nauth_user = ${ASKER}\n`],
    ['before them', `[pgbouncer]\nauth_user = ${ASKER}\n[databases]\napp = ${server}\n`],
    [
      'for one of them',
      `[pgbouncer]\nauth_user = nobody\n[databases]\napp = ${server} auth_user=${ASKER} auth_query='SELECT rolname, rolpassword FROM pg_authid WHERE rolname=$1'\n`,
    ],
    [
      'for the template of all others',
      `[databases]\n* = ${server} auth_user=${ASKER}\n[pgbouncer]\n`,
    ],
  ])('names auth_user %s', async (_where, text) => {
    const more = (directory: string): string =>
      [
        'listen_addr = 127.0.0.1',
        'listen_port = 0',
        `unix_socket_dir = ${directory}`,
        'auth_type = scram-sha-256',
        `auth_file = ${directory}/userlist.txt`,
        'admin_users = postgres',
        'metrics_listen_addr =',
        'log_format = json',
      ].join('\n');
    const pooler = await startPooler({
      configName: 'pgbouncer.ini',
      consolePassword: CONSOLE_PASSWORD,
      config: (directory) => text.replace('[pgbouncer]\n', `[pgbouncer]\n${more(directory)}\n`),
      users: { postgres: CONSOLE_PASSWORD, [ASKER]: 'asker & chips' },
    });
    try {
      expect(await sessionUser(pooler, LOGIN)).toBe(LOGIN.user);
      await pooler.expectBaseline();
      await pooler.stop();
    } finally {
      await pooler.kill();
    }
  });
});

describe('auth_user whom the server asks for a password', () => {
  it('logs in by the plain password that auth_file has', async () => {
    const options = { settings: { auth_user: ASKER }, users: { [ASKER]: 'asker & chips' } };
    await withAuthQuery(postgres, options, async (pooler) => {
      expect(await sessionUser(pooler, LOGIN)).toBe(LOGIN.user);
      expect(await refuse(pooler, { ...LOGIN, user: ASKER })).toContain('28P01');
    });
  });

  it.each([
    ['is not in auth_file', {}, 'no password is known for this user'],
    ['has a wrong password there', { [ASKER]: 'wrong' }, 'password authentication failed'],
  ])('who %s lets nobody in, and the log says why', async (_what, users, reason) => {
    await withAuthQuery(postgres, { settings: { auth_user: ASKER }, users }, async (pooler) => {
      expect(await refuse(pooler, LOGIN)).toBe('FATAL 28000: bouncer config error');
      const line = await pooler.waitForEvent('auth_query_failed');
      expect(line['error']).toContain(reason);
      // Repeated within server_login_retry, it is nobody's business either.
      for (const user of [LOGIN.user, 'nobody']) {
        expect(await refuse(pooler, { ...LOGIN, user })).toBe('FATAL 28000: bouncer config error');
      }
      // The users of the file are not concerned.
      const rows = await pooler.console('SHOW VERSION');
      expect(rows).toHaveLength(1);
    });
  });

  it('does as docs/AUTHENTICATION.md shows', async () => {
    const text = readFileSync(new URL('../../docs/AUTHENTICATION.md', import.meta.url), 'utf8');
    const [sql = ''] = /CREATE SCHEMA pooler;[^`]*/.exec(text) ?? [];
    const [, query = ''] = /^auth_query = (.*)$/m.exec(text) ?? [];
    await postgres.createRole('pgbouncer_auth', 'x', 'scram-sha-256');
    await postgres.query(`DROP SCHEMA IF EXISTS pooler CASCADE; ${sql}`);
    const options = {
      settings: { auth_user: 'pgbouncer_auth', auth_query: query },
      users: { pgbouncer_auth: 'x' },
    };
    await withAuthQuery(postgres, options, async (pooler) => {
      expect(await sessionUser(pooler, LOGIN)).toBe(LOGIN.user);
      // It leaves out superusers.
      const asker = { ...LOGIN, user: ASKER, password: 'asker & chips' };
      expect(await refuse(pooler, asker)).toContain('28P01');
    });
    await postgres.query('DROP SCHEMA pooler CASCADE');
  });
});

describe('the functions of manuals', () => {
  const rows = 'SELECT usename, passwd FROM pg_catalog.pg_shadow WHERE usename = who';

  // PgBouncer's manual and operators for Kubernetes have these.
  it.each([
    [
      'with OUT parameters, one row for everybody',
      `in who text, out uname text, out phash text) RETURNS record LANGUAGE plpgsql SECURITY DEFINER
       AS $$ BEGIN ${rows} INTO uname, phash; RETURN; END $$`,
    ],
    [
      'with a warning',
      `who text) RETURNS TABLE (uname text, phash text) LANGUAGE plpgsql SECURITY DEFINER AS $$
       BEGIN RAISE WARNING 'request: %', who;
       RETURN QUERY SELECT usename::text, passwd::text FROM pg_catalog.pg_shadow WHERE usename = who;
       END $$`,
    ],
    [
      'with a column of type name',
      `who text) RETURNS TABLE (uname name, phash text) LANGUAGE sql SECURITY DEFINER AS '${rows}'`,
    ],
  ])('find users, and say nothing of those who do not exist: %s', async (_what, definition) => {
    await postgres.query(
      `CREATE SCHEMA IF NOT EXISTS ac_pooler; DROP FUNCTION IF EXISTS ac_pooler.lookup;
       CREATE FUNCTION ac_pooler.lookup(${definition}`,
    );
    const settings = { auth_query: 'SELECT * FROM ac_pooler.lookup($1)' };
    await withAuthQuery(postgres, { settings }, async (pooler) => {
      expect(await sessionUser(pooler, LOGIN)).toBe(LOGIN.user);
      const wrong = await refuse(pooler, { ...LOGIN, password: 'wrong' });
      expect(wrong).toContain('28P01');
      expect(await refuse(pooler, { ...LOGIN, user: 'ac_nobody' })).toBe(wrong);
      expect(pooler.logs.filter(({ event }) => event === 'auth_query_failed')).toEqual([]);
    });
  });
});

describe('the console', () => {
  const options = {
    settings: { auth_user: ASKER, auth_query_cache_ttl: 0 },
    users: { [ASKER]: 'asker & chips' },
  };

  it('counts no question as a query of clients', async () => {
    await withAuthQuery(postgres, options, async (pooler) => {
      await sessionUser(pooler, LOGIN);
      const rows = await pooler.console('SHOW STATS');
      expect(rows.find(({ database }) => database === 'app')).toMatchObject({
        total_query_count: '1',
        total_xact_count: '1',
        total_server_assignment_count: '2',
        total_client_login_count: '1',
      });
    });
  });

  it('has questions wait during PAUSE and ends their connections', async () => {
    await withAuthQuery(postgres, options, async (pooler) => {
      await sessionUser(pooler, LOGIN);
      for (const [pause, resume] of [
        ['PAUSE', 'RESUME'],
        ['PAUSE app', 'RESUME app'],
        ['KILL app', 'RESUME app'],
      ] as const) {
        await pooler.console(pause);
        expect(await pooler.console('SHOW SERVERS')).toEqual([]);
        const login = sessionUser(pooler, LOGIN);
        await waitFor('the question to wait', async () => {
          const pools = await pooler.console('SHOW POOLS');
          return pools.some(({ user, cl_waiting }) => user === ASKER && cl_waiting === '1');
        });
        await pooler.console(resume);
        expect(await login).toBe(LOGIN.user);
      }
      await pooler.console('RECONNECT');
      await pooler.console('WAIT_CLOSE app');
      expect(await sessionUser(pooler, LOGIN)).toBe(LOGIN.user);
    });
  });
});

describe('auth_type hba', () => {
  it('has users looked up whatever the method of the line is, and nobody for reject', async () => {
    const hba = ['host all ac_user all scram-sha-256', 'host all ac_trusted all trust'];
    await postgres.createRole('ac_trusted');
    const pooler = await startPooler({
      consolePassword: CONSOLE_PASSWORD,
      config: (directory) => ({
        maitred: {
          auth_type: 'hba',
          auth_hba_file: `${directory}/hba`,
          auth_user: ASKER,
          auth_query_cache_ttl: 0,
        },
        databases: {
          app: { host: postgres.host, port: postgres.port, dbname: postgres.database },
        },
      }),
      files: { hba: [...hba, 'host all postgres all md5', 'host all all all reject'].join('\n') },
      users: { postgres: CONSOLE_PASSWORD, [ASKER]: 'asker & chips' },
    });
    try {
      expect(await sessionUser(pooler, LOGIN)).toBe(LOGIN.user);
      expect(await refuse(pooler, { ...LOGIN, password: 'wrong' })).toContain('28P01');
      const trusted = { user: 'ac_trusted', database: 'app' };
      expect(await sessionUser(pooler, trusted)).toBe('ac_trusted');
      expect(await refuse(pooler, { ...LOGIN, user: 'somebody' })).toContain('login rejected');
      await pooler.expectBaseline();
      await pooler.stop();
    } finally {
      await pooler.kill();
    }
  });
});
