import { readFileSync } from 'node:fs';
import { runAfter } from '../base/clock.ts';
import { systemErrorText } from '../base/system-error-text.ts';
import type { Settings } from '../config/config.ts';
import type { Logger } from '../log/logger.ts';
import { Listener, type ListenTarget } from '../net/listener.ts';
import type { AcceptedSocket } from '../net/raw-socket.ts';
import { canReusePort } from '../net/reuse-port.ts';
import { isUnixSocketAlive } from '../net/unix-socket.ts';
import type { ListeningDescriptor } from './descriptors.ts';
import { listenAddresses } from './listen-addresses.ts';
import type { SocketTuner } from './socket-tuner.ts';
import { findGroupId } from './system-accounts.ts';
import { asError } from './system-error.ts';
import { inheritedSocketPath, inheritedSockets } from './systemd.ts';

const GROUP_FILE = '/etc/group';

/** What the system says of an address that this machine does not have. */
const NO_SUCH_ADDRESS: ReadonlySet<unknown> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT']);

/** A turn of the event loop that has nothing to do takes less, in ms. */
const QUIET_TURN_MS = 0.05;

/** How long a busy process waits for such a turn, in ms. */
const QUIET_WAIT_MAX_MS = 100;

/** How long connections that the system holds back for `tcp_defer_accept` may take to come, in ms. */
const DEFERRED_WAIT_MS = 100;

/** Path of the unix socket of a port; in the abstract namespace with a NUL in front. */
function unixSocketPath(directory: string, port: number): string {
  return `${directory}/.s.PGSQL.${String(port)}`.replace(/^@/, '\0');
}

/**
 * Makes sure that no other pooler serves our unix socket. To be asked before the pidfile: of two
 * poolers with one configuration, the second shall name the true reason.
 *
 * @throws Error when somebody accepts connections on it.
 */
export async function checkUnixSocketFree(settings: Settings): Promise<void> {
  const path = findUnixSocket(settings);
  if (path !== null && (await isUnixSocketAlive(path))) {
    throw new Error('unix socket is in use, cannot continue');
  }
}

/** The path of our unix socket, the same each time; `null` where there is none to be. */
export function findUnixSocket(settings: Settings): string | null {
  const { unixSocketDir: directory, listenPort } = settings;
  const isInherited = inheritedSockets(process.env, process.pid).length > 0;
  return directory === '' || listenPort === 0 || isInherited
    ? null
    : unixSocketPath(directory, listenPort);
}

/** How {@link Listeners.open} goes about it. */
export interface OpenOptions {
  /** Whether a process that runs is to be replaced: beside its TCP ports, in place of its unix socket. */
  readonly replaces: boolean;
}

/** The listening sockets of the process. */
export class Listeners {
  readonly #logger: Logger;
  readonly #tuner: SocketTuner;
  readonly #onAccept: (socket: AcceptedSocket, unixPath: string | null) => void;
  #open: Listener[] = [];

  /** @param onAccept - gets each accepted socket, paused, and the path of its unix socket or null. */
  constructor(
    logger: Logger,
    tuner: SocketTuner,
    onAccept: (socket: AcceptedSocket, unixPath: string | null) => void,
  ) {
    this.#logger = logger;
    this.#tuner = tuner;
    this.#onAccept = onAccept;
  }

  /**
   * Opens all sockets that the settings ask for, or takes those that a service manager passed on.
   * A single address that cannot be used is a warning, unless a process that runs is to be replaced
   * and may listen there.
   * The unix socket comes last: when that is open, all is.
   *
   * @throws when a name has no address, when no TCP address can be used, when the unix socket
   * cannot, or when there is none.
   */
  async open(settings: Settings, { replaces }: OpenOptions): Promise<void> {
    const inherited = inheritedSockets(process.env, process.pid);
    if (inherited.length > 0) {
      await this.#openInherited(inherited, settings);
      return;
    }
    if (settings.soReuseport && !canReusePort(process.versions.node)) {
      throw new Error(
        `so_reuseport needs Node.js 22.12 or newer; this is Node.js ${process.versions.node}`,
      );
    }
    const port = await this.#openTcp(settings, replaces);
    if (settings.unixSocketDir !== '') {
      await this.#openUnix(settings, port, replaces);
    }
    if (this.#open.length === 0) {
      throw new Error('nowhere to listen on');
    }
  }

