import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BackendError, decodeErrorFields } from '../support/backend-messages.ts';
import type { SignatureKind } from '../support/certificates.ts';
import * as frontend from '../support/frontend-messages.ts';
import type { PoolerFixture } from '../support/pooler-fixture.ts';
import type { RawClient } from '../support/raw-client.ts';
import { RawClient as Client } from '../support/raw-client.ts';
import { refusalOf } from '../support/refusal.ts';
import { ScramClient } from '../support/scram-client.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { startInterceptor, startTlsPostgres } from '../support/tls-postgres.ts';
import type { TlsPostgres } from '../support/tls-postgres.ts';
import { connectTls, makePki, startTlsPooler, tlsSocketOf } from '../support/tls-scene.ts';

const pki = makePki();
const LOGIN = { user: 'postgres', database: 'app' };
const PASSWORD = 'pencil';
const PLUS = 'SCRAM-SHA-256-PLUS';
const BOUND = 'p=tls-server-end-point,,';
const FAILED = 'SASL authentication failed';

/** Sends the startup packet. @returns The mechanisms offered. */
async function mechanismsOf(client: RawClient): Promise<string[]> {
  client.startup(LOGIN);
  const { type, body } = await client.readMessage();
  expect(type).toBe('R');
  expect(body.readInt32BE()).toBe(10);
  return body.toString('latin1', 4).split('\0').filter(Boolean);
}

/** Does the SASL exchange. @returns The type of the last message, or the error. */
async function prove(client: RawClient, mechanism: string, scram: ScramClient): Promise<string> {
  client.send(frontend.saslInitialResponse(mechanism, scram.first()));
  for (;;) {
    const { type, body } = await client.readMessage();
    if (type === 'E') {
      return new BackendError(decodeErrorFields(body)).message;
    }
    const code = body.readInt32BE();
    if (code === 11) {
      client.send(frontend.saslResponse(scram.final(body.toString('latin1', 4))));
    } else if (code === 12) {
      scram.verify(body.toString('latin1', 4));
    } else {
      return `R${String(code)}`;
    }
  }
}

function hashOf(der: Buffer, hash = 'sha256'): Buffer {
  return createHash(hash).update(der).digest();
}

