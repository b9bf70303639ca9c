import type { LoginPlan, PendingPlan } from '../auth/login-plan.ts';
import { isSecretName, REDACTED } from '../log/sanitize.ts';
import { describePeer } from '../net/peer-credential.ts';
import { poolerError } from '../protocol/pooler-errors.ts';
import type { ClientConnection } from './client-connection.ts';
import type { ClientHost, Refusal } from './client-host.ts';
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
): LoginPlan | PendingPlan | Refusal {
  if (client.security.isMissing) {
    return { error: poolerError('tlsRequired') };
  }
  const { settings } = host;
  const { tracked } = host.link;
  if (host.logger.isDebug) {
    for (const [parameter, value] of packet.parameters) {
      // Anything may stand in options, passwords included.
      const shown = parameter === 'options' ? '***' : shownValue(parameter, value);
      host.logger.debug('startup_parameter_given', {
        ...client.logFields(),
        parameter,
        value: shown,
      });
    }
  }
  const startup = readStartupParameters(packet.parameters, {
    tracked,
    ignored: settings.ignoreStartupParameters,
    isLenient: (database) => host.isConsole(database),
  });
  if ('error' in startup) {
    if (startup.refused !== null) {
      const { parameter, value } = startup.refused;
      const shown = { ...startup.refused, value: shownValue(parameter, value) };
      const fields = { ...client.logFields(), ...shown };
      host.logger.warn('startup_parameter_refused', fields);
    }
    return startup;
  }
  let parameters = startup.values;
  client.replication = startup.replication;
  if (settings.applicationNameAddHost) {
    const index = tracked.indexOf('application_name');
    const { address, port } = client.remote;
    const isUnix = client.isRemoteUnix;
    const name = nameWithHost(
      parameters[index] ?? null,
      isUnix ? describePeer(client.peer) : address,
      isUnix ? settings.listenPort : port,
    );
    parameters = parameters.with(index, name);
  }
  client.parameters = parameters;
  const admission = host.admit(client, startup);
  if ('error' in admission) {
    return admission;
  }
  const { user, database, consoleRole } = admission;
  const databaseName = database?.name ?? startup.database;
  client.identity = { user, database, consoleRole, databaseName, version: packet.version };
  const { plan } = admission;
  if (plan.method !== 'pending') {
    logLoginAttempt(client, host, plan);
    return plan;
  }
  const wait: PendingPlan['wait'] = (done) =>
    plan.wait((outcome) => {
      if (!('error' in outcome)) {
        logLoginAttempt(client, host, outcome);
      }
      done(outcome);
    });
  return { method: 'pending', wait };
}

/** Some take a password for a parameter of the startup message. */
function shownValue(parameter: string, value: string): string {
  return isSecretName(parameter) ? REDACTED : value;
}
