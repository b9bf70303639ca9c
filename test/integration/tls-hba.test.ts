import type { ConnectionOptions } from 'node:tls';
import { describe, expect, it } from 'vitest';
import type { CertificateRequest } from '../support/certificates.ts';
import type { PoolerFixture } from '../support/pooler-fixture.ts';
import { RawClient } from '../support/raw-client.ts';
import { refusalOf } from '../support/refusal.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { connectTls, makePki, startTlsPooler, withTlsPooler } from '../support/tls-scene.ts';
import { withDeadline } from '../support/wait-for.ts';

const pki = makePki();
const LOGIN = { user: 'postgres', database: 'app' };
const CERT_REFUSED = 'FATAL 28000: certificate authentication failed';

it('tells TLS from plain connections in HBA rules, and hands them the verified names', async () => {
  const pooler = await startTlsPooler(pki, sharedPostgres(), {
    settings: {
      client_tls_sslmode: 'verify-full',
      client_tls_ca_file: 'DIR/root.crt',
      auth_type: 'hba',
      auth_hba_file: 'DIR/hba.conf',
      auth_ident_file: 'DIR/ident.conf',
    },
    users: { postgres: '', mapped: '' },
    files: {
      'hba.conf': [
        'local all all trust',
        'hostnossl all all 127.0.0.1/32 reject',
        'hostssl app mapped 127.0.0.1/32 cert map=people',
        'hostssl app all 127.0.0.1/32 cert',
        '',
      ].join('\n'),
      'ident.conf': 'people ann@example.com mapped\n',
    },
  });
  const attempt = async (user: string, request: CertificateRequest): Promise<string> => {
    const { cert, key } = pki.authority.issue(request);
    const client = await connectTls(pooler, { cert, key });
    try {
      await client.login({ ...LOGIN, user });
      return 'in';
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      client.destroy();
    }
  };
  try {
    expect(await attempt('postgres', { commonName: 'postgres' })).toBe('in');
    expect(await attempt('postgres', { commonName: 'x', dnsNames: ['postgres'] })).toBe('in');
    expect(await attempt('postgres', { commonName: 'ann' })).toBe(CERT_REFUSED);
    expect(await attempt('mapped', { commonName: 'mapped' })).toBe(CERT_REFUSED);
    // The server has no such role: it got past the pooler.
    expect(await attempt('mapped', { emails: ['ann@example.com'] })).toContain('"mapped"');
    expect(await refusalOf(RawClient.login(pooler.target, LOGIN))).toBe(
      'FATAL 28000: SSL required',
    );
    await pooler.stop();
  } finally {
    await pooler.kill();
  }
});

describe.each(['allow', 'prefer', 'require'])('cert lines with client_tls_sslmode %s', (mode) => {
  const settings = {
    client_tls_sslmode: mode,
    client_tls_ca_file: 'DIR/root.crt',
    auth_type: 'hba',
    auth_hba_file: 'DIR/hba.conf',
  };
  const files = {
    'hba.conf': ['local all all trust', 'hostssl app postgres 0.0.0.0/0 cert', ''].join('\n'),
  };

  async function withHba(body: (pooler: PoolerFixture) => Promise<void>): Promise<void> {
    const users = { postgres: '', alice: '' };
    await withTlsPooler(pki, sharedPostgres(), { settings, users, files }, body);
  }

  async function attempt(pooler: PoolerFixture, options: ConnectionOptions): Promise<string> {
    const client = await connectTls(pooler, options);
    const outcome = client.login(LOGIN).then(
      () => 'in',
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    return outcome.finally(() => {
      client.destroy();
    });
  }

  it('let in who shows a certificate, and nobody without one that can be trusted', async () => {
    await withHba(async (pooler) => {
      const { cert, key } = pki.authority.issue({ commonName: 'postgres' });
      expect(await attempt(pooler, { cert, key })).toBe('in');
      expect(await attempt(pooler, {})).toBe(CERT_REFUSED);
      const other = pki.authority.issue({ commonName: 'alice' });
      expect(await attempt(pooler, { cert: other.cert, key: other.key })).toBe(CERT_REFUSED);
      const old = pki.authority.issue({ commonName: 'postgres', validDays: -1 });
      expect(await attempt(pooler, { cert: old.cert, key: old.key })).toBe(CERT_REFUSED);
      pooler.logs.length = 0;
      const foreign = pki.stranger.issue({ commonName: 'postgres' });
      expect(await attempt(pooler, { cert: foreign.cert, key: foreign.key })).toBe(CERT_REFUSED);
      expect(await pooler.waitForEvent('client_login_failed')).toMatchObject({
        reason: 'the client has shown no certificate that can be trusted',
      });
    });
  });

  it('do not trust a foreign certificate in a resumed session either', async () => {
    await withHba(async (pooler) => {
      const foreign = pki.stranger.issue({ commonName: 'postgres' });
      const first = await connectTls(pooler, { cert: foreign.cert, key: foreign.key });
      const session = new Promise<Buffer>((resolve) => first.socket.once('session', resolve));
      first.socket.resume();
      const ticket = await withDeadline('a session ticket', session);
      first.destroy();
      expect(await attempt(pooler, { session: ticket })).toBe(CERT_REFUSED);
    });
  });
});

it('asks for no certificate where no authority could vouch for it', async () => {
  const settings = { client_tls_sslmode: 'require', auth_type: 'trust' };
  await withTlsPooler(pki, sharedPostgres(), { settings }, async (pooler) => {
    const { cert, key } = pki.stranger.issue({ commonName: 'postgres' });
    const client = await connectTls(pooler, { cert, key });
    await client.login(LOGIN);
    await client.close();
  });
});
