import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as backend from '../support/backend-messages.ts';
import { FakeServer } from '../support/fake-server.ts';
import * as frontend from '../support/frontend-messages.ts';
import type { PoolerFixture } from '../support/pooler-fixture.ts';
import type { TextRow } from '../support/query-outcome.ts';
import { RawClient } from '../support/raw-client.ts';
import { refusalOf } from '../support/refusal.ts';
import { connectTls, makePki, withTlsPooler } from '../support/tls-scene.ts';
import {
  startRawServer,
  startRecorder,
  startTlsPostgres,
  type TlsPostgres,
} from '../support/tls-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const pki = makePki();
const LOGIN = { user: 'postgres', database: 'app' };
const TLS_1_3 = 'TLSv1.3/TLS_AES_256_GCM_SHA384';

let server: TlsPostgres;
beforeAll(async () => {
  const certificate = pki.authority.issue({ commonName: 'x', dnsNames: ['localhost'] });
  const hba = ['hostssl all with_cert all cert', 'hostnossl all with_cert all reject'];
  server = await startTlsPostgres(certificate, pki.authority, hba);
  await server.postgres.createRole('with_cert');
});
afterAll(() => server.stop());

/** Where the database of a pooler is, and what else its entry has. */
type Target = Readonly<Record<string, unknown>> & { readonly port: number };

/** Runs `body` with a pooler in front of `target`. */
async function withServerTls(
  settings: Readonly<Record<string, unknown>>,
  target: Target,
  body: (pooler: PoolerFixture) => Promise<void>,
): Promise<void> {
  const { cert, key } = pki.authority.issue({ commonName: 'with_cert' });
  const options = {
    settings: { client_tls_sslmode: 'disable', server_login_retry: 0.2, ...settings },
    database: { dbname: 'postgres', ...target },
    files: { 'stranger.crt': pki.stranger.cert, 'client.crt': cert, 'client.key': key },
    users: { postgres: '', with_cert: '' },
  };
  await withTlsPooler(pki, server.postgres, options, body);
}

function tcp(host = 'localhost'): Target {
  return { host, port: server.postgres.port };
}

async function serverRow(pooler: PoolerFixture): Promise<TextRow | undefined> {
  const rows = await pooler.console('SHOW SERVERS');
  return rows.find((row) => row['database'] === 'app');
}

/** Logs in, asks the server whether it sees TLS. @returns What both sides say. */
async function tlsOf(pooler: PoolerFixture, user = 'postgres'): Promise<string> {
  const client = await pooler.login({ ...LOGIN, user });
  const [row] = await client.query(
    'SELECT ssl, version, cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
  );
  const shown = (await serverRow(pooler))?.['tls'];
  await client.close();
  const seen = row?.['ssl'] === 't' ? `${String(row['version'])}/${String(row['cipher'])}` : '';
  expect(shown).toBe(seen);
  return seen;
}

async function expectRefused(pooler: PoolerFixture, text: string, logged: string): Promise<void> {
  expect(await refusalOf(pooler.login(LOGIN))).toBe(`FATAL 08006: server login failed: ${text}`);
  await pooler.waitForLog(logged, (line) => String(line['error']).includes(logged));
}

