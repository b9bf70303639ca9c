import net from 'node:net';
import { describe, expect, it } from 'vitest';
import type { BackendKey } from '../support/backend-messages.ts';
import { FakeServer } from '../support/fake-server.ts';
import * as frontend from '../support/frontend-messages.ts';
import { startPooler } from '../support/pooler-fixture.ts';
import type { PoolerFixture } from '../support/pooler-fixture.ts';
import { RawClient } from '../support/raw-client.ts';
import type { ConnectTarget } from '../support/raw-client.ts';
import { backendPid } from '../support/scene.ts';
import { SeededRandom, testSeed } from '../support/seeded-random.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const postgres = sharedPostgres();
const CANCELED = 'ERROR 57014: canceling statement due to user request';

type Keys = Readonly<Record<string, unknown>>;
type PeerKeys = Readonly<Record<string, Keys>>;

/** A pooler that has peers, which can be given once their ports are known. */
class PeeredPooler {
  readonly fixture: PoolerFixture;
  readonly id: number;
  readonly #settings: Keys;

  private constructor(fixture: PoolerFixture, id: number, settings: Keys) {
    this.fixture = fixture;
    this.id = id;
    this.#settings = settings;
  }

  static async start(id: number, settings: Keys = {}, peers: PeerKeys = {}): Promise<PeeredPooler> {
    const fixture = await startPooler({ config: configOf(id, settings, peers) });
    return new PeeredPooler(fixture, id, settings);
  }

  /** Where the others reach it. */
  get address(): Keys {
    return { host: this.fixture.host, port: this.fixture.port };
  }

