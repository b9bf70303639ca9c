import { execFile } from 'node:child_process';
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { BackendError, decodeErrorFields } from '../support/backend-messages.ts';
import { type PoolerFixture, runPooler } from '../support/pooler-fixture.ts';
import { RawClient, type ConnectTarget, type LoginOptions } from '../support/raw-client.ts';
import { refusalOf, refusedWith } from '../support/refusal.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

const postgres = sharedPostgres();
const PASSWORD = 'mind the gap';
const REJECTED = 'FATAL 28000: login rejected';
const NO_RULE = 'FATAL 28000: no authentication method is found';

/** Lets the fixture's own console in. */
const CONSOLE_RULE = 'host pgbouncer postgres 127.0.0.1/32 trust';

/** What PostgreSQL would store for {@link PASSWORD}. */
function scramSecret(): string {
  const salt = Buffer.from('0123456789abcdef');
  const salted = pbkdf2Sync(PASSWORD, salt, 4096, 32, 'sha256');
  const hmac = (text: string): Buffer => createHmac('sha256', salted).update(text).digest();
  const storedKey = createHash('sha256').update(hmac('Client Key')).digest('base64');
  const serverKey = hmac('Server Key').toString('base64');
  return `SCRAM-SHA-256$4096:${salt.toString('base64')}$${storedKey}:${serverKey}`;
}

const USERS = {
  postgres: '',
  ann: PASSWORD,
  bob: PASSWORD,
  hashed: `md5${createHash('md5').update(`${PASSWORD}hashed`).digest('hex')}`,
  scrammed: scramSecret(),
};

interface HbaOptions {
  readonly ident?: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Left out of the file: the line for the console of the fixture. */
  readonly hasOwnConsole?: boolean;
}

/** Every database leads to the shared PostgreSQL as its superuser. */
function configOf(directory: string, settings: HbaOptions['settings'] = {}): object {
  const { host, port, database: dbname, user, address } = postgres;
  const target = { host, port, dbname, user, password: address.password ?? '' };
  return {
    maitred: {
      auth_type: 'hba',
      auth_hba_file: path.join(directory, 'hba.conf'),
      auth_ident_file: path.join(directory, 'ident.conf'),
      listen_addr: '127.0.0.1',
      admin_users: 'postgres, ann',
      ...settings,
    },
    databases: { app: target, other: target, ann: target },
  };
}

async function withHba(
  rules: readonly string[],
  body: (pooler: PoolerFixture) => Promise<void>,
  options: HbaOptions = {},
): Promise<void> {
  const lines = options.hasOwnConsole === true ? rules : [CONSOLE_RULE, ...rules];
  await runPooler(
    {
      config: (directory) => configOf(directory, options.settings) as never,
      users: USERS,
      files: {
        'hba.conf': `${lines.join('\n')}\n`,
        'ident.conf': options.ident ?? '',
        ...options.files,
      },
    },
    body,
  );
}

/** How a login ends: the codes of the authentication requests, or the error. */
async function outcomeOf(
  target: ConnectTarget,
  { user = 'ann', database = 'app', password = PASSWORD }: Partial<LoginOptions> = {},
): Promise<string> {
  const client = await RawClient.connect(target);
  client.startup({ user, database });
  try {
    await client.authenticate({ user, password });
  } catch (error) {
    client.destroy();
    return error instanceof Error ? error.message : String(error);
  }
  const codes = client.authenticationCodes.join(' ');
  await client.close();
  return codes;
}

const CLEARTEXT = '3 0';
const MD5 = '5 0';
const SCRAM = '10 11 12 0';
const NONE = '0';

