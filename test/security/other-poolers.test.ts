import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { DEFAULT_SETTINGS } from '../../src/config/config.ts';
import { FakeServer } from '../support/fake-server.ts';
import * as frontend from '../support/frontend-messages.ts';
import { startPooler } from '../support/pooler-fixture.ts';
import { lastWords, refusalOf } from '../support/refusal.ts';
import { KeptPoolers, withPooler } from '../support/scene.ts';
import type { SceneOptions } from '../support/scene.ts';
import { ScramClient } from '../support/scram-client.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

const postgres = sharedPostgres();
const poolers = new KeptPoolers(postgres);
afterAll(() => poolers.stop());
const PASSWORD = 'open sesame';
const METHODS = ['plain', 'md5', 'scram-sha-256'];

function withMethod(method: string, more: SceneOptions = {}): SceneOptions {
  return {
    ...more,
    settings: { auth_type: method, ...more.settings },
    password: PASSWORD,
    database: { user: 'postgres' },
  };
}

describe('Odyssey 140a9a77: long fields in SCRAM', () => {
  it.each([
    ['nonce', (scram: ScramClient) => scram.first(), 'r=', 60_000],
    ['name', () => `n,,n=${'x'.repeat(60_000)},r=abcdefghijklmnop`, 'r=', 0],
    ['extension', (scram: ScramClient) => `${scram.first()},x=${'x'.repeat(60_000)}`, 'r=', 0],
  ])('of client-first-message end the client: %s', async (_what, first, mark, length) => {
    await poolers.with(withMethod('scram-sha-256'), async (scene) => {
      const client = await scene.connect();
      client.startup({ user: 'postgres', database: 'app' });
      await client.readUntil('R');
      const text = first(new ScramClient(PASSWORD)).replace(mark, mark + 'x'.repeat(length));
      client.send(frontend.saslInitialResponse('SCRAM-SHA-256', text));
      expect(await lastWords(client)).toBe('FATAL 08P01: SASL authentication failed');
    });
  });

  it.each(['c=biws', 'r=x', 'p='])('of client-final-message end the client: %s', async (field) => {
    await poolers.with(withMethod('scram-sha-256'), async (scene) => {
      const client = await scene.connect();
      const scram = new ScramClient(PASSWORD);
      client.startup({ user: 'postgres', database: 'app' });
      await client.readUntil('R');
      client.send(frontend.saslInitialResponse('SCRAM-SHA-256', scram.first()));
      const [challenge] = await client.readUntil('R');
      const final = scram.final(challenge?.body.toString('latin1', 4) ?? '');
      const start = field.slice(0, 2);
      client.send(frontend.saslResponse(final.replace(start, start + 'A'.repeat(60_000))));
      expect(await lastWords(client)).toMatch(/^FATAL (08P01|28P01): SASL authentication failed$/);
    });
  });
});

