import { randomBytes } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import * as frontend from '../support/frontend-messages.ts';
import { int32, message } from '../support/frontend-messages.ts';
import type { RawClient } from '../support/raw-client.ts';
import { lastWords } from '../support/refusal.ts';
import { KeptPoolers } from '../support/scene.ts';
import type { Scene, SceneOptions } from '../support/scene.ts';
import { ScramClient } from '../support/scram-client.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

const postgres = sharedPostgres();
const poolers = new KeptPoolers(postgres);
afterAll(() => poolers.stop());
const PASSWORD = 'open sesame, says the one with the key';

/** Runs an attack beside a client that is served before and after it; no secret may be logged. */
async function attack(
  method: string,
  options: SceneOptions,
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  const settings = { auth_type: method, verbose: 2, ...options.settings };
  const database = { user: 'postgres', ...options.database };
  await poolers.with({ ...options, settings, database, password: PASSWORD }, async (scene) => {
    const bystander = await scene.login({ user: 'postgres' });
    await body(scene);
    expect((await bystander.simpleQuery('SELECT 1')).types).toBe('TDCZ');
    const newcomer = await scene.login({ user: 'postgres' });
    expect((await newcomer.simpleQuery('SELECT 1')).types).toBe('TDCZ');
    expect(JSON.stringify(scene.pooler.logs)).not.toContain(PASSWORD);
  });
}

/** Sends a startup packet made of raw bytes, pairs of name and value. */
async function startRaw(scene: Scene, pairs: readonly (string | Buffer)[]): Promise<RawClient> {
  const texts = pairs.map((text) => Buffer.concat([Buffer.from(text), Buffer.of(0)]));
  const body = Buffer.concat([int32(frontend.PROTOCOL_3_0), ...texts, Buffer.of(0)]);
  const client = await scene.connect();
  client.send(int32(body.length + 4), body);
  return client;
}

async function startAs(scene: Scene, user = 'postgres'): Promise<RawClient> {
  const client = await scene.connect();
  client.startup({ user, database: 'app' });
  return client;
}

async function loggedReason(scene: Scene): Promise<unknown> {
  return (await scene.pooler.waitForEvent('client_login_failed'))['reason'];
}

describe('names that are not UTF-8', () => {
  const replaced = '\ufffd';
  it.each(['ff', 'c3', 'eda080', 'c080'])('are never taken for another name: %s', async (hex) => {
    const bytes = Buffer.from(hex, 'hex');
    // Were the bytes replaced, the attacker would be this user and get this database.
    const options = { databases: { [replaced]: { user: 'postgres' } } };
    await attack('any', options, async (scene) => {
      const words = 'FATAL 22021: names of users and databases must be valid UTF-8';
      const asUser = await startRaw(scene, ['user', bytes, 'database', 'app']);
      expect(await lastWords(asUser)).toBe(words);
      const inDatabase = await startRaw(scene, ['user', 'postgres', 'database', bytes]);
      expect(await lastWords(inDatabase)).toBe(words);
      expect(await loggedReason(scene)).toBe('names of users and databases must be valid UTF-8');
      expect((await scene.login({ user: replaced, database: replaced })).hasEnded).toBe(false);
    });
  });
});

describe('parameters of the startup message', () => {
  it('that come twice count once: who logs in is who has proved it', async () => {
    await attack('scram-sha-256', { logins: ['low'] }, async (scene) => {
      const pairs = ['user', 'postgres', 'database', 'app', 'user', 'low', 'database', 'pgbouncer'];
      const client = await startRaw(scene, pairs);
      // The console: postgres may use it, low may not.
      expect(await lastWords(client)).toBe('FATAL 42501: not allowed');
      const other = await startRaw(scene, ['user', 'low', 'user', 'postgres', 'database', 'app']);
      await other.authenticate({ user: 'postgres', password: PASSWORD });
      await other.readUntil('Z');
      const rows = await scene.pooler.console('SHOW CLIENTS');
      expect(rows.filter(({ user }) => user === 'low')).toEqual([]);
    });
  });

  it.each([
    'true',
    'database',
    'TRUE',
    'y',
    '1',
    'off',
    '2',
    'dätabase',
    'x'.repeat(9_000),
    ' true',
  ])('replication %.20s comes in by no other door', async (replication) => {
    await attack('scram-sha-256', { logins: ['low'] }, async (scene) => {
      for (const database of ['app', 'pgbouncer', 'nowhere']) {
        const client = await scene.connect();
        client.startup({ user: 'nobody', database, replication });
        const error = await client.authenticate({ user: 'nobody', password: PASSWORD }).then(
          () => 'admitted',
          (refusal: unknown) => String(refusal),
        );
        expect(error).toMatch(/SASL authentication failed|not allowed/);
      }
    });
  });

  it('with the name of a secret are not logged', async () => {
    await attack('scram-sha-256', {}, async (scene) => {
      const client = await scene.connect();
      client.startup({ user: 'postgres', database: 'app', password: PASSWORD });
      expect(await lastWords(client)).toBe('FATAL 0A000: unsupported startup parameter: password');
      await scene.pooler.waitForEvent('startup_parameter_refused');
    });
  });
});

