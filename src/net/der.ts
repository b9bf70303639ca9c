/** One element of DER: what it is and where its content lies. */
export interface DerElement {
  /** Identifier octet; tags above 30 do not occur in what is read here. */
  readonly tag: number;
  /** Offset of the identifier octet. */
  readonly begin: number;
  /** Offset of the content. */
  readonly start: number;
  /** Behind the content; `start <= end`. */
  readonly end: number;
}

/** Identifier octets. */
export const DerTag = {
  Boolean: 0x01,
  OctetString: 0x04,
  ObjectIdentifier: 0x06,
  Utf8String: 0x0c,
  PrintableString: 0x13,
  TeletexString: 0x14,
  Ia5String: 0x16,
  UniversalString: 0x1c,
  BmpString: 0x1e,
  Sequence: 0x30,
  Set: 0x31,
} as const;

/** Most octets of a length: 4 GB are beyond any certificate. */
const MAX_LENGTH_OCTETS = 4;

/**
 * Reads the element at `offset`. Never throws: certificates come from peers.
 *
 * @param bytes - borrowed.
 * @param limit - where the surrounding element ends, at most `bytes.length`.
 * @returns null when there is no whole element.
 * @source X.690, "Basic encoding rules": Structure of an encoding
 */
export function readDer(bytes: Buffer, offset: number, limit: number): DerElement | null {
  const tag = bytes[offset];
  const first = bytes[offset + 1];
  if (tag === undefined || first === undefined || offset + 2 > limit) {
    return null;
  }
  let start = offset + 2;
  let length = first;
  if (first >= 0x80) {
    const octets = first - 0x80;
    if (octets === 0 || octets > MAX_LENGTH_OCTETS || start + octets > limit) {
      return null;
    }
    length = bytes.readUIntBE(start, octets);
    start += octets;
  }
  return length > limit - start ? null : { tag, begin: offset, start, end: start + length };
}

/** Reads the elements inside of `parent`; null when they do not fill it exactly. Never throws. */
export function readDerChildren(bytes: Buffer, parent: DerElement): DerElement[] | null {
  const children: DerElement[] = [];
  for (let offset = parent.start; offset < parent.end;) {
    const child = readDer(bytes, offset, parent.end);
    if (child === null) {
      return null;
    }
    children.push(child);
    offset = child.end;
  }
  return children;
}

/** The content of an element as hexadecimal digits: object identifiers are compared by it. */
export function derHex(bytes: Buffer, { start, end }: DerElement): string {
  return bytes.toString('hex', start, end);
}
