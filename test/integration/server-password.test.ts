import fs from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { startPooler, runPoolerToBaseline } from '../support/pooler-fixture.ts';
import type { PoolerFixture } from '../support/pooler-fixture.ts';
import { setPassword } from '../support/auth-query-scene.ts';
import { refusalOf } from '../support/refusal.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const postgres = sharedPostgres();
const SCRAM_ROLE = 'pw_scram';
const CLEAR_ROLE = 'pw_clear';
const LOGIN = { user: 'postgres', database: 'app' };

beforeAll(async () => {
  await postgres.createRole(SCRAM_ROLE, 'first', 'scram-sha-256');
  await postgres.createRole(CLEAR_ROLE, 'first');
  await postgres.query(`GRANT auth_scram TO ${SCRAM_ROLE}; GRANT auth_password TO ${CLEAR_ROLE}`);
});

type Settings = Readonly<Record<string, unknown>>;

interface Options {
  /** Keys of the database `app`, from the directory of the fixture. */
  readonly database: (directory: string) => Settings;
  readonly settings?: Settings;
  readonly databases?: (directory: string) => Readonly<Record<string, Settings>>;
  readonly files?: Readonly<Record<string, string>>;
}

async function withPassword(
  options: Options,
  body: (pooler: PoolerFixture) => Promise<void>,
): Promise<void> {
  const target = { host: postgres.host, port: postgres.port, dbname: postgres.database };
  await runPoolerToBaseline(
    {
      config: (directory) => ({
        maitred: { pool_mode: 'transaction', server_login_retry: 0, ...options.settings },
        databases: {
          app: { ...target, ...options.database(directory) },
          ...options.databases?.(directory),
        },
      }),
      files: { token: 'first\n', ...options.files },
    },
    body,
  );
}

/** A script that prints the token and notes that it ran. */
const SCRIPT = `#!/bin/sh
cd "$(dirname "$0")"
echo "$PGUSER $PGHOST $PGPORT $PGDATABASE $*" >> runs
cat token
`;

function runsOf(pooler: PoolerFixture): string[] {
  const file = path.join(pooler.directory, 'runs');
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trimEnd().split('\n') : [];
}

const viaCommand = (directory: string): Settings => ({
  user: SCRAM_ROLE,
  password_command: `/bin/sh ${directory}/print "two words" $HOME`,
});
const viaFile = (directory: string): Settings => ({
  user: SCRAM_ROLE,
  password_file: `${directory}/token`,
});

async function sessionUser(pooler: PoolerFixture, database = 'app'): Promise<string | null> {
  const client = await pooler.login({ ...LOGIN, database });
  const rows = await client.query('SELECT session_user AS name');
  await client.close();
  return rows[0]?.['name'] ?? null;
}

/** Changes the password on the server, and where the pooler finds it. */
async function rotate(pooler: PoolerFixture, password: string): Promise<void> {
  await setPassword(postgres, SCRAM_ROLE, password);
  pooler.writeFile('token', `${password}\n`);
}

