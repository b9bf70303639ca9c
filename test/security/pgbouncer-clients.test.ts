import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import * as frontend from '../support/frontend-messages.ts';
import { int32, message, messageWithLength } from '../support/frontend-messages.ts';
import { RawClient } from '../support/raw-client.ts';
import { lastWords, refusalOf } from '../support/refusal.ts';
import { residentBytes, KeptPoolers } from '../support/scene.ts';
import type { Scene, SceneOptions } from '../support/scene.ts';
import { ScramClient } from '../support/scram-client.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

const postgres = sharedPostgres();
const poolers = new KeptPoolers(postgres);
afterAll(() => poolers.stop());
const PASSWORD = 'open sesame';
const SCRAM: SceneOptions = { settings: { auth_type: 'scram-sha-256' }, password: PASSWORD };

/** Runs an attack beside a client that is served before, and must be served after it. */
async function attack(options: SceneOptions, body: (scene: Scene) => Promise<void>): Promise<void> {
  await poolers.with(options, async (scene) => {
    const bystander = await scene.login({ user: 'postgres' });
    await body(scene);
    expect((await bystander.simpleQuery('SELECT 1')).types).toBe('TDCZ');
    const newcomer = await scene.login({ user: 'postgres' });
    expect((await newcomer.simpleQuery('SELECT 1')).types).toBe('TDCZ');
  });
}

/** Sends bytes on a connection of its own. @returns The error that it ends with. */
async function answerTo(scene: Scene, ...bytes: Buffer[]): Promise<string> {
  const client = await RawClient.connect(scene.pooler.target);
  client.send(...bytes);
  const words = await lastWords(client);
  client.destroy();
  return words;
}

/** Processor time that a process has used, in ms. Linux. */
function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

describe('CVE-2012-4575: over-long names of databases and users', () => {
  it.each([
    ['database', { user: 'postgres', database: 'd'.repeat(9_900) }],
    ['user', { user: 'u'.repeat(9_900), database: 'app' }],
    ['both', { user: 'u'.repeat(4_900), database: 'd'.repeat(4_900) }],
  ])('end the client, with * configured: %s', async (_what, names) => {
    const databases = { '*': {} };
    await attack({ ...SCRAM, databases }, async (scene) => {
      const client = await RawClient.connect(scene.pooler.target);
      const login = { ...names, password: PASSWORD };
      await expect(client.login(login)).rejects.toMatchObject({ severity: 'FATAL' });
      client.destroy();
      await scene.pooler.waitForEvent('client_login_failed').catch(() =>
        // A name that only the server knows to be wrong.
        scene.pooler.waitForEvent('pooler_error_sent'),
      );
    });
  });
});

describe('CVE-2015-4054: a password before the startup message', () => {
  it.each([
    ['PasswordMessage', frontend.passwordMessage(PASSWORD)],
    ['SASLInitialResponse', frontend.saslInitialResponse('SCRAM-SHA-256', 'n,,n=,r=x')],
    ['behind SSLRequest', Buffer.concat([frontend.sslRequest(), frontend.passwordMessage('x')])],
  ])('ends the client: %s', async (_what, bytes) => {
    await attack(SCRAM, async (scene) => {
      expect(await answerTo(scene, bytes)).toMatch(/^FATAL 08P01: /);
      await scene.pooler.waitForEvent('client_login_failed');
    });
  });
});

describe('CVE-2021-3935: plain text behind a request for encryption', () => {
  const startup = frontend.startupMessage({ user: 'postgres', database: 'app' });

  it.each([
    ['a query behind SSLRequest', frontend.sslRequest(), frontend.query('SELECT 1')],
    ['a startup message behind SSLRequest', frontend.sslRequest(), startup],
    ['a startup message behind GSSENCRequest', frontend.gssEncRequest(), startup],
    ['a single byte behind GSSENCRequest', frontend.gssEncRequest(), Buffer.of(0)],
  ])('ends the client: %s', async (_what, ...bytes) => {
    await attack({}, async (scene) => {
      expect(await answerTo(scene, ...bytes)).toContain('received unencrypted data after');
      const line = await scene.pooler.waitForEvent('client_login_failed');
      expect(line['reason']).toContain('received unencrypted data after');
    });
  });
});

describe('CVE-2026-6664: lengths inside of SASLInitialResponse', () => {
  const data = Buffer.from('n,,n=,r=abcdefghijklmnop');

  it.each([-1, -2, -2_147_483_648, 0, 1, data.length - 1, data.length + 1, 65_535, 0x7fff_ffff])(
    'end the client: %d',
    async (length) => {
      await attack(SCRAM, async (scene) => {
        const client = await scene.connect();
        client.startup({ user: 'postgres', database: 'app' });
        await client.readUntil('R');
        client.send(message('p', frontend.cstring('SCRAM-SHA-256'), int32(length), data));
        expect(await lastWords(client)).toBe('FATAL 08P01: SASL authentication failed');
        await scene.pooler.waitForEvent('client_login_failed');
      });
    },
  );
});

