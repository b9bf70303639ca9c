import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackendKey } from '../support/backend-messages.ts';
import { FakeServer } from '../support/fake-server.ts';
import * as frontend from '../support/frontend-messages.ts';
import type { LogLine, PoolerFixture } from '../support/pooler-fixture.ts';
import { RawClient } from '../support/raw-client.ts';
import { connectTls, makePki, startTlsPooler, withTlsPooler } from '../support/tls-scene.ts';
import { startRecorder, type Proxy } from '../support/tls-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const pki = makePki();
/** The code of CancelRequest, as it is seen in the clear. */
const IN_THE_CLEAR = '04d2162e';
const SSL_REQUEST = '0000000804d2162f';

/** Sends a cancel request and waits until its connection ends. */
async function cancel(pooler: PoolerFixture, key: BackendKey, isSecure: boolean): Promise<void> {
  const requester = isSecure ? await connectTls(pooler) : await RawClient.connect(pooler.target);
  requester.send(frontend.cancelRequest(key.processId, key.secretKey));
  expect(await requester.readToEnd()).toHaveLength(0);
  requester.destroy();
}

/** A key as peer 2 would issue it. */
const KEY: BackendKey = { processId: 0x11020022, secretKey: Buffer.from([0xa1, 0xb2, 0xc3, 0xf3]) };

/** A pooler with id 1 that knows peer 2. */
async function withFirst(
  mode: string,
  peer: { readonly host: string; readonly port: number },
  body: (pooler: PoolerFixture) => Promise<void>,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const server = await FakeServer.start();
  const options = {
    settings: {
      client_tls_sslmode: 'prefer',
      server_tls_sslmode: mode,
      ...(mode.startsWith('verify') ? { server_tls_ca_file: 'DIR/root.crt' } : {}),
      peer_id: 1,
      ...settings,
    },
    peers: { 2: { host: peer.host, port: peer.port } },
  };
  await withTlsPooler(pki, server, options, body);
  await server.stop();
}

async function failure(pooler: PoolerFixture): Promise<unknown> {
  const { peer, error } = await pooler.waitForEvent('cancel_failed');
  expect(peer).toBe(2);
  return error;
}

describe('a cancel request for a peer that offers TLS', () => {
  let server: FakeServer;
  let second: PoolerFixture;
  let recorder: Proxy;

  beforeAll(async () => {
    server = await FakeServer.start({
      onMessage: (connection, message) => {
        if (message.type !== 'Q') {
          connection.answer(message);
        }
      },
    });
    second = await startTlsPooler(pki, server, {
      settings: { client_tls_sslmode: 'prefer', peer_id: 2 },
    });
    recorder = await startRecorder(second);
  });

  afterAll(async () => {
    await recorder.stop();
    await second.kill();
    await server.stop();
  });

  /** Begins a query at the second pooler and cancels it at the first. @returns What went between. */
  async function cancelAtFirst(first: PoolerFixture, isSecure: boolean): Promise<string> {
    const client = await second.login({ user: 'postgres', database: 'app' });
    const before = recorder.sent.length;
    const sql = `SELECT ${String(before)}`;
    client.send(frontend.query(sql));
    const connection = await waitFor('the query', () =>
      server.connections.find(({ queries }) => queries.includes(sql)),
    );
    await cancel(first, client.backendKey ?? KEY, isSecure);
    const { processId } = connection.key;
    await waitFor('the cancel request', () =>
      server.cancels.some((key) => key.processId === processId),
    );
    connection.failQuery({ S: 'ERROR', C: '57014', M: 'canceled' });
    expect((await client.readOutcome()).errors[0]?.fields['C']).toBe('57014');
    await client.close();
    return recorder.sent[before]?.toString('hex') ?? '';
  }

  it.each(['allow', 'prefer', 'require', 'verify-ca', 'verify-full'])(
    'goes on through TLS when it came through TLS: %s',
    async (mode) => {
      await withFirst(mode, recorder, async (first) => {
        const bytes = await cancelAtFirst(first, true);
        expect(bytes.startsWith(`${SSL_REQUEST}16`)).toBe(true);
        expect(bytes).not.toContain(IN_THE_CLEAR);
      });
    },
  );

  it('asks for TLS first, though servers are not asked', async () => {
    const direct = { server_tls_sslnegotiation: 'direct' };
    const body = async (first: PoolerFixture): Promise<void> => {
      expect((await cancelAtFirst(first, true)).startsWith(`${SSL_REQUEST}16`)).toBe(true);
    };
    await withFirst('require', recorder, body, direct);
  });

  it.each(['disable', 'prefer', 'verify-full'])(
    'goes on in the clear when it came so: %s',
    async (mode) => {
      await withFirst(mode, recorder, async (first) => {
        expect(await cancelAtFirst(first, false)).toContain(IN_THE_CLEAR);
      });
    },
  );

  it('goes on in the clear where server_tls_sslmode is disable', async () => {
    await withFirst('disable', recorder, async (first) => {
      expect(await cancelAtFirst(first, true)).toContain(IN_THE_CLEAR);
    });
  });
});

describe('a cancel request for a peer that cannot be trusted', () => {
  const request = { commonName: 'elsewhere', dnsNames: ['elsewhere'] };

  it.each([
    ['verify-ca', pki.stranger.issue(request), 'certificate verify failed'],
    [
      'verify-full',
      pki.authority.issue(request),
      "name '127.0.0.1' not present in server certificate",
    ],
  ])('is not sent: %s', async (mode, certificate, problem) => {
    const server = await FakeServer.start();
    const options = {
      settings: { peer_id: 2 },
      files: { 'server.crt': certificate.cert, 'server.key': certificate.key },
    };
    await withTlsPooler(pki, server, options, async (second) => {
      await withFirst(mode, second, async (first) => {
        await cancel(first, KEY, true);
        expect(await failure(first)).toContain(problem);
      });
      // The same request where trust is not asked for: the first one that arrives.
      await withFirst('require', second, async (first) => {
        await cancel(first, KEY, true);
      });
      const hasArrived = ({ reason }: LogLine): boolean => reason === 'failed cancel request';
      await second.waitForLog('its arrival', hasArrived);
      expect(second.logs.filter(hasArrived)).toHaveLength(1);
    });
    await server.stop();
  });
});

describe('a cancel request for a peer without TLS', () => {
  it.each(['allow', 'prefer'])('goes on in the clear: %s', async (mode) => {
    const peer = await FakeServer.start();
    await withFirst(mode, peer, async (first) => {
      await cancel(first, KEY, true);
      expect(peer.cancels.map(({ processId }) => processId)).toEqual([KEY.processId]);
    });
    await peer.stop();
  });

  it('is not sent where TLS is required', async () => {
    const peer = await FakeServer.start();
    await withFirst('require', peer, async (first) => {
      await cancel(first, KEY, true);
      expect(await failure(first)).toBe('server refused SSL');
    });
    expect(peer.cancels).toHaveLength(0);
    await peer.stop();
  });
});
