import type { Credentials } from '../auth/credentials.ts';
import { parseSecret } from '../auth/secret.ts';
import type { Config, DatabaseConfig, Settings } from '../config/config.ts';

/** Names that are listed; of the others only the count is told. */
const MOST_NAMES = 3;

const WAYS_OUT =
  'store its plain password in auth_file, set password, password_file or password_command of the database, or let the server ask for no password';

/**
 * Finds users who cannot log in, here or at the server, whatever they do: combinations of secrets
 * and methods that only show at the first login otherwise.
 *
 * @returns One sentence each, naming user and database and the ways out.
 */
export function adviseOnCredentials(config: Config, credentials: Credentials): string[] {
  const { settings } = config;
  const databases = [...config.databases.values()];
  return [
    ...databases.flatMap((database) => adviseOnForcedUser(database, settings, credentials)),
    ...adviseOnAuthUsers(databases, settings, credentials),
    ...adviseOnMethod(settings, credentials),
    ...adviseOnPassThrough(databases, settings, credentials),
  ];
}

function adviseOnForcedUser(
  database: DatabaseConfig,
  settings: Settings,
  credentials: Credentials,
): string[] {
  const { name, user, password, passwordFile, passwordCommand } = database;
  if (user === null || passwordFile !== null || passwordCommand !== null) {
    return [];
  }
  if (password !== '') {
    return parseSecret(password).kind === 'scram'
      ? [
          `database "${name}", user "${user}": the password is a SCRAM secret, which can check a password but not stand for one; set the plain password, password_file or password_command`,
        ]
      : [];
  }
  if (!lacksKeys(user, credentials)) {
    return [];
  }
  const wanted = database.minPoolSize ?? settings.minPoolSize;
  const unfilled = wanted > 0 ? `, nor is min_pool_size ${String(wanted)} filled` : '';
  return [
    `database "${name}", user "${user}": auth_file has only its SCRAM secret, so a server that asks for a password lets no connection in${unfilled} before a client has logged in as "${user}" with its password; ${WAYS_OUT}`,
  ];
}

/** Whether all that is known of a user is what its password can be checked with. */
function lacksKeys(user: string, credentials: Credentials): boolean {
  const { secret, keys } = credentials.serverSecret(user);
  return secret.kind === 'scram' && keys === null;
}

function adviseOnAuthUsers(
  databases: readonly DatabaseConfig[],
  settings: Settings,
  credentials: Credentials,
): string[] {
  const users = new Map<string, string>();
  for (const { name, authUser, user, ...more } of databases) {
    const asked = authUser ?? settings.authUser ?? '';
    const hasPassword =
      user === asked &&
      (more.password !== '' || more.passwordFile !== null || more.passwordCommand !== null);
    if (asked !== '' && !hasPassword && !users.has(asked)) {
      users.set(asked, name);
    }
  }
  return [...users]
    .filter(([user]) => lacksKeys(user, credentials))
    .map(
      ([user, database]) =>
        `database "${database}", auth_user "${user}": auth_file has only its SCRAM secret, with which auth_query can run on no server that asks for a password; store its plain password in auth_file, name the user and its password in the database, or let the server ask for no password`,
    );
}

function adviseOnMethod({ authType }: Settings, credentials: Credentials): string[] {
  if (authType !== 'scram-sha-256') {
    return [];
  }
  const users = credentials.usersWith('md5');
  return users.length === 0
    ? []
    : [
        `auth_type scram-sha-256: auth_file has md5 secrets of ${listOf(users)}, who cannot log in; store SCRAM secrets or plain passwords, or use auth_type md5`,
      ];
}

/** Under `trust` no client proves anything, so no keys are ever learnt. */
function adviseOnPassThrough(
  databases: readonly DatabaseConfig[],
  { authType }: Settings,
  credentials: Credentials,
): string[] {
  const database = databases.find(({ user }) => user === null);
  const users = authType === 'trust' ? credentials.usersWith('scram') : [];
  return users.length === 0 || database === undefined
    ? []
    : [
        `auth_type trust: auth_file has only SCRAM secrets of ${listOf(users)}, who cannot log in to a server that asks for a password (database "${database.name}" for one); use auth_type scram-sha-256, store plain passwords, or name a user and its password in the database`,
      ];
}

function listOf(users: readonly string[]): string {
  const shown = users.slice(0, MOST_NAMES).map((user) => `"${user}"`);
  const rest = users.length - shown.length;
  return rest === 0 ? shown.join(', ') : `${shown.join(', ')} and ${String(rest)} more`;
}