describe('each method', () => {
  it.each([
    ['trust', NONE, NONE],
    ['password', CLEARTEXT, 'FATAL 28P01: password authentication failed'],
    ['md5', MD5, 'FATAL 28P01: password authentication failed'],
    ['scram-sha-256', SCRAM, 'FATAL 28P01: SASL authentication failed'],
    ['reject', REJECTED, REJECTED],
  ])('%s, on TCP and on a unix socket', async (method, right, wrong) => {
    const rules = [`host all all 127.0.0.1/32 ${method}`, `local all all ${method}`];
    await withHba(rules, async (pooler) => {
      for (const target of [pooler.target, pooler.socketTarget]) {
        expect(await outcomeOf(target)).toBe(right);
        expect(await outcomeOf(target, { password: 'wrong' })).toBe(wrong);
      }
    });
  });

  it('md5 takes SCRAM for a SCRAM secret, and refuses an unknown user as a known one', async () => {
    await withHba(['host all all 127.0.0.1/32 md5'], async (pooler) => {
      expect(await outcomeOf(pooler.target, { user: 'hashed' })).toBe(MD5);
      expect(await outcomeOf(pooler.target, { user: 'scrammed' })).toBe(SCRAM);
      const failures = [
        'FATAL 28P01: password authentication failed',
        'FATAL 28P01: SASL authentication failed',
      ];
      expect(await outcomeOf(pooler.target, { user: 'ann', password: 'wrong' })).toBe(failures[0]);
      // Which of the two challenges an unknown user gets is as it would be for a real one.
      expect(failures).toContain(await outcomeOf(pooler.target, { user: 'nobody' }));
    });
  });

  it('trust refuses a user who is not in auth_file', async () => {
    await withHba(['host all all 127.0.0.1/32 trust'], async (pooler) => {
      expect(await outcomeOf(pooler.target, { user: 'nobody' })).toBe(
        'FATAL 28P01: "trust" authentication failed',
      );
    });
  });

  it('cert lets nobody in without TLS, and the log says why', async () => {
    await withHba(['host all all 127.0.0.1/32 cert'], async (pooler) => {
      expect(await outcomeOf(pooler.target)).toBe('FATAL 28000: certificate authentication failed');
      const line = await pooler.waitForEvent('client_login_failed');
      expect(line['reason']).toBe('the client has shown no certificate that can be trusted');
    });
  });

  it('peer lets nobody in on TCP', async () => {
    await withHba(['host all all 127.0.0.1/32 peer'], async (pooler) => {
      expect(await outcomeOf(pooler.target)).toBe('FATAL 28000: unix socket login rejected');
    });
  });
});