describe('a PasswordMessage', () => {
  const cases: [string, Buffer][] = [
    ['with a NUL in it', message('p', Buffer.from(`${PASSWORD}\0x\0`))],
    ['with the password behind a NUL', message('p', Buffer.from(`\0${PASSWORD}\0`))],
    ['without its end', message('p', Buffer.from(PASSWORD))],
    ['with two ends', message('p', Buffer.from(`${PASSWORD}\0\0`))],
    ['with nothing', message('p')],
    ['of 64 kB', message('p', Buffer.alloc(65_000, 0x61), Buffer.of(0))],
    ['of 100 kB', message('p', Buffer.alloc(100_000, 0x61), Buffer.of(0))],
    ['of bytes that are no UTF-8', message('p', Buffer.of(0xff, 0xfe, 0))],
    ['that is empty', message('p', Buffer.of(0))],
  ];

  it.each(['plain', 'md5'])('that is odd admits nobody under %s', async (method) => {
    await attack(method, {}, async (scene) => {
      for (const [what, bytes] of cases) {
        const client = await startAs(scene);
        await client.readUntil('R');
        client.send(bytes);
        expect(await lastWords(client), what).toMatch(/^FATAL (28P01|08P01): /);
        await scene.pooler.waitForEvent('client_login_failed');
        scene.pooler.logs.length = 0;
      }
    });
  });

  it.each([
    'md5',
    `md5${'0'.repeat(31)}`,
    `md5${'0'.repeat(33)}`,
    `MD5${'0'.repeat(32)}`,
    '0'.repeat(35),
  ])('that is no md5 answer is a wrong one: %s', async (answer) => {
    await attack('md5', {}, async (scene) => {
      const client = await startAs(scene);
      await client.readUntil('R');
      client.send(frontend.passwordMessage(answer));
      expect(await lastWords(client)).toBe('FATAL 28P01: password authentication failed');
      expect(await loggedReason(scene)).toBe('wrong password');
    });
  });
});

describe('the nonce of SCRAM', () => {
  it.each([
    ['none', 'n,,n=,r='],
    ['a comma in it', 'n,,n=,r=abc,def'],
    ['a NUL in it', 'n,,n=,r=abc\0defghijklmnop'],
    ['a letter beyond ASCII', 'n,,n=,r=äbcdefghijklmnop'],
    ['a control character', 'n,,n=,r=abc\u0001defghijklmnop'],
    ['two', 'n,,r=abcdefghijklmnop,r=abcdefghijklmnop'],
    ['one before the name', 'n,,r=abcdefghijklmnop,n='],
    ['none at all', 'n,,n='],
    ['somebody else to be', 'n,a=admin,n=,r=abcdefghijklmnop'],
    ['a mandatory extension', 'n,,m=x,n=,r=abcdefghijklmnop'],
  ])('of the first message: %s', async (_what, text) => {
    await attack('scram-sha-256', {}, async (scene) => {
      const client = await startAs(scene);
      await client.readUntil('R');
      client.send(frontend.saslInitialResponse('SCRAM-SHA-256', text));
      expect(await lastWords(client)).toBe('FATAL 08P01: SASL authentication failed');
      await scene.pooler.waitForEvent('client_login_failed');
    });
  });

  it.each<[string, (nonce: string, own: string) => string]>([
    ['empty', () => ''],
    ['of the client alone', (_nonce, own) => own],
    ['of the server alone', (nonce, own) => nonce.slice(own.length)],
    ['cut off', (nonce) => nonce.slice(0, -1)],
    ['longer', (nonce) => `${nonce}x`],
    ['with a NUL behind', (nonce) => `${nonce}\0`],
    ['with another letter', (nonce) => `${nonce.slice(0, -1)}!`],
  ])('of the last message: %s', async (_what, change) => {
    await attack('scram-sha-256', {}, async (scene) => {
      const client = await startAs(scene);
      await client.readUntil('R');
      const scram = new ScramClient(PASSWORD);
      const first = scram.first();
      client.send(frontend.saslInitialResponse('SCRAM-SHA-256', first));
      const [challenge] = await client.readUntil('R');
      const final = scram.final(challenge?.body.toString('latin1', 4) ?? '');
      const nonce = /r=([^,]*)/.exec(final)?.[1] ?? '';
      const own = /r=(.*)$/.exec(first)?.[1] ?? '';
      client.send(frontend.saslResponse(final.replace(nonce, () => change(nonce, own))));
      expect(await lastWords(client)).toBe('FATAL 08P01: SASL authentication failed');
      expect(await loggedReason(scene)).toMatch(
        /^(nonce of client-final-message is not the one sent|malformed client-final-message)$/,
      );
    });
  });

  it('is a new one each time: an exchange that was overheard proves nothing', async () => {
    await attack('scram-sha-256', {}, async (scene) => {
      const scram = new ScramClient(PASSWORD);
      const first = frontend.saslInitialResponse('SCRAM-SHA-256', scram.first());
      const heard = await startAs(scene);
      await heard.readUntil('R');
      heard.send(first);
      const [challenge] = await heard.readUntil('R');
      const final = frontend.saslResponse(scram.final(challenge?.body.toString('latin1', 4) ?? ''));
      heard.send(final);
      await heard.readUntil('Z');
      const replay = await startAs(scene);
      await replay.readUntil('R');
      replay.send(first);
      await replay.readUntil('R');
      replay.send(final);
      expect(await lastWords(replay)).toBe('FATAL 08P01: SASL authentication failed');
    });
  });
});

describe('keys of cancel requests', () => {
  it('that are guessed cancel nothing', async () => {
    await attack('scram-sha-256', {}, async (scene) => {
      const victim = await scene.login({ user: 'postgres' });
      const { processId = 0 } = victim.backendKey ?? {};
      victim.send(frontend.query('SELECT pg_sleep(1.5)'));
      await Promise.all(
        Array.from({ length: 200 }, async (_, index) => {
          const guess = await scene.connect();
          const secret = index === 0 ? Buffer.alloc(4) : randomBytes(4);
          guess.send(frontend.cancelRequest(processId, secret));
          expect(await guess.readToEnd(30_000)).toHaveLength(0);
        }),
      );
      expect((await victim.readOutcome(30_000)).errors).toEqual([]);
    });
  });
});
