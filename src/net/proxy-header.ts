import { isIPv4, isIPv6 } from 'node:net';
import { crc32c } from './crc32c.ts';

/** Longest header of version 1, its line end included, in bytes. */
export const MAX_V1_BYTES = 107;
/** Longest header of version 2 that is read, in bytes; what proxies send has some hundred. */
export const MAX_V2_BYTES = 4096;

const V1_START = Buffer.from('PROXY ', 'latin1');
const V2_SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const V2_HEAD_BYTES = 16;

const CommandByte = { Local: 0x20, Proxy: 0x21 } as const;
const FamilyByte = { Unspecified: 0x00, Tcp4: 0x11, Tcp6: 0x21, Unix: 0x31 } as const;
/** Bytes of the two addresses and ports, by family byte. */
const ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([
  [FamilyByte.Unspecified, 0],
  [FamilyByte.Tcp4, 12],
  [FamilyByte.Tcp6, 36],
  [FamilyByte.Unix, 216],
]);

/** Type byte of the checksum among the extensions (TLVs), and its length. */
const CRC32C_TYPE = 0x03;
const CRC32C_BYTES = 4;

/** Where a proxied connection comes from: an address and a port, or `unix` and 0. */
export interface ProxiedSource {
  readonly address: string;
  readonly port: number;
}

/** What the bytes read so far are. */
export type ProxyHeaderResult =
  /** The begin of a header. */
  | { readonly kind: 'incomplete' }
  | {
      readonly kind: 'header';
      /** Null when the connection speaks for itself: health checks of the proxy, unknown families. */
      readonly source: ProxiedSource | null;
      /** Bytes of the header. */
      readonly bytes: number;
    }
  /** No header, or one that cannot be right. */
  | { readonly kind: 'bad'; readonly problem: string };

const INCOMPLETE: ProxyHeaderResult = { kind: 'incomplete' };

function bad(problem: string): ProxyHeaderResult {
  return { kind: 'bad', problem };
}

/**
 * Reads a header of the PROXY protocol, version 1 or 2, from the first bytes of a connection.
 * Never throws, never believes a length that exceeds the limits, and needs no more bytes than the
 * header has.
 *
 * @param bytes - all that has come so far, borrowed.
 * @source HAProxy, doc/proxy-protocol.txt, revision of 2020-03-05
 */
export function readProxyHeader(bytes: Buffer): ProxyHeaderResult {
  if (isBegin(bytes, V1_START)) {
    return readV1(bytes);
  }
  return isBegin(bytes, V2_SIGNATURE) ? readV2(bytes) : bad('no PROXY header');
}

/** Whether bytes begin as a header would: six equal bytes are enough to tell it from a client. */
export function looksLikeProxyHeader(bytes: Buffer): boolean {
  const length = V1_START.length;
  return (
    bytes.length >= length &&
    (isBegin(bytes, V1_START) || isBegin(bytes.subarray(0, length), V2_SIGNATURE))
  );
}

/** Whether `bytes` and `start` agree as far as both go. */
function isBegin(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length);
  return bytes.compare(start, 0, length, 0, length) === 0;
}

// ---- version 1 ----

function readV1(bytes: Buffer): ProxyHeaderResult {
  const end = bytes.indexOf('\r\n', 0, 'latin1');
  if (end === -1 || end + 2 > MAX_V1_BYTES) {
    return end === -1 && bytes.length < MAX_V1_BYTES ? INCOMPLETE : bad('PROXY line too long');
  }
  const words = bytes.toString('latin1', V1_START.length, end).split(' ');
  const [family = '', address = '', destination = '', port = '', destinationPort = ''] = words;
  if (family === 'UNKNOWN') {
    return { kind: 'header', source: null, bytes: end + 2 };
  }
  const isRightAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : null;
  if (isRightAddress === null) {
    return bad('unknown family in PROXY line');
  }
  const isRight =
    words.length === 5 &&
    [address, destination].every((text) => isRightAddress(text) && !text.includes('%')) &&
    [port, destinationPort].every(isPort);
  return isRight
    ? { kind: 'header', source: { address, port: Number(port) }, bytes: end + 2 }
    : bad('malformed PROXY line');
}

