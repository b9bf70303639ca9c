import { isUnknownUser, type LoginPlan } from '../auth/login-plan.ts';
import type { Settings } from '../config/config.ts';
import type { Logger } from '../log/logger.ts';
import type { PoolerError } from '../protocol/pooler-errors.ts';
import type { ClientConnection } from './client-connection.ts';
import { replicationWord } from './startup-parameters.ts';

/** Who a client is, as the fields of a line in the log. */
export function clientLogFields(client: ClientConnection, settings: Settings): object {
  const { address, port } = client.remote;
  return {
    client: client.id,
    peer: client.cancelProgress?.peerId ?? undefined,
    database: databaseOf(client),
    user: client.identity?.user.name ?? client.claim?.user,
    address,
    port: client.isRemoteUnix ? settings.listenPort : port,
    peerProcess: client.peer?.pid,
  };
}

function databaseOf({ identity, claim, cancelProgress }: ClientConnection): string | undefined {
  return identity?.databaseName ?? claim?.database ?? cancelProgress?.pool?.database.name;
}

/**
 * Logs the end of a client connection.
 *
 * @param isWorthLogging - false for a bare connect and close, which only debugging tells.
 */
export function logClientClosed(
  client: ClientConnection,
  { logger, settings }: { readonly logger: Logger; readonly settings: Settings },
  { reason, isWorthLogging }: { readonly reason: string; readonly isWorthLogging: boolean },
): void {
  const isWanted = settings.logDisconnections && isWorthLogging;
  if (!isWanted && !logger.isDebug) {
    return;
  }
  const ageSeconds = Math.floor((client.closedAtMs - client.connectedAtMs) / 1000);
  const fields = { ...clientLogFields(client, settings), reason, ageSeconds };
  if (isWanted) {
    logger.info('client_disconnected', fields);
  } else {
    logger.debug('client_disconnected', fields);
  }
}

/** Logs that a client has been asked to prove itself, and the true reason where it cannot. */
export function logLoginAttempt(
  client: ClientConnection,
  { logger, settings }: { readonly logger: Logger; readonly settings: Settings },
  plan: LoginPlan,
): void {
  if (settings.logConnections) {
    const replication = replicationWord(client.replication);
    const tls = client.security.isSecure ? client.security.text : 'no';
    const who = clientLogFields(client, settings);
    logger.info('client_login_attempted', { ...who, tls, replication });
  }
  if (isUnknownUser(plan)) {
    logger.info('user_unknown', clientLogFields(client, settings));
  }
}

/** Logs an error of our own that the client has been sent. */
export function logErrorSent(
  client: ClientConnection,
  { logger, settings }: { readonly logger: Logger; readonly settings: Settings },
  { sqlstate, message, detail }: PoolerError,
): void {
  if (settings.logPoolerErrors) {
    const who = clientLogFields(client, settings);
    logger.warn('pooler_error_sent', { ...who, sqlstate, error: message, detail });
  }
}
