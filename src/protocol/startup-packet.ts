import { isUtf8 } from 'node:buffer';
import { MAX_STARTUP_PACKET_BYTES, PROTOCOL_3_0, PROTOCOL_3_2, StartupCode } from './codes.ts';

/** A startup packet, read. */
export type StartupPacket =
  | { readonly kind: 'ssl' }
  | { readonly kind: 'gssenc' }
  | { readonly kind: 'cancel'; readonly processId: number; readonly secret: Buffer }
  | {
      readonly kind: 'startup';
      /** Version to speak: 3.0 or 3.2. */
      readonly version: number;
      /** Whether the client must be told a lower version or options that are not known. */
      readonly needsNegotiation: boolean;
      /** Names of `_pq_.` options, none of which is known. */
      readonly unknownOptions: readonly string[];
      /** Parameters in the order sent; of duplicates the last counts. */
      readonly parameters: ReadonlyMap<string, string>;
    }
  | {
      readonly kind: 'bad';
      readonly problem: 'header' | 'old_protocol' | 'version' | 'layout' | 'encoding';
      /** What was found, for the error text. */
      readonly found: string;
    };

/**
 * Tells how long the startup packet at the head of `bytes` is.
 *
 * @returns its length in bytes, 0 when that cannot be known yet, -1 when it cannot be right.
 */
export function startupPacketBytes(bytes: Buffer): number {
  if (bytes.length < 4) {
    // Rule out what cannot become a legal length, so that rubbish is answered at once.
    return bytes.length > 0 && bytes[0] !== 0 ? -1 : 0;
  }
  const length = bytes.readInt32BE(0);
  return length < 8 || length > MAX_STARTUP_PACKET_BYTES ? -1 : length;
}

function bad(
  problem: Extract<StartupPacket, { kind: 'bad' }>['problem'],
  found: string,
): StartupPacket {
  return { kind: 'bad', problem, found };
}

/** Parameters that say who somebody is: two of them must not be taken for the same. */
const IDENTITY_NAMES: readonly string[] = ['user', 'database'];

function readParameters(packet: Buffer): Map<string, string> | 'layout' | 'encoding' {
  const parameters = new Map<string, string>();
  let offset = 8;
  for (;;) {
    if (offset >= packet.length) {
      return 'layout';
    }
    if (packet[offset] === 0) {
      // The terminator must be the last byte.
      return offset === packet.length - 1 ? parameters : 'layout';
    }
    const nameEnd = packet.indexOf(0, offset);
    const valueEnd = nameEnd === -1 ? -1 : packet.indexOf(0, nameEnd + 1);
    if (valueEnd === -1) {
      return 'layout';
    }
    const name = packet.toString('utf8', offset, nameEnd);
    if (IDENTITY_NAMES.includes(name) && !isUtf8(packet.subarray(nameEnd + 1, valueEnd))) {
      return 'encoding';
    }
    parameters.set(name, packet.toString('utf8', nameEnd + 1, valueEnd));
    offset = valueEnd + 1;
  }
}

/**
 * Reads one whole startup packet. Never throws.
 *
 * @param packet - exactly the bytes that {@link startupPacketBytes} told, borrowed.
 * @source PostgreSQL manual, "Message Formats": StartupMessage, SSLRequest, CancelRequest
 */
export function readStartupPacket(packet: Buffer): StartupPacket {
  const code = packet.readInt32BE(4);
  switch (code) {
    case StartupCode.Ssl:
      return packet.length === 8 ? { kind: 'ssl' } : bad('header', packet.toString('hex', 0, 8));
    case StartupCode.GssEnc:
      return packet.length === 8 ? { kind: 'gssenc' } : bad('header', packet.toString('hex', 0, 8));
    case StartupCode.Cancel:
      if (packet.length < 16 || packet.length > 12 + 256) {
        return bad('header', packet.toString('hex', 0, 8));
      }
      return {
        kind: 'cancel',
        processId: packet.readUInt32BE(8),
        secret: Buffer.from(packet.subarray(12)),
      };
    default:
      return readStartupMessage(packet, code);
  }
}

function readStartupMessage(packet: Buffer, version: number): StartupPacket {
  const major = version >>> 16;
  const minor = version & 0xffff;
  if (major < 3) {
    return major === 0
      ? bad('header', packet.toString('hex', 0, 8))
      : bad('old_protocol', `${String(major)}.${String(minor)}`);
  }
  if (major > 3) {
    return bad('version', `${String(major)}.${String(minor)}`);
  }
  const parameters = readParameters(packet);
  if (typeof parameters === 'string') {
    return bad(parameters, '');
  }
  const unknownOptions = [...parameters.keys()].filter((name) => name.startsWith('_pq_.'));
  // 3.1 was never used by anybody: whoever asks for less than 3.2 gets 3.0.
  const speaks = version >= PROTOCOL_3_2 ? PROTOCOL_3_2 : PROTOCOL_3_0;
  return {
    kind: 'startup',
    version: speaks,
    needsNegotiation: speaks !== version || unknownOptions.length > 0,
    unknownOptions,
    parameters,
  };
}
