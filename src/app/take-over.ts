import type { Settings } from '../config/config.ts';
import type { Logger } from '../log/logger.ts';
import { canReusePort } from '../net/reuse-port.ts';
import { isAbstract, isUnixSocketAlive } from '../net/unix-socket.ts';
import { ConsoleClient } from './console-client.ts';
import { findUnixSocket } from './listeners.ts';
import { asError } from './system-error.ts';
import { inheritedSockets } from './systemd.ts';

/** How to do without. */
const INSTEAD = 'stop the running process first, then start without -R';

/**
 * The process that is to be replaced. It is asked for its console before anything changes, and told
 * to shut down once its successor serves: its clients stay with it until they leave.
 *
 * @source PgBouncer option `-R`; it passes descriptors between processes, which Node.js cannot.
 */
export class OldProcess {
  /** Whether it removes the files of its successor when it ends, as PgBouncer does. */
  readonly removesFiles: boolean;
  readonly #console: ConsoleClient;
  readonly #logger: Logger;

  private constructor(console: ConsoleClient, version: string, logger: Logger) {
    this.removesFiles = !version.includes('maitred');
    this.#console = console;
    this.#logger = logger;
  }

  /**
   * Looks for a process behind our unix socket.
   *
   * @param nodeVersion - `process.versions.node`.
   * @returns `null` when none runs, and the start is one as any other.
   * @throws Error when one runs that cannot be replaced; nothing has changed then.
   */
  static async find(
    settings: Settings,
    nodeVersion: string,
    logger: Logger,
  ): Promise<OldProcess | null> {
    if (inheritedSockets(process.env, process.pid).length > 0) {
      throw new Error('cannot reboot under service manager');
    }
    const path = findUnixSocket(settings);
    if (path === null || !(await isUnixSocketAlive(path))) {
      logger.info('takeover_not_needed', {});
      return null;
    }
    const obstacle = findObstacle(settings, path, nodeVersion);
    if (obstacle !== null) {
      throw new Error(`cannot take over from the running process: ${obstacle}; ${INSTEAD}`);
    }
    try {
      const console = await ConsoleClient.login(path);
      // A PostgreSQL server may have such a socket, too: it does not know this.
      const version = (await console.run('SHOW VERSION')) ?? 'PgBouncer';
      logger.info('takeover_started', { unix: path, version });
      return new OldProcess(console, version, logger);
    } catch (error) {
      const why = asError(error).message;
      throw new Error(
        `cannot take over from the running process: its console does not let user pgbouncer in: ${why}; ${INSTEAD}`,
        { cause: error },
      );
    }
  }

  /**
   * Tells it to end with its last client. One that does not know how, or has gone, is a warning: its
   * successor serves. Never rejects.
   */
  async shutDown(): Promise<void> {
    try {
      await this.#console.run('SHUTDOWN WAIT_FOR_CLIENTS');
      this.#logger.info('takeover_done', {});
    } catch (error) {
      this.#logger.warn('takeover_incomplete', { error: asError(error).message });
    }
    this.#console.close();
  }
}

/** Why a process cannot be replaced whatever it says; `null` when it can. */
function findObstacle(settings: Settings, path: string, nodeVersion: string): string | null {
  if (isAbstract(path)) {
    return 'its Unix socket has an abstract name, which only one process can have';
  }
  if (settings.listenAddr.length === 0) {
    // Without TCP there is nothing to share.
    return null;
  }
  if (!settings.soReuseport) {
    return 'so_reuseport is not set, without which only one process can have a TCP port';
  }
  return canReusePort(nodeVersion)
    ? null
    : `so_reuseport needs Node.js 22.12 or newer; this is Node.js ${nodeVersion}`;
}
