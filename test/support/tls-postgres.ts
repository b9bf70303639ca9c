import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import type { Certificate } from './certificates.ts';
import { serverIdentity } from './postgres-binaries.mjs';
import { startPostgres } from './postgres-fixture.ts';
import type { PostgresFixture } from './postgres-fixture.ts';
import { sslRequest } from './frontend-messages.ts';

/** A PostgreSQL that speaks TLS. */
export interface TlsPostgres {
  readonly postgres: PostgresFixture;
  stop(): Promise<void>;
}

/** Starts a PostgreSQL with `ssl = on`. @param authority - who signs the certificates of its clients. */
export async function startTlsPostgres(
  certificate: Certificate,
  authority: Certificate,
  hba: readonly string[] = [],
): Promise<TlsPostgres> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'mttls-'));
  const identity = serverIdentity();
  const write = (name: string, text: string): string => {
    const file = path.join(directory, name);
    fs.writeFileSync(file, text, { mode: 0o600 });
    if (identity !== null) {
      fs.chownSync(file, identity.uid, identity.gid);
    }
    return file;
  };
  fs.chmodSync(directory, 0o755);
  const postgres = await startPostgres({
    hba,
    settings: {
      ssl: 'on',
      ssl_cert_file: write('server.crt', certificate.cert),
      ssl_key_file: write('server.key', certificate.key),
      ssl_ca_file: write('root.crt', authority.cert),
    },
  });
  return {
    postgres,
    stop: async () => {
      await postgres.stop();
      fs.rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** A TCP server between a pooler and PostgreSQL. */
export interface Proxy {
  readonly host: string;
  readonly port: number;
  /** What each connection has sent so far, oldest first. */
  readonly sent: readonly Buffer[];
  stop(): Promise<void>;
}

async function listen(
  onConnection: (socket: net.Socket, record: (chunk: Buffer) => void) => void,
): Promise<Proxy> {
  const sent: Buffer[] = [];
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    const index = sent.push(Buffer.alloc(0)) - 1;
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => sockets.delete(socket));
    onConnection(socket, (chunk) => {
      sent[index] = Buffer.concat([sent[index] ?? Buffer.alloc(0), chunk]);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address() as net.AddressInfo;
  return {
    host: '127.0.0.1',
    port: address.port,
    sent,
    stop: async () => {
      for (const socket of sockets) {
        socket.destroy();
      }
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function join(a: net.Socket, b: net.Socket): void {
  a.pipe(b);
  b.pipe(a);
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    one.on('error', () => other.destroy());
    one.once('close', () => other.destroy());
  }
}

/** Starts a proxy that passes bytes on and keeps what comes from the pooler. */
export function startRecorder(target: { host: string; port: number }): Promise<Proxy> {
  return listen((socket, record) => {
    socket.on('data', record);
    join(socket, net.connect({ host: target.host, port: target.port }));
  });
}

/** Starts a server that says nothing but what `onData` answers to the bytes received. */
export function startRawServer(
  onData: (socket: net.Socket, chunk: Buffer) => void,
): Promise<Proxy> {
  return listen((socket, record) => {
    socket.on('data', (chunk: Buffer) => {
      record(chunk);
      onData(socket, chunk);
    });
  });
}

/**
 * Starts somebody in the middle: ends the TLS of the pooler with a certificate of its own, and speaks
 * TLS with PostgreSQL.
 */
export function startInterceptor(
  target: { host: string; port: number },
  own: Certificate,
): Promise<Proxy> {
  return listen((socket) => {
    socket.once('data', () => {
      socket.pause();
      socket.write('S');
      const inner = new tls.TLSSocket(socket, { isServer: true, cert: own.cert, key: own.key });
      const outer = net.connect({ host: target.host, port: target.port });
      outer.on('error', () => socket.destroy());
      outer.write(sslRequest());
      outer.once('data', () => {
        join(inner, tls.connect({ socket: outer, rejectUnauthorized: false }));
      });
    });
  });
}
