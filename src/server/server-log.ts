import type { Logger } from '../log/logger.ts';
import type { ServerReport } from '../protocol/backend-reader.ts';
import type { ServerConnection } from './server-connection.ts';
import { localFields } from './server-target.ts';

/** What the log goes by. */
export interface ServerLogHost {
  readonly logger: Logger;
  readonly settings: { readonly logConnections: boolean; readonly logDisconnections: boolean };
  nowMs(): number;
}

/** What a server connection is, as the fields of a line in the log. */
export function serverLogFields(server: ServerConnection): object {
  const { address, port } = server.remote;
  return {
    server: server.id,
    database: server.pool.database.name,
    user: server.pool.user.name,
    address,
    port,
    process: server.processId,
  };
}

/** Logs that a connection is being opened, for debugging. */
export function logServerLaunched(server: ServerConnection, { logger }: ServerLogHost): void {
  if (logger.isDebug) {
    logger.debug('server_launched', serverLogFields(server));
  }
}

/** Logs that a login has succeeded, for debugging. */
export function logServerLoggedIn(server: ServerConnection, { logger }: ServerLogHost): void {
  if (logger.isDebug) {
    logger.debug('server_logged_in', serverLogFields(server));
  }
}

/** Logs that a connection stands; no more than that. */
export function logServerConnected(
  server: ServerConnection,
  { logger, settings }: ServerLogHost,
): void {
  if (settings.logConnections) {
    logger.info('server_connected', { ...serverLogFields(server), ...localFields(server.local) });
  }
}

/** Logs what TLS has agreed on. */
export function logServerSecured(
  server: ServerConnection,
  { logger, settings }: ServerLogHost,
): void {
  if (settings.logConnections) {
    logger.info('tls_established', { ...serverLogFields(server), tls: server.tls });
  }
}

/** Logs what a server has against a query of maitred's own. */
export function logQueryFailed(
  server: ServerConnection,
  { logger }: ServerLogHost,
  query: 'set_parameters' | 'connect_query',
  { severity, message }: ServerReport,
): void {
  const error = `${severity}: ${message}`;
  logger.error('server_query_failed', { ...serverLogFields(server), query, error });
}

/** Logs the end of a server connection. */
export function logServerClosed(
  server: ServerConnection,
  host: ServerLogHost,
  reason: string,
): void {
  if (host.settings.logDisconnections) {
    const ageSeconds = Math.floor((host.nowMs() - server.connectedAtMs) / 1000);
    host.logger.info('server_disconnected', { ...serverLogFields(server), reason, ageSeconds });
  }
}
