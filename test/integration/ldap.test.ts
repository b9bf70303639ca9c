import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeAuthority } from '../support/certificates.ts';
import { FakeLdapServer, LdapTag } from '../support/fake-ldap-server.ts';
import { startPooler, type PoolerConfig, type PoolerFixture } from '../support/pooler-fixture.ts';
import { RawClient } from '../support/raw-client.ts';
import { refusalOf } from '../support/refusal.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { hasSlapd, READER, SlapdFixture } from '../support/slapd-fixture.ts';
import { waitFor } from '../support/wait-for.ts';

const postgres = sharedPostgres();
const PASSWORD = 'Grüße, (and) * "quotes"';
const FAILED = 'FATAL 28P01: LDAP authentication failed';
const authority = makeAuthority();
const identity = authority.issue({ commonName: 'ldap', ipAddresses: ['127.0.0.1'] });

/** A role that proves its password to PostgreSQL in clear text. */
const ROLE = 'ldap_ann';

beforeAll(async () => {
  await postgres.createRole(ROLE, PASSWORD);
  await postgres.query(`GRANT auth_password TO ${ROLE}`);
});

interface LdapSetup {
  /** `auth_ldap_options`, without quotes of their own around. */
  readonly options: string;
  /** Lines of an HBA file, which makes `auth_type` hba. */
  readonly hba?: readonly string[];
  readonly settings?: Readonly<Record<string, unknown>>;
}

function configOf(directory: string, { options, hba, settings }: LdapSetup): PoolerConfig {
  const { host, port, database: dbname, user, address } = postgres;
  const target = { host, port, dbname };
  return {
    maitred: {
      ...(hba === undefined
        ? { auth_type: 'ldap', auth_ldap_options: options }
        : { auth_type: 'hba', auth_hba_file: path.join(directory, 'hba.conf') }),
      server_login_retry: 0,
      ...settings,
    },
    databases: { app: { ...target, user, password: address.password ?? '' }, own: target },
  };
}

async function withLdap(
  setup: LdapSetup,
  body: (pooler: PoolerFixture) => Promise<void>,
): Promise<void> {
  const caFile = path.join(fs.mkdtempSync(path.join(fs.realpathSync('/tmp'), 'mtr-ca-')), 'ca.pem');
  fs.writeFileSync(caFile, authority.cert);
  const pooler = await startPooler({
    config: (directory) => configOf(directory, setup),
    users: { postgres: '', ann: 'the password of auth_file' },
    files: { 'hba.conf': `${(setup.hba ?? []).join('\n')}\n` },
    env: { LDAPTLS_CACERT: caFile },
  });
  try {
    await body(pooler);
    await pooler.stop();
  } finally {
    await pooler.kill();
    fs.rmSync(path.dirname(caFile), { recursive: true, force: true });
  }
}

interface Who {
  readonly user?: string;
  readonly database?: string;
  readonly password?: string;
}

/** Who the server says we are, or the error. */
async function visit(
  pooler: PoolerFixture,
  { user = ROLE, database = 'app', password = PASSWORD }: Who = {},
): Promise<string> {
  const login = pooler.login({ user, database, password });
  const client = await login.catch((error: unknown) => String(error).replace(/^\w*Error: /, ''));
  if (typeof client === 'string') {
    return client;
  }
  expect(client.authenticationCodes).toEqual([3, 0]);
  const rows = await client.query('SELECT session_user AS name');
  await client.close();
  return rows[0]?.['name'] ?? '';
}

const isMissing = !hasSlapd();
if (isMissing) {
  process.stderr.write('slapd is not installed: LDAP is tested against a fake server only\n');
}

