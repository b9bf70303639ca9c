import { Resolver } from 'node:dns/promises';
import { parseHosts, type HostsTable } from './hosts-file.ts';
import { candidateNames, parseResolverFile, type ResolverFile } from './resolver-file.ts';
import { WatchedFile } from './watched-file.ts';

/** What a host name stands for. */
export interface ResolvedName {
  /** Numeric addresses, at least one, each once. */
  readonly addresses: readonly string[];
  /** Whether these are all: false when only one of the address families could be asked. */
  readonly isComplete: boolean;
}

/** Finds the addresses of host names. */
export interface NameResolver {
  /** @throws ResolveError */
  resolve(name: string): Promise<ResolvedName>;
}

/** A host name could not be resolved. */
export class ResolveError extends Error {
  override readonly name = 'ResolveError';
  /** `ENOTFOUND`, `ENODATA`, `ESERVFAIL`, `ETIMEOUT` and the like. */
  readonly code: string;

  constructor(host: string, code: string) {
    super(`cannot resolve "${host}": ${code}`);
    this.code = code;
  }
}

/** Files a {@link SystemResolver} reads. */
export interface ResolverFiles {
  readonly hosts: string;
  readonly resolver: string;
}

/** Where the system keeps them. */
export const SYSTEM_RESOLVER_FILES: ResolverFiles = {
  hosts: '/etc/hosts',
  resolver: '/etc/resolv.conf',
};

/** What `localhost` is where the hosts file does not say. @source RFC 6761, "localhost." */
const LOOPBACK: readonly string[] = ['127.0.0.1', '::1'];
/** Answers that say that a name has no address of a family. */
const NO_SUCH_NAME: ReadonlySet<string> = new Set(['ENOTFOUND', 'ENODATA']);
/** Name servers often fail like this on a search domain that is not theirs. */
const SERVER_FAILURE = 'ESERVFAIL';

/** Outcome of asking for one name in both address families. */
interface Answer {
  readonly addresses: readonly string[];
  /** The first failure other than that there is no such name, or null. */
  readonly failure: string | null;
}

/**
 * Asks the hosts file, then the name servers. Unlike the look-up of the C library it needs no thread
 * of the pool that passwords are hashed in. Both files are read again when they change.
 */
export class SystemResolver implements NameResolver {
  readonly #hosts: WatchedFile<HostsTable>;
  readonly #file: WatchedFile<ResolverFile>;
  /** Made for one state of the resolver file: the servers of a resolver in use cannot be changed. */
  #current: { readonly file: ResolverFile; readonly resolver: Resolver } | null = null;

  constructor(files: ResolverFiles = SYSTEM_RESOLVER_FILES) {
    this.#hosts = new WatchedFile(files.hosts, parseHosts);
    this.#file = new WatchedFile(files.resolver, parseResolverFile);
  }

  async resolve(name: string): Promise<ResolvedName> {
    const local = this.#findLocal(name.toLowerCase().replace(/\.$/, ''));
    if (local !== null) {
      return { addresses: local, isComplete: true };
    }
    const { file, resolver } = this.#refresh();
    let code = 'ENOTFOUND';
    for (const candidate of candidateNames(name, file)) {
      const { addresses, failure } = await ask(resolver, candidate);
      if (addresses.length > 0) {
        return { addresses, isComplete: failure === null };
      }
      code = failure ?? code;
      if (failure !== null && failure !== SERVER_FAILURE) {
        break;
      }
    }
    throw new ResolveError(name, code);
  }

  /**
   * Asks for the serial number of a zone.
   *
   * @param zone - a whole name: the search domains of the resolver file are not tried.
   * @throws ResolveError
   */
  async querySerial(zone: string): Promise<number> {
    try {
      return (await this.#refresh().resolver.resolveSoa(zone)).serial;
    } catch (error) {
      throw new ResolveError(zone, codeOf(error));
    }
  }

  #findLocal(name: string): readonly string[] | null {
    const isLocalhost = name === 'localhost' || name.endsWith('.localhost');
    return this.#hosts.content.get(name) ?? (isLocalhost ? LOOPBACK : null);
  }

  #refresh(): { readonly file: ResolverFile; readonly resolver: Resolver } {
    const file = this.#file.content;
    if (this.#current?.file !== file) {
      const resolver = new Resolver({ timeout: file.timeoutMs, tries: file.attempts });
      if (file.nameServers.length > 0) {
        resolver.setServers(file.nameServers);
      }
      this.#current = { file, resolver };
    }
    return this.#current;
  }
}

/** Asks for one name in both families at a time; addresses are in the order of the answers. */
async function ask(resolver: Resolver, name: string): Promise<Answer> {
  const addresses: string[] = [];
  let failure: string | null = null;
  const collect = async (query: Promise<string[]>): Promise<void> => {
    try {
      for (const address of await query) {
        if (!addresses.includes(address)) {
          addresses.push(address);
        }
      }
    } catch (error) {
      const code = codeOf(error);
      failure ??= NO_SUCH_NAME.has(code) ? null : code;
    }
  };
  await Promise.all([collect(resolver.resolve4(name)), collect(resolver.resolve6(name))]);
  return { addresses, failure };
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : String(error);
}
