import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';

/** Finds all addresses of a name, as the C library orders them. */
export type FindAddresses = (name: string) => Promise<readonly string[]>;

/** What `*` stands for. */
const ANY_ADDRESS: readonly string[] = ['0.0.0.0', '::'];

/** The error codes that say that a name has no address. */
const LOOKUP_FAILURE = /^(?:ENOTFOUND|ENODATA|EAI_[A-Z]+)$/;

/** What the C library says of names without an address. */
const LOOKUP_TEXTS: ReadonlyMap<string, string> = new Map([
  ['ENOTFOUND', 'Name or service not known [-2]'],
  ['EAI_AGAIN', 'Temporary failure in name resolution [-3]'],
]);

async function askSystem(name: string): Promise<readonly string[]> {
  const found = await lookup(name, { all: true });
  return found.map(({ address }) => address);
}

/**
 * Finds the addresses to listen on for one entry of `listen_addr`: a name stands for all of its
 * addresses, so that `localhost` is reached by IPv4 and IPv6.
 *
 * @param port - to name in the error.
 * @param find - the look-up of the system by default.
 * @returns numeric addresses, each once.
 * @throws Error in the words of PgBouncer when the name has no address.
 */
export async function listenAddresses(
  entry: string,
  port: number,
  find: FindAddresses = askSystem,
): Promise<readonly string[]> {
  if (entry === '*') {
    return ANY_ADDRESS;
  }
  if (isIP(entry) !== 0) {
    return [entry];
  }
  try {
    return [...new Set(await find(entry))];
  } catch (error) {
    throw unknownName(entry, port, error) ?? error;
  }
}

/** The error of a name that has no address; `null` when `error` is another one. */
function unknownName(name: string, port: number, error: unknown): Error | null {
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined || !LOOKUP_FAILURE.test(code)) {
    return null;
  }
  const why = LOOKUP_TEXTS.get(code) ?? `name has no address [${code}]`;
  return new Error(`getaddrinfo('${name}', '${String(port)}') = ${why}`, { cause: error });
}
