import { spawn } from 'node:child_process';
import { chmodSync, rmSync } from 'node:fs';
import os from 'node:os';
import { describe, expect, it } from 'vitest';
import { withKoffiHooks } from '../support/koffi-hooks.ts';
import { LogScene } from '../support/log-scene.ts';
import { PoolerFixture, startPooler, usePooler } from '../support/pooler-fixture.ts';
import type { PoolerOptions } from '../support/pooler-fixture.ts';
import { RawClient } from '../support/raw-client.ts';
import type { LoginOptions } from '../support/raw-client.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { withDeadline } from '../support/wait-for.ts';

const isLinux = process.platform === 'linux';
const isRoot = process.getuid?.() === 0;
const OWN_NAME = os.userInfo().username;

/** A user that every Linux has, and who is not us. */
const STRANGER = { name: 'daemon', uid: 1 };

interface Options extends Partial<PoolerOptions> {
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** Where the database `app` leads. */
function appTarget(): Readonly<Record<string, unknown>> {
  const { host, port, address } = sharedPostgres();
  return {
    ...{ host, port, dbname: address.database },
    ...{ user: address.user, password: address.password ?? '' },
  };
}

async function withProcess(
  options: Options,
  body: (pooler: PoolerFixture) => Promise<void>,
): Promise<void> {
  const { settings = {}, ...rest } = options;
  await usePooler(
    {
      config: {
        maitred: { pool_mode: 'transaction', ...settings },
        databases: { app: appTarget() },
      },
      users: { postgres: '', [OWN_NAME]: 'never asked for' },
      ...rest,
    },
    body,
  );
}

/** Logs in over the unix socket. */
function loginHere(pooler: PoolerFixture, options: LoginOptions): Promise<RawClient> {
  return RawClient.login(pooler.socketTarget, options);
}

/** Logs in over the unix socket as another system user. @returns the text of the server's answer. */
async function answerToStranger(pooler: PoolerFixture, user: string): Promise<string> {
  // Everybody may pass through the directory; the socket is open to all.
  chmodSync(pooler.directory, 0o755);
  const script = `
    const socket = require('node:net').connect(process.argv[1]);
    const text = Buffer.from('user\\0${user}\\0database\\0pgbouncer\\0\\0');
    const head = Buffer.alloc(8);
    head.writeInt32BE(text.length + 8, 0);
    head.writeInt32BE(196608, 4);
    socket.write(Buffer.concat([head, text]));
    socket.on('data', (data) => { process.stdout.write(data.toString('latin1')); socket.destroy(); });
  `;
  const socketFile = `${pooler.socketDir}/.s.PGSQL.${String(pooler.port)}`;
  const child = spawn(process.execPath, ['-e', script, socketFile], {
    uid: STRANGER.uid,
    gid: STRANGER.uid,
    cwd: '/',
    env: {},
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let answer = '';
  child.stdout.on('data', (data: Buffer) => {
    answer += data.toString('latin1');
  });
  await withDeadline('the other user', new Promise((resolve) => child.once('close', resolve)));
  return answer;
}

describe.runIf(isLinux)('the console on a unix socket', () => {
  it('lets in the system user of the pooler as pgbouncer, as admin, whatever auth_type says', async () => {
    const settings = { auth_type: 'scram-sha-256', admin_users: 'nobody-else', verbose: 0 };
    await withProcess({ settings }, async (pooler) => {
      const console = await loginHere(pooler, { user: 'pgbouncer', database: 'pgbouncer' });
      expect(console.authenticationCodes).toEqual([0]);
      // A command of admins.
      await console.query('PAUSE');
      await console.query('RESUME');
      await pooler.waitForEvent('console_owner_admitted');
      await console.close();
    });
  });

  it('is told in the line that PgBouncer has for it, with the process id of the client', async () => {
    const pooler = PoolerFixture.spawn({ config: { maitred: { log_format: 'pgbouncer' } } });
    try {
      const scene = new LogScene(pooler);
      await scene.waitUntilUp();
      const target = { socketDir: pooler.socketDir, port: scene.port };
      const console = await RawClient.login(target, { user: 'pgbouncer', database: 'pgbouncer' });
      const line = await scene.waitFor(/access from unix socket/);
      expect(line).toContain(
        `pgbouncer/pgbouncer@unix(${String(process.pid)}):0 pgbouncer access from unix socket`,
      );
      await console.close();
    } finally {
      await pooler.kill();
    }
  });

  it('asks the same user over TCP, or by another name, as anybody else', async () => {
    const settings = { auth_type: 'scram-sha-256', admin_users: 'postgres' };
    await withProcess({ settings, users: { postgres: 'x' } }, async (pooler) => {
      await expect(pooler.login({ user: 'pgbouncer', database: 'pgbouncer' })).rejects.toThrow(
        'not allowed',
      );
      const named = loginHere(pooler, { user: 'postgres', database: 'pgbouncer', password: 'y' });
      await expect(named).rejects.toThrow('SASL authentication failed');
    });
  });

  it('is no way into a database', async () => {
    const settings = { auth_type: 'scram-sha-256' };
    await withProcess({ settings }, async (pooler) => {
      const login = loginHere(pooler, { user: 'pgbouncer', database: 'app', password: 'y' });
      await expect(login).rejects.toThrow('SASL authentication failed');
    });
  });

  it.runIf(isRoot)('does not let in another system user', async () => {
    await withProcess({ settings: { auth_type: 'scram-sha-256' } }, async (pooler) => {
      expect(await answerToStranger(pooler, 'pgbouncer')).toContain('not allowed');
    });
  });

  it.runIf(isRoot)('goes by the user that the process has switched to', async () => {
    const pooler = await startPooler({
      config: (directory) => {
        chmodSync(directory, 0o777);
        chmodSync(`${directory}/userlist.txt`, 0o644);
        return { maitred: { user: STRANGER.name, auth_type: 'scram-sha-256' } };
      },
      users: { postgres: 'x' },
      consolePassword: 'x',
    });
    try {
      const login = loginHere(pooler, { user: 'pgbouncer', database: 'pgbouncer' });
      await expect(login).rejects.toThrow('not allowed');
      expect(await answerToStranger(pooler, 'pgbouncer')).toContain('server_version');
    } finally {
      await pooler.kill();
    }
  });

  it('knows nobody without koffi', async () => {
    const env = withKoffiHooks({ isAbsent: true });
    await withProcess({ env, settings: { auth_type: 'scram-sha-256' } }, async (pooler) => {
      const login = loginHere(pooler, { user: 'pgbouncer', database: 'pgbouncer' });
      await expect(login).rejects.toThrow('not allowed');
    });
  });
});

describe.runIf(isLinux)('auth_type peer', () => {
  const settings = { auth_type: 'peer' };

  it('lets in the user whose name the system user has, without a password', async () => {
    await withProcess({ settings }, async (pooler) => {
      const client = await loginHere(pooler, { user: OWN_NAME, database: 'app' });
      expect(client.authenticationCodes).toEqual([0]);
      expect(await client.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
      await client.close();
      await pooler.stop();
    });
  });

  it('refuses any other name, with the true reason in the log alone', async () => {
    await withProcess({ settings, users: { postgres: '', other: 'x' } }, async (pooler) => {
      const login = loginHere(pooler, { user: 'other', database: 'app' });
      await expect(login).rejects.toMatchObject({
        fields: { C: '28000', M: 'unix socket login rejected' },
      });
      const line = await pooler.waitForEvent('client_login_failed');
      expect(line['reason']).toBe(`system user ${OWN_NAME} is not other`);
    });
  });

  it('refuses a user who is not in the users file', async () => {
    await withProcess({ settings, users: { someone: '' } }, async (pooler) => {
      const login = loginHere(pooler, { user: OWN_NAME, database: 'app' });
      await expect(login).rejects.toThrow('unix socket login rejected');
      const line = await pooler.waitForEvent('client_login_failed');
      expect(line['reason']).toBe('no such user');
    });
  });

  it('refuses everybody over TCP', async () => {
    await withProcess({ settings }, async (pooler) => {
      const login = pooler.login({ user: OWN_NAME, database: 'app' });
      await expect(login).rejects.toThrow('unix socket login rejected');
      const line = await pooler.waitForEvent('client_login_failed');
      expect(line['reason']).toBe(
        'the system user of the client is not known: not on a unix socket',
      );
    });
  });

  it.runIf(isRoot)('refuses another system user', async () => {
    const more = { admin_users: OWN_NAME, ...settings };
    await withProcess({ settings: more }, async (pooler) => {
      const answer = await answerToStranger(pooler, OWN_NAME);
      expect(answer).toContain('unix socket login rejected');
      const line = await pooler.waitForEvent('client_login_failed');
      expect(line['reason']).toBe(`system user ${STRANGER.name} is not ${OWN_NAME}`);
    });
  });
});

describe.runIf(isLinux)('the HBA method peer', () => {
  const ident = [
    '# who may be whom',
    `staff ${OWN_NAME} ann`,
    `staff "${OWN_NAME}" "b o b"`,
    `family /^(.*)$ \\1_db`,
    'strangers /^dae(mon)$ the_\\1',
    'everybody /^ all',
    'nobody-here someone all',
  ].join('\n');

  async function withRules(
    rules: readonly string[],
    body: (pooler: PoolerFixture) => Promise<void>,
  ): Promise<void> {
    const users = ['ann', 'b o b', `${OWN_NAME}_db`, 'the_mon', 'daemon', OWN_NAME];
    await withProcess(
      {
        config: (directory) => ({
          maitred: {
            auth_type: 'hba',
            auth_hba_file: `${directory}/hba.conf`,
            auth_ident_file: `${directory}/ident.conf`,
            admin_users: 'postgres, daemon, the_mon',
          },
          databases: { app: appTarget() },
        }),
        users: { postgres: '', ...Object.fromEntries(users.map((user) => [user, ''])) },
        files: {
          'hba.conf': `${['host pgbouncer postgres 127.0.0.1/32 trust', ...rules].join('\n')}\n`,
          'ident.conf': `${ident}\n`,
        },
      },
      body,
    );
  }

  async function outcome(pooler: PoolerFixture, user: string): Promise<string> {
    try {
      const client = await loginHere(pooler, { user, database: 'app' });
      const codes = client.authenticationCodes.join(' ');
      await client.close();
      return codes;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  const refused = 'FATAL 28000: unix socket login rejected';

  it('stays as it was when the file of the maps is gone at a RELOAD', async () => {
    const rules = ['local app all peer map=staff', 'local app all trust'];
    await withRules(rules, async (pooler) => {
      rmSync(`${pooler.directory}/ident.conf`);
      await pooler.console('RELOAD');
      await pooler.waitForEvent('hba_file_problem');
      expect(await outcome(pooler, 'ann')).toBe('0');
      // Were the first line left out, the second one would admit everybody.
      expect(await outcome(pooler, OWN_NAME)).toBe(refused);
    });
  });

  it.each([
    ['without a map', 'peer', { [OWN_NAME]: '0', ann: refused }],
    ['with names', 'peer map=staff', { ann: '0', 'b o b': '0', [OWN_NAME]: refused }],
    [
      'with a regular expression',
      'peer map="family"',
      { [`${OWN_NAME}_db`]: '0', ann: refused, [OWN_NAME]: refused },
    ],
    ['with all', 'peer map=everybody', { ann: '0', [OWN_NAME]: '0', unknown: refused }],
    ['with lines for others only', 'peer map=nobody-here', { ann: refused, [OWN_NAME]: refused }],
  ])('admits whom the system user may be, %s', async (_what, method, outcomes) => {
    await withRules([`local app all ${method}`], async (pooler) => {
      for (const [user, expected] of Object.entries(outcomes)) {
        expect([user, await outcome(pooler, user)]).toEqual([user, expected]);
      }
      expect(await pooler.console('SHOW USERS')).not.toEqual([]);
    });
  });

  it('does not count where its map is missing, and the next line decides', async () => {
    const rules = ['local app ann peer map=gone', 'local app all reject'];
    await withRules(rules, async (pooler) => {
      expect(await outcome(pooler, 'ann')).toBe('FATAL 28000: login rejected');
      const line = await pooler.waitForEvent('hba_file_problem');
      expect(line['problem']).toContain('Ident map gone is not found in ident config file');
      expect(line['line']).toBe(2);
    });
  });

  it('ident is no method here, as in PgBouncer: the line is left out and named', async () => {
    await withRules(['local all all ident map=staff'], async (pooler) => {
      expect(await outcome(pooler, 'ann')).toBe('FATAL 28000: no authentication method is found');
      const line = await pooler.waitForEvent('hba_file_problem');
      expect(line['problem']).toContain('unsupported method: buf=ident');
    });
  });

  it.runIf(isRoot)('goes by the system user of each client', async () => {
    await withRules(['local all all peer map=strangers'], async (pooler) => {
      expect(await answerToStranger(pooler, 'the_mon')).toContain('server_version');
      expect(await answerToStranger(pooler, 'daemon')).toContain('unix socket login rejected');
      expect(await outcome(pooler, 'the_mon')).toBe(refused);
    });
  });
});

describe.runIf(isLinux)('the process id of a client on a unix socket', () => {
  it('is in SHOW CLIENTS and in the application_name that servers see', async () => {
    const settings = { auth_type: 'trust', application_name_add_host: 1 };
    await withProcess({ settings }, async (pooler) => {
      const client = await loginHere(pooler, { user: OWN_NAME, database: 'app' });
      const [row] = await client.query("SELECT current_setting('application_name') AS name");
      const { pid } = process;
      // The port is that of the settings: any free one here.
      expect(row?.['name']).toBe(`app - unix(${String(pid)}@${os.hostname()}):0`);
      const clients = await pooler.console('SHOW CLIENTS');
      const own = clients.find(({ database }) => database === 'app');
      expect(own).toMatchObject({ addr: 'unix', remote_pid: String(pid) });
      await client.close();
    });
  });

  it('is not known over TCP, nor without koffi', async () => {
    const env = withKoffiHooks({ isAbsent: true });
    const settings = { auth_type: 'trust', application_name_add_host: 1 };
    await withProcess({ env, settings }, async (pooler) => {
      const client = await loginHere(pooler, { user: OWN_NAME, database: 'app' });
      const [row] = await client.query("SELECT current_setting('application_name') AS name");
      expect(row?.['name']).toBe('app - unix:0');
      const rows = await pooler.console('SHOW CLIENTS');
      expect(rows.map((each) => each['remote_pid'])).toEqual(rows.map(() => '0'));
      await client.close();
    });
  });
});
