const INT4_OID = 23;
const INT8_OID = 20;
const NUMERIC_OID = 1700;
const OID_OID = 26;
const BOOL_OID = 16;

const NUMERIC_NEGATIVE = 0x4000;
/** Decimal digits in one digit of numeric's binary form. */
const GROUP_DIGITS = 4;

/** Splits digits into groups of four, filled up with zeros at the end. */
function groups(digits: string): number[] {
  const found: number[] = [];
  for (let start = 0; start < digits.length; start += GROUP_DIGITS) {
    found.push(Number(digits.slice(start, start + GROUP_DIGITS).padEnd(GROUP_DIGITS, '0')));
  }
  return found;
}

/**
 * Writes a decimal number as numeric: count of base-10000 digits, weight of the first one, sign,
 * digits behind the point, then the base-10000 digits without zeros at either end.
 *
 * @source PostgreSQL, `numeric_send`
 */
function encodeNumeric(text: string): Buffer {
  const isNegative = text.startsWith('-');
  const [whole = '', fraction = ''] = (isNegative ? text.slice(1) : text).split('.');
  const filled = whole.padStart(Math.ceil(whole.length / GROUP_DIGITS) * GROUP_DIGITS, '0');
  const digits = [...groups(filled), ...groups(fraction)];
  const first = digits.findIndex((digit) => digit !== 0);
  const kept = first === -1 ? [] : digits.slice(first, digits.findLastIndex((d) => d !== 0) + 1);
  const weight = first === -1 ? 0 : filled.length / GROUP_DIGITS - 1 - first;
  const buffer = Buffer.alloc(8 + 2 * kept.length);
  buffer.writeInt16BE(kept.length, 0);
  buffer.writeInt16BE(weight, 2);
  buffer.writeUInt16BE(isNegative && kept.length > 0 ? NUMERIC_NEGATIVE : 0, 4);
  buffer.writeInt16BE(fraction.length, 6);
  for (const [index, digit] of kept.entries()) {
    buffer.writeInt16BE(digit, 8 + 2 * index);
  }
  return buffer;
}

/**
 * Turns the text of a cell into PostgreSQL's binary form of its type. Types that are not known are
 * text, whose two forms are the same.
 */
export function encodeBinary(text: string, typeOid: number): Buffer {
  switch (typeOid) {
    case INT4_OID: {
      const buffer = Buffer.alloc(4);
      buffer.writeInt32BE(Number(text));
      return buffer;
    }
    case OID_OID: {
      const buffer = Buffer.alloc(4);
      buffer.writeUInt32BE(Number(text));
      return buffer;
    }
    case INT8_OID: {
      const buffer = Buffer.alloc(8);
      buffer.writeBigInt64BE(BigInt(text));
      return buffer;
    }
    case BOOL_OID:
      return Buffer.from([text === 't' ? 1 : 0]);
    case NUMERIC_OID:
      return encodeNumeric(text);
    default:
      return Buffer.from(text);
  }
}
