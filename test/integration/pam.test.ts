import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { fileURLToPath } from 'node:url';
import { startPamProcess } from '../../src/app/pam-process.ts';
import type { PamWorker } from '../../src/auth/pam-checker.ts';
import type { SystemVerdict } from '../../src/auth/system-login.ts';
import { withKoffiHooks } from '../support/koffi-hooks.ts';
import { startPooler } from '../support/pooler-fixture.ts';
import type { PoolerFixture } from '../support/pooler-fixture.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const WORKER_FILE = fileURLToPath(new URL('../../dist/pam-worker.js', import.meta.url));

/** A service of our own: its file is there while these tests run. */
const SERVICE = 'maitred-test';
const SERVICE_FILE = `/etc/pam.d/${SERVICE}`;
/** One that a rule names. */
const OTHER_SERVICE = 'maitred-test-other';
const OTHER_SERVICE_FILE = `/etc/pam.d/${OTHER_SERVICE}`;

const LIBRARIES = ['/lib/x86_64-linux-gnu', '/lib/aarch64-linux-gnu', '/lib64', '/usr/lib'];
const hasPam = LIBRARIES.some((directory) => existsSync(`${directory}/libpam.so.0`));
const canWriteService = process.platform === 'linux' && process.getuid?.() === 0 && hasPam;

/** Accepts one user and password. For the user `slow` it waits until it has no script any more. */
const SCRIPT = `#!/bin/sh
read -r password
case "$PAM_USER:$password:$PAM_RHOST" in
  alice:secret:127.0.0.1) exit 0 ;;
  alice:other:127.0.0.1) [ "$PAM_SERVICE" = maitred-test-other ] && exit 0 ;;
  slow:*) while [ -e "$0" ]; do sleep 0.1; done ;;
esac
exit 1
`;

/** Rules of the service, with the script where `SCRIPT` stands. */
function rules(script: string): string {
  return [
    `auth required pam_exec.so expose_authtok quiet ${script}`,
    'account requisite pam_succeed_if.so quiet user != locked',
    '',
  ].join('\n');
}

/** Processes with `text` in their command line. */
function processesOf(text: string): readonly string[] {
  return readdirSync('/proc').filter((name) => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(text);
    } catch {
      // It has ended meanwhile.
      return false;
    }
  });
}