describe('CVE-2026-6667: what users of the console may do', () => {
  const COMMANDS = [
    ...['PAUSE', 'RESUME', 'KILL', 'RECONNECT', 'RELOAD', 'SUSPEND', 'WAIT_CLOSE', 'SHUTDOWN'],
    ...['KILL_CLIENT 1', 'DISABLE app', 'ENABLE app', "SET verbose = '0'", 'SHOW FDS'],
  ];
  const options: SceneOptions = {
    settings: { admin_users: 'postgres', stats_users: 'watcher' },
    logins: ['watcher', 'other'],
  };

  it('stats users may do nothing but look', async () => {
    await attack(options, async (scene) => {
      const watcher = await scene.login({ user: 'watcher', database: 'pgbouncer' });
      for (const command of COMMANDS) {
        const outcome = await watcher.simpleQuery(command);
        expect(outcome.errors[0]?.message, command).toBe('ERROR 42501: admin access needed');
      }
      expect(await watcher.query('SHOW CLIENTS')).not.toEqual([]);
    });
  });

  it('other users may not come in', async () => {
    await attack(options, async (scene) => {
      const attempt = scene.login({ user: 'other', database: 'pgbouncer' });
      expect(await refusalOf(attempt)).toBe('FATAL 42501: not allowed');
      await scene.pooler.waitForEvent('client_login_failed');
    });
  });
});

describe.each([
  ['CVE-2026-6668', '1GB'],
  ['CVE-2026-107348', '2147483647'],
])('%s: messages announced with up to 2 GiB, max_packet_size %s', (_cve, size) => {
  it('cost neither memory nor time in any phase, however slowly they come', async () => {
    const settings = { ...SCRAM.settings, max_packet_size: size, default_pool_size: 30 };
    await attack({ ...SCRAM, settings }, async (scene) => {
      const { pid } = scene.pooler;
      const proving: RawClient[] = [];
      for (let left = 20; left > 0; left--) {
        const client = await scene.connect();
        client.startup({ user: 'postgres', database: 'app' });
        await client.readUntil('R');
        proving.push(client);
      }
      const working = await scene.logins(10, { user: 'postgres' });
      const before = residentBytes(pid);
      for (const client of proving) {
        client.send(messageWithLength('p', 0x7fff_ffff));
        expect(await lastWords(client)).toMatch(/^FATAL 08P01: bad packet header/);
      }
      for (const client of working) {
        client.send(messageWithLength('Q', 0x3fff_fff0));
      }
      const cpuBefore = cpuMs(pid);
      for (let round = 0; round < 50; round++) {
        for (const client of working) {
          await client.sendAll(Buffer.alloc(20, 0x41));
        }
      }
      await scene.pooler.console('SHOW VERSION');
      expect(cpuMs(pid) - cpuBefore).toBeLessThan(2_000);
      expect(residentBytes(pid) - before).toBeLessThan(30e6);
      expect(await answerTo(scene, int32(0x7fff_ffff), int32(0x3_0000))).toContain(
        'bad packet header',
      );
      for (const client of [...proving, ...working]) {
        client.destroy();
      }
    });
  });
});

describe('CVE-2026-107348: max_packet_size', () => {
  it('may be as large as it can be: no length above 2 GB is believed', async () => {
    await attack({ settings: { max_packet_size: 4_294_967_295 } }, async (scene) => {
      const console = await scene.login({ user: 'postgres', database: 'pgbouncer' });
      const outcome = await console.simpleQuery("SET max_packet_size = '4294967296'");
      expect(outcome.errors[0]?.text).toContain('out of range');
      const client = await scene.login();
      client.send(frontend.messageWithLength('Q', 0x8000_0001 | 0));
      expect((await client.readError()).text).toContain('bad packet header');
    });
  });
});

describe('CVE-2026-107349: options without names', () => {
  it.each([
    ...['-c=', '-c =', '-c', '-c ', '--', '--=', '-', '=', '\\', '-c a\\', '-c=b', '--=b'],
    '-c='.repeat(3_000),
    '\\'.repeat(9_000),
    '-c a=b '.repeat(1_300),
  ])('are answered at once: %.20s', async (options) => {
    const settings = { ignore_startup_parameters: 'extra_float_digits' };
    await attack({ settings }, async (scene) => {
      const client = await scene.connect();
      client.startup({ user: 'postgres', database: 'app', options });
      const words = await client
        .readUntil('Z', 2_000)
        .then(() => 'admitted')
        .catch((error: unknown) => String(error));
      expect(words).toMatch(/FATAL 0A000: /);
      await scene.pooler.waitForEvent('client_login_failed');
    });
  });
});

describe('CVE-2026-107350: a second startup message in the middle of SCRAM', () => {
  it.each(['app', 'nowhere', 'pgbouncer'])(
    'never makes another user of a client: database %s',
    async (database) => {
      await attack({ ...SCRAM, logins: ['low'] }, async (scene) => {
        const client = await scene.connect();
        const scram = new ScramClient(PASSWORD);
        client.startup({ user: 'low', database: database === 'pgbouncer' ? 'app' : database });
        await client.readUntil('R');
        client.send(frontend.saslInitialResponse('SCRAM-SHA-256', scram.first()));
        const [challenge] = await client.readUntil('R');
        client.startup({ user: 'postgres', database });
        client.send(
          frontend.saslResponse(scram.final(challenge?.body.toString('latin1', 4) ?? '')),
        );
        expect(await lastWords(client)).toBe('FATAL 08P01: client re-sent startup pkt');
        const line = await scene.pooler.waitForEvent('client_login_failed');
        expect([line['user'], line['reason']]).toEqual(['low', 'client re-sent startup pkt']);
      });
    },
  );
});
