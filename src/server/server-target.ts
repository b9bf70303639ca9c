import { isIP, type LookupFunction, type NetConnectOpts } from 'node:net';
import type { OpenedTls, ServerTls } from '../net/tls-upgrade.ts';
import type { DatabaseConfig, Settings } from '../config/config.ts';

/** Where a server is, for people. */
export interface ServerAddress {
  readonly address: string;
  readonly port: number;
}

/** One server that a connection attempt goes to. */
export interface ServerTarget {
  /**
   * One entry of `host`: a name, a numeric address, or a unix socket directory; null for the
   * directory of our own unix socket.
   */
  readonly host: string | null;
  readonly port: number;
}

/** What host names stand for: numeric addresses in the order to try them, or an error. */
export type HostLookup = (
  host: string,
  done: (error: Error | null, addresses: readonly string[]) => void,
) => void;

/** Directory that stands for the server's unix socket when neither side names one. */
const DEFAULT_SOCKET_DIR = '/tmp';

/**
 * How long one address of a name has before the next one is tried, in ms. The last one has what is
 * left of `server_connect_timeout`.
 */
const ADDRESS_ATTEMPT_MS = 2000;

/** The entries of a database's `host`; null stands for the directory of our own unix socket. */
export function hostsOf(database: DatabaseConfig): readonly (string | null)[] {
  return database.host === null ? [null] : database.host.split(',');
}

/**
 * Tells how to connect to a server.
 *
 * @param lookup - for names; numeric addresses and unix sockets do without.
 * @source PgBouncer settings: `host` names a unix socket directory when it begins with `/` or `@`,
 *   and no host means the directory of our own unix socket.
 */
export function connectOptions(
  { host, port }: ServerTarget,
  settings: Settings,
  lookup: HostLookup,
): NetConnectOpts {
  const ownDir = settings.unixSocketDir === '' ? DEFAULT_SOCKET_DIR : settings.unixSocketDir;
  const target = host ?? ownDir;
  if (target.startsWith('/')) {
    return { path: `${target}/.s.PGSQL.${String(port)}` };
  }
  if (target.startsWith('@')) {
    return { path: `\0${target.slice(1)}/.s.PGSQL.${String(port)}` };
  }
  return {
    host: target,
    port,
    noDelay: true,
    lookup: asLookupFunction(lookup),
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: ADDRESS_ATTEMPT_MS,
  };
}

/**
 * Makes a look-up into what Node.js takes. Node asks for all addresses because of
 * `autoSelectFamily`, which must be on.
 */
export function asLookupFunction(lookup: HostLookup): LookupFunction {
  return (host, _options, done) => {
    lookup(host, (error, addresses) => {
      done(
        error,
        addresses.map((address) => ({ address, family: isIP(address) })),
      );
    });
  };
}

/** The address of a server as shown to operators. */
export function serverAddress({ host, port }: ServerTarget): ServerAddress {
  const isUnix = host === null || host.startsWith('/') || host.startsWith('@');
  return { address: isUnix ? 'unix' : host, port };
}

/** How TLS is spoken with one server; never on a unix socket. */
export function openedTls(target: ServerTarget, tls: ServerTls | null): OpenedTls | null {
  const { address } = serverAddress(target);
  return tls === null || address === 'unix' ? null : { ...tls, host: target.host ?? address };
}

/**
 * How TLS is spoken with a server that a connection stands to: never less than that connection has.
 *
 * @param agreed - what the connection has agreed on; empty in the clear.
 */
export function sameTls(agreed: string, tls: OpenedTls | null): OpenedTls | null {
  return agreed === '' || tls === null ? null : { ...tls, isRequired: true };
}

/** Our end of a TCP connection, for the log; a unix socket has no address of its own. */
export function localFields({ address, port }: { address: string; port: number }): object {
  return address === '' ? {} : { localAddress: address, localPort: port };
}

/** Says why a connection could not be opened, naming each address that was tried. */
export function describeConnectError(error: Error): string {
  if (!(error instanceof AggregateError)) {
    return error.message;
  }
  return error.errors
    .map((each: unknown) => (each instanceof Error ? each.message : String(each)))
    .join('; ');
}

/**
 * Chooses among the hosts of a database for each pool.
 *
 * @source PgBouncer setting `load_balance_hosts`: `round-robin` takes one step per connection
 *   attempt, `disable` goes on to the next host after a failed one only.
 */
export class HostTurns<P extends { readonly database: { readonly config: DatabaseConfig } }> {
  readonly #turns = new WeakMap<P, number>();

  /** Where the next connection of `pool` goes. */
  next(pool: P): ServerTarget {
    const { config } = pool.database;
    const hosts = hostsOf(config);
    const turn = (this.#turns.get(pool) ?? 0) % hosts.length;
    if (config.loadBalanceHosts === 'round-robin') {
      this.#turns.set(pool, turn + 1);
    }
    return { host: hosts[turn] ?? null, port: config.port };
  }

  /** The last connection attempt of `pool` has failed. */
  onFailed(pool: P): void {
    if (pool.database.config.loadBalanceHosts === 'disable') {
      this.#turns.set(pool, (this.#turns.get(pool) ?? 0) + 1);
    }
  }
}
