import { describe, expect, it } from 'vitest';
import * as frontend from '../support/frontend-messages.ts';
import { proxyV1 } from '../support/proxy-headers.ts';
import { RawClient } from '../support/raw-client.ts';
import { withPooler } from '../support/scene.ts';
import type { Scene, SceneOptions } from '../support/scene.ts';
import { ScramClient } from '../support/scram-client.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

const postgres = sharedPostgres();
const PASSWORD = 'open sesame';
const PROXY = '127.0.0.2';
const STARTUP = frontend.startupMessage({ user: 'postgres', database: 'app' });
const ANSWER = frontend.saslInitialResponse('SCRAM-SHA-256', new ScramClient(PASSWORD).first());

type Stage = (client: RawClient) => Promise<unknown>;

/** Where a client may stop in a login without encryption. */
const STAGES: Readonly<Record<string, Stage>> = {
  'after connecting': () => Promise.resolve(),
  'in the startup message': (client) => client.sendAll(STARTUP.subarray(0, 11)),
  'after SSLRequest': async (client) => {
    await client.sendAll(frontend.sslRequest());
    return client.readBytes(1, 30_000);
  },
  'after GSSENCRequest': async (client) => {
    await client.sendAll(frontend.gssEncRequest());
    return client.readBytes(1, 30_000);
  },
  'after the startup message': (client) => client.sendAll(STARTUP),
  'in the answer': async (client) => {
    await client.sendAll(STARTUP);
    await client.readUntil('R', 30_000);
    return client.sendAll(ANSWER.subarray(0, 20));
  },
  'after the challenge': async (client) => {
    await client.sendAll(STARTUP);
    await client.readUntil('R', 30_000);
    await client.sendAll(ANSWER);
    return client.readUntil('R', 30_000);
  },
};

/** Stops where a proxy may stop. */
const PROXY_STAGES: Readonly<Record<string, Stage>> = {
  'before the PROXY header': () => Promise.resolve(),
  'in the PROXY header': (client) => client.sendAll(proxyV1('192.0.2.7', 9).subarray(0, 9)),
  'after the PROXY header': (client) => client.sendAll(proxyV1('192.0.2.7', 9)),
};

const OPTIONS: SceneOptions = {
  settings: {
    auth_type: 'scram-sha-256',
    client_login_timeout: '4s',
    max_client_conn: 2_000,
    proxy_protocol: true,
    proxy_protocol_trusted: [PROXY],
    // Fewer than stall in their proof, so that some stall while they wait for their turn.
    max_logins_in_flight: 100,
  },
  password: PASSWORD,
};

async function stall(scene: Scene, stage: Stage, localAddress: string): Promise<RawClient> {
  const client = await RawClient.connect({ ...scene.pooler.target, localAddress });
  // Whoever waits for its turn longer than it may is closed on the way.
  await stage(client).catch(() => {});
  return client;
}

describe('CVE-2026-25949: clients that stall', () => {
  it(
    '1,000 of them, at every stage, are closed by client_login_timeout while others log in',
    { timeout: 60_000 },
    async () => {
      await withPooler(postgres, OPTIONS, async (scene) => {
        const stages = [
          ...Object.values(STAGES).map((stage) => [stage, '127.0.0.1'] as const),
          ...Object.values(PROXY_STAGES).map((stage) => [stage, PROXY] as const),
        ];
        const stalling: Promise<RawClient>[] = [];
        while (stalling.length < 1_000) {
          const batch = stages.map(([stage, from]) => stall(scene, stage, from));
          stalling.push(...batch);
          await Promise.race(batch);
        }
        const state = { isOver: false };
        const ends = Promise.all(
          stalling.map(async (promise) => {
            const client = await promise;
            const rest = await client.readToEnd(40_000);
            client.destroy();
            return rest.toString('latin1');
          }),
        ).finally(() => {
          state.isOver = true;
        });
        let logins = 0;
        while (!state.isOver) {
          const friend = await scene.login();
          expect((await friend.simpleQuery('SELECT 1')).types).toBe('TDCZ');
          await friend.close();
          logins++;
        }
        const words = await ends;
        expect(words.filter((text) => text.includes('client_login_timeout')).length).toBe(1_000);
        expect(logins).toBeGreaterThan(3);
      });
    },
  );

  it.each(Object.keys(STAGES))('one is closed: %s', async (name) => {
    const settings = { ...OPTIONS.settings, client_login_timeout: '1s' };
    await withPooler(postgres, { ...OPTIONS, settings }, async (scene) => {
      const client = await stall(scene, STAGES[name] ?? (() => Promise.resolve()), '127.0.0.1');
      expect((await client.readToEnd()).toString('latin1')).toContain('client_login_timeout');
      client.destroy();
    });
  });
});
