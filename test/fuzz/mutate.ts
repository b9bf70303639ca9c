import type { SeededRandom } from '../support/seeded-random.ts';

/** Numbers at which lengths and counts tend to go wrong. */
const EDGES = [
  0, 1, 2, 3, 4, 5, 7, 8, 255, 256, 10_000, 10_001, 65_535, 65_536, 65_540, 0x7fff_fffe,
  0x7fff_ffff, -1, -2, -2_147_483_648,
];

type Mutation = (bytes: Buffer, random: SeededRandom) => Buffer;

const MUTATIONS: readonly Mutation[] = [
  (bytes, random) => {
    const at = random.below(bytes.length);
    bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << random.below(8)), at);
    return bytes;
  },
  (bytes, random) => {
    bytes.writeUInt8(random.below(256), random.below(bytes.length));
    return bytes;
  },
  (bytes, random) => {
    if (bytes.length >= 4) {
      bytes.writeInt32BE(random.pick(EDGES), random.below(bytes.length - 3));
    }
    return bytes;
  },
  // The length of the first message.
  (bytes, random) => {
    if (bytes.length >= 5) {
      const length = bytes.readInt32BE(1);
      const near = Math.max(-2_147_483_648, Math.min(0x7fff_ffff, length + random.below(9) - 4));
      bytes.writeInt32BE(random.chance(0.5) ? near : random.pick(EDGES), 1);
    }
    return bytes;
  },
  (bytes, random) => {
    const at = random.below(bytes.length + 1);
    const more = random.bytes(1 + random.below(20));
    return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]);
  },
  (bytes, random) => {
    const at = random.below(bytes.length);
    const end = Math.min(bytes.length, at + 1 + random.below(8));
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
  },
  (bytes, random) => {
    const at = random.below(bytes.length);
    const part = bytes.subarray(at, at + 1 + random.below(30));
    return Buffer.concat([bytes, part, part]);
  },
  (bytes, random) => bytes.subarray(0, random.below(bytes.length)),
  (bytes, random) => Buffer.concat([bytes, random.bytes(random.below(40))]),
  (bytes) => Buffer.concat([bytes, bytes]),
];

/** A changed copy of some bytes. */
export function mutate(bytes: Buffer, random: SeededRandom): Buffer {
  let changed: Buffer = Buffer.from(bytes);
  for (let count = 1 + random.below(3); count > 0 && changed.length > 0; count--) {
    changed = random.pick(MUTATIONS)(changed, random);
  }
  return changed;
}

/** Cuts bytes into pieces. */
export function cut(bytes: Buffer, random: SeededRandom): Buffer[] {
  const pieces: Buffer[] = [];
  const most = random.pick([3, 40, 2_000, 1_000_000]);
  for (let start = 0; start < bytes.length;) {
    const end = Math.min(bytes.length, start + 1 + random.below(most));
    pieces.push(bytes.subarray(start, end));
    start = end;
  }
  return pieces;
}