describe('towards clients', () => {
  let pooler: PoolerFixture;
  beforeAll(async () => {
    pooler = await startTlsPooler(pki, sharedPostgres(), {
      settings: { client_tls_sslmode: 'prefer', auth_type: 'scram-sha-256' },
      users: { postgres: PASSWORD },
    });
  });
  afterAll(() => pooler.kill());

  it('is offered inside of TLS only, and proves this very connection', async () => {
    const plain = await Client.connect(pooler.target);
    expect(await mechanismsOf(plain)).toEqual(['SCRAM-SHA-256']);
    plain.destroy();
    const client = await connectTls(pooler);
    expect(await mechanismsOf(client)).toEqual([PLUS, 'SCRAM-SHA-256']);
    const { raw } = tlsSocketOf(client).getPeerCertificate();
    const scram = new ScramClient(PASSWORD, undefined, BOUND, hashOf(raw));
    expect(await prove(client, PLUS, scram)).toBe('R0');
    client.destroy();
  });

  it.each<[string, string, string, Buffer]>([
    ['the data of another certificate', PLUS, BOUND, hashOf(pki.stranger.der)],
    ['no data', PLUS, BOUND, Buffer.alloc(0)],
    ['another type', PLUS, 'p=tls-unique,,', hashOf(pki.server.der)],
    ['the mechanism with n', PLUS, 'n,,', Buffer.alloc(0)],
    ['the mechanism with y', PLUS, 'y,,', Buffer.alloc(0)],
    ['a binding without the mechanism', 'SCRAM-SHA-256', BOUND, hashOf(pki.server.der)],
    ['y although it was offered: a downgrade', 'SCRAM-SHA-256', 'y,,', Buffer.alloc(0)],
  ])('refuses %s', async (_what, mechanism, header, data) => {
    const client = await connectTls(pooler);
    await mechanismsOf(client);
    const scram = new ScramClient(PASSWORD, undefined, header, data);
    expect(await prove(client, mechanism, scram)).toBe(`FATAL 08P01: ${FAILED}`);
    client.destroy();
  });

  it('refuses the mechanism where it was not offered', async () => {
    const client = await Client.connect(pooler.target);
    await mechanismsOf(client);
    const scram = new ScramClient(PASSWORD, undefined, BOUND, hashOf(pki.server.der));
    expect(await prove(client, PLUS, scram)).toContain('invalid SASL authentication mechanism');
    client.destroy();
  });

  it('lets clients do without: n everywhere, y in the clear', async () => {
    for (const [header, isTls] of [
      ['n,,', true],
      ['n,,', false],
      ['y,,', false],
    ] as const) {
      const client = isTls ? await connectTls(pooler) : await Client.connect(pooler.target);
      await mechanismsOf(client);
      const scram = new ScramClient(PASSWORD, undefined, header);
      expect(await prove(client, 'SCRAM-SHA-256', scram), header).toBe('R0');
      client.destroy();
    }
  });

  it('needs the right password all the same', async () => {
    const client = await connectTls(pooler);
    await mechanismsOf(client);
    const scram = new ScramClient('wrong', undefined, BOUND, hashOf(pki.server.der));
    expect(await prove(client, PLUS, scram)).toBe(`FATAL 28P01: ${FAILED}`);
    client.destroy();
  });

  it('works with the driver pg', async () => {
    const client = new pg.Client({
      host: pooler.host,
      port: pooler.port,
      ...LOGIN,
      password: PASSWORD,
      ssl: { ca: pki.authority.cert, servername: 'localhost' },
      enableChannelBinding: true,
    });
    await client.connect();
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await client.end();
  });

  const hasPsql = spawnSync('psql', ['--version']).status === 0;
  it.runIf(hasPsql)('works with psql that requires it, and sslmode=verify-full', async () => {
    const psql = (options: string): Promise<string> =>
      new Promise((resolve) => {
        const root = pooler.writeFile('psql-root.crt', pki.authority.cert);
        const target = `host=localhost port=${String(pooler.port)} user=postgres dbname=app`;
        const child = spawn(
          'psql',
          [`${target} sslrootcert=${root} ${options}`, '-XAtc', 'SELECT 7'],
          { env: { ...process.env, PGPASSWORD: PASSWORD } },
        );
        let said = '';
        const hear = (chunk: Buffer): void => {
          said += chunk.toString();
        };
        child.stdout.on('data', hear);
        child.stderr.on('data', hear);
        child.once('close', () => {
          resolve(said.trim());
        });
      });
    expect(await psql('sslmode=verify-full channel_binding=require')).toBe('7');
    expect(await psql('sslmode=disable channel_binding=require')).toContain(
      'channel binding required',
    );
    expect(await psql('sslmode=verify-full channel_binding=disable')).toBe('7');
  });

  it.each<[SignatureKind, string | null]>([
    ['ecdsa-sha384', 'sha384'],
    ['rsa-sha256', 'sha256'],
    ['rsa-sha1', 'sha256'],
    ['rsa-pss-sha384', 'sha384'],
    ['ed25519', null],
  ])('hashes as the signature of the certificate does: %s', async (signature, hash) => {
    // A certificate that signs itself has the signature of its own key.
    const { makeAuthority } = await import('../support/certificates.ts');
    const own = makeAuthority({ commonName: 'localhost', signature, isAuthority: false });
    const other = await startTlsPooler(pki, sharedPostgres(), {
      settings: { auth_type: 'scram-sha-256' },
      users: { postgres: PASSWORD },
      files: { 'server.crt': own.cert, 'server.key': own.key },
    });
    try {
      const client = await connectTls(other, { ciphers: 'DEFAULT@SECLEVEL=0' });
      const offered = await mechanismsOf(client);
      if (hash === null) {
        expect(offered).toEqual(['SCRAM-SHA-256']);
      } else {
        const scram = new ScramClient(PASSWORD, undefined, BOUND, hashOf(own.der, hash));
        expect(offered).toContain(PLUS);
        expect(await prove(client, PLUS, scram)).toBe('R0');
      }
      client.destroy();
    } finally {
      await other.kill();
    }
  });
});

describe('towards servers', () => {
  let server: TlsPostgres;
  beforeAll(async () => {
    server = await startTlsPostgres(pki.server, pki.authority, [
      'host all bound all scram-sha-256',
    ]);
    await server.postgres.createRole('bound', PASSWORD, 'scram-sha-256');
  });
  afterAll(() => server.stop());

  async function withBoundServer(
    port: number,
    sslmode: string,
    body: (pooler: PoolerFixture) => Promise<void>,
  ): Promise<void> {
    const pooler = await startTlsPooler(pki, server.postgres, {
      settings: { client_tls_sslmode: 'disable', server_tls_sslmode: sslmode, auth_type: 'plain' },
      database: { host: '127.0.0.1', port, dbname: 'postgres' },
      users: { bound: PASSWORD, postgres: '' },
    });
    try {
      await body(pooler);
    } finally {
      await pooler.kill();
    }
  }
  const account = { user: 'bound', database: 'app', password: PASSWORD };

  it('logs in with TLS and without', async () => {
    for (const sslmode of ['require', 'disable']) {
      await withBoundServer(server.postgres.port, sslmode, async (pooler) => {
        const client = await pooler.login(account);
        expect(await client.query('SELECT current_user AS me')).toEqual([{ me: 'bound' }]);
        await client.close();
      });
    }
  });

  it('finds out somebody in the middle, whom require alone would not', async () => {
    const middle = await startInterceptor(server.postgres, pki.stranger);
    await withBoundServer(middle.port, 'require', async (pooler) => {
      expect(await refusalOf(pooler.login(account))).toContain(
        'SCRAM channel binding check failed',
      );
    });
    // The same with a server certificate that the binding cannot tell apart goes through.
    const same = await startInterceptor(server.postgres, pki.server);
    await withBoundServer(same.port, 'require', async (pooler) => {
      const client = await pooler.login(account);
      expect(await client.query('SELECT current_user AS me')).toEqual([{ me: 'bound' }]);
      await client.close();
    });
    await middle.stop();
    await same.stop();
  });
});
