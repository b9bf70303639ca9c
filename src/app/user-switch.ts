import { systemErrorText } from '../base/system-error-text.ts';
import type { SystemUser } from './system-accounts.ts';

/** The identity of the process, as `process` has it; the functions are missing on Windows. */
export interface ProcessIdentity {
  readonly getuid?: (() => number) | undefined;
  readonly geteuid?: (() => number) | undefined;
  readonly getgid?: (() => number) | undefined;
  readonly getegid?: (() => number) | undefined;
  readonly initgroups?: ((user: string, gid: number) => void) | undefined;
  readonly setgid?: ((gid: number) => void) | undefined;
  readonly setuid?: ((uid: number) => void) | undefined;
}

/**
 * Makes the process run as another system user, for good: its groups first, since the right to
 * change them goes with the user.
 *
 * @param name - Name of the user; empty changes nothing.
 * @param findAccount - Finds a system user; `null` for none.
 * @throws Error when there is no such user, or the process may not become it.
 * @source PgBouncer setting `user`
 */
export function switchUser(
  name: string,
  identity: ProcessIdentity,
  findAccount: (name: string) => SystemUser | null,
): void {
  if (name === '') {
    return;
  }
  const user = findAccount(name);
  if (user === null) {
    throw new Error(`could not find user '${name}' to switch to`);
  }
  const { uid, gid } = user;
  if (isAlready(identity, uid, gid)) {
    return;
  }
  try {
    // PgBouncer's order too: each step takes a right that the one before needs.
    identity.initgroups?.(name, gid);
    identity.setgid?.(gid);
    identity.setuid?.(uid);
  } catch (error) {
    const why = systemErrorText(error);
    throw new Error(`failed to assume identity of user '${name}': ${why}`, { cause: error });
  }
  if (!isAlready(identity, uid, gid)) {
    throw new Error(`failed to assume identity of user '${name}': the identity did not change`);
  }
}

function isAlready(identity: ProcessIdentity, uid: number, gid: number): boolean {
  const { getuid, geteuid, getgid, getegid } = identity;
  const isUser = getuid?.() === uid && geteuid?.() === uid;
  return isUser && getgid?.() === gid && getegid?.() === gid;
}
