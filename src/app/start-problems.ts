import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';
import { systemErrorText } from '../base/system-error-text.ts';
import type { Settings } from '../config/config.ts';
import { canReusePort } from '../net/reuse-port.ts';
import { listenAddresses } from './listen-addresses.ts';
import { socketGroup } from './listeners.ts';
import type { SystemUser } from './system-accounts.ts';
import { asError } from './system-error.ts';

/** What {@link findStartProblems} needs to know of the process. */
export interface StartConditions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly nodeVersion: string;
  /** Who would start; `null` where the system has no user ids. */
  readonly uid: number | null;
  /** Finds a system user; `null` for none. */
  readonly findAccount: (name: string) => SystemUser | null;
}

const ROOT = 0;
const WRITE_BITS = { owner: 0o200, group: 0o020, others: 0o002 };

/**
 * Finds what a start with these settings would end with although they are sound by themselves:
 * users, groups, directories and names that are not there. Opens nothing and changes nothing. What
 * depends on who starts and on what else runs is left out: ports in use, a pidfile of another
 * process, the right to become another user.
 *
 * @returns PgBouncer's texts, in the order of a start.
 */
export async function findStartProblems(
  settings: Settings,
  conditions: StartConditions,
): Promise<readonly string[]> {
  const { user, logfile, pidfile } = settings;
  const account = user === null || user === '' ? null : conditions.findAccount(user);
  const problems: (string | null)[] = [];
  if (user !== null && user !== '' && account === null) {
    problems.push(`could not find user '${user}' to switch to`);
  }
  const uid = account?.uid ?? conditions.uid;
  const writable = (file: string, before: string): string | null => {
    const why = file === '' ? null : findWriteProblem(file, uid, conditions.uid);
    return why === null ? null : `${before} '${file}': ${why}`;
  };
  problems.push(
    writable(logfile, 'Cannot open logfile:'),
    writable(pidfile, 'could not open pidfile'),
  );
  const listening = await findListenProblems(settings, conditions, uid);
  return [...problems.filter((problem) => problem !== null), ...listening];
}

async function findListenProblems(
  settings: Settings,
  { env, nodeVersion, uid: ownUid }: StartConditions,
  uid: number | null,
): Promise<readonly string[]> {
  const { listenAddr, listenPort, unixSocketDir, unixSocketGroup, soReuseport } = settings;
  if ((env['LISTEN_FDS'] ?? '') !== '') {
    return [];
  }
  const problems: string[] = [];
  if (soReuseport && !canReusePort(nodeVersion)) {
    problems.push(`so_reuseport needs Node.js 22.12 or newer; this is Node.js ${nodeVersion}`);
  }
  if (listenAddr.length === 0 && unixSocketDir === '') {
    problems.push('nowhere to listen on');
  }
  for (const entry of listenAddr) {
    problems.push(...(await findNameProblem(entry, listenPort)));
  }
  if (unixSocketDir !== '' && !unixSocketDir.startsWith('@')) {
    const socket = path.join(unixSocketDir, `.s.PGSQL.${String(listenPort)}`);
    const why = findDirectoryProblem(unixSocketDir, uid, ownUid);
    problems.push(...(why === null ? [] : [`failed to create unix socket: ${socket}: ${why}`]));
  }
  try {
    socketGroup(unixSocketGroup);
  } catch (error) {
    problems.push(systemErrorText(error));
  }
  return problems;
}

async function findNameProblem(entry: string, port: number): Promise<readonly string[]> {
  try {
    await listenAddresses(entry, port);
    return [];
  } catch (error) {
    return [asError(error).message];
  }
}

/** Tells why `uid` could not open a file to write to it, or make it; `null` when it could. */
function findWriteProblem(file: string, uid: number | null, ownUid: number | null): string | null {
  try {
    if (statSync(file).isDirectory()) {
      return 'Is a directory';
    }
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
      ? findDirectoryProblem(path.dirname(file), uid, ownUid)
      : systemErrorText(error);
  }
  return findAccessProblem(file, uid, ownUid);
}

/** Tells why `uid` could not make files in a directory. */
function findDirectoryProblem(
  directory: string,
  uid: number | null,
  ownUid: number | null,
): string | null {
  try {
    return statSync(directory).isDirectory()
      ? findAccessProblem(directory, uid, ownUid)
      : 'Not a directory';
  } catch (error) {
    return systemErrorText(error);
  }
}

/** Another user is given the benefit of the doubt about its groups. */
function findAccessProblem(file: string, uid: number | null, ownUid: number | null): string | null {
  try {
    if (uid === ownUid) {
      accessSync(file, constants.W_OK);
      return null;
    }
    const { mode, uid: owner } = statSync(file);
    const bits = owner === uid ? WRITE_BITS.owner : WRITE_BITS.group | WRITE_BITS.others;
    return uid === ROOT || (mode & bits) !== 0 ? null : 'Permission denied';
  } catch (error) {
    return systemErrorText(error);
  }
}
