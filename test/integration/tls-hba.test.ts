import { expect, it } from 'vitest';
import type { CertificateRequest } from '../support/certificates.ts';
import { RawClient } from '../support/raw-client.ts';
import { refusalOf } from '../support/refusal.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { connectTls, makePki, startTlsPooler } from '../support/tls-scene.ts';

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
