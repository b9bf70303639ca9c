/** Fields of an ErrorResponse or NoticeResponse of a server, as far as it sent them. */
export interface ServerReport {
  /** `ERROR`, `FATAL` and so on, never translated where the server says so (field V). */
  readonly severity: string;
  readonly sqlstate: string;
  readonly message: string;
  readonly detail: string;
  readonly hint: string;
}

/** Returns the offset of the zero byte that ends the string at `start`, or -1. */
function cstringEnd(body: Buffer, start: number): number {
  return body.indexOf(0, start);
}

/**
 * Reads the fields of an ErrorResponse or NoticeResponse. Missing fields get neutral values,
 * unterminated ones run to the end of the message, of duplicates the last counts. Never throws.
 *
 * @param body - what follows the length, borrowed.
 */
export function readServerReport(body: Buffer): ServerReport {
  const fields = new Map<number, string>();
  let offset = 0;
  while (offset < body.length) {
    const field = body.readUInt8(offset);
    if (field === 0) {
      break;
    }
    const found = cstringEnd(body, offset + 1);
    const end = found === -1 ? body.length : found;
    fields.set(field, body.toString('utf8', offset + 1, end));
    offset = end + 1;
  }
  const field = (letter: string): string | undefined => fields.get(letter.charCodeAt(0));
  const sqlstate = field('C') ?? '';
  return {
    severity: field('V') ?? field('S') ?? 'FATAL',
    sqlstate: /^[0-9A-Z]{5}$/.test(sqlstate) ? sqlstate : 'XX000',
    message: field('M') ?? 'no message',
    detail: field('D') ?? '',
    hint: field('H') ?? '',
  };
}

/**
 * Reads a ParameterStatus.
 *
 * @param body - what follows the length, borrowed.
 * @returns name and value, or null when it is malformed.
 */
export function readParameterStatus(
  body: Buffer,
): { readonly name: string; readonly value: string } | null {
  const nameEnd = cstringEnd(body, 0);
  if (nameEnd === -1) {
    return null;
  }
  const valueEnd = cstringEnd(body, nameEnd + 1);
  if (valueEnd !== body.length - 1) {
    return null;
  }
  return {
    name: body.toString('utf8', 0, nameEnd),
    value: body.toString('utf8', nameEnd + 1, valueEnd),
  };
}

/**
 * Reads how many columns a RowDescription announces.
 *
 * @param body - what follows the length, borrowed.
 * @returns the count; -1 when the message is malformed.
 */
export function readColumnCount(body: Buffer): number {
  return body.length < 2 ? -1 : body.readInt16BE(0);
}

/**
 * Reads a DataRow of text values.
 *
 * | offset | size | field |
 * |---|---|---|
 * | 0 | 2 | int16: columns |
 * | 2 | 4 | int32 for each column: bytes of its value, or -1 for NULL |
 * | 6 | n | the value |
 *
 * @param body - what follows the length, borrowed.
 * @param columns - how many there must be.
 * @returns the values, null for NULL; or null when the message is malformed.
 */
export function readDataRow(body: Buffer, columns: number): (string | null)[] | null {
  if (readColumnCount(body) !== columns) {
    return null;
  }
  const values: (string | null)[] = [];
  let offset = 2;
  for (let column = 0; column < columns; column++) {
    if (body.length - offset < 4) {
      return null;
    }
    const bytes = body.readInt32BE(offset);
    offset += 4;
    if (bytes < -1 || bytes > body.length - offset) {
      return null;
    }
    if (bytes === -1) {
      values.push(null);
    } else {
      values.push(body.toString('utf8', offset, offset + bytes));
      offset += bytes;
    }
  }
  return offset === body.length ? values : null;
}

/** Identifies a server process and proves the right to cancel what it does. */
export interface CancelKey {
  /** Unsigned 32-bit number. */
  readonly processId: number;
  /** 4 to 256 bytes, owned. */
  readonly secret: Buffer;
}

/**
 * Reads a BackendKeyData of protocol 3.0 or 3.2.
 *
 * @param body - what follows the length, borrowed; the secret is copied.
 * @returns the key, or null when it is malformed.
 */
export function readBackendKeyData(body: Buffer): CancelKey | null {
  if (body.length < 8 || body.length > 260) {
    return null;
  }
  return { processId: body.readUInt32BE(0), secret: Buffer.from(body.subarray(4)) };
}