describe.skipIf(isMissing)('a real slapd', () => {
  let slapd: SlapdFixture;

  beforeAll(async () => {
    const people = [
      { uid: ROLE, password: PASSWORD, mail: 'ann@example.com' },
      { uid: 'twin', password: PASSWORD },
      { uid: 'twin', password: PASSWORD, unit: 'guests' },
      { uid: 'a,b+c', password: PASSWORD },
      { uid: 'star*', password: PASSWORD },
    ] as const;
    slapd = await SlapdFixture.start(people, identity, authority);
  });

  afterAll(async () => {
    await slapd.stop();
  });

  const where = (): string => `ldapserver=127.0.0.1 ldapport=${String(slapd.port)}`;
  const reader = `ldapbinddn="${READER.dn}" ldapbindpasswd="${READER.password}"`;
  const simple = 'ldapprefix="uid=" ldapsuffix=",ou=people,dc=example,dc=net"';
  const search = `ldapbasedn="dc=example,dc=net" ${reader}`;

  it.each([
    ['a simple bind', () => `${where()} ${simple}`],
    ['search+bind', () => `${where()} ${search}`],
    ['StartTLS', () => `${where()} ${search} ldaptls=1`],
    [
      'ldaps',
      () => `ldapserver=127.0.0.1 ldapport=${String(slapd.tlsPort)} ldapscheme=ldaps ${simple}`,
    ],
    [
      'a URL',
      () => `ldapurl="ldap://127.0.0.1:${String(slapd.port)}/dc=example,dc=net?uid?sub" ${reader}`,
    ],
    [
      'a filter',
      () =>
        `${where()} ${search} ldapsearchfilter="(&(objectClass=inetOrgPerson)(|(uid=$username)(mail=$username)))"`,
    ],
  ])('by %s admits the right password and nothing else', async (_what, options) => {
    await withLdap({ options: options() }, async (pooler) => {
      expect(await visit(pooler)).toBe(postgres.user);
      expect(await visit(pooler, { password: 'wrong' })).toBe(FAILED);
      expect(await visit(pooler, { user: 'nobody' })).toBe(FAILED);
      expect(await visit(pooler, { user: '*' })).toBe(FAILED);
      expect(await visit(pooler, { user: `${ROLE})(uid=*` })).toBe(FAILED);
      expect(await visit(pooler, { user: `${ROLE},ou=people` })).toBe(FAILED);
      expect(await visit(pooler, { password: '' })).toBe(
        'FATAL 28P01: empty password returned by client',
      );
      const reasons = await waitFor('the last refusal in the log', () => {
        const lines = pooler.logs.filter(({ event }) => event === 'client_login_failed');
        return lines.length === 6 ? lines.map((line) => line['reason']) : null;
      });
      expect(reasons[0]).toBe('LDAP refused the password');
      expect(reasons.at(-1)).toBe('empty password');
      expect(JSON.stringify(pooler.logs)).not.toMatch(/Grüße|reading is fun/);
    });
  });

  it('admits names with characters of its own syntax', async () => {
    for (const mode of [simple, search, `${search} ldapsearchfilter=(uid=$username)`]) {
      await withLdap({ options: `${where()} ${mode}` }, async (pooler) => {
        expect(await visit(pooler, { user: 'a,b+c' })).toBe(postgres.user);
        expect(await visit(pooler, { user: 'star*' })).toBe(postgres.user);
        expect(await visit(pooler, { user: 'sta*' })).toBe(FAILED);
      });
    }
  });

  it('refuses a name that two entries have', async () => {
    await withLdap({ options: `${where()} ${search}` }, async (pooler) => {
      expect(await visit(pooler, { user: 'twin' })).toBe(FAILED);
      const line = await pooler.waitForEvent('client_login_failed');
      expect(line['reason']).toBe('LDAP user is not unique');
    });
    const guests = `${where()} ldapbasedn="ou=guests,dc=example,dc=net" ${reader}`;
    await withLdap({ options: guests }, async (pooler) => {
      expect(await visit(pooler, { user: 'twin' })).toBe(postgres.user);
    });
  });

  it('finds nobody for a reader without a name', async () => {
    const options = `${where()} ldapbasedn="dc=example,dc=net"`;
    await withLdap({ options }, async (pooler) => {
      expect(await visit(pooler)).toBe(FAILED);
    });
  });

  it('is asked by an HBA line for whom it matches', async () => {
    const hba = [
      'host pgbouncer postgres 127.0.0.1/32 trust',
      `host app ${ROLE},nobody 127.0.0.1/32 ldap ${where()} ${search} ldaptls=1 # as agreed`,
      'host all all 127.0.0.1/32 reject',
    ];
    await withLdap({ options: '', hba }, async (pooler) => {
      expect(await visit(pooler)).toBe(postgres.user);
      expect(await visit(pooler, { password: 'wrong' })).toBe(FAILED);
      expect(await visit(pooler, { user: 'nobody' })).toBe(FAILED);
      expect(await visit(pooler, { database: 'own' })).toBe('FATAL 28000: login rejected');
    });
  });

  it('has shown the password that logs in to the server', async () => {
    await withLdap({ options: `${where()} ${search}` }, async (pooler) => {
      expect(await visit(pooler, { database: 'own' })).toBe(ROLE);
    });
  });
});