describe('the rule', () => {
  it('is the first that matches database, user, connection and address', async () => {
    const rules = [
      'host other ann 127.0.0.1/32 reject',
      'host app,other ann 127.0.0.2/32 trust',
      'hostssl all all 0.0.0.0/0 reject',
      'hostnossl app ann 127.0.0.1/32 md5',
      'host sameuser all 127.0.0.0/8 password',
      'local all bob trust',
    ];
    await withHba(rules, async ({ target, socketTarget, port }) => {
      const fromOther = { host: '127.0.0.1', port, localAddress: '127.0.0.2' };
      expect(await outcomeOf(target)).toBe(MD5);
      expect(await outcomeOf(fromOther)).toBe(NONE);
      expect(await outcomeOf(fromOther, { database: 'other' })).toBe(NONE);
      expect(await outcomeOf(target, { database: 'other' })).toBe(REJECTED);
      expect(await outcomeOf(target, { database: 'ann' })).toBe(CLEARTEXT);
      expect(await outcomeOf(target, { user: 'bob' })).toBe(NO_RULE);
      expect(await outcomeOf(socketTarget, { user: 'bob' })).toBe(NONE);
      expect(await outcomeOf(socketTarget)).toBe(NO_RULE);
    });
  });

  it('may name users by a file beside it, and addresses by samehost', async () => {
    const files = { 'vips.txt': '# who may\nbob\n"ann"\n' };
    await withHba(
      ['host all @vips.txt samehost trust'],
      async ({ target }) => {
        expect(await outcomeOf(target)).toBe(NONE);
        expect(await outcomeOf(target, { user: 'hashed' })).toBe(NO_RULE);
      },
      { files },
    );
  });

  it('is looked for under the name that the client gave, known or not', async () => {
    await withHba(
      ['host nowhere all 127.0.0.1/32 reject', 'host all all 127.0.0.1/32 trust'],
      async ({ target }) => {
        expect(await outcomeOf(target, { database: 'nowhere' })).toBe(REJECTED);
        expect(await outcomeOf(target, { database: 'elsewhere' })).toBe(
          'FATAL 3D000: no such database: elsewhere',
        );
      },
    );
  });

  it('must name replication for a physical replication connection, and the database for a logical one', async () => {
    const rules = [
      'host replication ann 127.0.0.1/32 scram-sha-256',
      'host replication bob 127.0.0.1/32 reject',
      'host app,other all 127.0.0.1/32 md5',
    ];
    await withHba(rules, async ({ target }) => {
      const asking = async (user: string, replication: string): Promise<string> => {
        const client = await RawClient.connect(target);
        client.startup({ user, database: 'app', replication });
        const answer = await client.readMessage();
        client.destroy();
        return answer.type === 'R'
          ? `asks ${String(answer.body.readInt32BE(0))}`
          : new BackendError(decodeErrorFields(answer.body)).message;
      };
      expect(await asking('ann', 'true')).toBe('asks 10');
      expect(await asking('ann', 'database')).toBe('asks 5');
      expect(await asking('ann', 'false')).toBe('asks 5');
      expect(await asking('bob', 'on')).toBe(REJECTED);
      expect(await asking('bob', 'database')).toBe('asks 5');
      expect(await asking('hashed', '1')).toBe(NO_RULE);
    });
    // All of them must not open replication to everybody.
    await withHba(['host all all 127.0.0.1/32 trust'], async ({ target }) => {
      const client = await RawClient.connect(target);
      client.startup({ user: 'ann', database: 'app', replication: 'true' });
      expect((await client.readError()).message).toBe(NO_RULE);
      client.destroy();
    });
  });

  it('that refuses is named in the log and not to the client', async () => {
    await withHba(['host all bob 127.0.0.1/32 reject'], async (pooler) => {
      const error = await refusedWith(pooler.login({ user: 'bob', database: 'app' }));
      expect(error.fields).toMatchObject({ S: 'FATAL', C: '28000', M: 'login rejected' });
      expect(Object.keys(error.fields).sort()).not.toContain('D');
      await pooler.waitForLog('the line', ({ reason }) => reason === 'rejected by hba line 2');
      expect(await refusalOf(pooler.login({ user: 'ann', database: 'app' }))).toBe(NO_RULE);
      await pooler.waitForLog(
        'no line',
        ({ reason }) => reason === 'no line of auth_hba_file matches',
      );
    });
  });
});

describe('the console', () => {
  it('is a database as any other to the rules', async () => {
    const rules = [
      'host pgbouncer ann 127.0.0.1/32 scram-sha-256',
      'host pgbouncer postgres 127.0.0.1/32 reject',
      'host all all 127.0.0.1/32 trust',
    ];
    await withHba(
      rules,
      async ({ target }) => {
        const login = { database: 'pgbouncer' };
        expect(await outcomeOf(target, login)).toBe(SCRAM);
        expect(await outcomeOf(target, { ...login, password: 'wrong' })).toBe(
          'FATAL 28P01: SASL authentication failed',
        );
        expect(await outcomeOf(target, { ...login, user: 'postgres' })).toBe(REJECTED);
        expect(await outcomeOf(target, { ...login, user: 'bob' })).toBe('FATAL 42501: not allowed');
      },
      { hasOwnConsole: true },
    );
  });
});