describe('password_command', () => {
  it('prints the password; it is run without a shell, and told what for', async () => {
    await setPassword(postgres, SCRAM_ROLE, 'first');
    await withPassword({ database: viaCommand, files: { print: SCRIPT } }, async (pooler) => {
      expect(await sessionUser(pooler)).toBe(SCRAM_ROLE);
      expect(await sessionUser(pooler)).toBe(SCRAM_ROLE);
      const server = `${postgres.host} ${String(postgres.port)} ${postgres.database}`;
      expect(runsOf(pooler)).toEqual([`${SCRAM_ROLE} ${server} two words $HOME`]);
      expect(JSON.stringify(pooler.logs)).not.toContain('first');
    });
  });

  it.each([
    ['ends with an error', 'exit 3', 'ended with exit code 3'],
    ['prints nothing', 'true', 'what it prints is empty'],
    ['prints a zero byte', String.raw`printf 'a\0b'`, 'what it prints holds a zero byte'],
    ['prints no text', String.raw`printf '\377'`, 'what it prints is not UTF-8'],
    ['prints without end', 'yes', 'prints more than 65530 bytes'],
    ['is killed', 'kill -9 $$', 'ended with SIGKILL'],
  ])('that %s is told of without what it printed', async (_what, line, problem) => {
    const print = `#!/bin/sh\necho hunter2 >&2\n${line}\n`;
    await withPassword({ database: viaCommand, files: { print } }, async (pooler) => {
      expect(await refusalOf(pooler.login(LOGIN))).toBe(
        'FATAL 08006: server login failed: password_command failed',
      );
      const event = await pooler.waitForEvent('password_source_failed');
      expect(event).toMatchObject({ database: 'app', user: SCRAM_ROLE, problem });
      expect(JSON.stringify(pooler.logs)).not.toContain('hunter2');
    });
  });

  it('that does not exist is told of, and works once it does', async () => {
    await setPassword(postgres, SCRAM_ROLE, 'first');
    const database = (directory: string): Settings => ({
      user: SCRAM_ROLE,
      password_command: `${directory}/print`,
    });
    await withPassword({ database }, async (pooler) => {
      expect(await refusalOf(pooler.login(LOGIN))).toContain('password_command failed');
      const event = await pooler.waitForEvent('password_source_failed');
      expect(event['problem']).toBe('cannot be run: ENOENT');
      fs.chmodSync(pooler.writeFile('print', SCRIPT), 0o700);
      await expect.poll(() => sessionUser(pooler).catch(String)).toBe(SCRAM_ROLE);
    });
  });

  it('is run again when the server refuses the password: clients just wait', async () => {
    await setPassword(postgres, SCRAM_ROLE, 'first');
    await withPassword({ database: viaCommand, files: { print: SCRIPT } }, async (pooler) => {
      const client = await pooler.login(LOGIN);
      expect(await client.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
      await rotate(pooler, 'second');
      await pooler.console('RECONNECT app');
      expect(await client.query('SELECT 2 AS two')).toEqual([{ two: '2' }]);
      expect(runsOf(pooler)).toHaveLength(2);
      const refused = pooler.logs.filter(({ event }) => event === 'server_login_failed');
      expect(refused).toHaveLength(1);
      await client.close();
      expect(JSON.stringify(pooler.logs)).not.toContain('second');
    });
  });

  it('that keeps printing a wrong password fails as any wrong password does', async () => {
    await setPassword(postgres, SCRAM_ROLE, 'another');
    await withPassword({ database: viaCommand, files: { print: SCRIPT } }, async (pooler) => {
      expect(await refusalOf(pooler.login(LOGIN))).toMatch(/^FATAL 28P01: password authentication/);
      // The next attempt asks again.
      pooler.writeFile('token', 'another');
      await expect.poll(() => sessionUser(pooler).catch(String)).toBe(SCRAM_ROLE);
    });
  });

  it('is run on a schedule while its database is in use', async () => {
    await setPassword(postgres, SCRAM_ROLE, 'first');
    const database = (directory: string): Settings => ({
      ...viaCommand(directory),
      password_refresh_interval: '300ms',
    });
    const files = { print: SCRIPT };
    await withPassword(
      { database, files, settings: { password_refresh_interval: 0 } },
      async (p) => {
        const client = await p.login(LOGIN);
        await waitFor('several runs', () => runsOf(p).length >= 3);
        await client.close();
      },
    );
  });

  it('never holds up anybody else', async () => {
    await setPassword(postgres, SCRAM_ROLE, 'first');
    const target = { host: postgres.host, port: postgres.port, dbname: postgres.database };
    const databases = (directory: string): Readonly<Record<string, Settings>> => ({
      slow: { ...target, user: SCRAM_ROLE, password_command: `/bin/sh ${directory}/wait` },
    });
    const files = { wait: '#!/bin/sh\nsleep 2; echo first\n' };
    await withPassword({ database: () => ({}), databases, files }, async (pooler) => {
      const client = await pooler.login(LOGIN);
      await client.query('SELECT 1');
      const slow = sessionUser(pooler, 'slow');
      let isOver = false;
      void slow.finally(() => (isOver = true));
      let longestMs = 0;
      let count = 0;
      while (!isOver) {
        const start = performance.now();
        await client.query('SELECT 1');
        longestMs = Math.max(longestMs, performance.now() - start);
        count += 1;
      }
      expect(await slow).toBe(SCRAM_ROLE);
      expect(count).toBeGreaterThan(100);
      expect(longestMs).toBeLessThan(1000);
      await client.close();
    });
  });
});

describe('password_file', () => {
  it('is read again when the server refuses the password', async () => {
    await setPassword(postgres, SCRAM_ROLE, 'first');
    await withPassword({ database: viaFile }, async (pooler) => {
      const client = await pooler.login(LOGIN);
      await client.query('SELECT 1');
      await rotate(pooler, 'second');
      await pooler.console('RECONNECT app');
      expect(await client.query('SELECT 2 AS two')).toEqual([{ two: '2' }]);
      await client.close();
      expect(JSON.stringify(pooler.logs)).not.toContain('second');
    });
  });

  it('is read on a schedule, before the server has refused anything', async () => {
    await setPassword(postgres, SCRAM_ROLE, 'first');
    const settings = { password_refresh_interval: '300ms' };
    await withPassword({ database: viaFile, settings }, async (pooler) => {
      const client = await pooler.login(LOGIN);
      await client.query('SELECT 1');
      await rotate(pooler, 'second');
      const fetched = (): number =>
        pooler.logs.filter(({ event }) => event === 'server_password_fetched').length;
      await waitFor('the new password', () => fetched() === 2);
      await pooler.console('RECONNECT app');
      expect(await client.query('SELECT 2 AS two')).toEqual([{ two: '2' }]);
      expect(pooler.logs.filter(({ event }) => event === 'server_login_failed')).toEqual([]);
      await client.close();
    });
  });

  it('that is missing is told of', async () => {
    const database = (): Settings => ({ user: SCRAM_ROLE, password_file: '/nonexistent/token' });
    await withPassword({ database }, async (pooler) => {
      expect(await refusalOf(pooler.login(LOGIN))).toBe(
        'FATAL 08006: server login failed: password_file failed',
      );
      const event = await pooler.waitForEvent('password_source_failed');
      expect(event['problem']).toBe('cannot be read: ENOENT');
    });
  });

  it.each([2_000, 65_530])('may hold a token of %d bytes', async (bytes) => {
    const token = 'x'.repeat(bytes);
    await setPassword(postgres, CLEAR_ROLE, token);
    await setPassword(postgres, SCRAM_ROLE, token);
    for (const user of [CLEAR_ROLE, SCRAM_ROLE]) {
      const database = (directory: string): Settings => ({
        user,
        password_file: `${directory}/token`,
      });
      await withPassword({ database, files: { token: `${token}\n` } }, async (pooler) => {
        expect(await sessionUser(pooler)).toBe(user);
      });
    }
  });
});

describe('where the password of a forced user comes from', () => {
  it.each([
    [{ password_file: '/x' }, 'password_file needs user, whose password it is'],
    [{ password_command: 'x' }, 'password_command needs user, whose password it is'],
    [
      { user: 'u', password: 'p', password_command: 'x' },
      'password and password_command are given, which exclude each other',
    ],
    [
      { user: 'u', password_file: '/x', password_command: 'x' },
      'password_file and password_command are given, which exclude each other',
    ],
    [{ user: 'u', password_command: ' ' }, 'names no program'],
    [{ user: 'u', password_command: 'a "b' }, 'a double quote is not closed'],
  ])('is checked when the configuration is read: %o', async (keys, problem) => {
    await expect(withPassword({ database: () => keys }, async () => {})).rejects.toThrow(problem);
  });

  it('serves auth_user as well when that is the forced user', async () => {
    await setPassword(postgres, SCRAM_ROLE, 'first');
    await postgres.query(`ALTER ROLE ${SCRAM_ROLE} SUPERUSER`);
    await postgres.createRole('pw_client', 'pencil', 'scram-sha-256');
    const settings = { auth_type: 'scram-sha-256', auth_user: SCRAM_ROLE, admin_users: 'admin' };
    const target = { host: postgres.host, port: postgres.port, dbname: postgres.database };
    const pooler = await startPooler({
      config: (directory) => ({
        maitred: settings,
        databases: { app: { ...target, ...viaFile(directory) } },
      }),
      files: { token: 'first\n' },
      users: { admin: 'admin' },
      consoleUser: 'admin',
      consolePassword: 'admin',
    });
    try {
      const client = await pooler.login({ user: 'pw_client', database: 'app', password: 'pencil' });
      expect(await client.query('SELECT session_user AS name')).toEqual([{ name: SCRAM_ROLE }]);
      await client.close();
      await pooler.expectBaseline();
      await pooler.stop();
    } finally {
      await pooler.kill();
      await postgres.query(`ALTER ROLE ${SCRAM_ROLE} NOSUPERUSER`);
    }
  });
});
