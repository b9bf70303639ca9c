import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { refuse, sessionUser } from '../support/login-outcome.ts';
import { runPoolerToBaseline } from '../support/pooler-fixture.ts';
import type { PoolerFixture } from '../support/pooler-fixture.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

const postgres = sharedPostgres();
const CONSOLE_PASSWORD = 'console';
/** The server asks it for SCRAM. */
const ROLE = 'scram_secret';
const SASL_FAILED = 'FATAL 28P01: SASL authentication failed';

interface Options {
  readonly authType?: string;
  readonly users: Readonly<Record<string, string>>;
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly database?: Readonly<Record<string, unknown>>;
}

async function withUsers(
  { authType = 'scram-sha-256', users, settings = {}, database = {} }: Options,
  body: (pooler: PoolerFixture) => Promise<void>,
): Promise<void> {
  const { host, port, database: dbname } = postgres;
  await runPoolerToBaseline(
    {
      consolePassword: CONSOLE_PASSWORD,
      config: {
        maitred: {
          auth_type: authType,
          pool_mode: 'transaction',
          server_login_retry: 0,
          ...settings,
        },
        databases: { app: { host, port, dbname, ...database } },
      },
      users: { postgres: CONSOLE_PASSWORD, ...users },
    },
    body,
  );
}

/** Gives the role a password. @returns the secret that PostgreSQL has made of it. */
async function setPassword(password: string): Promise<string> {
  await postgres.createRole(ROLE, password, 'scram-sha-256');
  const [row] = await postgres.query(`SELECT rolpassword FROM pg_authid WHERE rolname = '${ROLE}'`);
  return row?.['rolpassword'] ?? '';
}

function authFile(secret: string): string {
  return `"postgres" "${CONSOLE_PASSWORD}"\n"${ROLE}" "${secret}"\n`;
}

beforeAll(async () => {
  await setPassword('at first');
  await postgres.query(`GRANT auth_scram TO ${ROLE}`);
});
afterAll(async () => {
  await postgres.query(`DROP ROLE ${ROLE}`);
});

describe.runIf(spawnSync('psql', ['--version']).status === 0)('SASLprep, by psql', () => {
  /** @returns who the server says it is, or the last words of psql. */
  async function psql(pooler: PoolerFixture, password: string): Promise<string> {
    const conninfo = `host=127.0.0.1 port=${String(pooler.port)} user=${ROLE} dbname=app sslmode=disable`;
    const env = { ...process.env, PGPASSWORD: password, PGCLIENTENCODING: 'UTF8' };
    const run = promisify(execFile)(
      'psql',
      ['-XAtw', '-d', conninfo, '-c', 'SELECT session_user'],
      { env, timeout: 30_000 },
    );
    return run.then(
      ({ stdout }) => stdout.trim(),
      (error: unknown) => (error as { stderr: string }).stderr.trim(),
    );
  }

  it.each([
    ['a soft hyphen, which is left out', 'I\u00adX', 'IX'],
    ['a roman numeral, which becomes letters', '\u2168', 'IX'],
    ['a letter in two forms', 'a\u0308', '\u00e4'],
    ['blanks of other kinds', 'a\u00a0b\u3000c', 'a b c'],
    ['letters of one width and of two', '\uff21\uff22', 'AB'],
  ])('takes for the same: %s', async (_what, stored, typed) => {
    const secret = await setPassword(stored);
    await withUsers({ users: {} }, async (pooler) => {
      const both = [stored, typed];
      for (const [authType, kept, spellings] of [
        ['scram-sha-256', secret, both],
        ['scram-sha-256', stored, both],
        ['scram-sha-256', typed, both],
        ['plain', secret, both],
        // In clear text a plain password is compared as it is written, as in PgBouncer.
        ['plain', stored, [stored]],
      ] as const) {
        pooler.writeFile('userlist.txt', authFile(kept));
        await pooler.console('RELOAD');
        await pooler.console(`SET auth_type = '${authType}'`);
        for (const password of spellings) {
          expect(await psql(pooler, password)).toBe(ROLE);
        }
        expect(await psql(pooler, `${typed}x`)).toContain('authentication failed');
      }
    });
  });

  it('leaves text alone that it prohibits, as PostgreSQL does', async () => {
    const secret = await setPassword('bell\u0007\u00aa');
    await withUsers({ users: { [ROLE]: secret } }, async (pooler) => {
      expect(await psql(pooler, 'bell\u0007\u00aa')).toBe(ROLE);
      expect(await psql(pooler, 'bell\u0007a')).toContain('SASL authentication failed');
    });
  });
});

describe('a SCRAM secret of auth_file', () => {
  it('fills min_pool_size once a client has proved it, and not before', async () => {
    const secret = await setPassword('pencil');
    const database = { user: ROLE, min_pool_size: 3, pool_size: 5 };
    await withUsers({ users: { [ROLE]: secret }, database }, async (pooler) => {
      const idle = async (): Promise<unknown> => {
        const pools = await pooler.console('SHOW POOLS');
        return pools.find((pool) => pool['database'] === 'app')?.['sv_idle'] ?? '0';
      };
      await pooler.waitForEvent('config_warning');
      expect(await idle()).toBe('0');
      const login = { user: ROLE, database: 'app', password: 'pencil' };
      expect(await refuse(pooler, { ...login, password: 'pen' })).toBe(SASL_FAILED);
      expect(await idle()).toBe('0');
      const client = await pooler.login(login);
      await expect.poll(idle).toBe('3');
      await client.close();
    });
  });

  it('is replaced on RELOAD: the new password works, the old one and its keys do not', async () => {
    const before = await setPassword('before');
    await withUsers({ users: { [ROLE]: before } }, async (pooler) => {
      const login = { user: ROLE, database: 'app', password: 'before' };
      expect(await sessionUser(pooler, login)).toBe(ROLE);
      const after = await setPassword('after');
      pooler.writeFile('userlist.txt', authFile(after));
      await pooler.console('RELOAD');
      await pooler.console('RECONNECT app');
      expect(await refuse(pooler, login)).toBe(SASL_FAILED);
      expect(await sessionUser(pooler, { ...login, password: 'after' })).toBe(ROLE);
      await pooler.console('RECONNECT app');
      expect(await sessionUser(pooler, { ...login, password: 'after' })).toBe(ROLE);
    });
  });

  it('of few or many iterations is asked for with as many', async () => {
    for (const iterations of [1, 20_000]) {
      await postgres.query(`SET scram_iterations = ${String(iterations)};
        SET password_encryption = 'scram-sha-256'; ALTER ROLE ${ROLE} PASSWORD 'pencil'`);
      const [row] = await postgres.query(
        `SELECT rolpassword FROM pg_authid WHERE rolname = '${ROLE}'`,
      );
      const secret = row?.['rolpassword'] ?? '';
      expect(secret).toContain(`$${String(iterations)}:`);
      const settings = { server_scram_min_iterations: 1 };
      await withUsers({ users: { [ROLE]: secret }, settings }, async (pooler) => {
        const login = { user: ROLE, database: 'app', password: 'pencil' };
        expect(await sessionUser(pooler, login)).toBe(ROLE);
        expect(await refuse(pooler, { ...login, password: 'pen' })).toBe(SASL_FAILED);
        // Whoever does not exist is asked for as many.
        expect(await refuse(pooler, { ...login, user: 'nobody' })).toBe(SASL_FAILED);
      });
    }
  });
});
