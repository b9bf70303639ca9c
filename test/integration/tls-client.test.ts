import net from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as frontend from '../support/frontend-messages.ts';
import type { PoolerFixture } from '../support/pooler-fixture.ts';
import { RawClient } from '../support/raw-client.ts';
import { lastWords, refusalOf } from '../support/refusal.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import {
  connectDirectTls,
  connectTls,
  makePki,
  startTlsPooler,
  tlsSocketOf,
  withTlsPooler,
} from '../support/tls-scene.ts';
import { waitFor, withDeadline } from '../support/wait-for.ts';

const pki = makePki();
const postgres = sharedPostgres();
const LOGIN = { user: 'postgres', database: 'app' };

/** Sends SSLRequest. @returns The answer. */
async function askForTls(pooler: PoolerFixture): Promise<string> {
  const client = await RawClient.connect(pooler.target);
  client.send(frontend.sslRequest());
  const answer = await client.readBytes(1);
  client.destroy();
  return answer.toString('latin1');
}

/** Logs in through TLS, asks something, leaves. @returns What the server answered. */
async function useTls(
  pooler: PoolerFixture,
  options: tls.ConnectionOptions = {},
  user = 'postgres',
): Promise<string | undefined> {
  const client = await connectTls(pooler, options);
  try {
    await client.login({ ...LOGIN, user });
    const [row] = await client.query('SELECT 1 AS one');
    return row?.['one'] ?? undefined;
  } finally {
    client.destroy();
  }
}

function plainConsole(pooler: PoolerFixture): Promise<RawClient> {
  return RawClient.login(pooler.socketTarget, { user: 'postgres', database: 'pgbouncer' });
}

async function handshakeErrors(pooler: PoolerFixture): Promise<string> {
  const line = await pooler.waitForEvent('tls_handshake_failed');
  return String(line['error']);
}

