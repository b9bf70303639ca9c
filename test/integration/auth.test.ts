import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { FakeServer } from '../support/fake-server.ts';
import * as frontend from '../support/frontend-messages.ts';
import { startPooler, runPoolerToBaseline } from '../support/pooler-fixture.ts';
import type { PoolerFixture } from '../support/pooler-fixture.ts';
import { RawClient } from '../support/raw-client.ts';
import { failedLogin, refuse, sessionUser } from '../support/login-outcome.ts';
import { refusedWith } from '../support/refusal.ts';
import { ScramClient } from '../support/scram-client.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

const postgres = sharedPostgres();
const PASSWORD = 'fish & chips, äöü';
const WRONG = 'fish & chips';

/** Server roles by what the server asks of them. */
const ROLES = {
  cleartext: 'login_cleartext',
  md5: 'login_md5',
  scram: 'login_scram',
  reject: 'login_reject',
} as const;

let verifier = '';

beforeAll(async () => {
  await postgres.createRole(ROLES.cleartext, PASSWORD);
  await postgres.createRole(ROLES.md5, PASSWORD, 'md5');
  await postgres.createRole(ROLES.scram, PASSWORD, 'scram-sha-256');
  await postgres.createRole(ROLES.reject, PASSWORD);
  await postgres.query(
    `GRANT auth_password TO ${ROLES.cleartext}; GRANT auth_md5 TO ${ROLES.md5};
     GRANT auth_scram TO ${ROLES.scram}; GRANT auth_reject TO ${ROLES.reject}`,
  );
  const [row] = await postgres.query(
    `SELECT rolpassword FROM pg_authid WHERE rolname = '${ROLES.scram}'`,
  );
  verifier = row?.['rolpassword'] ?? '';
});

type SecretKind = 'plain' | 'md5' | 'scram' | 'none';

/** A secret of auth_file for {@link PASSWORD}; the SCRAM one is that of the server's role. */
function secretOf(kind: SecretKind, user: string): string {
  const secrets = { plain: PASSWORD, md5: md5Secret(user), scram: verifier, none: '' };
  return secrets[kind];
}

function md5Secret(user: string, password = PASSWORD): string {
  return `md5${createHash('md5').update(`${password}${user}`).digest('hex')}`;
}

