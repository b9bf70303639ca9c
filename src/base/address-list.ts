import { BlockList, isIP } from 'node:net';
import { remember } from './remember.ts';

/** The word that stands for the unix socket where lists of addresses allow it. */
export const UNIX_WORD = 'unix';

/** An IPv4 address written as IPv6, with hexadecimal digits or with dots. */
const MAPPED_PREFIX = '::ffff:';

/** Leading bits of an IPv6 address that one customer of a network has. */
const SITE_GROUPS = 4;

/** Most addresses that a list remembers its verdict of: to look one up costs as much as a login. */
const MAX_VERDICTS = 1000;

/** An entry of a list of addresses, read. */
interface Network {
  readonly address: string;
  readonly bits: number;
  readonly family: 'ipv4' | 'ipv6';
}

function readNetwork(text: string): Network | null {
  const slash = text.indexOf('/');
  const address = slash === -1 ? text : text.slice(0, slash);
  const version = isIP(address);
  if (version === 0 || address.includes('%')) {
    return null;
  }
  const most = version === 4 ? 32 : 128;
  const digits = slash === -1 ? String(most) : text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(digits) || Number(digits) > most) {
    return null;
  }
  return { address, bits: Number(digits), family: version === 4 ? 'ipv4' : 'ipv6' };
}

/** Says what is wrong with one address or network (`10.0.0.0/8`, `::1`), or `null`. */
export function checkNetwork(text: string): string | null {
  return readNetwork(text) === null ? `"${text}" is not an address or network` : null;
}

/** {@link checkNetwork} for lists in which the word `unix` may stand as well. */
export function checkNetworkOrUnix(text: string): string | null {
  return text === UNIX_WORD ? null : checkNetwork(text);
}

/**
 * Writes an IPv4 address that came in the form of IPv6 as IPv4; other text is returned as it is.
 *
 * @source RFC 4291, "IPv4-Mapped IPv6 Address"
 */
export function plainAddress(address: string): string {
  if (!address.includes(':')) {
    return address;
  }
  const tail = address.toLowerCase().startsWith(MAPPED_PREFIX)
    ? address.slice(MAPPED_PREFIX.length)
    : '';
  if (isIP(tail) === 4) {
    return tail;
  }
  const [, high = '', low = ''] = /^([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(tail) ?? [];
  if (high === '') {
    return address;
  }
  const [upper, lower] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return [upper >> 8, upper & 255, lower >> 8, lower & 255].join('.');
}

/**
 * Names the origin of an address for counting: an IPv4 address by itself, an IPv6 address by the
 * 64 bits of its network, since who has one address there has them all. Other text is itself.
 */
export function originOf(address: string): string {
  const plain = plainAddress(address);
  if (!plain.includes(':') || isIP(plain) !== 6) {
    return plain;
  }
  const [head = '', tail = ''] = plain.split('%', 1).join('').toLowerCase().split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === '' ? [] : tail.split(':');
  // Dots stand for two groups.
  const written = left.length + right.length + (plain.includes('.') ? 1 : 0);
  const zeros = plain.includes('::') ? Array.from({ length: 8 - written }, () => '0') : [];
  const groups = [...left, ...zeros, ...right].slice(0, SITE_GROUPS);
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`;
}

/** Addresses and networks, and perhaps the unix socket, to look addresses up in. */
export class AddressList {
  /** Whether the word `unix` is in the list. */
  readonly hasUnix: boolean;
  readonly #networks = new BlockList();
  readonly #verdicts = new Map<string, boolean>();

  /** @param entries - as {@link checkNetworkOrUnix} accepts them; others are left out. */
  constructor(entries: readonly string[]) {
    this.hasUnix = entries.includes(UNIX_WORD);
    for (const entry of entries) {
      const network = readNetwork(entry);
      if (network !== null) {
        this.#networks.addSubnet(network.address, network.bits, network.family);
      }
    }
  }

  /** Whether an address is in one of the networks. Text that is no address is in none. */
  has(address: string): boolean {
    return remember(this.#verdicts, MAX_VERDICTS, address, () => {
      const plain = plainAddress(address).split('%', 1).join('');
      const version = isIP(plain);
      return version !== 0 && this.#networks.check(plain, version === 4 ? 'ipv4' : 'ipv6');
    });
  }
}
