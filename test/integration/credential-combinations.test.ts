import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { CONSOLE_PASSWORD, withAuthQuery } from '../support/auth-query-scene.ts';
import type { AuthQueryOptions } from '../support/auth-query-scene.ts';
import { sessionUser } from '../support/login-outcome.ts';
import type { PoolerFixture } from '../support/pooler-fixture.ts';
import { refusedWith } from '../support/refusal.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

const postgres = sharedPostgres();
const PASSWORD = 'pencil';
const USER = 'cc_scram';
const LOGIN = { user: USER, database: 'app', password: PASSWORD };
const WRONG_TYPE = 'server login failed: wrong password type';
let verifier = '';
let otherVerifier = '';

function md5Of(user: string): string {
  return `md5${createHash('md5').update(`${PASSWORD}${user}`).digest('hex')}`;
}

async function verifierOf(role: string): Promise<string> {
  const rows = await postgres.query(`SELECT rolpassword FROM pg_authid WHERE rolname = '${role}'`);
  return rows[0]?.['rolpassword'] ?? '';
}

beforeAll(async () => {
  await postgres.createRole(USER, PASSWORD, 'scram-sha-256');
  otherVerifier = await verifierOf(USER);
  // The same password with another salt.
  await postgres.createRole(USER, PASSWORD, 'scram-sha-256');
  await postgres.query(`GRANT auth_scram TO ${USER}`);
  verifier = await verifierOf(USER);
});

/** Without auth_query, unless the test says otherwise. */
function withUsers(
  options: AuthQueryOptions,
  body: (pooler: PoolerFixture) => Promise<void>,
): Promise<void> {
  return withAuthQuery(
    postgres,
    { ...options, settings: { auth_user: '', ...options.settings } },
    body,
  );
}

function warningsOf(pooler: PoolerFixture): unknown[] {
  return pooler.logs
    .filter(({ event }) => event === 'config_warning')
    .map((line) => line['problem'])
    .filter((problem) => !String(problem).includes('running as root'));
}

describe('a secret that cannot log in to the server', () => {
  it.each([
    ['md5', () => md5Of(USER), 'the server wants SCRAM, but only a md5 secret is known'],
    ['scram-sha-256', () => otherVerifier, 'is not the one the server has'],
    ['trust', () => verifier, 'cannot log in to a server until a client has logged in with SCRAM'],
    ['trust', () => '', 'the server wants SCRAM, but no password is known'],
  ])('is explained at the first use, to client and log (%s)', async (authType, secret, reason) => {
    const options = { settings: { auth_type: authType }, users: { [USER]: secret() } };
    await withUsers(options, async (pooler) => {
      const { message, fields } = await refusedWith(pooler.login(LOGIN));
      expect(message).toContain(WRONG_TYPE);
      expect(fields['D']).toContain(`User "${USER}", database "app": `);
      expect(fields['D']).toContain(reason);
      expect(fields['H']).toMatch(/auth_file.*password_command of the database/);
      const line = await pooler.waitForEvent('server_login_failed');
      expect(line).toMatchObject({ user: USER, database: 'app', hint: fields['H'] });
    });
  });

  it('is explained for users whom auth_query found as well', async () => {
    const settings = {
      auth_type: 'md5',
      auth_user: postgres.user,
      auth_query: `SELECT $1::text, '${md5Of(USER)}'`,
    };
    await withUsers({ settings, users: {} }, async (pooler) => {
      const { fields } = await refusedWith(pooler.login({ ...LOGIN, user: USER }));
      expect(fields['M']).toBe(WRONG_TYPE);
      expect(fields['D']).toContain(`User "${USER}", database "app": `);
    });
  });

  it('is told to nobody who has not logged in', async () => {
    const options = { users: { [USER]: otherVerifier } };
    await withUsers(options, async (pooler) => {
      const { fields } = await refusedWith(pooler.login({ ...LOGIN, password: 'wrong' }));
      expect(Object.keys(fields).sort()).toEqual(['C', 'M', 'S', 'V']);
    });
  });
});