interface AuthOptions {
  readonly authType: string;
  readonly users?: Readonly<Record<string, string>>;
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly databases?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** `app` leads to the shared PostgreSQL as its superuser, `own` as whoever logs in. */
async function withAuth(
  options: AuthOptions,
  body: (pooler: PoolerFixture) => Promise<void>,
): Promise<void> {
  const target = { host: postgres.host, port: postgres.port, dbname: postgres.database };
  const superuser = { user: postgres.user, password: postgres.address.password ?? '' };
  await runPoolerToBaseline(
    {
      consolePassword: PASSWORD,
      config: {
        maitred: {
          auth_type: options.authType,
          pool_mode: 'transaction',
          server_login_retry: 0,
          ...options.settings,
        },
        databases: { app: { ...target, ...superuser }, own: target, ...options.databases },
      },
      users: { postgres: PASSWORD, ...options.users },
    },
    body,
  );
}

describe('auth_type trust', () => {
  it('admits the users of auth_file without a password, and nobody else', async () => {
    await withAuth({ authType: 'trust', users: { known: 'whatever' } }, async (pooler) => {
      const client = await pooler.login({ user: 'known', database: 'app' });
      expect(client.authenticationCodes).toEqual([0]);
      await client.close();
      expect(await refuse(pooler, { user: 'unknown', database: 'app' })).toBe(
        'FATAL 28P01: "trust" authentication failed',
      );
    });
  });
});

describe('auth_type any', () => {
  it('admits every name where the database forces a user', async () => {
    await withAuth({ authType: 'any' }, async (pooler) => {
      const user = await sessionUser(pooler, { user: 'no one in particular', database: 'app' });
      expect(user).toBe(postgres.user);
    });
  });

  it('refuses where no user is forced', async () => {
    await withAuth({ authType: 'any' }, async (pooler) => {
      expect(await refuse(pooler, { user: 'postgres', database: 'own' })).toBe(
        'FATAL 28000: bouncer config error',
      );
    });
  });
});

describe('a password method', () => {
  const secrets = (): NonNullable<AuthOptions['users']> => ({
    with_plain: secretOf('plain', 'with_plain'),
    with_md5: secretOf('md5', 'with_md5'),
    with_scram: secretOf('scram', 'with_scram'),
  });

  it.each([
    ['plain', 'with_plain', [3, 0]],
    ['plain', 'with_md5', [3, 0]],
    ['plain', 'with_scram', [3, 0]],
    ['md5', 'with_plain', [5, 0]],
    ['md5', 'with_md5', [5, 0]],
    ['md5', 'with_scram', [10, 11, 12, 0]],
    ['scram-sha-256', 'with_plain', [10, 11, 12, 0]],
    ['scram-sha-256', 'with_scram', [10, 11, 12, 0]],
  ] as const)('%s admits user %s by the right password alone', async (authType, user, codes) => {
    await withAuth({ authType, users: secrets() }, async (pooler) => {
      const client = await pooler.login({ user, database: 'app', password: PASSWORD });
      expect(client.authenticationCodes).toEqual(codes);
      expect(await client.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
      await client.close();
      const text = codes[0] === 10 ? 'SASL' : 'password';
      // The pool is warm now: that must count for nothing.
      expect(await refuse(pooler, { user, database: 'app', password: WRONG })).toBe(
        `FATAL 28P01: ${text} authentication failed`,
      );
    });
  });

  it('scram-sha-256 refuses a user with an md5 secret, even with the right password', async () => {
    await withAuth({ authType: 'scram-sha-256', users: secrets() }, async (pooler) => {
      const login = { user: 'with_md5', database: 'app', password: PASSWORD };
      expect(await refuse(pooler, login)).toBe('FATAL 28P01: SASL authentication failed');
      const line = await pooler.waitForEvent('client_login_failed');
      expect(line['reason']).toBe('the md5 secret of this user cannot check SCRAM');
    });
  });

  it('takes long passwords and names with quotes', async () => {
    const password = 'x"y'.repeat(500);
    await withAuth({ authType: 'plain', users: { 'a "b"': password } }, async (pooler) => {
      const login = { user: 'a "b"', database: 'app' };
      expect(await sessionUser(pooler, { ...login, password })).toBe(postgres.user);
      expect(await refuse(pooler, { ...login, password: password.slice(1) })).toContain('28P01');
    });
  });
});

describe('an unknown user', () => {
  it.each([
    ['plain', 'plain', [3]],
    ['md5', 'plain', [5]],
    ['md5', 'scram', [10, 11]],
    ['scram-sha-256', 'plain', [10, 11]],
    ['scram-sha-256', 'scram', [10, 11]],
  ] as const)(
    'fails under %s like a user with a wrong password (%s secrets)',
    async (authType, kind, codes) => {
      const users = { postgres: secretOf(kind, 'postgres'), known: secretOf(kind, 'known') };
      const consoleOff = { admin_users: '' };
      const target = { host: postgres.host, port: postgres.port, dbname: postgres.database };
      const pooler = await startPooler({
        config: {
          maitred: { auth_type: authType, ...consoleOff },
          databases: { app: { ...target, user: postgres.user } },
        },
        users,
      });
      const login = { database: 'app', password: WRONG };
      const known = await failedLogin(pooler, { ...login, user: 'known' });
      const unknown = await failedLogin(pooler, { ...login, user: 'unknown' });
      expect(unknown).toEqual(known);
      expect(known).toMatchObject({ codes, behind: 0, fields: { S: 'FATAL', C: '28P01' } });
      const reasons = pooler.logs
        .filter(({ event }) => event === 'client_login_failed')
        .map((line) => line['reason']);
      expect(reasons[1]).toBe('no such user');
      expect(reasons[0]).not.toBe('no such user');
      await pooler.stop();
      await pooler.kill();
    },
  );

  it('gets the same salt each time, as a real user does', async () => {
    await withAuth({ authType: 'scram-sha-256', users: { known: verifier } }, async (pooler) => {
      const saltOf = async (user: string): Promise<string> => {
        const client = await RawClient.connect(pooler.target);
        client.startup({ user, database: 'app' });
        await client.readMessage();
        client.send(frontend.saslInitialResponse('SCRAM-SHA-256', new ScramClient('x').first()));
        const { body } = await client.readMessage();
        client.destroy();
        return body.toString('latin1', 4).replace(/^r=[^,]*,/, '');
      };
      const salts = [await saltOf('nobody'), await saltOf('nobody'), await saltOf('somebody')];
      expect(salts[0]).toMatch(/^s=[A-Za-z0-9+/]{22}==,i=4096$/);
      expect(salts[1]).toBe(salts[0]);
      expect(salts[2]).not.toBe(salts[0]);
      expect(await saltOf('known')).toBe(await saltOf('known'));
    });
  });

  it('learns nothing about databases', async () => {
    await withAuth({ authType: 'md5', users: { known: PASSWORD } }, async (pooler) => {
      const login = { user: 'known', database: 'nowhere' };
      expect(await refuse(pooler, { ...login, password: WRONG })).toBe(
        'FATAL 28P01: password authentication failed',
      );
      expect(await refuse(pooler, { ...login, password: PASSWORD })).toBe(
        'FATAL 3D000: no such database: nowhere',
      );
    });
  });
});

describe('an empty secret', () => {
  it.each(['plain', 'md5', 'scram-sha-256'])('admits nobody under %s', async (authType) => {
    await withAuth({ authType, users: { hollow: '' } }, async (pooler) => {
      for (const password of ['', 'md5', 'SCRAM-SHA-256', 'null', md5Secret('hollow', '')]) {
        const error = await refusedWith(
          pooler.login({ user: 'hollow', database: 'app', password }),
        );
        expect([error.severity, error.sqlState]).toEqual(['FATAL', '28P01']);
      }
    });
  });

  it('is enough under trust', async () => {
    await withAuth({ authType: 'trust', users: { hollow: '' } }, async (pooler) => {
      const user = await sessionUser(pooler, { user: 'hollow', database: 'app' });
      expect(user).toBe(postgres.user);
    });
  });
});

describe('auth_file', () => {
  const old = { user: 'changing', database: 'app', password: 'old' };
  const lines = (...entries: string[]): string =>
    [`"postgres" "${PASSWORD}"`, ...entries, ''].join('\n');

  it('is read again on RELOAD, not before', async () => {
    const users = { changing: 'old', leaving: 'old' };
    await withAuth({ authType: 'md5', users }, async (pooler) => {
      pooler.writeFile('userlist.txt', lines('"changing" "new"', '"coming" "new"'));
      expect(await sessionUser(pooler, old)).toBe(postgres.user);
      await pooler.console('RELOAD');
      expect(await refuse(pooler, old)).toContain('28P01');
      expect(await sessionUser(pooler, { ...old, password: 'new' })).toBe(postgres.user);
      expect(await sessionUser(pooler, { ...old, user: 'coming', password: 'new' })).toBe(
        postgres.user,
      );
      expect(await refuse(pooler, { ...old, user: 'leaving' })).toContain('28P01');
    });
  });

  it('counts up to its first broken line, which the log names', async () => {
    await withAuth({ authType: 'md5', users: { behind: 'old' } }, async (pooler) => {
      pooler.writeFile('userlist.txt', lines('"changing" "new"', 'broken', '"behind" "old"'));
      await pooler.console('RELOAD');
      expect(await sessionUser(pooler, { ...old, password: 'new' })).toBe(postgres.user);
      expect(await refuse(pooler, { ...old, user: 'behind' })).toContain('28P01');
      expect(await pooler.waitForEvent('auth_file_problem')).toMatchObject({
        level: 'error',
        line: 3,
      });
    });
  });

  it('takes the last line of a user, and only warns of it', async () => {
    await withAuth({ authType: 'md5', users: {} }, async (pooler) => {
      pooler.writeFile('userlist.txt', lines('"changing" "old"', '"changing" "new"'));
      await pooler.console('RELOAD');
      expect(await sessionUser(pooler, { ...old, password: 'new' })).toBe(postgres.user);
      expect(await pooler.waitForEvent('auth_file_problem')).toMatchObject({
        level: 'warn',
        line: 3,
      });
    });
  });

  it('that is gone leaves the users as they were, and the log says so', async () => {
    await withAuth({ authType: 'md5', users: { changing: 'old' } }, async (pooler) => {
      pooler.rewriteConfig({
        maitred: {
          auth_type: 'md5',
          auth_file: `${pooler.directory}/gone.txt`,
          listen_port: pooler.port,
        },
        databases: {
          app: {
            host: postgres.host,
            port: postgres.port,
            dbname: postgres.database,
            user: postgres.user,
          },
        },
      });
      await pooler.console('RELOAD');
      await pooler.waitForEvent('auth_file_problem');
      expect(await sessionUser(pooler, old)).toBe(postgres.user);
    });
  });
});

describe('the login to the server', () => {
  it.each([
    ['in clear text', ROLES.cleartext, 'plain'],
    ['by md5', ROLES.md5, 'plain'],
    ['by md5', ROLES.md5, 'md5'],
    ['by SCRAM', ROLES.scram, 'plain'],
  ] as const)('works %s as %s from a secret of kind %s', async (_how, user, kind) => {
    await withAuth(
      { authType: 'plain', users: { [user]: secretOf(kind, user) } },
      async (pooler) => {
        const login = { user, database: 'own', password: PASSWORD };
        expect(await sessionUser(pooler, login)).toBe(user);
      },
    );
  });

  it.each([ROLES.cleartext, ROLES.md5, ROLES.scram])(
    'works with user and password of the database, as %s',
    async (role) => {
      const target = { host: postgres.host, port: postgres.port, dbname: postgres.database };
      const databases = { forced: { ...target, user: role, password: PASSWORD } };
      await withAuth({ authType: 'trust', users: { someone: '' }, databases }, async (pooler) => {
        const login = { user: 'someone', database: 'forced' };
        expect(await sessionUser(pooler, login)).toBe(role);
      });
    },
  );

  it.each([
    [ROLES.scram, 'md5'],
    [ROLES.cleartext, 'md5'],
    [ROLES.md5, 'scram'],
    [ROLES.cleartext, 'scram'],
    [ROLES.md5, 'none'],
  ] as const)('fails with a clear reason as %s with a secret of kind %s', async (user, kind) => {
    await withAuth(
      { authType: 'trust', users: { [user]: secretOf(kind, user) } },
      async (pooler) => {
        expect(await refuse(pooler, { user, database: 'own' })).toBe(
          'FATAL 08006: server login failed: wrong password type',
        );
        const line = await pooler.waitForEvent('server_login_failed');
        expect(String(line['error'])).toContain('the server wants');
      },
    );
  });

  it('passes on what the server says to a wrong password', async () => {
    await withAuth({ authType: 'trust', users: { [ROLES.scram]: WRONG } }, async (pooler) => {
      expect(await refuse(pooler, { user: ROLES.scram, database: 'own' })).toBe(
        `FATAL 28P01: password authentication failed for user "${ROLES.scram}"`,
      );
    });
  });

  it('passes on what the server says to a rejected host', async () => {
    await withAuth({ authType: 'trust', users: { [ROLES.reject]: WRONG } }, async (pooler) => {
      const error = await refuse(pooler, { user: ROLES.reject, database: 'own' });
      expect(error).toMatch(/^FATAL 28000: pg_hba\.conf rejects connection/);
    });
  });
});

describe('a SCRAM secret of auth_file', () => {
  const forced = (): NonNullable<AuthOptions['databases']> => ({
    forced: {
      host: postgres.host,
      port: postgres.port,
      dbname: postgres.database,
      user: ROLES.scram,
    },
  });

  it('serves for the server once a client has proved it, and fails clearly before', async () => {
    const users = { [ROLES.scram]: verifier, other: PASSWORD };
    const options = { authType: 'scram-sha-256', users, databases: forced() };
    await withAuth(options, async (pooler) => {
      const other = { user: 'other', database: 'forced', password: PASSWORD };
      expect(await refuse(pooler, other)).toBe(
        'FATAL 08006: server login failed: wrong password type',
      );
      const line = await pooler.waitForEvent('server_login_failed');
      expect(String(line['error'])).toContain('until a client has logged in with SCRAM');
      const owner = { user: ROLES.scram, database: 'own', password: PASSWORD };
      expect(await sessionUser(pooler, owner)).toBe(ROLES.scram);
      expect(await sessionUser(pooler, other)).toBe(ROLES.scram);
    });
  });

  it('is not proved by a client that fails', async () => {
    const options = { authType: 'scram-sha-256', users: { [ROLES.scram]: verifier, other: 'x' } };
    await withAuth({ ...options, databases: forced() }, async (pooler) => {
      const owner = { user: ROLES.scram, database: 'own', password: WRONG };
      expect(await refuse(pooler, owner)).toBe('FATAL 28P01: SASL authentication failed');
      const other = { user: 'other', database: 'forced', password: 'x' };
      expect(await refuse(pooler, other)).toContain('wrong password type');
    });
  });

  it('that differs from that of the server fails clearly', async () => {
    await postgres.createRole('login_scram_twin', PASSWORD, 'scram-sha-256');
    const [row] = await postgres.query(
      "SELECT rolpassword FROM pg_authid WHERE rolname = 'login_scram_twin'",
    );
    const users = { [ROLES.scram]: row?.['rolpassword'] ?? '' };
    await withAuth({ authType: 'scram-sha-256', users }, async (pooler) => {
      const login = { user: ROLES.scram, database: 'own', password: PASSWORD };
      expect(await refuse(pooler, login)).toContain('wrong password type');
      const line = await pooler.waitForEvent('server_login_failed');
      expect(String(line['error'])).toContain('salt or iterations differ');
    });
  });
});

describe('the welcome', () => {
  it('reports what a direct connection reports', async () => {
    await withAuth({ authType: 'trust' }, async (pooler) => {
      const direct = await postgres.login();
      const client = await pooler.login({ user: 'postgres', database: 'app' });
      expect(direct.parameters.size).toBeGreaterThan(10);
      expect(Object.fromEntries(client.parameters)).toEqual(Object.fromEntries(direct.parameters));
      await client.close();
      await direct.close();
    });
  });

  it('passes the words of any server on, unknown parameters included', async () => {
    const server = await FakeServer.start({
      onStartup: (connection) => {
        connection.acceptLogin({ server_version: '99.1 (odd)', my_own: 'ä b' });
      },
    });
    const databases = { fake: { host: server.host, port: server.port } };
    await withAuth({ authType: 'trust', databases }, async (pooler) => {
      const client = await pooler.login({ user: 'postgres', database: 'fake' });
      expect(client.parameters.get('server_version')).toBe('99.1 (odd)');
      expect(client.parameters.get('my_own')).toBe('ä b');
      await client.close();
    });
    await server.stop();
  });

  it.each([
    [frontend.PROTOCOL_3_0, 4],
    [frontend.PROTOCOL_3_2, 32],
  ])('of protocol %i carries a cancel key of %i bytes', async (protocolVersion, bytes) => {
    await withAuth({ authType: 'trust' }, async (pooler) => {
      const login = { user: 'postgres', database: 'app', protocolVersion };
      const clients = [await pooler.login(login), await pooler.login(login)];
      const keys = clients.map(({ backendKey }) => backendKey);
      expect(keys.map((key) => key?.secretKey.length)).toEqual([bytes, bytes]);
      expect(keys[0]?.secretKey).not.toEqual(keys[1]?.secretKey);
      expect(keys[0]?.processId).not.toBe(keys[1]?.processId);
      for (const client of clients) {
        await client.close();
      }
    });
  });
});

describe('protocol negotiation', () => {
  /** The types of all messages up to ReadyForQuery, and the bodies of NegotiateProtocolVersion. */
  async function negotiate(
    target: PoolerFixture['target'],
    user: string,
    version: number,
    options: Readonly<Record<string, string>>,
  ): Promise<{ first: string; bodies: string[] }> {
    const client = await RawClient.connect(target);
    client.startup({ user, database: 'app', ...options }, version);
    const messages = await client.readUntil('Z');
    expect((await client.simpleQuery('SELECT 1')).errors).toEqual([]);
    await client.close();
    return {
      first: messages[0]?.type ?? '',
      bodies: messages.filter(({ type }) => type === 'v').map(({ body }) => body.toString('hex')),
    };
  }

  it.each([
    ['protocol 3.9999', 0x0003_270f, {}],
    ['an unknown option', frontend.PROTOCOL_3_0, { '_pq_.shiny': '1' }],
    ['both', 0x0003_270f, { '_pq_.one': 'a', '_pq_.two': 'b' }],
  ])('answers %s once, as PostgreSQL does', async (_what, version, options) => {
    await withAuth({ authType: 'trust' }, async (pooler) => {
      const pooled = await negotiate(pooler.target, 'postgres', version, options);
      expect(pooled.first).toBe('v');
      expect(pooled.bodies).toHaveLength(1);
      await postgres.createDatabase('app');
      const direct = await negotiate(postgres.target, postgres.user, version, options);
      expect(pooled.bodies).toEqual(direct.bodies);
    });
  });

  it.each([frontend.PROTOCOL_3_0, frontend.PROTOCOL_3_2])(
    'says nothing to a client of version %i without options',
    async (version) => {
      await withAuth({ authType: 'trust' }, async (pooler) => {
        const { first, bodies } = await negotiate(pooler.target, 'postgres', version, {});
        expect([first, bodies]).toEqual(['R', []]);
      });
    },
  );

  it('refuses encryption, in either order, and goes on in clear', async () => {
    await withAuth({ authType: 'trust' }, async (pooler) => {
      for (const requests of [
        [frontend.sslRequest(), frontend.gssEncRequest()],
        [frontend.gssEncRequest(), frontend.sslRequest()],
      ]) {
        const client = await RawClient.connect(pooler.target);
        for (const request of requests) {
          client.send(request);
          expect((await client.readBytes(1)).toString()).toBe('N');
        }
        await client.login({ user: 'postgres', database: 'app' });
        await client.close();
      }
    });
  });

  it.each([
    [0x0002_0000, 'old V2 protocol not supported'],
    [0x0001_0000, 'old V2 protocol not supported'],
    [0x0004_0000, 'unsupported frontend protocol 4.0'],
  ])('refuses protocol %i', async (protocolVersion, text) => {
    await withAuth({ authType: 'trust' }, async (pooler) => {
      const login = { user: 'postgres', database: 'app', protocolVersion };
      expect(await refuse(pooler, login)).toBe(`FATAL 0A000: ${text}`);
    });
  });
});
