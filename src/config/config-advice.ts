import type { Config } from './config.ts';

type Parts = Omit<Config, 'warnings'>;

/** Ways to log in that admit users whom auth_file does not have. */
const WITHOUT_USERS_FILE: readonly string[] = ['any', 'hba', 'ldap'];

function adviseOnAccess({ settings, databases }: Parts): string[] {
  const advice: string[] = [];
  if (databases.size === 0) {
    advice.push('no database is configured: clients can reach the console only');
  }
  if (settings.listenAddr.length === 0 && settings.unixSocketDir === '') {
    advice.push('listen_addr and unix_socket_dir are both empty: nothing to listen on');
  }
  if (settings.authType === 'hba' && settings.authHbaFile === '') {
    advice.push('auth_type hba without auth_hba_file: nobody can log in');
  }
  const isAsking = (settings.authUser ?? '') !== '' || hasAuthUser(databases);
  const needsFile = !WITHOUT_USERS_FILE.includes(settings.authType) && !isAsking;
  if (needsFile && (settings.authFile ?? '') === '') {
    advice.push(`auth_type ${settings.authType} without auth_file: no user is known`);
  }
  if (settings.authType === 'any') {
    for (const database of databases.values()) {
      if (database.user === null) {
        advice.push(`database "${database.name}": auth_type any needs a user to log in with`);
      }
    }
  }
  return advice;
}

function hasAuthUser(databases: Parts['databases']): boolean {
  return [...databases.values()].some(({ authUser }) => (authUser ?? '') !== '');
}

function adviseOnPools({ settings, databases }: Parts): string[] {
  const advice: string[] = [];
  for (const database of databases.values()) {
    const most = database.poolSize ?? settings.defaultPoolSize;
    const least = database.minPoolSize ?? settings.minPoolSize;
    if (most > 0 && least > most) {
      const numbers = `min_pool_size ${String(least)} is above the pool size ${String(most)}`;
      advice.push(`database "${database.name}": ${numbers}, which wins`);
    }
  }
  return advice;
}

function adviseOnPeers({ settings, peers }: Parts): string[] {
  return peers.size > 0 && settings.peerId === 0
    ? ['peers are configured, but peer_id is 0: no cancel request is passed on to them']
    : [];
}

/**
 * Finds combinations that are allowed but can hardly be meant.
 *
 * @param parts - A configuration without problems.
 * @returns One sentence for the log each, naming the file.
 */
export function adviseOn(parts: Parts): readonly string[] {
  const advice = [...adviseOnAccess(parts), ...adviseOnPools(parts), ...adviseOnPeers(parts)];
  return advice.map((sentence) => `${parts.file}: ${sentence}`);
}
