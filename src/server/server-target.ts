import type { NetConnectOpts } from 'node:net';
import type { DatabaseConfig, Settings } from '../config/config.ts';

/** Where a server is, for people. */
export interface ServerAddress {
  readonly address: string;
  readonly port: number;
}

/** Directory that stands for the server's unix socket when neither side names one. */
const DEFAULT_SOCKET_DIR = '/tmp';

/**
 * Tells how to connect to the server of a database.
 *
 * @source PgBouncer settings: `host` names a unix socket directory when it begins with `/` or `@`,
 *   and no host means the directory of our own unix socket.
 */
export function connectOptions(database: DatabaseConfig, settings: Settings): NetConnectOpts {
  const { host, port } = database;
  const ownDir = settings.unixSocketDir === '' ? DEFAULT_SOCKET_DIR : settings.unixSocketDir;
  const target = host ?? ownDir;
  if (target.startsWith('/')) {
    return { path: `${target}/.s.PGSQL.${String(port)}` };
  }
  if (target.startsWith('@')) {
    return { path: `\0${target.slice(1)}/.s.PGSQL.${String(port)}` };
  }
  return {
    host: target,
    port,
    noDelay: true,
    keepAlive: settings.tcpKeepalive,
    keepAliveInitialDelay: settings.tcpKeepidleMs,
  };
}

/** The address of a database's server as shown to operators. */
export function serverAddress(database: DatabaseConfig): ServerAddress {
  const { host, port } = database;
  const isUnix = host === null || host.startsWith('/') || host.startsWith('@');
  return { address: isUnix ? 'unix' : host, port };
}
