import { Duplex } from 'node:stream';
import tls from 'node:tls';
import { makeAuthority } from './certificates.ts';
import type { Certificate } from './certificates.ts';
import { startPooler, runPooler } from './pooler-fixture.ts';
import type { PoolerFixture, PoolerOptions } from './pooler-fixture.ts';
import type { PostgresHandle } from './postgres-fixture.ts';
import type { FakeServer } from './fake-server.ts';
import { RawClient } from './raw-client.ts';
import { withDeadline } from './wait-for.ts';

type Settings = Readonly<Record<string, unknown>>;

/** An authority, one that nobody trusts, and certificates of both sides. Made once per file. */
export interface TestPki {
  readonly authority: Certificate;
  readonly stranger: Certificate;
  /** For `localhost` and 127.0.0.1. */
  readonly server: Certificate;
}

/** Makes the certificates of a test file. */
export function makePki(): TestPki {
  const authority = makeAuthority();
  return {
    authority,
    stranger: makeAuthority({ commonName: 'Nobody' }),
    server: authority.issue({
      commonName: 'localhost',
      dnsNames: ['localhost'],
      ipAddresses: ['127.0.0.1'],
    }),
  };
}

/** What {@link startTlsPooler} changes. */
export interface TlsPoolerOptions {
  readonly settings?: Settings;
  readonly database?: Settings;
  readonly users?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
  /** The section `peers`. */
  readonly peers?: Readonly<Record<string, Settings>>;
}

/** Starts a pooler that offers TLS with `server` of `pki`, in front of `target`. */
export function startTlsPooler(
  pki: TestPki,
  target: PostgresHandle | FakeServer,
  options: TlsPoolerOptions = {},
): Promise<PoolerFixture> {
  return startPooler(tlsPoolerOptions(pki, target, options));
}

/** Runs `body` with a pooler of its own that offers TLS; it must end in good order. */
export async function withTlsPooler(
  pki: TestPki,
  target: PostgresHandle | FakeServer,
  options: TlsPoolerOptions,
  body: (pooler: PoolerFixture) => Promise<void>,
): Promise<void> {
  await runPooler(tlsPoolerOptions(pki, target, options), body);
}

/** The options of {@link startTlsPooler}, for poolers that must not start. */
export function tlsPoolerOptions(
  pki: TestPki,
  target: PostgresHandle | FakeServer,
  options: TlsPoolerOptions = {},
): PoolerOptions {
  const dbname = 'database' in target ? target.database : 'fake';
  return {
    files: {
      'server.crt': pki.server.cert,
      'server.key': pki.server.key,
      'root.crt': pki.authority.cert,
      'stranger.crt': pki.stranger.cert,
      ...options.files,
    },
    ...(options.users === undefined ? {} : { users: options.users }),
    config: (directory) => {
      const settings: Settings = {
        client_tls_sslmode: 'require',
        client_tls_cert_file: 'DIR/server.crt',
        client_tls_key_file: 'DIR/server.key',
        server_tls_sslmode: 'disable',
        pool_mode: 'transaction',
        ...options.settings,
      };
      return {
        maitred: Object.fromEntries(
          Object.entries(settings).map(([name, value]) => [
            name,
            typeof value === 'string' ? value.replaceAll('DIR', directory) : value,
          ]),
        ),
        databases: {
          app: { host: target.host, port: target.port, dbname, ...options.database },
        },
        ...(options.peers === undefined ? {} : { peers: options.peers }),
      };
    },
  };
}

/** Opens a connection and does the handshake, asking for TLS first. */
export async function connectTls(
  pooler: PoolerFixture,
  options: tls.ConnectionOptions = {},
): Promise<RawClient> {
  const client = await RawClient.connect(pooler.target);
  try {
    await client.startTls({ rejectUnauthorized: false, ...options });
    return client;
  } catch (error) {
    client.destroy();
    throw error;
  }
}

/** Makes what a client begins a handshake with: the record of a ClientHello with our ALPN. */
export function clientHello(): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer) => {
        resolve(chunk);
      },
    });
    tls.connect({ socket: wire, ALPNProtocols: ['postgresql'] }).on('error', () => {});
  });
}

/** Begins TLS with the first byte. @returns The socket once the handshake is done. */
export async function connectDirectTls(
  pooler: PoolerFixture,
  options: tls.ConnectionOptions = {},
): Promise<tls.TLSSocket> {
  const { host, port } = pooler;
  const socket = tls.connect({ host, port, rejectUnauthorized: false, ...options });
  await withDeadline(
    'the TLS handshake',
    new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
    }),
  );
  return socket;
}

/** The socket of a client inside TLS. */
export function tlsSocketOf(client: RawClient): tls.TLSSocket {
  const { socket } = client;
  if (!(socket instanceof tls.TLSSocket)) {
    throw new Error('this client is not inside TLS');
  }
  return socket;
}