describe('server_tls_sslmode', () => {
  it('disable does not ask', async () => {
    await withServerTls({ server_tls_sslmode: 'disable' }, tcp(), async (pooler) => {
      expect(await tlsOf(pooler)).toBe('');
    });
  });

  it.each(['allow', 'prefer', 'require'])('%s takes TLS where there is some', async (mode) => {
    await withServerTls({ server_tls_sslmode: mode }, tcp(), async (pooler) => {
      expect(await tlsOf(pooler)).toBe(TLS_1_3);
      const line = await pooler.waitForEvent('tls_established');
      expect(line['tls']).toBe(TLS_1_3);
      const sockets = await pooler.console('SHOW SOCKETS');
      expect(sockets.find((row) => row['type'] === 'S')?.['tls']).toBe(TLS_1_3);
    });
  });

  it('prefer is the default', async () => {
    await withServerTls({ server_tls_sslmode: undefined }, tcp(), async (pooler) => {
      expect(await tlsOf(pooler)).toBe(TLS_1_3);
    });
  });

  it.each(['allow', 'prefer'])('%s goes on in the clear after N', async (mode) => {
    const fake = await FakeServer.start();
    const target = { host: fake.host, port: fake.port };
    await withServerTls({ server_tls_sslmode: mode }, target, async (pooler) => {
      const client = await pooler.login(LOGIN);
      expect(await client.query('SELECT 1')).toEqual([{ answer: '1' }]);
      expect((await serverRow(pooler))?.['tls']).toBe('');
      await client.close();
    });
    await fake.stop();
  });

  it.each(['require', 'verify-ca', 'verify-full'])('%s refuses N', async (mode) => {
    const fake = await FakeServer.start();
    const settings = { server_tls_sslmode: mode, server_tls_ca_file: 'DIR/root.crt' };
    await withServerTls(settings, { host: fake.host, port: fake.port }, async (pooler) => {
      await expectRefused(pooler, 'server refused SSL', 'server refused SSL');
      expect(fake.connections.every(({ startup }) => startup === null)).toBe(true);
    });
    await fake.stop();
  });

  it.each(['verify-ca', 'verify-full'])('%s refuses an unknown authority', async (mode) => {
    const settings = { server_tls_sslmode: mode, server_tls_ca_file: 'DIR/stranger.crt' };
    await withServerTls(settings, tcp(), async (pooler) => {
      await expectRefused(pooler, 'TLS startup failed', 'certificate verify failed');
    });
  });

  it('verify-full without server_tls_ca_file trusts public authorities only', async () => {
    await withServerTls({ server_tls_sslmode: 'verify-full' }, tcp(), async (pooler) => {
      await expectRefused(pooler, 'TLS startup failed', 'certificate verify failed');
    });
  });

  it('verify-ca does not mind the name; verify-full does, for each host of a list', async () => {
    const settings = { server_tls_sslmode: 'verify-ca', server_tls_ca_file: 'DIR/root.crt' };
    await withServerTls(settings, tcp('127.0.0.1'), async (pooler) => {
      expect(await tlsOf(pooler)).toBe(TLS_1_3);
    });
    const full = { ...settings, server_tls_sslmode: 'verify-full' };
    await withServerTls(full, tcp(), async (pooler) => {
      expect(await tlsOf(pooler)).toBe(TLS_1_3);
    });
    const logged = "name '127.0.0.1' not present in server certificate";
    await withServerTls(full, tcp('127.0.0.1'), async (pooler) => {
      await expectRefused(pooler, 'TLS startup failed', logged);
    });
    const list = { ...tcp('127.0.0.1,localhost'), load_balance_hosts: 'disable' };
    await withServerTls(full, list, async (pooler) => {
      await expectRefused(pooler, 'TLS startup failed', logged);
      expect(await waitFor('the other host', () => tlsOf(pooler))).toBe(TLS_1_3);
      expect((await serverRow(pooler))?.['addr']).toMatch(/127\.0\.0\.1|::1/);
    });
  });

  it('never is used on a unix socket', async () => {
    const target = { host: server.postgres.socketDir, port: server.postgres.port };
    await withServerTls({ server_tls_sslmode: 'require' }, target, async (pooler) => {
      expect(await tlsOf(pooler)).toBe('');
    });
  });
});

describe('a client certificate', () => {
  it('is shown to the server', async () => {
    const settings = {
      server_tls_sslmode: 'require',
      server_tls_cert_file: 'DIR/client.crt',
      server_tls_key_file: 'DIR/client.key',
    };
    await withServerTls(settings, tcp(), async (pooler) => {
      expect(await tlsOf(pooler, 'with_cert')).toBe(TLS_1_3);
    });
    await withServerTls({ server_tls_sslmode: 'require' }, tcp(), async (pooler) => {
      const refusal = await refusalOf(pooler.login({ ...LOGIN, user: 'with_cert' }));
      expect(refusal).toContain('connection requires a valid client certificate');
    });
  });
});