describe('CVE-2025-46801: a pool that is warm proves nothing', () => {
  it.each(METHODS)('a wrong password is refused all the same under %s', async (method) => {
    await poolers.with(withMethod(method, { logins: ['other'] }), async (scene) => {
      const right = await scene.login({ user: 'postgres', password: PASSWORD });
      expect((await right.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      for (const [user, password] of [
        ['postgres', 'wrong'],
        ['postgres', PASSWORD.slice(1)],
        ['other', 'wrong'],
        ['nobody', PASSWORD],
      ] as const) {
        expect(await refusalOf(scene.login({ user, password }))).toContain('28P01');
      }
      expect((await scene.login({ user: 'other', password: PASSWORD })).hasEnded).toBe(false);
    });
  });
});

describe('CVE-2024-45624: what is remembered is remembered by user and database', () => {
  it('the parameters of a welcome are those of the own pool', async () => {
    const server = await FakeServer.start({
      onStartup: (connection) => {
        const names = connection.startup?.parameters;
        const who = `${names?.get('user') ?? ''}@${names?.get('database') ?? ''}`;
        connection.acceptLogin({ search_path: who, TimeZone: who });
      },
    });
    const databases = { second: { dbname: 'fake2' } };
    await withPooler(server, { databases, logins: ['alice', 'bob'] }, async (scene) => {
      for (let round = 0; round < 2; round++) {
        for (const user of ['alice', 'bob']) {
          for (const [database, name] of [
            ['app', 'fake'],
            ['second', 'fake2'],
          ] as const) {
            const client = await scene.login({ user, database });
            expect(client.parameters.get('TimeZone')).toBe(`${user}@${name}`);
            await client.close();
          }
        }
      }
    });
    await server.stop();
  });

  it('keys that one user has proved log in nobody else', async () => {
    const role = 'security_scram';
    await postgres.createRole(role, PASSWORD, 'scram-sha-256');
    await postgres.query(`GRANT auth_scram TO ${role}`);
    const [row] = await postgres.query(
      `SELECT rolpassword FROM pg_authid WHERE rolname = '${role}'`,
    );
    const secret = row?.['rolpassword'] ?? '';
    const pooler = await startPooler({
      consolePassword: PASSWORD,
      config: {
        maitred: { auth_type: 'scram-sha-256', server_login_retry: 0 },
        databases: {
          app: { host: postgres.host, port: postgres.port, dbname: postgres.database },
        },
      },
      users: { postgres: PASSWORD, [role]: secret, twin: secret },
    });
    try {
      const proved = await pooler.login({ user: role, password: PASSWORD, database: 'app' });
      const [who] = await proved.query('SELECT session_user AS name');
      expect(who?.['name']).toBe(role);
      const twin = pooler.login({ user: 'twin', password: PASSWORD, database: 'app' });
      // The server knows no such user: the pooler did not take the other one's connection.
      expect(await refusalOf(twin)).toMatch(/twin/);
      await proved.close();
    } finally {
      await pooler.kill();
    }
  });
});

describe('CVE-2025-22248: nothing is open by default', () => {
  it('the defaults trust nobody, and no file that is shipped has a password', () => {
    expect(DEFAULT_SETTINGS.authType).toBe('md5');
    expect(DEFAULT_SETTINGS.adminUsers).toEqual([]);
    expect(DEFAULT_SETTINGS.statsUsers).toEqual([]);
    expect(DEFAULT_SETTINGS.listenAddr).toEqual([]);
    for (const file of ['config/maitred.yaml', 'config/pgbouncer.ini']) {
      const lines = readFileSync(file, 'utf8').split('\n');
      const active = lines.filter((line) => !/^\s*[#;]/.test(line));
      expect(
        active.filter((line) => /password|admin_users|stats_users|trust|\bany\b/.test(line)),
      ).toEqual([]);
    }
  });

  it('a pooler without users admits nobody, to the console neither', async () => {
    const pooler = await startPooler({
      config: {
        maitred: { auth_type: 'md5', auth_file: '', admin_users: '' },
        databases: { app: { host: postgres.host, port: postgres.port } },
      },
    });
    try {
      for (const user of ['postgres', 'pgbouncer', 'maitred', 'admin', 'repmgr']) {
        for (const database of ['app', 'pgbouncer', 'maitred']) {
          for (const password of ['', user, 'postgres']) {
            const words = await refusalOf(pooler.login({ user, database, password }));
            expect(words).toMatch(/^FATAL (28P01|42501): /);
          }
        }
      }
    } finally {
      await pooler.kill();
    }
  });
});

describe('names that objects know', () => {
  it.each(['__proto__', 'constructor', 'hasOwnProperty', 'toString', 'valueOf'])(
    '%s is a name like any other',
    async (name) => {
      await poolers.with(withMethod('md5'), async (scene) => {
        const login = { password: PASSWORD };
        expect(await refusalOf(scene.login({ ...login, user: name }))).toContain('28P01');
        expect(await refusalOf(scene.login({ ...login, user: 'postgres', database: name }))).toBe(
          `FATAL 3D000: no such database: ${name}`,
        );
        const parameters = { application_name: name };
        const client = await scene.login({ ...login, user: 'postgres', parameters });
        expect(await client.query('SHOW application_name')).toEqual([{ application_name: name }]);
        const other = scene.login({ ...login, user: 'postgres', parameters: { [name]: 'x' } });
        expect(await refusalOf(other)).toContain('unsupported startup parameter');
      });
    },
  );
});

describe('settings of one client', () => {
  it.each(['RESET ALL', 'DISCARD ALL', 'SET SESSION AUTHORIZATION DEFAULT'])(
    'stay when another client does %s',
    async (command) => {
      await poolers.with({}, async (scene) => {
        const parameters = { TimeZone: 'Asia/Tokyo', application_name: 'mine' };
        const mine = await scene.login({ parameters });
        const other = await scene.login({ parameters: { TimeZone: 'UTC' } });
        for (let round = 0; round < 2; round++) {
          expect(await mine.query('SHOW TimeZone')).toEqual([{ TimeZone: 'Asia/Tokyo' }]);
          expect((await other.simpleQuery(command)).errors).toEqual([]);
          expect(await mine.query('SHOW TimeZone')).toEqual([{ TimeZone: 'Asia/Tokyo' }]);
          expect(await mine.query('SHOW application_name')).toEqual([{ application_name: 'mine' }]);
        }
      });
    },
  );
});

describe('pgdog#1032: secrets are compared in constant time', () => {
  // Each place where something secret meets what a peer sent.
  it.each([
    ['src/auth/md5.ts', 'isEqualConstantTime(response'],
    ['src/auth/password-proof.ts', 'isSecretEqual(password'],
    ['src/auth/password-proof.ts', 'isEqualConstantTime(digest'],
    ['src/auth/password-proof.ts', 'isEqualConstantTime(keys.storedKey'],
    ['src/auth/scram-server.ts', 'isEqualConstantTime(sha256(clientKey), storedKey)'],
    ['src/auth/scram-client.ts', 'isEqualConstantTime(signature'],
    ['src/auth/credentials.ts', 'isEqualConstantTime(sha256(keys.clientKey), secret.storedKey)'],
    ['src/app/cancel-keys.ts', 'timingSafeEqual(Buffer.from(entry.secret'],
  ])('%s has %s', (file, call) => {
    expect(readFileSync(file, 'utf8')).toContain(call);
  });

  it('and by no other means', () => {
    for (const file of [
      'client-authenticator',
      'password-proof',
      'scram-proof',
      'scram-server',
      'scram-client',
      'md5',
    ]) {
      const text = readFileSync(`src/auth/${file}.ts`, 'utf8');
      expect(text).not.toMatch(/\.(?:equals|compare)\(|===? ?(?:secret|digest|password|\w+Key)\b/);
    }
  });
});
