import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { Certificate } from '../support/certificates.ts';
import { PoolerFixture } from '../support/pooler-fixture.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import {
  connectTls,
  makePki,
  tlsPoolerOptions,
  tlsSocketOf,
  withTlsPooler,
  type TlsPoolerOptions,
} from '../support/tls-scene.ts';
import { waitFor } from '../support/wait-for.ts';

const CLI_FILE = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const pki = makePki();
const postgres = sharedPostgres();
const LOGIN = { user: 'postgres', database: 'app' };

/** Common name of the certificate that the pooler shows. */
async function shownName(pooler: PoolerFixture): Promise<string> {
  const client = await connectTls(pooler);
  const { raw } = tlsSocketOf(client).getPeerCertificate();
  client.destroy();
  return new X509Certificate(raw).subject;
}

function issue(commonName: string): Certificate {
  return pki.authority.issue({ commonName });
}

async function reload(pooler: PoolerFixture): Promise<string> {
  const client = await pooler.login({ user: 'postgres', database: 'pgbouncer' });
  const outcome = await client.simpleQuery('RELOAD');
  await client.close();
  return outcome.errors[0]?.message ?? 'done';
}

const PREFER = { client_tls_sslmode: 'prefer' };

describe('files of TLS that cannot be used', () => {
  const other = issue('other');
  it.each<[string, TlsPoolerOptions, string]>([
    [
      'a missing one',
      { settings: { client_tls_cert_file: 'DIR/no.crt' } },
      'client_tls_cert_file: could not read "DIR/no.crt"',
    ],
    [
      'a certificate that is none',
      { files: { 'server.crt': 'hello' } },
      'client_tls_cert_file: "DIR/server.crt" holds no certificate in PEM form',
    ],
    [
      'a broken certificate',
      { files: { 'server.crt': pki.server.cert.replace(/\n.{20}/, '\nAAAAAAAAAAAAAAAAAAAA') } },
      'client_tls_cert_file: "DIR/server.crt" certificate 1 of 1 is broken',
    ],
    [
      'a key that is none',
      { files: { 'server.key': 'hello' } },
      'client_tls_key_file: "DIR/server.key" holds no private key in PEM form',
    ],
    [
      'an encrypted key',
      { files: { 'server.key': pki.server.key.replaceAll('PRIVATE', 'ENCRYPTED PRIVATE') } },
      'client_tls_key_file: "DIR/server.key" is encrypted',
    ],
    [
      'the key of another certificate',
      { files: { 'server.key': other.key } },
      'client_tls_key_file: "DIR/server.key" is not the key of the certificate',
    ],
    [
      'an authority that is none',
      { settings: { client_tls_ca_file: 'DIR/server.key' } },
      'client_tls_ca_file: "DIR/server.key" holds no certificate in PEM form',
    ],
    [
      'unknown ciphers',
      { settings: { client_tls_ciphers: 'NOPE' } },
      'invalid client_tls_ciphers: NOPE',
    ],
    [
      'unknown suites',
      { settings: { client_tls13_ciphers: 'TLS_NOPE' } },
      'invalid client_tls13_ciphers: TLS_NOPE',
    ],
    [
      'an unknown curve',
      { settings: { client_tls_ecdhcurve: 'nope' } },
      'invalid client_tls_ecdhcurve: nope',
    ],
    [
      'a missing one for servers',
      { settings: { server_tls_sslmode: 'prefer', server_tls_ca_file: 'DIR/no.crt' } },
      'server_tls_ca_file: could not read "DIR/no.crt"',
    ],
  ])(
    'end the start, and the check, with setting, file and reason: %s',
    async (_what, options, text) => {
      const full = tlsPoolerOptions(pki, postgres, options);
      const pooler = PoolerFixture.spawn(full);
      const expected = text.replaceAll('DIR', pooler.directory);
      try {
        expect((await pooler.exited).code).toBe(1);
        const fatal = await pooler.waitForEvent('start_failed');
        expect(fatal['error']).toContain(`TLS setup failed: ${expected}`);
        const check = spawnSync(process.execPath, [CLI_FILE, 'check', pooler.configFile]);
        expect(check.status).toBe(1);
        expect(check.stderr.toString()).toContain(expected);
      } finally {
        await pooler.kill();
      }
    },
  );
});

