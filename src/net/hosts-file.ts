import { isIP } from 'node:net';

/** Addresses by host name in lower case, in the order of the file. */
export type HostsTable = ReadonlyMap<string, readonly string[]>;

/**
 * Reads a hosts file: an address and its names on each line, comments behind `#`. Lines without a
 * numeric address are skipped. Never throws.
 *
 * @source hosts(5)
 */
export function parseHosts(text: string): HostsTable {
  const table = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (isIP(address) === 0) {
      continue;
    }
    for (const name of names) {
      const known = table.get(name.toLowerCase());
      if (known === undefined) {
        table.set(name.toLowerCase(), [address]);
      } else if (!known.includes(address)) {
        known.push(address);
      }
    }
  }
  return table;
}
