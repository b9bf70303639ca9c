import type { Credentials } from '../auth/credentials.ts';
import { parseUsersFile } from '../auth/users-file.ts';
import { systemErrorText } from '../base/system-error-text.ts';
import type { Settings } from '../config/config.ts';
import type { Logger } from '../log/logger.ts';

/** What the loader needs from around it. */
export interface UsersLoaderHost {
  readonly logger: Logger;
  readonly settings: Settings;
  readonly credentials: Credentials;
  readonly environment: {
    /** @throws the error of the system. */
    readText(file: string): string;
    /** Tells states of a file apart without reading it; null when it cannot be looked at. */
    fileStamp(file: string): string | null;
  };
}

/** Values of `auth_type` with which somebody else may judge passwords. */
const PASSWORD_JUDGES: readonly string[] = ['hba', 'ldap', 'pam'];

/** Settings that change what `auth_file` means. */
const USER_SETTINGS = ['authFile', 'authType', 'scramIterations'] as const;

/** Keeps the users of `auth_file`. */
export class UsersLoader {
  readonly #host: UsersLoaderHost;
  /** What `auth_file` was read from: name, state of the file, settings; null for nothing. */
  #stamp: string | null = null;

  constructor(host: UsersLoaderHost) {
    this.#host = host;
  }

  /** Settings have changed, for SET. @param before - those until now. */
  onSettingsChanged(before: Settings): void {
    const { settings } = this.#host;
    if (USER_SETTINGS.some((name) => settings[name] !== before[name])) {
      this.load();
    }
  }

  /**
   * Reads `auth_file` if it has changed since. Problems are logged; what could be read counts.
   *
   * @source PgBouncer, RELOAD: the file is read again only if what stat tells of it has changed
   */
  load(): void {
    const { credentials, environment, settings } = this.#host;
    const { authFile, authType, scramIterations } = settings;
    if (!PASSWORD_JUDGES.includes(authType)) {
      credentials.forgetPasswords();
    }
    if (authFile === null || authFile === '') {
      this.#stamp = null;
      credentials.load(new Map(), scramIterations);
      return;
    }
    const fileStamp = environment.fileStamp(authFile);
    const stamp = fileStamp === null ? null : [authFile, fileStamp, scramIterations].join('\0');
    if (stamp === null || stamp !== this.#stamp) {
      this.#stamp = this.#read(authFile, scramIterations) ? stamp : null;
    }
  }

  /** @returns false when the file cannot be read; the users known so far stay. */
  #read(authFile: string, scramIterations: number): boolean {
    const { credentials, environment, logger } = this.#host;
    let text: string;
    try {
      text = environment.readText(authFile);
    } catch (error) {
      const problem = systemErrorText(error);
      logger.error('auth_file_problem', { file: authFile, problem });
      return false;
    }
    const { users, problems } = parseUsersFile(authFile, text);
    for (const { isUsed, ...problem } of problems) {
      if (isUsed) {
        logger.warn('auth_file_problem', problem);
      } else {
        logger.error('auth_file_problem', problem);
      }
    }
    credentials.load(users, scramIterations);
    return true;
  }
}
