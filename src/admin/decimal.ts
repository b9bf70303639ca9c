/** An exact decimal number: `units` divided by ten to the power of `scale`. */
export interface Decimal {
  readonly units: bigint;
  readonly scale: number;
}

/** Longest number that is read, in characters: bounds the work of comparing. */
const MAX_NUMBER_LENGTH = 64;
const DECIMAL = /^\s*([+-]?)([0-9]*)(?:\.([0-9]*))?\s*$/;

/** Reads a number without exponent. @returns `null` if `text` is none, or is too long. */
export function parseDecimal(text: string): Decimal | null {
  if (text.length > MAX_NUMBER_LENGTH) {
    return null;
  }
  const match = DECIMAL.exec(text);
  const digits = `${match?.[2] ?? ''}${match?.[3] ?? ''}`;
  if (match === null || digits === '') {
    return null;
  }
  const units = BigInt(digits);
  return { units: match[1] === '-' ? -units : units, scale: match[3]?.length ?? 0 };
}

/** Compares as `sort` wants it: negative, 0 or positive. */
export function compareDecimals(a: Decimal, b: Decimal): number {
  const scale = Math.max(a.scale, b.scale);
  const left = a.scale === scale ? a.units : a.units * 10n ** BigInt(scale - a.scale);
  const right = b.scale === scale ? b.units : b.units * 10n ** BigInt(scale - b.scale);
  return left < right ? -1 : left > right ? 1 : 0;
}
