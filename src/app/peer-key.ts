/**
 * The layout of cancel keys among peers, PgBouncer's. Bytes of a key are counted from 0: the process
 * id is bytes 0 to 3, the secret begins with byte 4.
 *
 * | byte | content |
 * |---|---|
 * | 0 | random, the highest bit clear |
 * | 1, 2 | `peer_id` of the process that issued it, low byte first |
 * | 3 to 6 | random |
 * | 7 | random, the lowest two bits the times it may be passed on |
 * | 8 and more | random; keys of protocol 3.2 only, which PgBouncer does not issue |
 *
 * @source PgBouncer settings: `peer_id`, and what its keys look like on the wire
 */

/** Where in the secret the TTL is. */
const TTL_BYTE = 3;
/** Bits of the TTL; all set in a key that has been issued and not passed on. */
const TTL_MASK = 0b11;

/** Puts the id of the issuer into a random process id, both as unsigned numbers. */
export function withPeerId(processId: number, peerId: number): number {
  const low = peerId & 0xff;
  const high = peerId >>> 8;
  return (((processId & 0xff0000ff) | (low << 16) | (high << 8)) >>> 0) & 0x7fffffff;
}

/** The `peer_id` of the process that issued a key, 0 to 65535. */
export function peerIdOf(processId: number): number {
  return ((processId >>> 16) & 0xff) | (((processId >>> 8) & 0xff) << 8);
}

/** How often a request with this secret may still be passed on, 0 to 3. */
export function ttlOf(secret: Buffer): number {
  return secret.readUInt8(TTL_BYTE) & TTL_MASK;
}

/** A copy of a secret with another TTL. @param secret - at least 4 bytes. */
export function withTtl(secret: Buffer, ttl: number): Buffer {
  const copy = Buffer.from(secret);
  copy.writeUInt8((secret.readUInt8(TTL_BYTE) & ~TTL_MASK) | ttl, TTL_BYTE);
  return copy;
}

/** A copy of a secret as it is issued. @param secret - at least 4 bytes. */
export function withFullTtl(secret: Buffer): Buffer {
  return withTtl(secret, TTL_MASK);
}
