import { beforeAll, describe, expect, it } from 'vitest';
import { numberOf, parseExposition } from '../support/exposition.ts';
import * as frontend from '../support/frontend-messages.ts';
import { proxyV1 } from '../support/proxy-headers.ts';
import type { PoolerFixture } from '../support/pooler-fixture.ts';
import { RawClient } from '../support/raw-client.ts';
import { ScramClient } from '../support/scram-client.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { clientHello, makePki, withTlsPooler } from '../support/tls-scene.ts';

const postgres = sharedPostgres();
const pki = makePki();
const PASSWORD = 'open sesame';
const LOGIN = { user: 'postgres', password: PASSWORD, database: 'app' };
const PROXY = '127.0.0.2';
const STARTUP = frontend.startupMessage({ user: 'postgres', database: 'app' });
const ANSWER = frontend.saslInitialResponse('SCRAM-SHA-256', new ScramClient(PASSWORD).first());

type Stage = (client: RawClient) => Promise<unknown>;

/** Where a client may stop in a login, in the clear and inside of TLS. */
const LOGIN_STAGES: Readonly<Record<string, Stage>> = {
  'in the startup message': (client) => client.sendAll(STARTUP.subarray(0, 11)),
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

/** Where a client may stop before encryption. */
const STAGES: Readonly<Record<string, Stage>> = {
  'after connecting': () => Promise.resolve(),
  'after GSSENCRequest': async (client) => {
    await client.sendAll(frontend.gssEncRequest());
    return client.readBytes(1, 30_000);
  },
  ...LOGIN_STAGES,
};

let hello: Buffer = Buffer.alloc(0);

/** Where a client may stop in a handshake: it cannot be told why it is closed. */
const HANDSHAKE_STAGES: Readonly<Record<string, Stage>> = {
  'after SSLRequest': askForTls,
  'in the ClientHello, asked for': async (client) => {
    await askForTls(client);
    return client.sendAll(hello.subarray(0, 60));
  },
  'after the ClientHello, asked for': async (client) => {
    await askForTls(client);
    await client.sendAll(hello);
    return client.readBytes(5, 30_000);
  },
  'in the first record, direct': (client) => client.sendAll(hello.subarray(0, 3)),
  'in the ClientHello, direct': (client) => client.sendAll(hello.subarray(0, 100)),
  'after the ClientHello, direct': async (client) => {
    await client.sendAll(hello);
    return client.readBytes(5, 30_000);
  },
};

/** Where a client may stop inside of TLS. */
const TLS_STAGES: Readonly<Record<string, Stage>> = Object.fromEntries(
  Object.entries({ 'after the handshake': () => Promise.resolve(), ...LOGIN_STAGES }).map(
    ([name, stage]: [string, Stage]) => [
      `${name}, inside of TLS`,
      async (client: RawClient) => {
        await client.startTls();
        return stage(client);
      },
    ],
  ),
);

async function askForTls(client: RawClient): Promise<void> {
  await client.sendAll(frontend.sslRequest());
  expect((await client.readBytes(1, 30_000)).toString()).toBe('S');
}

/** Stops where a proxy may stop. */
const PROXY_STAGES: Readonly<Record<string, Stage>> = {
  'before the PROXY header': () => Promise.resolve(),
  'in the PROXY header': (client) => client.sendAll(proxyV1('192.0.2.7', 9).subarray(0, 9)),
  'after the PROXY header': (client) => client.sendAll(proxyV1('192.0.2.7', 9)),
};

const SETTINGS = {
  auth_type: 'scram-sha-256',
  client_tls_sslmode: 'prefer',
  client_login_timeout: '4s',
  max_client_conn: 2_000,
  proxy_protocol: true,
  proxy_protocol_trusted: [PROXY],
  // Fewer than stall in their proof, so that some stall while they wait for their turn.
  max_logins_in_flight: 100,
  metrics_listen_addr: '127.0.0.1',
  metrics_listen_port: 0,
};

/** How many stall. */
const CROWD = 1_000;

interface Staller {
  readonly name: string;
  readonly stage: Stage;
  readonly localAddress: string;
  /** Whether it can be told why it is closed. */
  readonly isTold: boolean;
}

function stallersOf(
  stages: Readonly<Record<string, Stage>>,
  isTold: boolean,
  localAddress = '127.0.0.1',
): Staller[] {
  return Object.entries(stages).map(([name, stage]) => ({ name, stage, localAddress, isTold }));
}

const STALLERS = [
  ...stallersOf(STAGES, true),
  ...stallersOf(PROXY_STAGES, true, PROXY),
  ...stallersOf(HANDSHAKE_STAGES, false),
  ...stallersOf(TLS_STAGES, true),
];

/** Connects one client for each kind. */
function connectAll(pooler: PoolerFixture): Promise<(readonly [RawClient, Staller])[]> {
  return Promise.all(
    STALLERS.map(async (staller) => {
      const { localAddress } = staller;
      return [await RawClient.connect({ ...pooler.target, localAddress }), staller] as const;
    }),
  );
}

/** Stalls, and waits for the end. @returns What was wrong about it; empty when nothing was. */
async function stallToEnd([client, staller]: readonly [RawClient, Staller]): Promise<string> {
  const { name, stage, isTold } = staller;
  try {
    // Whoever waits for its turn longer than it may is closed on the way.
    await stage(client).catch(() => {});
    const words = (await client.readToEnd(40_000)).toString('latin1');
    return words.includes('client_login_timeout') === isTold ? '' : `${name}: ${words}`;
  } catch (error) {
    return `${name}: ${String(error)}`;
  } finally {
    client.destroy();
  }
}

/** Logins that failed by client_login_timeout, as counted. */
async function countTimeouts(pooler: PoolerFixture): Promise<number> {
  const { port } = await pooler.waitForEvent('metrics_listening');
  const response = await fetch(`http://127.0.0.1:${String(port)}/metrics`);
  const metrics = parseExposition(await response.text());
  return numberOf(metrics, 'maitred_client_login_failures_total', { reason: 'timeout' });
}

function withCrowdedPooler(
  timeout: string,
  body: (pooler: PoolerFixture) => Promise<void>,
): Promise<void> {
  const settings = { ...SETTINGS, client_login_timeout: timeout };
  return withTlsPooler(pki, postgres, { settings, users: { postgres: PASSWORD } }, body);
}

beforeAll(async () => {
  hello = await clientHello();
});

describe('CVE-2026-25949: clients that stall', () => {
  it(
    '1,000 of them, at every stage, are closed by client_login_timeout while others log in',
    { timeout: 60_000 },
    async () => {
      await withCrowdedPooler('4s', async (pooler) => {
        const state = { isOver: false };
        const stalling: Promise<string>[] = [];
        while (stalling.length < CROWD) {
          // Not all at once: the queue of the kernel is short.
          stalling.push(...(await connectAll(pooler)).map(stallToEnd));
        }
        const ends = Promise.all(stalling).finally(() => {
          state.isOver = true;
        });
        let logins = 0;
        while (!state.isOver) {
          const friend = await pooler.login(LOGIN);
          expect((await friend.simpleQuery('SELECT 1')).types).toBe('TDCZ');
          await friend.close();
          logins++;
        }
        expect((await ends).filter((problem) => problem !== '')).toEqual([]);
        expect(await countTimeouts(pooler)).toBe(stalling.length);
        expect(logins).toBeGreaterThan(3);
      });
    },
  );

  it('one of each kind is closed, and counted', async () => {
    await withCrowdedPooler('1s', async (pooler) => {
      const ends = await Promise.all((await connectAll(pooler)).map(stallToEnd));
      expect(ends.filter((problem) => problem !== '')).toEqual([]);
      expect(await countTimeouts(pooler)).toBe(STALLERS.length);
    });
  });
});