describe('RELOAD', () => {
  it('takes new files, and keeps everything as it was when they cannot be used', async () => {
    await withTlsPooler(pki, postgres, { settings: PREFER }, async (pooler) => {
      expect(await shownName(pooler)).toBe('CN=localhost');
      const established = await connectTls(pooler);
      await established.login(LOGIN);
      const next = issue('second');
      pooler.writeFile('server.crt', next.cert);
      expect(await reload(pooler)).toContain('is not the key of the certificate');
      expect(await shownName(pooler)).toBe('CN=localhost');
      pooler.writeFile('server.key', next.key);
      expect(await reload(pooler)).toBe('done');
      expect(await shownName(pooler)).toBe('CN=second');
      // Connections that stand go on.
      expect(await established.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
      await established.close();
    });
  });

  it('is refused as a whole', async () => {
    await withTlsPooler(pki, postgres, { settings: PREFER }, async (pooler) => {
      const { config } = tlsPoolerOptions(pki, postgres, {
        settings: { ...PREFER, client_tls_ciphers: 'NOPE', query_timeout: 77 },
      });
      pooler.rewriteConfig(config);
      expect(await reload(pooler)).toContain('invalid client_tls_ciphers: NOPE');
      const rows = await pooler.console('SHOW CONFIG');
      expect(rows.find(({ key }) => key === 'query_timeout')?.['value']).toBe('0');
      await pooler.waitForEvent('tls_reload_failed');
      expect(await shownName(pooler)).toBe('CN=localhost');
    });
  });

  it('voids the sessions of a context that is gone', async () => {
    await withTlsPooler(pki, postgres, { settings: PREFER }, async (pooler) => {
      const first = await connectTls(pooler);
      const session = new Promise<Buffer>((resolve) => first.socket.once('session', resolve));
      await first.login(LOGIN);
      const ticket = await session;
      await first.close();
      expect(await reload(pooler)).toBe('done');
      const same = await connectTls(pooler, { session: ticket });
      expect(tlsSocketOf(same).isSessionReused()).toBe(true);
      same.destroy();
      const next = issue('second');
      pooler.writeFile('server.crt', next.cert);
      pooler.writeFile('server.key', next.key);
      expect(await reload(pooler)).toBe('done');
      const other = await connectTls(pooler, { session: ticket });
      expect(tlsSocketOf(other).isSessionReused()).toBe(false);
      other.destroy();
    });
  });
});

describe('SET', () => {
  it('changes TLS at once, and is refused when that cannot be', async () => {
    await withTlsPooler(pki, postgres, { settings: PREFER }, async (pooler) => {
      const console = await pooler.login({ user: 'postgres', database: 'pgbouncer' });
      const set = async (sql: string): Promise<string> =>
        (await console.simpleQuery(sql)).errors[0]?.message ?? 'done';
      expect(await set("SET client_tls_ciphers = 'NOPE'")).toContain('invalid client_tls_ciphers');
      expect(await set("SET client_tls_cert_file = ''")).toContain('must be set');
      expect(await set("SET client_tls_protocols = 'tlsv1.2'")).toBe('done');
      const client = await connectTls(pooler);
      expect(tlsSocketOf(client).getProtocol()).toBe('TLSv1.2');
      client.destroy();
      expect(await set("SET client_tls_sslmode = 'disable'")).toBe('done');
      await expect(connectTls(pooler)).rejects.toThrow('SSLRequest was answered with "N"');
      await console.close();
    });
  });
});

describe('files that change on disk', () => {
  it('are taken without a reload; bad ones are logged and not used', async () => {
    await withTlsPooler(pki, postgres, { settings: PREFER }, async (pooler) => {
      const next = issue('second');
      pooler.writeFile('server.crt', next.cert);
      const failed = await pooler.waitForEvent('tls_reload_failed');
      expect(failed['problem']).toContain('is not the key of the certificate');
      expect(await shownName(pooler)).toBe('CN=localhost');
      pooler.writeFile('server.key', next.key);
      await pooler.waitForEvent('tls_reloaded');
      expect(await shownName(pooler)).toBe('CN=second');
      expect(pooler.logs.filter(({ event }) => event === 'tls_reload_failed')).toHaveLength(1);
    });
  });

  it('are seen behind symbolic links that are swapped, as Kubernetes does', async () => {
    const settings = {
      ...PREFER,
      client_tls_cert_file: 'DIR/mount/tls.crt',
      client_tls_key_file: 'DIR/mount/tls.key',
    };
    const options = tlsPoolerOptions(pki, postgres, { settings });
    const place = (directory: string, version: string, { cert, key }: Certificate): void => {
      const mount = path.join(directory, 'mount');
      fs.mkdirSync(path.join(mount, version), { recursive: true });
      fs.writeFileSync(path.join(mount, version, 'tls.crt'), cert);
      fs.writeFileSync(path.join(mount, version, 'tls.key'), key);
      fs.symlinkSync(version, path.join(mount, '..data_tmp'));
      fs.renameSync(path.join(mount, '..data_tmp'), path.join(mount, '..data'));
    };
    const pooler = await PoolerFixture.start({
      ...options,
      config: (directory) => {
        place(directory, 'v1', pki.server);
        for (const name of ['tls.crt', 'tls.key']) {
          fs.symlinkSync(`..data/${name}`, path.join(directory, 'mount', name));
        }
        return typeof options.config === 'function' ? options.config(directory) : options.config;
      },
    });
    try {
      expect(await shownName(pooler)).toBe('CN=localhost');
      place(pooler.directory, 'v2', issue('rotated'));
      await pooler.waitForEvent('tls_reloaded');
      expect(await shownName(pooler)).toBe('CN=rotated');
      expect(pooler.logs.some(({ event }) => event === 'tls_reload_failed')).toBe(false);
      await pooler.stop();
    } finally {
      await pooler.kill();
    }
  });

  it('void the trust in those who signed before', async () => {
    const settings = { client_tls_sslmode: 'verify-full', client_tls_ca_file: 'DIR/root.crt' };
    await withTlsPooler(pki, postgres, { settings }, async (pooler) => {
      const { cert, key } = issue('postgres');
      const client = await connectTls(pooler, { cert, key });
      await client.login(LOGIN);
      await client.close();
      pooler.writeFile('root.crt', pki.stranger.cert);
      await pooler.waitForEvent('tls_reloaded');
      const refused = await connectTls(pooler, { cert, key });
      expect((await refused.readError()).message).toContain('certificate authentication failed');
      refused.destroy();
    });
  });
});

describe('certificates that expire', () => {
  it.each([
    [10, 9],
    [-2, -3],
  ])('are told of and exposed: in %d days', async (validDays, days) => {
    const old = pki.authority.issue({ commonName: 'old', validDays });
    const files = { 'server.crt': old.cert, 'server.key': old.key };
    const settings = { ...PREFER, metrics_listen_addr: '127.0.0.1', metrics_listen_port: 0 };
    await withTlsPooler(pki, postgres, { settings, files }, async (pooler) => {
      const line = await pooler.waitForEvent('tls_certificate_expiring');
      expect(line).toMatchObject({ setting: 'client_tls_cert_file', days });
      const { port } = await pooler.waitForEvent('metrics_listening');
      const text = await (await fetch(`http://127.0.0.1:${String(port)}/metrics`)).text();
      const name = 'maitred_tls_certificate_expiry_timestamp_seconds';
      const file = path.join(pooler.directory, 'server.crt');
      const sample = text.split('\n').find((each) => each.startsWith(`${name}{`)) ?? '';
      expect(sample).toContain(`{setting="client_tls_cert_file",file="${file}"}`);
      const seconds = Number(sample.split(' ').at(-1));
      expect(seconds).toBe(Date.parse(new X509Certificate(old.cert).validTo) / 1000);
    });
  });

  it('are not told of when there is time', async () => {
    await withTlsPooler(pki, postgres, { settings: PREFER }, async (pooler) => {
      await waitFor('the start', () => pooler.logs.some(({ event }) => event === 'process_up'));
      expect(pooler.logs.some(({ event }) => event === 'tls_certificate_expiring')).toBe(false);
    });
  });
});