function isPort(text: string): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}

// ---- version 2 ----

function readV2(bytes: Buffer): ProxyHeaderResult {
  if (bytes.length < V2_HEAD_BYTES) {
    return INCOMPLETE;
  }
  const command = bytes.readUInt8(12);
  const family = bytes.readUInt8(13);
  const total = V2_HEAD_BYTES + bytes.readUInt16BE(14);
  if (command !== CommandByte.Local && command !== CommandByte.Proxy) {
    return bad('unknown version or command in PROXY header');
  }
  if (total > MAX_V2_BYTES) {
    return bad('PROXY header too long');
  }
  if (bytes.length < total) {
    return INCOMPLETE;
  }
  const header = bytes.subarray(0, total);
  if (command === CommandByte.Local) {
    // Whatever it carries is to be skipped.
    return { kind: 'header', source: null, bytes: total };
  }
  const addressBytes = ADDRESS_BYTES.get(family);
  if (addressBytes === undefined) {
    return bad('unknown family in PROXY header');
  }
  const extensionsAt = V2_HEAD_BYTES + addressBytes;
  if (extensionsAt > total) {
    return bad('PROXY header too short for its addresses');
  }
  const problem = checkExtensions(header, extensionsAt);
  return problem === null
    ? { kind: 'header', source: readSource(header, family), bytes: total }
    : bad(problem);
}

function readSource(header: Buffer, family: number): ProxiedSource | null {
  switch (family) {
    case FamilyByte.Tcp4:
      return {
        address: header.subarray(16, 20).join('.'),
        port: header.readUInt16BE(24),
      };
    case FamilyByte.Tcp6:
      return { address: ipv6Text(header.subarray(16, 32)), port: header.readUInt16BE(48) };
    case FamilyByte.Unix:
      return { address: 'unix', port: 0 };
    default:
      return null;
  }
}

/** Walks the extensions, which must fill the header exactly, and proves the checksum if there is one. */
function checkExtensions(header: Buffer, start: number): string | null {
  let offset = start;
  while (offset < header.length) {
    if (header.length - offset < 3) {
      return 'cut-off extension in PROXY header';
    }
    const type = header.readUInt8(offset);
    const length = header.readUInt16BE(offset + 1);
    const valueAt = offset + 3;
    if (length > header.length - valueAt) {
      return 'cut-off extension in PROXY header';
    }
    if (type === CRC32C_TYPE) {
      if (length !== CRC32C_BYTES) {
        return 'malformed checksum in PROXY header';
      }
      const copy = Buffer.from(header);
      copy.fill(0, valueAt, valueAt + CRC32C_BYTES);
      if (crc32c(copy) !== header.readUInt32BE(valueAt)) {
        return 'wrong checksum of PROXY header';
      }
    }
    offset = valueAt + length;
  }
  return null;
}

/**
 * Writes 16 bytes as an IPv6 address, IPv4 in it as IPv4.
 *
 * @source RFC 5952, "A Recommendation for IPv6 Address Text Representation"
 */
function ipv6Text(bytes: Buffer): string {
  const isMapped =
    bytes.subarray(0, 10).every((byte) => byte === 0) && bytes.readUInt16BE(10) === 0xffff;
  if (isMapped) {
    return bytes.subarray(12).join('.');
  }
  const groups = Array.from({ length: 8 }, (_, index) =>
    bytes.readUInt16BE(index * 2).toString(16),
  );
  const text = groups.join(':');
  const runs = text.match(/(?<![0-9a-f])0(?::0)+(?![0-9a-f])/g) ?? [];
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best), '');
  if (longest === '') {
    return text;
  }
  const at = text.search(new RegExp(`(?<![0-9a-f])${longest}(?![0-9a-f])`));
  const head = text.slice(0, at).replace(/:$/, '');
  const tail = text.slice(at + longest.length).replace(/^:/, '');
  return `${head}::${tail}`;
}