  /** @returns the port, also where any free one was asked for. */
  async #openTcp(settings: Settings, replaces: boolean): Promise<number> {
    const { listenAddr, soReuseport: reusePort } = settings;
    let port = settings.listenPort;
    const failures: Error[] = [];
    // A name without an address ends the start: that is a mistake, not a passing state.
    const hosts = await Promise.all(listenAddr.map((entry) => listenAddresses(entry, port)));
    for (const host of hosts.flat()) {
      try {
        const listener = await this.#listen({ kind: 'tcp', host, port, reusePort }, settings);
        // With any free port asked for, all sockets share the one that was found first.
        port = listener.port;
      } catch (error) {
        failures.push(asError(error));
        if (replaces && !NO_SUCH_ADDRESS.has((error as NodeJS.ErrnoException).code)) {
          throw new Error(replaceFailure(`${host}:${String(port)}`, error), { cause: error });
        }
        this.#logger.warn('listen_failed', { address: host, port, error: systemErrorText(error) });
      }
    }
    if (listenAddr.length > 0 && this.#open.length === 0) {
      const list = listenAddr.join(', ');
      throw new Error(`failed to listen on any address in listen_addr list: ${list}`, {
        cause: failures[0],
      });
    }
    return port;
  }

  async #openUnix(settings: Settings, port: number, replaces: boolean): Promise<void> {
    const path = unixSocketPath(settings.unixSocketDir, port);
    const gid = socketGroup(settings.unixSocketGroup);
    const mode = settings.unixSocketMode;
    try {
      await this.#listen({ kind: 'unix', path, port, mode, gid, replaces }, settings);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) {
        // Says by itself what is wrong.
        throw error;
      }
      const why = systemErrorText(error);
      const name = path.replace(/^\0/, '@');
      throw new Error(`failed to create unix socket: ${name}: ${why}`, { cause: error });
    }
  }

  async #openInherited(fds: readonly number[], settings: Settings): Promise<void> {
    const ignored = [
      ...(settings.listenAddr.length > 0 ? ['listen_addr'] : []),
      ...(settings.unixSocketDir === '' ? [] : ['unix_socket_dir']),
    ];
    for (const name of ignored) {
      const problem = `sockets passed from service manager, ${name} ignored`;
      this.#logger.warn('config_warning', { problem });
    }
    for (const fd of fds) {
      try {
        await this.#listen({ kind: 'inherited', fd }, settings);
      } catch (error) {
        const why = systemErrorText(error);
        const text = `failed to listen on the socket passed from service manager (fd ${String(fd)})`;
        throw new Error(`${text}: ${why}`, { cause: error });
      }
    }
  }

  async #listen(target: ListenTarget, settings: Settings): Promise<Listener> {
    // Known once the socket is open, and no connection is accepted before.
    let unixPath: string | null = null;
    const listener = await Listener.open(target, {
      backlog: settings.listenBacklog,
      onAccept: (socket) => {
        this.#onAccept(socket, unixPath);
      },
      onAcceptError: (error) => {
        this.#logger.error('accept_failed', { error: error.message });
      },
    });
    unixPath = pathOf(listener);
    this.#tuner.tuneListener(listener, settings);
    this.#open.push(listener);
    this.#logListening(listener, unixPath);
    return listener;
  }

  #logListening({ target, address }: Listener, unixPath: string | null): void {
    const at =
      target.kind === 'tcp'
        ? { address: target.host, port: address?.port }
        : unixPath === null
          ? { address: address?.address, port: address?.port }
          : { unix: unixPath };
    if (target.kind === 'inherited') {
      const message = `socket passed from service manager (fd ${String(target.fd)})`;
      this.#logger.info('listening', { ...at, fd: target.fd }, message);
    } else {
      this.#logger.info('listening', at);
    }
  }

  /** The sockets that are open, for SHOW FDS. */
  get descriptors(): ListeningDescriptor[] {
    return this.#open.map((listener) => {
      const { target, address, fd } = listener;
      const port = target.kind === 'unix' ? target.port : (address?.port ?? 0);
      return { fd, addr: address?.address ?? 'unix', port };
    });
  }

  /**
   * Closes the TCP sockets as soon as a turn of the event loop finds nothing to do: whatever the
   * system had queued has been accepted then, and closing resets next to nobody.
   *
   * @param takesDeferred - whether those are waited for whom the system holds back on account of
   *   `tcp_defer_accept`: they would be reset, where another process that shares the port could
   *   have served them.
   * @param onClosed - called once they are closed.
   */
  closeTcpWhenQuiet(takesDeferred: boolean, onClosed: () => void): void {
    if (!takesDeferred) {
      this.#closeTcpInQuietTurn(onClosed);
      return;
    }
    this.retune({ tcpDeferAccept: false });
    runAfter(DEFERRED_WAIT_MS, () => {
      this.#closeTcpInQuietTurn(onClosed);
    });
  }

  #closeTcpInQuietTurn(onClosed: () => void): void {
    const startMs = performance.now();
    let turnMs = startMs;
    const attempt = (): void => {
      const nowMs = performance.now();
      const isQuiet = nowMs - turnMs < QUIET_TURN_MS;
      if (isQuiet || nowMs - startMs > QUIET_WAIT_MAX_MS) {
        this.closeTcp();
        onClosed();
        return;
      }
      turnMs = nowMs;
      setImmediate(attempt);
    };
    // The first turn has been under way for who knows how long.
    setImmediate(() => {
      turnMs = performance.now();
      setImmediate(attempt);
    });
  }

  /** Applies changed settings to the sockets that are open. */
  retune(settings: Pick<Settings, 'tcpDeferAccept'>): void {
    for (const listener of this.#open) {
      this.#tuner.tuneListener(listener, settings);
    }
  }

  /** Whether another process has put its unix socket in the place of one of these. */
  get isUnixReplaced(): boolean {
    return this.#open.some((listener) => listener.isReplaced);
  }

  /** Puts files of unix sockets back that another process has removed. */
  restoreFiles(): void {
    for (const listener of this.#open) {
      listener.restoreFile();
    }
  }

  /** Closes the TCP sockets; unix sockets stay. */
  closeTcp(): void {
    const isTcp = (listener: Listener): boolean => listener.address !== null;
    // The address is gone once a socket is closed: they are told apart before.
    const unix = this.#open.filter((listener) => !isTcp(listener));
    for (const listener of this.#open.filter(isTcp)) {
      listener.close();
    }
    this.#open = unix;
  }

  /** Closes all. */
  closeAll(): void {
    for (const listener of this.#open) {
      listener.close();
    }
    this.#open = [];
  }
}

/** Why an address cannot be shared with the process that is to be replaced. */
function replaceFailure(address: string, error: unknown): string {
  const why = systemErrorText(error);
  const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
  const advice = isTaken
    ? '; the running process must have been started with so_reuseport, by the same system user. ' +
      'Stop it first, then start without -R'
    : '';
  return `cannot take over ${address}: ${why}${advice}`;
}

/** The path of a unix socket, empty when it cannot be told; `null` for TCP. */
function pathOf({ target, address }: Listener): string | null {
  switch (target.kind) {
    case 'tcp':
      return null;
    case 'unix':
      return target.path;
    case 'inherited':
      return address === null ? inheritedSocketPath(target.fd) : null;
  }
}

/**
 * Finds the id of the group that owns the unix socket; `null` for that of the process.
 *
 * @throws Error when there is no such group.
 */
export function socketGroup(name: string): number | null {
  if (name === '') {
    return null;
  }
  const gid = findGroupId(readFileSync(GROUP_FILE, 'utf8'), name);
  if (gid === null) {
    throw new Error(`could not find group '${name}' of unix_socket_group`);
  }
  return gid;
}
