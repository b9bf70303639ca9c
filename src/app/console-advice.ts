import type { Credentials } from '../auth/credentials.ts';
import type { Config } from '../config/config.ts';
import { CONSOLE_USER } from './admissions.ts';

/** Methods by which only who has a secret in `auth_file` comes in, or whom `auth_query` finds. */
const METHODS_WITH_SECRETS: ReadonlySet<string> = new Set(['plain', 'md5', 'scram-sha-256']);

/**
 * Finds users who are meant to use the console and cannot log in to it, which is learnt too late when
 * it is needed.
 *
 * @returns One sentence for each setting that names such users.
 */
export function adviseOnConsole({ settings }: Config, credentials: Credentials): string[] {
  const { authType, authUser, adminUsers, statsUsers } = settings;
  const isLookedUp = authUser !== null && authUser !== '';
  if (!METHODS_WITH_SECRETS.has(authType) || isLookedUp) {
    return [];
  }
  const lists = [
    ['admin_users', adminUsers],
    ['stats_users', statsUsers],
  ] as const;
  return lists.flatMap(([setting, users]) => {
    const shutOut = users.filter(
      // The system may let that one in over a Unix socket.
      (user) => user !== CONSOLE_USER && credentials.serverSecret(user).secret.kind === 'none',
    );
    const names = shutOut.map((user) => `"${user}"`).join(', ');
    return shutOut.length === 0
      ? []
      : [
          `${setting}: auth_file has no password of ${names}, so the console lets nobody in by that name`,
        ];
  });
}