describe('the start warns of', () => {
  it('a forced user of whom only a SCRAM secret is known; a client with its password helps', async () => {
    const options = {
      settings: { server_login_retry: 600 },
      database: { user: USER, min_pool_size: 2 },
      users: { [USER]: verifier, other: PASSWORD },
    };
    await withUsers(options, async (pooler) => {
      expect(warningsOf(pooler)).toEqual([
        expect.stringMatching(
          /^database "app", user "cc_scram": auth_file has only its SCRAM secret.*nor is min_pool_size 2 filled before a client has logged in as "cc_scram"/,
        ),
      ]);
      // The pool tries once, learns that the server asks, and waits for the keys.
      await pooler.waitForEvent('server_login_failed');
      expect(await sessionUser(pooler, LOGIN)).toBe(USER);
      await expect
        .poll(async () => {
          const pools = await pooler.console('SHOW POOLS');
          return pools.find(({ database }) => database === 'app')?.['sv_idle'];
        })
        .toBe('2');
      expect(await sessionUser(pooler, { ...LOGIN, user: 'other' })).toBe(USER);
    });
  });

  it('a password of a database that is a SCRAM secret', async () => {
    await withUsers({ database: { user: USER, password: verifier } }, (pooler) => {
      expect(warningsOf(pooler)).toEqual([
        expect.stringContaining('database "app", user "cc_scram": the password is a SCRAM secret'),
      ]);
      return Promise.resolve();
    });
  });

  it('an auth_user of whom only a SCRAM secret is known', async () => {
    const options = { settings: { auth_user: USER }, users: { [USER]: verifier } };
    await withUsers(options, async (pooler) => {
      expect(warningsOf(pooler)).toEqual([
        expect.stringContaining(
          'database "app", auth_user "cc_scram": auth_file has only its SCRAM',
        ),
      ]);
      // Who has not logged in is told nothing of it.
      const { fields } = await refusedWith(pooler.login({ ...LOGIN, user: 'whoever' }));
      expect(fields).toEqual({ S: 'FATAL', V: 'FATAL', C: '28000', M: 'bouncer config error' });
      const line = await pooler.waitForEvent('auth_query_failed');
      expect(line['error']).toContain('User "cc_scram", database "app": ');
    });
  });

  it('md5 secrets under auth_type scram-sha-256', async () => {
    const users = Object.fromEntries(['a', 'b', 'c', 'd', 'e'].map((name) => [name, md5Of(name)]));
    await withUsers({ users }, (pooler) => {
      expect(warningsOf(pooler)).toEqual([
        expect.stringContaining('auth_file has md5 secrets of "a", "b", "c" and 2 more'),
      ]);
      return Promise.resolve();
    });
  });

  it('SCRAM secrets under auth_type trust', async () => {
    const options = { settings: { auth_type: 'trust' }, users: { [USER]: verifier } };
    await withUsers(options, (pooler) => {
      expect(warningsOf(pooler)).toEqual([
        expect.stringContaining('auth_type trust: auth_file has only SCRAM secrets of "cc_scram"'),
      ]);
      return Promise.resolve();
    });
  });

  it('nothing where all is well, and so does a reload', async () => {
    const options = {
      database: { user: USER, password: PASSWORD },
      databases: { own: { host: postgres.host, port: postgres.port } },
      users: { [USER]: verifier, plain: PASSWORD },
    };
    await withUsers(options, async (pooler) => {
      await pooler.console('RELOAD');
      expect(warningsOf(pooler)).toEqual([]);
    });
  });
});

describe('auth_file on RELOAD', () => {
  it('is read again only when it has changed', async () => {
    await withUsers({ users: { [USER]: verifier } }, async (pooler) => {
      const text = `"postgres" "${CONSOLE_PASSWORD}"\n"${USER}" "${verifier}"\nbroken\n`;
      const problems = (): unknown[] =>
        pooler.logs.filter(({ event }) => event === 'auth_file_problem');
      pooler.writeFile('userlist.txt', text);
      await pooler.console('RELOAD');
      expect(problems()).toEqual([expect.objectContaining({ line: 3 })]);
      await pooler.console('RELOAD');
      expect(problems()).toHaveLength(1);
      pooler.writeFile('userlist.txt', `${text}\n`);
      await pooler.console('RELOAD');
      expect(problems()).toHaveLength(2);
    });
  });
});