describe('client_tls_sslmode', () => {
  it('disable answers N, and refuses TLS that begins without asking', async () => {
    await withTlsPooler(
      pki,
      postgres,
      { settings: { client_tls_sslmode: 'disable' } },
      async (pooler) => {
        expect(await askForTls(pooler)).toBe('N');
        const client = await RawClient.login(pooler.target, LOGIN);
        expect(await client.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
        await client.close();
        await expect(connectDirectTls(pooler, { ALPNProtocols: ['postgresql'] })).rejects.toThrow();
      },
    );
  });

  it.each(['allow', 'prefer'])('%s leaves it to the client', async (mode) => {
    await withTlsPooler(
      pki,
      postgres,
      { settings: { client_tls_sslmode: mode } },
      async (pooler) => {
        expect(await useTls(pooler)).toBe('1');
        const client = await RawClient.login(pooler.target, LOGIN);
        expect(await client.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
        await client.close();
      },
    );
  });

  it('require refuses a startup packet in the clear, but no unix socket and no cancel', async () => {
    await withTlsPooler(pki, postgres, {}, async (pooler) => {
      expect(await useTls(pooler)).toBe('1');
      expect(await refusalOf(RawClient.login(pooler.target, LOGIN))).toBe(
        'FATAL 28000: SSL required',
      );
      const local = await RawClient.login(pooler.socketTarget, LOGIN);
      local.send(frontend.query('SELECT pg_sleep(60)'));
      await waitFor('the query to run', async () => {
        const console = await plainConsole(pooler);
        const rows = await console.query('SHOW POOLS');
        await console.close();
        return rows.some((row) => row['database'] === 'app' && row['sv_active'] === '1');
      });
      const { backendKey } = local;
      const canceler = await RawClient.connect(pooler.target);
      canceler.send(
        frontend.cancelRequest(
          backendKey?.processId ?? 0,
          backendKey?.secretKey ?? Buffer.alloc(4),
        ),
      );
      await canceler.readToEnd();
      canceler.destroy();
      const outcome = await local.readOutcome();
      expect(outcome.errors[0]?.fields['C']).toBe('57014');
      await local.close();
    });
  });

  it('answers N on unix sockets', async () => {
    await withTlsPooler(pki, postgres, {}, async (pooler) => {
      const client = await RawClient.connect(pooler.socketTarget);
      client.send(frontend.sslRequest());
      expect((await client.readBytes(1)).toString()).toBe('N');
      client.destroy();
    });
  });

  it.each(['verify-ca', 'verify-full'])(
    '%s wants a certificate that the authority vouches for',
    async (mode) => {
      const settings = { client_tls_sslmode: mode, client_tls_ca_file: 'DIR/root.crt' };
      await withTlsPooler(pki, postgres, { settings }, async (pooler) => {
        const own = pki.authority.issue({ commonName: 'whoever' });
        expect(await useTls(pooler, { cert: own.cert, key: own.key })).toBe('1');

        expect(await refusalOf(RawClient.login(pooler.target, LOGIN))).toBe(
          'FATAL 28000: SSL required',
        );
        await expect(useTls(pooler)).rejects.toThrow();
        expect(await handshakeErrors(pooler)).toBe(
          'handshake failed: peer did not return a certificate',
        );

        pooler.logs.length = 0;
        const foreign = pki.stranger.issue({ commonName: 'postgres' });
        const client = await connectTls(pooler, { cert: foreign.cert, key: foreign.key });
        expect(await lastWords(client)).toBe('FATAL 28000: certificate authentication failed');
        client.destroy();
        expect(await handshakeErrors(pooler)).toMatch(
          /^handshake failed: certificate verify failed/,
        );

        pooler.logs.length = 0;
        const old = pki.authority.issue({ commonName: 'postgres', validDays: -1 });
        const late = await connectTls(pooler, { cert: old.cert, key: old.key });
        expect(await lastWords(late)).toBe('FATAL 28000: certificate authentication failed');
        late.destroy();
        expect(await handshakeErrors(pooler)).toContain('expired');
      });
    },
  );
});

describe('auth_type cert', () => {
  const settings = {
    client_tls_sslmode: 'verify-full',
    client_tls_ca_file: 'DIR/root.crt',
    auth_type: 'cert',
  };
  const users = { alice: '', 'bob@example.com': '', postgres: '' };

  it('lets in the user whom the certificate names, by CN or subjectAltName, and nobody else', async () => {
    await withTlsPooler(pki, postgres, { settings, users }, async (pooler) => {
      const options = (request: Parameters<typeof pki.authority.issue>[0]) => {
        const { cert, key } = pki.authority.issue(request);
        return { cert, key };
      };
      expect(await useTls(pooler, options({ commonName: 'postgres' }))).toBe('1');
      expect(
        await useTls(pooler, options({ commonName: 'x', dnsNames: ['other', 'postgres'] })),
      ).toBe('1');
      const refused = 'FATAL 28000: certificate authentication failed';
      const attempts: [Parameters<typeof pki.authority.issue>[0], string][] = [
        [{ commonName: 'alice' }, 'postgres'],
        [{ commonName: 'Postgres' }, 'postgres'],
        [{ commonName: 'postgres\0.evil' }, 'postgres'],
        [{ commonName: '*' }, 'postgres'],
        [{ commonName: 'x', dnsNames: ['*.com', 'postgre'] }, 'postgres'],
        [{}, 'postgres'],
        [{ commonName: 'nobody' }, 'nobody'],
      ];
      for (const [request, user] of attempts) {
        expect(
          await refusalOf(useTls(pooler, options(request), user)),
          JSON.stringify(request),
        ).toBe(refused);
      }
      for (const reason of ['the certificate is for "alice"', 'no such user']) {
        await pooler.waitForLog(reason, (line) => line['reason'] === reason);
      }
    });
  });

  it('does not take a unix socket for a certificate', async () => {
    await withTlsPooler(pki, postgres, { settings, users }, async (pooler) => {
      expect(await refusalOf(RawClient.login(pooler.socketTarget, LOGIN))).toBe(
        'FATAL 28000: certificate authentication failed',
      );
    });
  });
});

describe('what came before TLS', () => {
  let pooler: PoolerFixture;
  beforeAll(async () => {
    pooler = await startTlsPooler(pki, postgres, {
      settings: { client_tls_sslmode: 'prefer', client_login_timeout: 60 },
    });
  });
  afterAll(() => pooler.stop());

  it.each([
    ['a startup packet', frontend.startupMessage(LOGIN)],
    ['a query', frontend.query('SELECT 1')],
    ['one byte', Buffer.from([0])],
    ['the begin of a handshake', Buffer.from([0x16, 3, 1, 0, 5])],
    ['a second request', frontend.sslRequest()],
  ])('refuses %s in the same segment as SSLRequest', async (_what, extra) => {
    const client = await RawClient.connect(pooler.target);
    client.send(frontend.sslRequest(), extra);
    expect(await lastWords(client)).toBe(
      'FATAL 08P01: received unencrypted data after SSL request',
    );
    client.destroy();
  });

  it('takes plain bytes behind the answer for a broken handshake, never for messages', async () => {
    const client = await RawClient.connect(pooler.target);
    client.send(frontend.sslRequest());
    expect((await client.readBytes(1)).toString()).toBe('S');
    client.send(frontend.startupMessage(LOGIN), frontend.query('SELECT 1'));
    const rest = await client.readToEnd();
    client.destroy();
    // An alert of TLS at most; no authentication, no error in the clear.
    expect(rest.length).toBeLessThan(10);
    expect(rest.toString('latin1')).not.toMatch(/^[RE]/);
    expect(await handshakeErrors(pooler)).toMatch(/^handshake failed: /);
  });

  it('refuses SSLRequest and direct TLS inside of TLS', async () => {
    const client = await connectTls(pooler);
    client.send(frontend.sslRequest());
    expect(await lastWords(client)).toContain('FATAL 08P01');
    client.destroy();
    const second = await connectTls(pooler);
    second.send(Buffer.from([0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5]));
    expect(await lastWords(second)).toContain('FATAL 08P01');
    second.destroy();
  });

  it('refuses direct TLS behind a GSSENCRequest', async () => {
    const client = await RawClient.connect(pooler.target);
    client.send(frontend.gssEncRequest());
    expect((await client.readBytes(1)).toString()).toBe('N');
    client.send(Buffer.from([0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5]));
    expect(await lastWords(client)).toContain('FATAL 08P01');
    client.destroy();
  });

  it('answers a GSSENCRequest with N and goes on to TLS', async () => {
    const client = await RawClient.connect(pooler.target);
    client.send(frontend.gssEncRequest());
    expect((await client.readBytes(1)).toString()).toBe('N');
    await client.startTls();
    await client.login(LOGIN);
    expect(await client.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
    await client.close();
  });
});

describe('direct TLS', () => {
  it('needs ALPN postgresql', async () => {
    await withTlsPooler(pki, postgres, {}, async (pooler) => {
      const socket = await connectDirectTls(pooler, { ALPNProtocols: ['postgresql'] });
      expect(socket.alpnProtocol).toBe('postgresql');
      socket.write(frontend.startupMessage(LOGIN));
      const [first] = (await withDeadline(
        'the answer',
        new Promise<Buffer[]>((resolve) => {
          socket.once('data', (chunk: Buffer) => {
            resolve([chunk]);
          });
        }),
      )) as [Buffer];
      expect(first.toString('latin1', 0, 1)).toBe('R');
      socket.destroy();

      const without = await connectDirectTls(pooler).catch((error: unknown) => error);
      if (without instanceof tls.TLSSocket) {
        without.on('error', () => undefined);
        await withDeadline('the end', new Promise((resolve) => without.once('close', resolve)));
      }
      expect(await handshakeErrors(pooler)).toContain('without ALPN protocol postgresql');
      await expect(connectDirectTls(pooler, { ALPNProtocols: ['h2'] })).rejects.toThrow();
    });
  });

  it('takes a handshake that comes byte by byte', async () => {
    await withTlsPooler(pki, postgres, {}, async (pooler) => {
      const plain = net.connect({ host: pooler.host, port: pooler.port, noDelay: true });
      await new Promise((resolve) => plain.once('connect', resolve));
      const drip = new Duplex({
        read: () => undefined,
        write: (chunk: Buffer, _encoding, done) => {
          void (async () => {
            for (const byte of chunk.subarray(0, 40)) {
              plain.write(Buffer.from([byte]));
              await new Promise(setImmediate);
            }
            plain.write(chunk.subarray(40), () => {
              done();
            });
          })();
        },
      });
      plain.on('data', (chunk) => drip.push(chunk));
      const socket = tls.connect({
        socket: drip,
        ALPNProtocols: ['postgresql'],
        rejectUnauthorized: false,
      });
      await withDeadline('TLS', new Promise((resolve) => socket.once('secureConnect', resolve)));
      socket.write(frontend.startupMessage(LOGIN));
      const answer = await withDeadline(
        'the answer',
        new Promise<Buffer>((resolve) => socket.once('data', resolve)),
      );
      expect(answer.toString('latin1', 0, 1)).toBe('R');
      plain.destroy();
    });
  });
});

describe('what is agreed on', () => {
  it('shows in SHOW CLIENTS, SHOW SOCKETS and the log; SNI is logged', async () => {
    await withTlsPooler(pki, postgres, { settings: { verbose: 1 } }, async (pooler) => {
      const client = await connectTls(pooler, {
        servername: 'db.example',
        ALPNProtocols: ['postgresql'],
      });
      expect(tlsSocketOf(client).alpnProtocol).toBe('postgresql');
      await client.login(LOGIN);
      const console = await plainConsole(pooler);
      const text = 'TLSv1.3/TLS_AES_256_GCM_SHA384';
      for (const table of ['CLIENTS', 'SOCKETS']) {
        const rows = await console.query(`SHOW ${table}`);
        const row = rows.find((each) => each['database'] === 'app' && each['type'] === 'C');
        expect(row?.['tls'], table).toBe(text);
        expect(rows.find((each) => each['database'] === 'pgbouncer')?.['tls']).toBe('');
      }
      await console.close();
      const attempt = await pooler.waitForEvent('client_login_attempted');
      expect(attempt['tls']).toBe(text);
      const established = await pooler.waitForEvent('tls_established');
      expect(established).toMatchObject({ tls: text, sni: 'db.example' });
      await client.close();
    });
  });

  it('follows protocols and ciphers of the settings', async () => {
    const settings = {
      client_tls_protocols: 'tlsv1.2',
      client_tls_ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384',
      client_tls_ecdhcurve: 'secp384r1',
    };
    await withTlsPooler(pki, postgres, { settings }, async (pooler) => {
      const client = await connectTls(pooler);
      const socket = tlsSocketOf(client);
      expect(socket.getProtocol()).toBe('TLSv1.2');
      // The server's order counts.
      expect(socket.getCipher().name).toBe('ECDHE-ECDSA-AES128-GCM-SHA256');
      expect(socket.getEphemeralKeyInfo()).toMatchObject({ name: 'secp384r1' });
      client.destroy();
      await expect(useTls(pooler, { minVersion: 'TLSv1.3' })).rejects.toThrow();
      await expect(useTls(pooler, { ecdhCurve: 'prime256v1' })).rejects.toThrow();
      await expect(useTls(pooler, { ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305' })).rejects.toThrow();
    });
  });

  it('follows the suites of TLS 1.3', async () => {
    const settings = { client_tls13_ciphers: 'TLS_CHACHA20_POLY1305_SHA256' };
    await withTlsPooler(pki, postgres, { settings }, async (pooler) => {
      const client = await connectTls(pooler);
      expect(tlsSocketOf(client).getCipher().name).toBe('TLS_CHACHA20_POLY1305_SHA256');
      client.destroy();
      await expect(
        useTls(pooler, { ciphers: 'TLS_AES_128_GCM_SHA256', minVersion: 'TLSv1.3' }),
      ).rejects.toThrow();
    });
  });

  it('switches key exchanges off', async () => {
    const rsa = pki.authority.issue({ commonName: 'localhost', signature: 'rsa-sha256' });
    const files = { 'server.crt': rsa.cert, 'server.key': rsa.key };
    const settings = {
      client_tls_protocols: 'tlsv1.2',
      client_tls_ecdhcurve: 'none',
      client_tls_dheparams: 'auto',
    };
    await withTlsPooler(pki, postgres, { settings, files }, async (pooler) => {
      const client = await connectTls(pooler);
      expect(tlsSocketOf(client).getCipher().name).toMatch(/^DHE-RSA-/);
      client.destroy();
    });
    await withTlsPooler(
      pki,
      postgres,
      { settings: { ...settings, client_tls_dheparams: 'none' }, files },
      async (pooler) => {
        const client = await connectTls(pooler, { ciphers: 'DHE:ECDHE:kRSA' });
        expect(tlsSocketOf(client).getCipher().name).toMatch(/^AES/);
        client.destroy();
        await expect(useTls(pooler, { ciphers: 'DHE:ECDHE' })).rejects.toThrow();
      },
    );
  });

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('follows the curves with %s', async (version) => {
    const settings = { client_tls_ecdhcurve: 'secp384r1' };
    await withTlsPooler(pki, postgres, { settings }, async (pooler) => {
      const client = await connectTls(pooler, { minVersion: version, maxVersion: version });
      expect(tlsSocketOf(client).getEphemeralKeyInfo()).toMatchObject({ name: 'secp384r1' });
      client.destroy();
      const other = { ecdhCurve: 'X25519:prime256v1', minVersion: version, maxVersion: version };
      await expect(useTls(pooler, other)).rejects.toThrow();
    });
  });

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('resumes sessions of %s', async (version) => {
    await withTlsPooler(pki, postgres, {}, async (pooler) => {
      const first = await connectTls(pooler, { maxVersion: version });
      // With TLS 1.3 it comes after the handshake.
      const session = new Promise<Buffer>((resolve) => first.socket.once('session', resolve));
      await first.login(LOGIN);
      const old = tlsSocketOf(first).getSession() ?? Buffer.alloc(0);
      const ticket = version === 'TLSv1.2' ? old : await withDeadline('a session ticket', session);
      expect(tlsSocketOf(first).isSessionReused()).toBe(false);
      await first.close();
      const second = await connectTls(pooler, { session: ticket, maxVersion: version });
      expect(tlsSocketOf(second).isSessionReused()).toBe(true);
      await second.login(LOGIN);
      expect(await second.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
      await second.close();
    });
  });

  it('keeps the certificate of a client through a resumed session', async () => {
    const settings = {
      client_tls_sslmode: 'verify-full',
      client_tls_ca_file: 'DIR/root.crt',
      auth_type: 'cert',
    };
    await withTlsPooler(
      pki,
      postgres,
      { settings, users: { postgres: '', alice: '' } },
      async (pooler) => {
        const { cert, key } = pki.authority.issue({ commonName: 'postgres' });
        const first = await connectTls(pooler, { cert, key });
        const session = new Promise<Buffer>((resolve) => first.socket.once('session', resolve));
        await first.login(LOGIN);
        const ticket = await withDeadline('a session ticket', session);
        await first.close();
        const second = await connectTls(pooler, { session: ticket });
        expect(tlsSocketOf(second).isSessionReused()).toBe(true);
        await second.login(LOGIN);
        await second.close();
        const third = await connectTls(pooler, { session: ticket });
        expect(await refusalOf(third.login({ ...LOGIN, user: 'alice' }))).toBe(
          'FATAL 28000: certificate authentication failed',
        );
        third.destroy();
      },
    );
  });
});