describe('protocols and ciphers towards servers', () => {
  it('follow the settings', async () => {
    const settings = {
      server_tls_sslmode: 'require',
      server_tls_protocols: 'tlsv1.2',
      server_tls_ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256',
    };
    await withServerTls(settings, tcp(), async (pooler) => {
      const client = await pooler.login(LOGIN);
      expect((await serverRow(pooler))?.['tls']).toMatch(
        /^TLSv1\.2\/ECDHE-ECDSA-AES128-GCM-SHA256\/ECDH=/,
      );
      await client.close();
    });
    const suite = 'TLS_CHACHA20_POLY1305_SHA256';
    const newer = { server_tls_sslmode: 'require', server_tls13_ciphers: suite };
    await withServerTls(newer, tcp(), async (pooler) => {
      expect(await tlsOf(pooler)).toBe(`TLSv1.3/${suite}`);
    });
    const impossible = { ...settings, server_tls_ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' };
    await withServerTls(impossible, tcp(), async (pooler) => {
      await expectRefused(pooler, 'TLS startup failed', 'handshake failed');
    });
  });
});

describe('direct negotiation', () => {
  const settings = { server_tls_sslmode: 'require', server_tls_sslnegotiation: 'direct' };

  it('begins with the handshake', async () => {
    const recorder = await startRecorder(server.postgres);
    await withServerTls(settings, { ...tcp(), port: recorder.port }, async (pooler) => {
      expect(await tlsOf(pooler)).toBe(TLS_1_3);
      expect(recorder.sent[0]?.[0]).toBe(0x16);
    });
    await recorder.stop();
  });

  it('refuses a server that does not choose ALPN postgresql', async () => {
    const { cert, key } = pki.server;
    const other = tls.createServer({ cert, key }, (socket) => socket.resume());
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as { port: number };
    await withServerTls(settings, { host: '127.0.0.1', port }, async (pooler) => {
      await expectRefused(pooler, 'TLS startup failed', 'without ALPN protocol postgresql');
    });
    await new Promise((resolve) => other.close(resolve));
  });
});

describe('the answer to SSLRequest', () => {
  const error = backend.errorResponse({ S: 'FATAL', C: '28000', M: 'forged' });
  const ok = Buffer.concat([backend.authentication(0), backend.readyForQuery('I')]);

  it.each([
    ['S and an error', Buffer.concat([Buffer.from('S'), error]), 'after SSL response'],
    ['S and a login', Buffer.concat([Buffer.from('S'), ok]), 'after SSL response'],
    ['S and one byte', Buffer.from('S\0'), 'after SSL response'],
    ['N and a login', Buffer.concat([Buffer.from('N'), ok]), 'after SSL response'],
    ['an error', error, 'bad sslreq answer'],
    ['something else', Buffer.from('X'), 'bad sslreq answer'],
  ])('ends the connection when it is %s', async (_what, bytes, reason) => {
    for (const mode of ['prefer', 'require']) {
      const raw = await startRawServer((socket) => socket.write(bytes));
      const target = { host: raw.host, port: raw.port };
      await withServerTls({ server_tls_sslmode: mode }, target, async (pooler) => {
        const refusal = await refusalOf(pooler.login(LOGIN));
        expect(refusal).toContain(reason);
        expect(refusal).not.toContain('forged');
        // Nothing but the request: no startup packet, no password.
        expect(raw.sent.map((bytes_) => bytes_.toString('hex'))).toEqual(
          raw.sent.map(() => frontend.sslRequest().toString('hex')),
        );
      });
      await raw.stop();
    }
  });

  it('S and plain messages in a segment of their own break the handshake', async () => {
    const raw = await startRawServer((socket, chunk) => {
      socket.write(chunk.equals(frontend.sslRequest()) ? Buffer.from('S') : ok);
    });
    const target = { host: raw.host, port: raw.port };
    await withServerTls({ server_tls_sslmode: 'require' }, target, async (pooler) => {
      await expectRefused(pooler, 'TLS startup failed', 'handshake failed');
    });
    await raw.stop();
  });

  it.each([
    ['no answer', null],
    ['S and silence', 'S'],
  ])('%s ends by server_connect_timeout', async (_what, answer) => {
    const raw = await startRawServer((socket, chunk) => {
      if (answer !== null && chunk.equals(frontend.sslRequest())) {
        socket.write(answer);
      }
    });
    const settings = { server_tls_sslmode: 'require', server_connect_timeout: 1 };
    await withServerTls(settings, { host: raw.host, port: raw.port }, async (pooler) => {
      const client = await RawClient.connect(pooler.target);
      client.startup(LOGIN);
      await pooler.waitForLog('connect timeout', (line) => line['reason'] === 'connect timeout');
      client.destroy();
    });
    await raw.stop();
  });
});

describe('cancel requests', () => {
  it.each(['postgres', 'direct'])(
    'go through TLS when the server connection does: %s',
    async (negotiation) => {
      const recorder = await startRecorder(server.postgres);
      const settings = {
        server_tls_sslmode: 'verify-full',
        server_tls_ca_file: 'DIR/root.crt',
        server_tls_sslnegotiation: negotiation,
      };
      await withServerTls(settings, { ...tcp(), port: recorder.port }, async (pooler) => {
        const client = await pooler.login(LOGIN);
        client.send(frontend.query('SELECT pg_sleep(60)'));
        await waitFor('the query', async () => (await serverRow(pooler))?.['state'] === 'active');
        await client.cancel();
        expect((await client.readOutcome()).errors[0]?.fields['C']).toBe('57014');
        const [, canceling] = recorder.sent;
        const bytes = canceling?.toString('hex') ?? '';
        expect(bytes.startsWith(negotiation === 'direct' ? '16' : '0000000804d2162f16')).toBe(true);
        // The code of CancelRequest.
        expect(bytes).not.toContain('04d2162e');
        await client.close();
      });
      await recorder.stop();
    },
  );

  it('stay in the clear when the server connection is', async () => {
    const fake = await FakeServer.start({
      onMessage: (connection, message) => {
        if (message.type !== 'Q') {
          connection.answer(message);
        }
      },
    });
    const target = { host: fake.host, port: fake.port };
    await withServerTls({ server_tls_sslmode: 'prefer' }, target, async (pooler) => {
      const client = await pooler.login(LOGIN);
      client.send(frontend.query('SELECT 1'));
      await waitFor('the query', () => fake.connections[0]?.receivedTypes === 'Q');
      await client.cancel();
      expect(fake.cancels).toHaveLength(1);
      client.destroy();
    });
    await fake.stop();
  });
});

describe('bytes through TLS on both sides', () => {
  it('come through whole', async () => {
    const settings = { client_tls_sslmode: 'prefer', server_tls_sslmode: 'require' };
    await withServerTls(settings, tcp(), async (pooler) => {
      const inTls = await connectTls(pooler);
      await inTls.login(LOGIN);
      const plain = await RawClient.login(pooler.target, LOGIN);
      for (const client of [inTls, plain]) {
        for (const bytes of [1, 16_384, 70_000, 5_000_000]) {
          const text = `${'0123456789'.repeat(bytes / 10 + 1).slice(0, bytes - 1)}!`;
          const [row] = await client.query(`SELECT '${text}' AS echo`);
          expect(row?.['echo'] === text, String(bytes)).toBe(true);
        }
        const rows = await client.query(
          "SELECT repeat('x', 500) AS line FROM generate_series(1, 50000)",
        );
        expect(rows).toHaveLength(50_000);
        expect(rows.every((row) => row['line']?.length === 500)).toBe(true);
        await client.close();
      }
    });
  });
});

describe('a reload that changes server TLS', () => {
  it('replaces the server connections, one that changes nothing does not', async () => {
    await withServerTls({ server_tls_sslmode: 'prefer' }, tcp(), async (pooler) => {
      const client = await pooler.login(LOGIN);
      const pid = async (): Promise<string> =>
        String((await client.query('SELECT pg_backend_pid() AS pid'))[0]?.['pid']);
      const before = await pid();
      await pooler.console('RELOAD');
      await pooler.console("SET client_idle_timeout = '0'");
      expect(await pid()).toBe(before);
      await pooler.console("SET server_tls_protocols = 'tlsv1.2'");
      const after = await waitFor('a new server connection', async () => {
        const now = await pid();
        return now === before ? null : now;
      });
      expect((await serverRow(pooler))?.['tls']).toMatch(/^TLSv1\.2\//);
      await pooler.console("SET server_tls_sslmode = 'disable'");
      await waitFor('a plain server connection', async () => (await pid()) !== after);
      expect((await serverRow(pooler))?.['tls']).toBe('');
      await client.close();
    });
  });
});
