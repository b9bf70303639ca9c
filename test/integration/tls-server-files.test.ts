import { X509Certificate } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { numberOf, parseExposition } from '../support/exposition.ts';
import type { PoolerFixture } from '../support/pooler-fixture.ts';
import { RawClient } from '../support/raw-client.ts';
import { refusalOf } from '../support/refusal.ts';
import { startTlsPostgres, type TlsPostgres } from '../support/tls-postgres.ts';
import { makePki, tlsSocketOf, withTlsPooler } from '../support/tls-scene.ts';
import { waitFor } from '../support/wait-for.ts';

const pki = makePki();
const LOGIN = { user: 'postgres', database: 'app' };
const METRICS = { metrics_listen_addr: '127.0.0.1', metrics_listen_port: 0 };
const EXPIRY = 'maitred_tls_certificate_expiry_timestamp_seconds';

let server: TlsPostgres;
beforeAll(async () => {
  const certificate = pki.authority.issue({ commonName: 'x', dnsNames: ['localhost'] });
  server = await startTlsPostgres(certificate, pki.authority);
});
afterAll(() => server.stop());

/** Runs `body` with a pooler that shows a certificate to its server, which must be a trusted one. */
async function withServerFiles(
  settings: Readonly<Record<string, unknown>>,
  body: (pooler: PoolerFixture) => Promise<void>,
  validDays = 365,
): Promise<void> {
  const first = pki.authority.issue({ commonName: 'first', validDays });
  const options = {
    settings: {
      client_tls_sslmode: 'disable',
      server_tls_sslmode: 'verify-full',
      server_tls_ca_file: 'DIR/root.crt',
      server_tls_cert_file: 'DIR/client.crt',
      server_tls_key_file: 'DIR/client.key',
      server_login_retry: 0,
      ...settings,
    },
    database: { dbname: 'postgres', host: 'localhost', port: server.postgres.port },
    files: { 'client.crt': first.cert, 'client.key': first.key },
    users: { postgres: '' },
  };
  await withTlsPooler(pki, server.postgres, options, body);
}

/** Asks the server whose certificate it was shown on the connection that a new client gets. */
async function shownName(pooler: PoolerFixture): Promise<unknown> {
  const client = await pooler.login(LOGIN);
  const [row] = await client.query(
    'SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
  );
  await client.close();
  return row?.['client_dn'];
}

describe('files of server_tls_* that change on disk', () => {
  it('the certificate and its key: bad ones are not used, good ones by new connections', async () => {
    await withServerFiles({}, async (pooler) => {
      expect(await shownName(pooler)).toBe('/CN=first');
      const next = pki.authority.issue({ commonName: 'second' });
      pooler.writeFile('client.crt', next.cert);
      const failed = await pooler.waitForEvent('tls_reload_failed');
      expect(failed['problem']).toContain('server_tls_key_file');
      expect(failed['problem']).toContain('is not the key of the certificate');
      await pooler.console('RECONNECT');
      expect(await shownName(pooler)).toBe('/CN=first');
      pooler.writeFile('client.key', next.key);
      await pooler.waitForEvent('tls_reloaded');
      // The one that stood is retired by itself.
      expect(await shownName(pooler)).toBe('/CN=second');
    });
  });

  it('the authority: a broken one is not used, another one ends the trust in the server', async () => {
    await withServerFiles({}, async (pooler) => {
      expect(await shownName(pooler)).toBe('/CN=first');
      pooler.writeFile('root.crt', 'hello');
      const failed = await pooler.waitForEvent('tls_reload_failed');
      expect(failed['problem']).toContain('server_tls_ca_file');
      await pooler.console('RECONNECT');
      expect(await shownName(pooler)).toBe('/CN=first');
      pooler.writeFile('root.crt', pki.stranger.cert);
      await pooler.waitForEvent('tls_reloaded');
      const client = await pooler.login(LOGIN);
      expect(await refusalOf(client.query('SELECT 1'))).toContain('08006');
      pooler.writeFile('root.crt', pki.authority.cert);
      await waitFor(
        'the authority to be taken again',
        () => pooler.logs.filter(({ event }) => event === 'tls_reloaded').length === 2,
      );
      // The error of the last attempt may be told once more.
      expect(await waitFor('a connection', () => shownName(pooler).catch(() => null))).toBe(
        '/CN=first',
      );
    });
  });
});

describe('server_tls_cert_file', () => {
  it('that expires is told of and exposed', async () => {
    await withServerFiles(
      METRICS,
      async (pooler) => {
        const line = await pooler.waitForEvent('tls_certificate_expiring');
        expect(line).toMatchObject({ setting: 'server_tls_cert_file', days: 9 });
        const file = path.join(pooler.directory, 'client.crt');
        const validTo = new X509Certificate(fs.readFileSync(file)).validTo;
        const { port } = await pooler.waitForEvent('metrics_listening');
        const text = await (await fetch(`http://127.0.0.1:${String(port)}/metrics`)).text();
        const labels = { setting: 'server_tls_cert_file', file };
        expect(numberOf(parseExposition(text), EXPIRY, labels)).toBe(Date.parse(validTo) / 1000);
      },
      10,
    );
  });

  it('that has time is exposed, and not told of', async () => {
    await withServerFiles(METRICS, async (pooler) => {
      await shownName(pooler);
      expect(pooler.logs.some(({ event }) => event === 'tls_certificate_expiring')).toBe(false);
    });
  });
});

describe('PostgreSQL', () => {
  // Why no session can be resumed towards servers, while clients resume theirs with the pooler.
  it.each(['TLSv1.2', 'TLSv1.3'] as const)('resumes no session of %s', async (version) => {
    const { host, port } = server.postgres;
    const options = { rejectUnauthorized: false, minVersion: version, maxVersion: version };
    const tickets: Buffer[] = [];
    const connect = async (session?: Buffer): Promise<RawClient> => {
      const client = await RawClient.connect({ host, port });
      await client.startTls(session === undefined ? options : { ...options, session });
      client.socket.on('session', (ticket: Buffer) => tickets.push(ticket));
      await client.login({ user: 'postgres', database: 'postgres' });
      return client;
    };
    const first = await connect();
    // A ticket would have come before the first answer.
    expect(await first.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
    const session = tlsSocketOf(first).getSession();
    await first.close();
    const second = await connect(tickets[0] ?? session);
    expect(tlsSocketOf(second).isSessionReused()).toBe(false);
    if (version === 'TLSv1.3') {
      expect(tickets).toEqual([]);
    }
    await second.close();
  });
});