describe.runIf(canWriteService)('PAM (needs Linux, root and libpam)', () => {
  const script = `/tmp/maitred-pam-${String(process.pid)}.sh`;
  const workers: PamWorker[] = [];

  beforeAll(() => {
    writeFileSync(script, SCRIPT, { mode: 0o755 });
    writeFileSync(SERVICE_FILE, rules(script));
    writeFileSync(OTHER_SERVICE_FILE, rules(script));
  });
  afterEach(() => {
    for (const worker of workers.splice(0)) {
      worker.kill();
    }
  });
  afterAll(() => {
    rmSync(SERVICE_FILE, { force: true });
    rmSync(OTHER_SERVICE_FILE, { force: true });
    rmSync(script, { force: true });
  });

  function start(): PamWorker {
    const worker = startPamProcess(WORKER_FILE);
    workers.push(worker);
    return worker;
  }

  function ask(worker: PamWorker, user: string, password: string): Promise<SystemVerdict | null> {
    return new Promise((resolve) => {
      const host = '127.0.0.1';
      const request = { service: SERVICE, user, password: Buffer.from(password, 'latin1'), host };
      worker.check(request, resolve);
    });
  }

  it('is asked by a process of its own, again and again', async () => {
    const worker = start();
    expect(await ask(worker, 'alice', 'secret')).toEqual({ kind: 'accepted' });
    expect(await ask(worker, 'alice', 'wrong')).toMatchObject({
      kind: 'refused',
      reason: expect.stringContaining('pam_authenticate() failed: ') as string,
    });
    expect(await ask(worker, 'alice', 'secret')).toEqual({ kind: 'accepted' });
  });

  it('judges the account behind the password', async () => {
    writeFileSync(SERVICE_FILE, 'auth required pam_permit.so\naccount required pam_deny.so\n');
    try {
      expect(await ask(start(), 'alice', 'x')).toMatchObject({
        kind: 'refused',
        reason: expect.stringContaining('pam_acct_mgmt() failed: ') as string,
      });
    } finally {
      writeFileSync(SERVICE_FILE, rules(script));
    }
  });

  it('may hang: the process is killed, and the one who asked is told', async () => {
    const worker = start();
    const verdict = ask(worker, 'slow', 'x');
    await waitFor('the script', () => processesOf(script).length > 0);
    worker.kill();
    expect(await verdict).toBeNull();
    expect(worker.isAlive).toBe(false);
    expect(await ask(worker, 'alice', 'secret')).toBeNull();
  });

  describe('through the pooler', () => {
    const database = 'pam_login';

    beforeAll(async () => {
      // The server wants the same password: that of the client is all that the pooler has.
      await sharedPostgres().query("CREATE ROLE alice LOGIN PASSWORD 'secret' IN ROLE auth_scram");
    });
    afterAll(async () => {
      await sharedPostgres().query('DROP ROLE alice');
    });

    async function withPam(
      body: (pooler: PoolerFixture) => Promise<void>,
      settings: Readonly<Record<string, unknown>> = {},
    ): Promise<void> {
      const { host, port, address } = sharedPostgres();
      const pooler = await startPooler({
        env: withKoffiHooks({ pamService: SERVICE }),
        consoleUser: 'alice',
        consolePassword: 'secret',
        users: { alice: 'not the password' },
        config: {
          maitred: { auth_type: 'pam', admin_users: 'alice', ...settings },
          databases: { [database]: { host, port, dbname: address.database } },
        },
      });
      try {
        await body(pooler);
      } finally {
        await pooler.kill();
      }
    }

    it('lets a client in whose password PAM accepts, and logs in to the server with it', async () => {
      await withPam(async (pooler) => {
        const client = await pooler.login({ user: 'alice', database, password: 'secret' });
        expect(client.authenticationCodes).toEqual([3, 0]);
        expect(await client.query('SELECT current_user AS name')).toEqual([{ name: 'alice' }]);
        await client.close();
        await pooler.expectBaseline();
        await pooler.stop();
      });
    });

    it('refuses one whose password it does not, with the reason in the log alone', async () => {
      await withPam(async (pooler) => {
        const login = pooler.login({ user: 'alice', database, password: 'not the password' });
        await expect(login).rejects.toMatchObject({
          fields: { C: '28P01', M: 'PAM authentication failed' },
        });
        const line = await pooler.waitForEvent('client_login_failed');
        expect(line['reason']).toContain('pam_authenticate() failed');
        expect(JSON.stringify(pooler.logs)).not.toContain('not the password');
        await pooler.stop();
      });
    });

    it('judges those whom a host-based rule sends to it, by the service that the rule names', async () => {
      const { host, port, address } = sharedPostgres();
      const target = { host, port, dbname: address.database };
      const forced = { ...target, user: address.user, password: address.password ?? '' };
      const pooler = await startPooler({
        env: withKoffiHooks({ pamService: SERVICE }),
        users: { postgres: '', alice: 'not the password' },
        files: {
          'hba.conf': [
            'host pgbouncer postgres 127.0.0.1/32 trust',
            `host forced all 127.0.0.1/32 pam pamservice=${OTHER_SERVICE}`,
            'host nowhere all 127.0.0.1/32 pam pamservice=maitred-test-none',
            'host all all 127.0.0.1/32 pam',
            '',
          ].join('\n'),
        },
        config: (directory) => ({
          maitred: { auth_type: 'hba', auth_hba_file: `${directory}/hba.conf` },
          databases: { [database]: target, forced, nowhere: forced },
        }),
      });
      const whoami = async (to: string, password: string, user = 'alice'): Promise<unknown> => {
        const client = await pooler.login({ user, database: to, password });
        const [row] = await client.query('SELECT current_user AS name');
        await client.close();
        return row?.['name'];
      };
      const failed = 'PAM authentication failed';
      try {
        expect(await whoami(database, 'secret')).toBe('alice');
        await expect(whoami(database, 'other')).rejects.toThrow(failed);
        await expect(whoami(database, 'not the password')).rejects.toThrow(failed);
        await expect(whoami(database, '')).rejects.toThrow('empty password returned by client');
        await expect(whoami(database, 'secret', 'stranger')).rejects.toThrow(failed);
        expect(await whoami('forced', 'other')).toBe(address.user);
        await expect(whoami('forced', 'wrong')).rejects.toThrow(failed);
        // Without rules of its own a service has those of `other`, or none: nobody comes in.
        await expect(whoami('nowhere', 'secret')).rejects.toThrow(failed);
        await pooler.stop();
      } finally {
        await pooler.kill();
      }
    });

    it('goes on serving others while PAM takes its time', async () => {
      const settings = { client_login_timeout: 2 };
      await withPam(async (pooler) => {
        const slow = pooler
          .login({ user: 'slow', database, password: 'x' })
          .catch((error: unknown) => error);
        await waitFor('the script', () => processesOf(script).length > 0);
        const client = await pooler.login({ user: 'alice', database, password: 'secret' });
        expect(await client.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
        await client.close();
        expect(String(await slow)).toContain('client_login_timeout');
        expect(processesOf(WORKER_FILE)).toHaveLength(2);
        await pooler.stop();
        await waitFor('the end of the workers', () => processesOf(WORKER_FILE).length === 0);
      }, settings);
    });

    it('lets nobody in where the rules of the service are missing', async () => {
      rmSync(SERVICE_FILE);
      try {
        await withPam(async (pooler) => {
          const login = pooler.login({ user: 'alice', database, password: 'secret' });
          await expect(login).rejects.toThrow('PAM authentication failed');
        });
      } finally {
        writeFileSync(SERVICE_FILE, rules(script));
      }
    });
  });
});
