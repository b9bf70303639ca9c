import { pbkdf2Sync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import * as backend from '../support/backend-messages.ts';
import { FakeServer } from '../support/fake-server.ts';
import type { FakeServerScript } from '../support/fake-server.ts';
import { int32, message } from '../support/frontend-messages.ts';
import { refusalOf } from '../support/refusal.ts';
import { withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';

const SALT = Buffer.from('0123456789abcdef').toString('base64');

/** Asks for SCRAM and answers the client-first-message with what `reply` makes of its nonce. */
function scramScript(reply: (nonce: string) => string): FakeServerScript {
  return {
    onStartup: async (connection) => {
      connection.send(backend.authenticationSasl(['SCRAM-SHA-256']));
      const first = await connection.receive();
      const nonce = /r=([^,]+)$/.exec(first?.body.toString('latin1') ?? '')?.[1] ?? '';
      connection.send(message('R', int32(11), Buffer.from(reply(nonce))));
      await connection.receive();
    },
  };
}

/** Runs `body` with a pooler in front of a bad server, `app`, and a good one, `fine`. */
async function attack(
  script: FakeServerScript,
  settings: Readonly<Record<string, unknown>>,
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  const bad = await FakeServer.start(script);
  const good = await FakeServer.start();
  const options = {
    settings: { server_login_retry: 0, ...settings },
    database: { user: 'someone', password: 'secret' },
    databases: { fine: { host: good.host, port: good.port } },
  };
  try {
    await withPooler(bad, options, async (scene) => {
      const bystander = await scene.login({ database: 'fine' });
      await body(scene);
      expect((await bystander.simpleQuery('SELECT 1')).types).toBe('TDCZ');
    });
  } finally {
    await bad.stop();
    await good.stop();
  }
}

/** The time that the answers to a client of the good server take meanwhile, at most, in ms. */
async function slowestAnswerMs(scene: Scene, attempt: Promise<unknown>): Promise<number> {
  const client = await scene.login({ database: 'fine' });
  const state = { isOver: false };
  const over = attempt.finally(() => {
    state.isOver = true;
  });
  let slowestMs = 0;
  while (!state.isOver) {
    const startMs = performance.now();
    await client.simpleQuery('SELECT 1');
    slowestMs = Math.max(slowestMs, performance.now() - startMs);
  }
  await over;
  return slowestMs;
}

const BAD_EXCHANGE = 'FATAL 08006: server login failed: failed to answer authreq';

describe('CVE-2026-6665: what a server says in SCRAM', () => {
  it.each<[string, (nonce: string) => string]>([
    ['a nonce of 64 kB', (nonce) => `r=${nonce}${'x'.repeat(64_000)},s=${SALT},i=4096`],
    ['a salt of 64 kB', (nonce) => `r=${nonce}x,s=${'A'.repeat(64_000)},i=4096`],
    ['no nonce', () => `s=${SALT},i=4096`],
    ['no iterations', (nonce) => `r=${nonce}x,s=${SALT}`],
    ['nothing', () => ''],
  ])('is refused when it is %s', async (_what, reply) => {
    await attack(scramScript(reply), {}, async (scene) => {
      expect(await refusalOf(scene.login())).toBe(BAD_EXCHANGE);
      await scene.pooler.waitForEvent('server_login_failed');
    });
  });
});

describe('CVE-2026-6666: an error of a server without a SQLSTATE', () => {
  it.each([
    ['no code', backend.errorResponse({ S: 'FATAL', M: 'no code' })],
    ['no field at all', message('E', Buffer.of(0))],
    ['no body', message('E')],
    ['no end', message('E', Buffer.from('SFATAL'))],
    ['two codes', backend.errorResponse({ S: 'FATAL', C: '28P01', M: 'x' })],
    ['an odd code', message('E', Buffer.from('C\u0001\u0002\0M\0\0'))],
  ])('ends the client, not the pooler: %s', async (_what, error) => {
    const script: FakeServerScript = {
      onStartup: (connection) => {
        connection.send(error);
        connection.end();
      },
    };
    await attack(script, {}, async (scene) => {
      expect(await refusalOf(scene.login())).toMatch(/^FATAL [0-9A-Z]{5}: /);
      await scene.pooler.waitForEvent('server_login_failed');
    });
  });
});

describe('iterations that a server asks for', () => {
  it.each([
    ['CVE-2026-6669', '2000000000'],
    ['CVE-2026-42198', '2147483647'],
    ['bun#38133', '600001'],
    ['none', '0'],
    ['beyond 2^31', '99999999999'],
  ])('are refused at once when they are too many: %s, %s', async (_cve, iterations) => {
    const script = scramScript((nonce) => `r=${nonce}x,s=${SALT},i=${iterations}`);
    await attack(script, {}, async (scene) => {
      const attempt = expect(refusalOf(scene.login())).resolves.toBe(BAD_EXCHANGE);
      expect(await slowestAnswerMs(scene, attempt)).toBeLessThan(1_000);
    });
  });

  it('never hold up others when they are many but allowed', async () => {
    const state = { answer: '' };
    const script: FakeServerScript = {
      onStartup: async (connection) => {
        connection.send(backend.authenticationSasl(['SCRAM-SHA-256']));
        const first = await connection.receive();
        const nonce = /r=([^,]+)$/.exec(first?.body.toString('latin1') ?? '')?.[1] ?? '';
        const challenge = `r=${nonce}x,s=${SALT},i=600000`;
        connection.send(message('R', int32(11), Buffer.from(challenge)));
        state.answer = (await connection.receive())?.body.toString('latin1') ?? '';
        connection.send(backend.errorResponse({ S: 'FATAL', C: '28P01', M: 'no' }));
        connection.end();
      },
    };
    // What one of them takes on this machine, if it were done on the event loop.
    const startMs = performance.now();
    pbkdf2Sync('secret', Buffer.from(SALT, 'base64'), 600_000, 32, 'sha256');
    const blockedMs = performance.now() - startMs;
    await attack(script, {}, async (scene) => {
      const attempt = refusalOf(scene.login());
      const slowestMs = await slowestAnswerMs(scene, attempt);
      expect(state.answer).toMatch(/^c=biws,r=.+,p=/);
      expect(slowestMs).toBeLessThan(blockedMs / 2);
    });
  });

  it('node-postgres#3655: are refused below server_scram_min_iterations', async () => {
    const script = scramScript((nonce) => `r=${nonce}x,s=${SALT},i=4095`);
    await attack(script, { server_scram_min_iterations: 4096 }, async (scene) => {
      expect(await refusalOf(scene.login())).toBe(BAD_EXCHANGE);
      const line = await scene.pooler.waitForEvent('server_login_failed');
      expect(JSON.stringify(line)).toContain('fewer SCRAM iterations than are allowed');
    });
  });
});
