import { isIPv4, isIPv6 } from 'node:net';

/** An address as bytes in network order: 4 of them for IPv4, 16 for IPv6. Never changed. */
export type IpAddress = Uint8Array;

/** A range of addresses: those that agree with `address` in the bits that are set in `mask`. */
export interface IpNetwork {
  readonly address: IpAddress;
  /** As long as `address`. */
  readonly mask: IpAddress;
}

const IPV4_BYTES = 4;
const IPV6_BYTES = 16;
const BITS_OF_BYTE = 8;
const DOT = 0x2e;
const DIGIT_0 = 0x30;

/** What an IPv6 address begins with that stands for an IPv4 address: a socket for both shows it. */
const MAPPED_PREFIX = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

/**
 * Reads an IPv4 or IPv6 address.
 *
 * @param text - As sockets print it; the zone of a link-local address (`%eth0`) is left out.
 * @returns Its bytes, or `null` when it is none: a name, a short form such as `127.1`, an address with
 * a prefix length. Never throws.
 * @source RFC 4291, "Text Representation of Addresses"
 */
export function parseIpAddress(text: string): IpAddress | null {
  if (isIPv4(text)) {
    return parseIpv4(text);
  }
  const bare = text.replace(/%.*$/s, '');
  return isIPv6(bare) ? parseIpv6(bare) : null;
}

/** Reads what is an IPv4 address for certain. */
function parseIpv4(text: string): IpAddress {
  const address = new Uint8Array(IPV4_BYTES);
  let index = 0;
  let value = 0;
  for (let offset = 0; offset < text.length; offset++) {
    const code = text.charCodeAt(offset);
    if (code === DOT) {
      address[index++] = value;
      value = 0;
    } else {
      value = value * 10 + code - DIGIT_0;
    }
  }
  address[index] = value;
  return address;
}

/** Reads what is an IPv6 address for certain. */
function parseIpv6(text: string): IpAddress {
  const lastColon = text.lastIndexOf(':');
  const tail = text.slice(lastColon + 1);
  const hexadecimal = tail.includes('.')
    ? `${text.slice(0, lastColon + 1)}${ipv4Groups(tail)}`
    : text;
  const [head = '', rest] = hexadecimal.split('::');
  const before = groupsOf(head);
  const after = groupsOf(rest ?? '');
  const zeros = Array<number>(IPV6_BYTES / 2 - before.length - after.length).fill(0);
  return Uint8Array.from(
    [...before, ...zeros, ...after].flatMap((group) => [group >> BITS_OF_BYTE, group & 0xff]),
  );
}

function groupsOf(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
}

/** Prints the last 4 bytes of an IPv6 address as its last two groups. */
function ipv4Groups(text: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = text.split('.').map(Number);
  return `${((a << BITS_OF_BYTE) | b).toString(16)}:${((c << BITS_OF_BYTE) | d).toString(16)}`;
}

/** Gives an IPv4 address that comes in the form of IPv6 (`::ffff:10.0.0.1`) its own form. */
export function withoutMapping(address: IpAddress): IpAddress {
  const isMapped =
    address.length === IPV6_BYTES && MAPPED_PREFIX.every((byte, index) => address[index] === byte);
  return isMapped ? address.slice(MAPPED_PREFIX.length) : address;
}

/**
 * Makes the mask of a prefix length.
 *
 * @param bits - How many bits are set from the left.
 * @param bytes - Length of the mask: 4 or 16.
 * @returns `null` when there are not as many bits. Never throws.
 */
export function prefixMask(bits: number, bytes: number): IpAddress | null {
  if (!Number.isInteger(bits) || bits < 0 || bits > bytes * BITS_OF_BYTE) {
    return null;
  }
  return Uint8Array.from({ length: bytes }, (_unused, index) => {
    const set = Math.min(Math.max(bits - index * BITS_OF_BYTE, 0), BITS_OF_BYTE);
    return 0xff & (0xff << (BITS_OF_BYTE - set));
  });
}

/** Tells whether an address is in a network. Addresses of the other family never are. */
export function isInNetwork(address: IpAddress, { address: base, mask }: IpNetwork): boolean {
  return (
    address.length === base.length &&
    address.every((byte, index) => ((byte ^ (base[index] ?? 0)) & (mask[index] ?? 0)) === 0)
  );
}

/** Tells whether the address of a network has bits outside of its mask, which never count. */
export function hasHostBits({ address, mask }: IpNetwork): boolean {
  return address.some((byte, index) => (byte & ~(mask[index] ?? 0)) !== 0);
}

/** Prints an address: IPv4 in the usual way, IPv6 as groups without leading zeros. */
export function formatIpAddress(address: IpAddress): string {
  if (address.length === IPV4_BYTES) {
    return address.join('.');
  }
  const groups: string[] = [];
  for (let index = 0; index < address.length; index += 2) {
    groups.push((((address[index] ?? 0) << BITS_OF_BYTE) | (address[index + 1] ?? 0)).toString(16));
  }
  return groups.join(':').replace(/(?:^|:)0(?::0)+(?::|$)/, '::');
}