describe('a bad line', () => {
  const BAD = ['host all +admins 127.0.0.1/32 trust', 'host all all localhost trust', 'nonsense'];

  it('is left out and logged; the others count', async () => {
    await withHba([...BAD, 'host all all 127.0.0.1/32 md5'], async (pooler) => {
      expect(await outcomeOf(pooler.target)).toBe(MD5);
      const problems = pooler.logs.filter(({ event }) => event === 'hba_file_problem');
      expect(problems.map(({ kind, line, isSkipped }) => [kind, line, isSkipped])).toEqual([
        ['hba', 2, true],
        ['hba', 3, true],
        ['hba', 4, true],
      ]);
      expect(problems[0]).toMatchObject({
        file: path.join(pooler.directory, 'hba.conf'),
        problem: expect.stringContaining('+admins: groups are not supported') as string,
      });
    });
  });

  it('of the ident file is reported too, and what needs its map is left out', async () => {
    const ident = 'good ann bob\nbroken /( bob\n';
    const rules = ['host all all 127.0.0.1/32 cert map=broken', 'host all all all cert map=good'];
    await withHba(
      rules,
      async (pooler) => {
        const problems = pooler.logs.filter(({ event }) => event === 'hba_file_problem');
        expect(problems.map(({ kind, line }) => [kind, line])).toEqual([
          ['ident', 2],
          ['hba', 2],
        ]);
      },
      { ident },
    );
  });

  it('is told by maitred check, with file and line', async () => {
    await withHba(BAD, async (pooler) => {
      const cli = path.resolve('dist/cli.js');
      const { stdout } = await promisify(execFile)(process.execPath, [
        cli,
        'check',
        pooler.configFile,
      ]);
      const file = path.join(pooler.directory, 'hba.conf');
      expect(stdout).toContain(`warning: ${file}:2: +admins: groups are not supported`);
      expect(stdout).toContain(`warning: ${file}:4: unknown type`);
      expect(stdout).toContain('the configuration can be used');
    });
  });
});

describe('the file', () => {
  it('is read again on RELOAD, not before', async () => {
    await withHba(['host all all 127.0.0.1/32 reject'], async (pooler) => {
      pooler.writeFile('hba.conf', `${CONSOLE_RULE}\nhost all all 127.0.0.1/32 trust\n`);
      expect(await outcomeOf(pooler.target)).toBe(REJECTED);
      await pooler.console('RELOAD');
      expect(await outcomeOf(pooler.target)).toBe(NONE);
      pooler.writeFile('names', 'ann');
      pooler.writeFile('hba.conf', `${CONSOLE_RULE}\nhost all @names 127.0.0.1/32 trust\n`);
      await pooler.console('RELOAD');
      expect(await outcomeOf(pooler.target, { user: 'bob' })).toBe(NO_RULE);
      pooler.writeFile('names', 'bob');
      await pooler.console('RELOAD');
      expect(await outcomeOf(pooler.target, { user: 'bob' })).toBe(NONE);
    });
  });

  it('that is gone leaves the rules as they were, and the log says so', async () => {
    await withHba(['host all ann 127.0.0.1/32 trust'], async (pooler) => {
      await pooler.console(`SET auth_hba_file = '${pooler.directory}/gone.conf'`);
      const line = await pooler.waitForEvent('hba_file_problem');
      expect(line['problem']).toContain('could not open hba config file');
      expect(await outcomeOf(pooler.target)).toBe(NONE);
    });
  });

  it('that was never there lets nobody in', async () => {
    await withHba(
      [],
      async (pooler) => {
        expect(await outcomeOf(pooler.target)).toBe(NO_RULE);
        expect(await outcomeOf(pooler.socketTarget)).toBe(NO_RULE);
        expect(pooler.logs.some(({ event }) => event === 'hba_file_problem')).toBe(true);
      },
      { settings: { auth_hba_file: '/nowhere/hba.conf' } },
    );
  });

  it('counts from the moment that auth_type is set to hba', async () => {
    await withHba(
      ['host all ann 127.0.0.1/32 reject'],
      async (pooler) => {
        expect(await outcomeOf(pooler.target)).toBe(NONE);
        await pooler.console('SET auth_type = hba');
        expect(await outcomeOf(pooler.target)).toBe(REJECTED);
      },
      { settings: { auth_type: 'trust' } },
    );
  });
});
