/** A small generator of numbers that a seed decides (mulberry32). */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 ≤ result < 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** A whole number, 0 ≤ result < limit. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** Whether something of this probability happens. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** One of the items, each as likely as any other. */
  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) {
      throw new Error('nothing to pick from');
    }
    return item;
  }

  /** `count` random bytes. */
  bytes(count: number): Buffer {
    return Buffer.from(Array.from({ length: count }, () => this.below(256)));
  }
}

/** Seed of this run: `MAITRED_SEED`, or a new one. Whoever uses it says which. */
export function seedOfRun(): number {
  const given = process.env['MAITRED_SEED'] ?? '';
  return given === '' ? Math.floor(Math.random() * 1_000_000_000) : Number(given);
}

/** The seed of a random test: `TEST_SEED`, or another one each time; printed either way. */
export function testSeed(name: string): number {
  const given = Number(process.env['TEST_SEED'] ?? Number.NaN);
  const seed = Number.isInteger(given) ? given : Date.now() % 1_000_000_000;
  process.stdout.write(`${name}: TEST_SEED=${String(seed)}\n`);
  return seed;
}
