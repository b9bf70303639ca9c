import { describe, expect, it } from 'vitest';
import { numberOf, parseExposition } from '../support/exposition.ts';
import * as frontend from '../support/frontend-messages.ts';
import { RawClient } from '../support/raw-client.ts';
import { refusalOf } from '../support/refusal.ts';
import { withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const postgres = sharedPostgres();
const PASSWORD = 'open sesame';
/** The attacker of these tests; the console comes from 127.0.0.1, which is trusted. */
const ATTACKER = '127.0.0.66';
const FRIEND = '127.0.0.7';
const SETTINGS = {
  auth_type: 'scram-sha-256',
  login_failure_limit: 3,
  login_failure_trusted: ['127.0.0.1'],
  metrics_listen_addr: '127.0.0.1',
  metrics_listen_port: 0,
};
const OPTIONS = {
  settings: SETTINGS,
  password: PASSWORD,
  logins: ['other'],
  // All logins end on the one user that the server has.
  database: { user: 'postgres' },
};
const REFUSED = 'FATAL 28P01: SASL authentication failed';

async function loginFrom(
  scene: Scene,
  localAddress: string,
  password: string,
  user = 'postgres',
): Promise<RawClient> {
  const client = await RawClient.connect({ ...scene.pooler.target, localAddress });
  try {
    await client.login({ user, password, database: 'app' });
    return client;
  } catch (error) {
    client.destroy();
    throw error;
  }
}

async function failures(scene: Scene, reason: string): Promise<number> {
  const { port } = await scene.pooler.waitForEvent('metrics_listening');
  const response = await fetch(`http://127.0.0.1:${String(port)}/metrics`);
  const metrics = parseExposition(await response.text());
  return numberOf(metrics, 'maitred_client_login_failures_total', { reason });
}

/** Guesses wrong as often as it takes to be refused for it. */
async function guessUntilRefused(scene: Scene, user = 'postgres'): Promise<void> {
  for (let left = SETTINGS.login_failure_limit; left > 0; left--) {
    expect(await refusalOf(loginFrom(scene, ATTACKER, 'wrong', user))).toBe(REFUSED);
  }
}

describe('an address that guesses passwords', () => {
  it('is refused in the words of a wrong password, and the log and a counter know why', async () => {
    await withPooler(postgres, OPTIONS, async (scene) => {
      await guessUntilRefused(scene);
      // Even the right password is refused, so nothing is learnt from it.
      expect(await refusalOf(loginFrom(scene, ATTACKER, PASSWORD))).toBe(REFUSED);
      expect(await refusalOf(loginFrom(scene, ATTACKER, PASSWORD, 'other'))).toBe(REFUSED);
      const line = await scene.pooler.waitForLog(
        'the back-off',
        ({ reason }) => reason === 'too many failed logins from this address',
      );
      expect(line).toMatchObject({
        event: 'client_login_failed',
        user: 'postgres',
        database: 'app',
        address: ATTACKER,
      });
      expect(await failures(scene, 'wrong_password')).toBe(3);
      expect(await failures(scene, 'backoff')).toBe(2);
      expect(await failures(scene, 'timeout')).toBe(0);
    });
  });

  it('does not lock the user out from another address', async () => {
    await withPooler(postgres, OPTIONS, async (scene) => {
      await guessUntilRefused(scene);
      const friend = await loginFrom(scene, FRIEND, PASSWORD);
      expect((await friend.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      await friend.close();
    });
  });

  it('does not lock out users who have logged in from there before', async () => {
    await withPooler(postgres, OPTIONS, async (scene) => {
      const before = await loginFrom(scene, ATTACKER, PASSWORD);
      await guessUntilRefused(scene, 'nobody');
      expect(await refusalOf(loginFrom(scene, ATTACKER, PASSWORD, 'other'))).toBe(REFUSED);
      const again = await loginFrom(scene, ATTACKER, PASSWORD);
      expect((await again.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      await before.close();
      await again.close();
    });
  });

  it('comes in again once the time is over', async () => {
    await withPooler(postgres, OPTIONS, async (scene) => {
      await guessUntilRefused(scene);
      const client = await waitFor('the end of the back-off', () =>
        loginFrom(scene, ATTACKER, PASSWORD),
      );
      await client.close();
    });
  });

  it('comes in again after RELOAD', async () => {
    const settings = { ...SETTINGS, login_failure_window: '1h', login_failure_max_backoff: '1h' };
    await withPooler(postgres, { ...OPTIONS, settings }, async (scene) => {
      await guessUntilRefused(scene);
      for (let left = 2; left > 0; left--) {
        expect(await refusalOf(loginFrom(scene, ATTACKER, PASSWORD))).toBe(REFUSED);
      }
      await scene.pooler.console('RELOAD');
      await (await loginFrom(scene, ATTACKER, PASSWORD)).close();
    });
  });

  it('may guess on where the limit is 0, or the address is trusted, or by the unix socket', async () => {
    const settings = { ...SETTINGS, login_failure_trusted: [ATTACKER, '127.0.0.1'] };
    await withPooler(postgres, { ...OPTIONS, settings }, async (scene) => {
      for (let left = 6; left > 0; left--) {
        expect(await refusalOf(loginFrom(scene, ATTACKER, 'wrong'))).toBe(REFUSED);
        const local = RawClient.login(scene.pooler.socketTarget, {
          user: 'postgres',
          database: 'app',
          password: 'wrong',
        });
        expect(await refusalOf(local)).toBe(REFUSED);
      }
      await (await loginFrom(scene, ATTACKER, PASSWORD)).close();
      expect(await failures(scene, 'wrong_password')).toBe(12);
      await scene.pooler.console("SET login_failure_trusted = '127.0.0.1'");
      await scene.pooler.console("SET login_failure_limit = '0'");
      for (let left = 6; left > 0; left--) {
        await refusalOf(loginFrom(scene, ATTACKER, 'wrong'));
      }
      await (await loginFrom(scene, ATTACKER, PASSWORD, 'other')).close();
    });
  });
});

describe('max_logins_in_flight', () => {
  const settings = { ...SETTINGS, max_logins_in_flight: 2 };

  it('lets more logins wait, and all come in', async () => {
    await withPooler(postgres, { ...OPTIONS, settings }, async (scene) => {
      const logins = Array.from({ length: 30 }, () => scene.login());
      for (const client of await Promise.all(logins)) {
        expect((await client.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      }
    });
  });

  it('is not used up by clients that stall in their proof', async () => {
    await withPooler(postgres, { ...OPTIONS, settings }, async (scene) => {
      const startup = frontend.startupMessage({ user: 'postgres', database: 'app' });
      for (let left = 10; left > 0; left--) {
        (await scene.connect()).send(startup);
      }
      const friend = await scene.login();
      expect((await friend.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      scene.dropClients();
    });
  });

  it('forgets clients that leave while they wait', async () => {
    await withPooler(postgres, { ...OPTIONS, settings }, async (scene) => {
      const startup = frontend.startupMessage({ user: 'postgres', database: 'app' });
      for (let left = 10; left > 0; left--) {
        const client = await scene.connect();
        client.send(startup);
        client.reset();
      }
      const friend = await scene.login();
      expect((await friend.simpleQuery('SELECT 1')).types).toBe('TDCZ');
    });
  });
});

describe('max_unauthenticated_conn', () => {
  it('closes the oldest of the address with most, while others log in', async () => {
    // Silent sockets must reach the pooler.
    const settings = { ...SETTINGS, max_unauthenticated_conn: 20, tcp_defer_accept: false };
    await withPooler(postgres, { ...OPTIONS, settings }, async (scene) => {
      const stalled: RawClient[] = [];
      while (stalled.length < 40) {
        stalled.push(await RawClient.connect({ ...scene.pooler.target, localAddress: ATTACKER }));
      }
      const friend = await loginFrom(scene, FRIEND, PASSWORD);
      expect((await friend.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      for (const client of stalled.slice(0, 20)) {
        expect((await client.readError()).text).toBe(
          'no more connections allowed (max_unauthenticated_conn)',
        );
      }
      expect(stalled.at(-1)?.hasEnded).toBe(false);
      expect(await failures(scene, 'overloaded')).toBeGreaterThanOrEqual(20);
      stalled.forEach((client) => {
        client.destroy();
      });
      await friend.close();
    });
  });
});

describe('data before the login', () => {
  it('is bounded in total, and normal clients log in all the time', async () => {
    const settings = { ...SETTINGS, max_client_conn: 1_000, auth_type: 'plain' };
    await withPooler(postgres, { ...OPTIONS, settings }, async (scene) => {
      const startup = frontend.startupMessage({ user: 'postgres', database: 'app' });
      const part = frontend.messageWithLength('p', 60_000, Buffer.alloc(50_000, 0x41));
      const stalled: RawClient[] = [];
      while (stalled.length < 400) {
        const client = await RawClient.connect({
          ...scene.pooler.target,
          localAddress: ATTACKER,
        });
        client.send(startup);
        await client.readUntil('R');
        await client.sendAll(part);
        stalled.push(client);
      }
      expect((await stalled[0]?.readError())?.text).toBe(
        'too much data before the end of the login',
      );
      const friend = await scene.login();
      expect((await friend.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      expect(stalled.at(-1)?.hasEnded).toBe(false);
      stalled.forEach((client) => {
        client.destroy();
      });
    });
  });
});