describe('auth_type ldap', () => {
  async function withFake(
    body: (pooler: PoolerFixture, server: FakeLdapServer) => Promise<void>,
    script: Parameters<typeof FakeLdapServer.start>[0] = {},
    settings: LdapSetup['settings'] = {},
  ): Promise<void> {
    const server = await FakeLdapServer.start(script);
    server.passwords.set('ann@x', PASSWORD);
    server.passwords.set(`${ROLE}@x`, PASSWORD);
    server.passwords.set('postgres@x', PASSWORD);
    const options = `ldapserver=127.0.0.1 ldapport=${String(server.port)} ldapsuffix=@x`;
    try {
      await withLdap({ options, settings }, (pooler) => body(pooler, server));
    } finally {
      await server.stop();
    }
  }

  it('asks for the password in clear text, and not auth_file for its opinion', async () => {
    await withFake(async (pooler, server) => {
      expect(await visit(pooler, { user: 'ann' })).toBe(postgres.user);
      expect(await visit(pooler, { user: 'ann', password: 'the password of auth_file' })).toBe(
        FAILED,
      );
      expect(await visit(pooler, { user: 'bob' })).toBe(FAILED);
      expect(server.binds).toHaveLength(3);
    });
  });

  it('lets the console be reached', async () => {
    await withFake(async (pooler) => {
      const login = { user: 'postgres', database: 'pgbouncer' };
      const client = await pooler.login({ ...login, password: PASSWORD });
      expect(await client.query('SHOW VERSION')).toHaveLength(1);
      await client.close();
      expect(await refusalOf(pooler.login({ ...login, password: 'wrong' }))).toBe(FAILED);
    });
  });

  it('uses the last password that was right to log in to the server', async () => {
    await withFake(async (pooler, server) => {
      server.passwords.set(`${ROLE}@x`, 'not that of the server');
      const login = { user: ROLE, database: 'own' };
      const refused = await refusalOf(
        pooler.login({ ...login, password: 'not that of the server' }),
      );
      expect(refused).toContain('28P01');
      server.passwords.set(`${ROLE}@x`, PASSWORD);
      expect(await visit(pooler, login)).toBe(ROLE);
    });
  });

  it('tells a client of a server that is down what it tells of a wrong password', async () => {
    await withFake(async (pooler, server) => {
      await server.stop();
      expect(await visit(pooler, { user: 'ann' })).toBe(FAILED);
      const line = await pooler.waitForEvent('client_login_failed');
      expect(line['reason']).toContain('could not connect to LDAP server 127.0.0.1:');
    });
  });

  it('forgets a client that goes, and ends one that waits too long', async () => {
    const silent = { onRequest: () => true };
    await withFake(
      async (pooler, server) => {
        const client = await RawClient.connect(pooler.target);
        client.startup({ user: 'ann', database: 'app' });
        const failure = refusalOf(client.authenticate({ user: 'ann', password: PASSWORD }));
        await waitFor('the bind', () => server.binds.length === 1);
        expect(await failure).toBe('FATAL 57014: client_login_timeout');
        await waitFor('the end of its LDAP connection', () => server.openCount === 0);
        client.destroy();
        const other = await RawClient.connect(pooler.target);
        other.startup({ user: 'ann', database: 'app' });
        const gone = other.authenticate({ user: 'ann', password: PASSWORD }).catch(() => null);
        await waitFor('the bind', () => server.openCount === 1);
        other.destroy();
        await waitFor('the end of its LDAP connection', () => server.openCount === 0);
        await gone;
      },
      silent,
      { client_login_timeout: 2 },
    );
  });

  it('serves others while many wait for it', async () => {
    const held: (() => void)[] = [];
    await withFake(
      async (pooler, server) => {
        const attempts = Array.from({ length: 40 }, () => visit(pooler, { user: 'ann' }));
        await waitFor('as many binds as may be at once', () => held.length === 16);
        expect(server.openCount).toBe(16);
        const settled = Promise.all(attempts);
        let isDone = false;
        void settled.then(() => {
          isDone = true;
        });
        await waitFor('all logins', () => {
          for (const release of held.splice(0)) {
            release();
          }
          return isDone;
        });
        expect(new Set(await settled)).toEqual(new Set([postgres.user]));
        expect(server.binds).toHaveLength(40);
      },
      {
        onRequest: (connection, { kind }) => {
          if (kind === 'bind') {
            const { messageId } = connection;
            held.push(() => {
              const success = connection.result(LdapTag.BindResponse, { code: 0 });
              connection.write(connection.message(success, messageId));
            });
          }
          return kind === 'bind';
        },
      },
    );
  });

  it('is refused without options, also by SET', async () => {
    await withLdap({ options: '', hba: ['host all all all trust'] }, async (pooler) => {
      const client = await pooler.login({ user: 'postgres', database: 'pgbouncer' });
      expect(await refusalOf(client.query('SET auth_type = ldap'))).toContain(
        'auth_type=ldap requires auth_ldap_options',
      );
      await client.close();
    });
  });
});