  async setPeers(peers: PeerKeys): Promise<void> {
    this.fixture.rewriteConfig(configOf(this.id, this.#settings, peers));
    await this.fixture.console('RELOAD');
  }

  login(protocolVersion?: number): Promise<RawClient> {
    const version = protocolVersion === undefined ? {} : { protocolVersion };
    return this.fixture.login({ user: postgres.user, database: 'app', ...version });
  }

  /** Waits until a client connection has ended for this reason. */
  waitForReason(reason: string): Promise<unknown> {
    const isIt = ({ event, reason: found }: Keys): boolean =>
      event === 'client_disconnected' && found === reason;
    return this.fixture.waitForLog(reason, isIt);
  }

  /** How many clients have left for a reason. */
  countReason(reason: string): number {
    const lines = this.fixture.logs.filter(({ event }) => event === 'client_disconnected');
    return lines.filter((line) => line['reason'] === reason).length;
  }
}

function configOf(id: number, settings: Keys, peers: PeerKeys): Keys {
  const { host, port, database: dbname } = postgres;
  return {
    maitred: { pool_mode: 'transaction', default_pool_size: 8, peer_id: id, ...settings },
    databases: { app: { host, port, dbname } },
    peers,
  };
}

/** Runs `body` with poolers of the ids 1 to `count`, each of which knows all of them. */
async function withPeers(
  count: number,
  body: (poolers: readonly [PeeredPooler, PeeredPooler, ...PeeredPooler[]]) => Promise<void>,
): Promise<void> {
  await withPoolers(async (start) => {
    const poolers: PeeredPooler[] = [];
    while (poolers.length < count) {
      poolers.push(await start(poolers.length + 1));
    }
    const peers = Object.fromEntries(poolers.map(({ id, address }) => [String(id), address]));
    for (const pooler of poolers) {
      await pooler.setPeers(peers);
    }
    await body(poolers as [PeeredPooler, PeeredPooler]);
    for (const { fixture } of poolers) {
      await fixture.expectBaseline();
    }
  });
}

/** Runs `body`, which may start poolers that must end in good order. */
async function withPoolers(
  body: (start: typeof PeeredPooler.start) => Promise<void>,
): Promise<void> {
  const poolers: PeeredPooler[] = [];
  try {
    await body(async (...args) => {
      const pooler = await PeeredPooler.start(...args);
      poolers.push(pooler);
      return pooler;
    });
    for (const { fixture } of poolers) {
      await fixture.stop();
    }
  } finally {
    for (const { fixture } of poolers) {
      await fixture.kill();
    }
  }
}

function keyOf(client: RawClient): BackendKey {
  if (client.backendKey === null) {
    throw new Error('the client has no cancel key');
  }
  return client.backendKey;
}

/** A key as peer `id` would issue it. */
function keyOfPeer(id: number, ttl: number): BackendKey {
  const processId = (0x11000022 | ((id & 0xff) << 16) | ((id >> 8) << 8)) >>> 0;
  return { processId, secretKey: Buffer.from([0xa1, 0xb2, 0xc3, 0xf0 | ttl]) };
}

/** Sends a cancel request and waits until its connection ends. */
async function cancel(target: ConnectTarget, key: BackendKey): Promise<void> {
  const requester = await RawClient.connect(target);
  requester.send(frontend.cancelRequest(key.processId, key.secretKey));
  expect(await requester.readToEnd()).toHaveLength(0);
  requester.destroy();
}

/** Begins a query that runs until it is cancelled. */
async function sleep(client: RawClient, seconds: number): Promise<void> {
  await client.query('BEGIN');
  const pid = await backendPid(client);
  client.send(frontend.query(`SELECT pg_sleep(${String(seconds)})`));
  await waitFor(`process ${pid} to sleep`, async () => {
    const rows = await postgres.query(
      `SELECT 1 AS found FROM pg_stat_activity WHERE pid = ${pid} AND wait_event = 'PgSleep'`,
    );
    return rows.length > 0;
  });
}

/** Reads the end of a query that `sleep` began, and goes on with the connection. */
async function expectCanceled(client: RawClient): Promise<void> {
  expect((await client.readOutcome()).errors[0]?.message).toBe(CANCELED);
  await client.query('ROLLBACK');
  expect(await client.query('SELECT 7 AS n')).toEqual([{ n: '7' }]);
}

describe('a cancel request that reaches another process', () => {
  it.each([frontend.PROTOCOL_3_0, frontend.PROTOCOL_3_2])(
    'ends the query at the one that issued the key, of version %i',
    async (version) => {
      await withPeers(3, async ([owner, ...others]) => {
        const client = await owner.login(version);
        for (const other of others) {
          await sleep(client, 60);
          expect(await other.fixture.console('SHOW PEER_POOLS')).toEqual([]);
          await cancel(other.fixture.target, keyOf(client));
          await expectCanceled(client);
          expect(await other.fixture.console('SHOW PEER_POOLS')).toEqual([
            {
              peer_id: '1',
              cl_active_cancel_req: '0',
              cl_waiting_cancel_req: '0',
              sv_active_cancel: '0',
              sv_login: '0',
            },
          ]);
          await other.waitForReason('successfully sent cancel request');
        }
        // At home it needs nobody.
        await sleep(client, 61);
        await client.cancel();
        await expectCanceled(client);
        expect(await owner.fixture.console('SHOW PEER_POOLS')).toEqual([]);
        await client.close();
      });
    },
  );

  it('does so behind one address that spreads connections by chance', async () => {
    await withPeers(3, async (poolers) => {
      const random = new SeededRandom(testSeed('peering'));
      const balancer = net.createServer((socket) => {
        const { host, port } = random.pick(poolers).fixture;
        const onward = net.connect(port, host);
        for (const end of [socket, onward]) {
          end.on('error', () => undefined);
        }
        socket.pipe(onward).pipe(socket);
      });
      await new Promise<void>((resolve) => balancer.listen(0, '127.0.0.1', resolve));
      const target = { host: '127.0.0.1', port: (balancer.address() as net.AddressInfo).port };
      const clients: RawClient[] = [];
      // As many as a pool has server connections: chance may send all of them to one pooler.
      while (clients.length < 8) {
        const user = postgres.user;
        clients.push(await RawClient.login(target, { user, database: 'app' }));
      }
      for (const [index, client] of clients.entries()) {
        await sleep(client, 100 + index);
      }
      for (const client of clients) {
        // The connection of the request takes its chance as well.
        await client.cancel();
        await expectCanceled(client);
      }
      for (const client of clients) {
        await client.close();
      }
      balancer.close();
    });
  });

  it('is passed on byte by byte, with a TTL that is one less', async () => {
    const peer = await FakeServer.start();
    await withPoolers(async (start) => {
      const { host, port } = peer;
      const pooler = await start(1, {}, { 770: { host, port } });
      for (const ttl of [3, 2, 1]) {
        await cancel(pooler.fixture.target, keyOfPeer(770, ttl));
      }
      const long = keyOfPeer(770, 3);
      const rest = Buffer.alloc(28, 0x5a);
      await cancel(pooler.fixture.target, {
        ...long,
        secretKey: Buffer.concat([long.secretKey, rest]),
      });
      expect(
        peer.cancels.map(({ processId, secretKey }) => [
          processId.toString(16),
          secretKey.toString('hex'),
        ]),
      ).toEqual([
        ['11020322', 'a1b2c3f2'],
        ['11020322', 'a1b2c3f1'],
        ['11020322', 'a1b2c3f0'],
        ['11020322', `a1b2c3f2${rest.toString('hex')}`],
      ]);
      await cancel(pooler.fixture.target, keyOfPeer(770, 0));
      await pooler.waitForReason('failed to forward cancel request because its TTL was exhausted');
      expect(peer.cancels).toHaveLength(4);
    });
    await peer.stop();
  });

  it('is dropped in the end when two processes take each other for its owner', async () => {
    await withPoolers(async (start) => {
      const a = await start(1);
      const b = await start(2, {}, { 9: a.address });
      await a.setPeers({ 9: b.address });
      await cancel(a.fixture.target, keyOfPeer(9, 3));
      await b.waitForReason('failed to forward cancel request because its TTL was exhausted');
      // a to b, b to a, a to b: three times, as often as the key allows.
      const sent = 'successfully sent cancel request';
      await waitFor('all requests to end', () => a.countReason(sent) + b.countReason(sent) === 3);
      expect(a.countReason(sent)).toBe(2);
    });
  });
});

describe('a rolling restart', () => {
  it('leaves no query without its cancel request while the old process drains', async () => {
    await withPoolers(async (start) => {
      const old = await start(1);
      const { socketDir, port } = old.fixture;
      const next = await start(2, {}, { 1: { host: socketDir, port } });
      const client = await old.login();
      await sleep(client, 65);
      old.fixture.signal('SIGTERM');
      await waitFor('the TCP socket to close', async () => {
        const attempt = RawClient.connect(old.fixture.target);
        return attempt.then(
          (connection) => {
            connection.destroy();
            return false;
          },
          () => true,
        );
      });
      await cancel(next.fixture.target, keyOf(client));
      await expectCanceled(client);
      await client.close();
      expect(await old.fixture.exited).toMatchObject({ code: 0 });
      // The key of a process that is gone fits nobody.
      await cancel(next.fixture.target, keyOf(client));
      await next.waitForReason('connect failed');
    });
  });
});

describe('a cancel request that is not passed on', () => {
  it('is one with the id of a peer that is not configured, or of none', async () => {
    await withPoolers(async (start) => {
      const pooler = await start(1, {}, { 2: { host: '127.0.0.1', port: 1 } });
      for (const id of [0, 3, 0x0200]) {
        await cancel(pooler.fixture.target, keyOfPeer(id, 3));
      }
      const reason = 'could not find peer to forward request to';
      await waitFor('three lines', () => pooler.countReason(reason) === 3);
      expect(await pooler.fixture.console('SHOW PEER_POOLS')).toEqual([]);
    });
  });

  it('is one with our own id and a wrong secret, though our id is listed', async () => {
    const peer = await FakeServer.start();
    await withPoolers(async (start) => {
      const { host, port } = peer;
      const pooler = await start(1, {}, { 1: { host, port } });
      await cancel(pooler.fixture.target, keyOfPeer(1, 3));
      await pooler.waitForReason('failed cancel request');
      const client = await pooler.login();
      const { processId, secretKey } = keyOf(client);
      await sleep(client, 62);
      await cancel(pooler.fixture.target, {
        processId,
        secretKey: Buffer.from(secretKey.map((byte) => byte ^ 0x10)),
      });
      await waitFor('two lines', () => pooler.countReason('failed cancel request') === 2);
      await client.cancel();
      await expectCanceled(client);
      await client.close();
      expect(peer.cancels).toEqual([]);
    });
    await peer.stop();
  });

  it('is any while peer_id is 0; SET switches peering on, and old keys stay good', async () => {
    const peer = await FakeServer.start();
    await withPoolers(async (start) => {
      const { host, port } = peer;
      const pooler = await start(0, {}, { 2: { host, port } });
      const client = await pooler.login();
      await cancel(pooler.fixture.target, keyOfPeer(2, 3));
      await pooler.waitForReason('failed cancel request');
      expect(peer.cancels).toEqual([]);
      await pooler.fixture.console('SET peer_id = 1');
      await cancel(pooler.fixture.target, keyOfPeer(2, 3));
      expect(peer.cancels).toHaveLength(1);
      await sleep(client, 63);
      await client.cancel();
      await expectCanceled(client);
      await client.close();
    });
    await peer.stop();
  });
});

describe('a peer that does not answer', () => {
  it('does no harm when it is gone', async () => {
    const peer = await FakeServer.start();
    const { host, port } = peer;
    await peer.stop();
    await withPoolers(async (start) => {
      const pooler = await start(1, {}, { 2: { host, port } });
      const client = await pooler.login();
      await cancel(pooler.fixture.target, keyOfPeer(2, 3));
      await pooler.waitForReason('connect failed');
      const failed = await pooler.fixture.waitForEvent('cancel_failed');
      expect(failed).toMatchObject({ peer: 2, address: host, port });
      await sleep(client, 64);
      await client.cancel();
      await expectCanceled(client);
      await client.close();
    });
  });

  it('gets pool_size requests at a time; all end by cancel_wait_timeout', async () => {
    let open = 0;
    const peer = await FakeServer.start({
      onCancel: ({ socket }) => {
        open++;
        socket.once('close', () => {
          open--;
        });
        socket.once('end', () => socket.end());
      },
    });
    await withPoolers(async (start) => {
      const { host, port } = peer;
      const peers = { 2: { host, port, pool_size: 2 } };
      const pooler = await start(1, { cancel_wait_timeout: 1 }, peers);
      const requests = Array.from({ length: 5 }, () =>
        cancel(pooler.fixture.target, keyOfPeer(2, 3)),
      );
      await waitFor('two requests at the peer', async () => {
        const [row] = await pooler.fixture.console('SHOW PEER_POOLS');
        expect(
          Number(row?.['sv_active_cancel'] ?? 0) + Number(row?.['sv_login'] ?? 0),
        ).toBeLessThan(3);
        return row?.['cl_active_cancel_req'] === '2' && row['cl_waiting_cancel_req'] === '3';
      });
      expect(peer.cancels).toHaveLength(2);
      const clients = await pooler.fixture.console('SHOW CLIENTS');
      const requesters = clients.filter(({ database }) => database === '(nodb)');
      expect(requesters.map(({ state, user }) => `${state ?? ''} ${user ?? ''}`).sort()).toEqual([
        ...Array.from({ length: 2 }, () => 'active_cancel_req (nouser)'),
        ...Array.from({ length: 3 }, () => 'waiting_cancel_req (nouser)'),
      ]);
      await Promise.all(requests);
      expect(pooler.countReason('cancel_wait_timeout')).toBe(5);
      await waitFor('the connections to the peer to close', () => open === 0);
      const [row] = await pooler.fixture.console('SHOW PEER_POOLS');
      expect(row).toMatchObject({ cl_active_cancel_req: '0', cl_waiting_cancel_req: '0' });
    });
    await peer.stop();
  });

  it('gets no more than 1000 requests to wait, whether or not their senders stay', async () => {
    const peer = await FakeServer.start({ onCancel: () => {} });
    await withPoolers(async (start) => {
      const { host, port } = peer;
      const patience = { cancel_wait_timeout: 0, server_connect_timeout: 0 };
      const pooler = await start(1, patience, { 2: { host, port, pool_size: 1 } });
      const { target } = pooler.fixture;
      const { processId, secretKey } = keyOfPeer(2, 3);
      const send = async (): Promise<void> => {
        const requester = await RawClient.connect(target);
        await requester.sendAll(frontend.cancelRequest(processId, secretKey));
        requester.destroy();
      };
      const waiting = async (): Promise<number> => {
        const [row] = await pooler.fixture.console('SHOW PEER_POOLS');
        return Number(row?.['cl_waiting_cancel_req'] ?? 0);
      };
      for (let count = 0; count < 1001; count += 77) {
        await Promise.all(Array.from({ length: 77 }, send));
      }
      await waitFor('all that may wait', async () => (await waiting()) === 1000);
      // This one stays to see its end, which comes at once.
      await cancel(target, { processId, secretKey });
      await pooler.waitForReason('too many cancel requests for this peer');
      expect(await waiting()).toBe(1000);
      await pooler.setPeers({});
    });
    await peer.stop();
  });

  it('lets the next request through when one has ended', async () => {
    const held: (() => void)[] = [];
    const peer = await FakeServer.start({
      onCancel: (connection) => {
        held.push(() => {
          connection.destroy();
        });
      },
    });
    await withPoolers(async (start) => {
      const { host, port } = peer;
      const pooler = await start(1, {}, { 2: { host, port, pool_size: 1 } });
      const requests = [1, 2, 3].map((ttl) => cancel(pooler.fixture.target, keyOfPeer(2, ttl)));
      for (const count of [1, 2, 3]) {
        await waitFor(`request ${String(count)}`, () => held.length === count);
        held[count - 1]?.();
      }
      await Promise.all(requests);
      expect(pooler.countReason('successfully sent cancel request')).toBe(3);
    });
    await peer.stop();
  });
});

describe('RELOAD', () => {
  it('adds, changes and removes peers', async () => {
    const old = await FakeServer.start({ onCancel: () => {} });
    const next = await FakeServer.start();
    await withPoolers(async (start) => {
      const pooler = await start(1);
      const { target } = pooler.fixture;
      expect(await pooler.fixture.console('SHOW PEERS')).toEqual([]);
      await pooler.setPeers({ 2: { host: old.host, port: old.port }, 3: { host: '/nowhere' } });
      expect(await pooler.fixture.console('SHOW PEERS')).toEqual([
        { peer_id: '2', host: old.host, port: String(old.port), pool_size: '8' },
        { peer_id: '3', host: '/nowhere', port: '6432', pool_size: '8' },
      ]);
      const hanging = cancel(target, keyOfPeer(2, 3));
      await waitFor('the first peer to be asked', () => old.cancels.length === 1);
      const address = { host: next.host, port: next.port };
      await pooler.setPeers({ 2: { ...address, pool_size: 9 }, 3: { host: '/nowhere' } });
      await cancel(target, keyOfPeer(2, 2));
      expect(next.cancels).toHaveLength(1);
      const lists = await pooler.fixture.console('SHOW LISTS');
      const counts = lists.map(({ list, items }) => `${list ?? ''} ${items ?? ''}`);
      expect(counts).toEqual(expect.arrayContaining(['peers 2', 'peer_pools 1']));
      await pooler.setPeers({ 3: { host: '/nowhere' } });
      await hanging;
      await pooler.waitForReason('peer removed');
      await pooler.fixture.waitForLog('the dropped peer', (line) =>
        String(line['problem']).includes('dropping peer 2 as it does not exist anymore'),
      );
      await cancel(target, keyOfPeer(2, 3));
      await pooler.waitForReason('could not find peer to forward request to');
      expect(await pooler.fixture.console('SHOW PEER_POOLS')).toEqual([]);
    });
    await old.stop();
    await next.stop();
  });

  it('with a peer that cannot be used leaves the old ones in place', async () => {
    const peer = await FakeServer.start();
    await withPoolers(async (start) => {
      const { host, port } = peer;
      const pooler = await start(1, {}, { 2: { host, port } });
      await expect(pooler.setPeers({ 2: { port } })).rejects.toThrow(
        'host was not provided for peer 2',
      );
      await cancel(pooler.fixture.target, keyOfPeer(2, 3));
      expect(peer.cancels).toHaveLength(1);
    });
    await peer.stop();
  });
});

describe('the log in the shape of PgBouncer', () => {
  it('names the peer in front of the lines of a request', async () => {
    const peer = await FakeServer.start();
    await withPoolers(async (start) => {
      const { host, port } = peer;
      const pooler = await start(1, {}, { 2: { host, port } });
      await pooler.fixture.console('SET log_format = pgbouncer');
      await cancel(pooler.fixture.target, keyOfPeer(2, 3));
      const line = await pooler.fixture.waitForLog('the closing line', ({ raw }) =>
        /C-0x.*successfully sent/.test(raw ?? ''),
      );
      expect(pooler.fixture.logs.map(({ raw }) => raw ?? '').join('\n')).toMatch(
        /LOG S-0x[\da-f]+: peer-2@127\.0\.0\.1:\d+ closing because: successfully sent cancel request/,
      );
      expect(line.raw).toMatch(
        /LOG C-0x[\da-f]+: peer-2@127\.0\.0\.1:\d+ closing because: successfully sent cancel request \(age=0s\)$/,
      );
    });
    await peer.stop();
  });
});
