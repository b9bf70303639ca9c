import type { LoginPlan } from '../auth/login-plan.ts';
import { poolerError, type PoolerError } from '../protocol/pooler-errors.ts';
import type { ClientConnection } from './client-connection.ts';
import type { ClientHost } from './client-host.ts';
import { logLoginAttempt } from './client-log.ts';
import type { StartupMessage } from './client-login.ts';
import { nameWithHost } from './client-texts.ts';
import { readStartupParameters } from './startup-parameters.ts';

/**
 * Judges the startup message of a client, and sets what it says about it: parameters, replication and
 * identity.
 *
 * @returns how the user must prove itself, or the error that refuses the client.
 */
export function judgeStartup(
  client: ClientConnection,
  host: ClientHost,
  packet: StartupMessage,
): LoginPlan | { readonly error: PoolerError } {
  if (client.security.isMissing) {
    return { error: poolerError('tlsRequired') };
  }
  const { settings, tracked } = host;
  const startup = readStartupParameters(packet.parameters, {
    tracked,
    ignored: settings.ignoreStartupParameters,
    isLenient: (database) => host.isConsole(database),
  });
  if ('error' in startup) {
    if (startup.refused !== null) {
      const fields = { ...client.logFields(), ...startup.refused };
      host.logger.warn('startup_parameter_refused', fields);
    }
    return startup;
  }
  const parameters = startup.values;
  client.replication = startup.replication;
  if (settings.applicationNameAddHost) {
    const index = tracked.indexOf('application_name');
    const { address, port } = client.remote;
    const shownPort = client.isRemoteUnix ? settings.listenPort : port;
    parameters[index] = nameWithHost(parameters[index] ?? null, address, shownPort);
  }
  client.parameters = parameters;
  const admission = host.admit(client, startup);
  if ('error' in admission) {
    return admission;
  }
  const { user, database, consoleRole } = admission;
  const databaseName = database?.name ?? startup.database;
  client.identity = { user, database, consoleRole, databaseName, version: packet.version };
  logLoginAttempt(client, host, admission.plan);
  return admission.plan;
}
