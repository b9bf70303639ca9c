import { cstring, int16, int32, message } from './frontend-messages.ts';

/** Builders and decoders for what a server sends. */

/** A whole message, without its length field. */
export interface WireMessage {
  /** The type byte as a character: `Z` is ReadyForQuery. */
  readonly type: string;
  /** What follows the length field. Owned by the receiver. */
  readonly body: Buffer;
}

/** Fields of ErrorResponse and NoticeResponse, by their one-letter code (`C` is the SQLSTATE). */
export type ErrorFields = Readonly<Record<string, string>>;

/** One column of RowDescription. */
export interface FieldDescription {
  readonly name: string;
  readonly tableOid: number;
  readonly columnNumber: number;
  readonly typeOid: number;
  readonly typeSize: number;
  readonly typeModifier: number;
  readonly format: number;
}

/** Content of BackendKeyData. The key has 4 bytes in protocol 3.0, up to 256 in 3.2. */
export interface BackendKey {
  readonly processId: number;
  readonly secretKey: Buffer;
}

/** An ErrorResponse as an exception. */
export class BackendError extends Error {
  override readonly name = 'BackendError';
  readonly fields: ErrorFields;

  constructor(fields: ErrorFields) {
    super(`${fields['S'] ?? '?'} ${fields['C'] ?? '?????'}: ${fields['M'] ?? ''}`);
    this.fields = fields;
  }

  /** The five characters of the SQLSTATE; empty when the server sent none. */
  get sqlState(): string {
    return this.fields['C'] ?? '';
  }

  /** ERROR, FATAL or PANIC. */
  get severity(): string {
    return this.fields['V'] ?? this.fields['S'] ?? '';
  }

  /** The primary message, without severity and code. */
  get text(): string {
    return this.fields['M'] ?? '';
  }
}

/** Reads a body field by field. @throws RangeError beyond its end. */
export class BodyReader {
  readonly #body: Buffer;
  #offset = 0;

  constructor(body: Buffer) {
    this.#body = body;
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.#body.length - this.#offset;
  }

  /** Reads one byte. */
  uint8(): number {
    return this.bytes(1).readUInt8();
  }

  /** Reads 16 bits, signed. */
  int16(): number {
    return this.bytes(2).readInt16BE();
  }

  /** Reads 32 bits, signed. */
  int32(): number {
    return this.bytes(4).readInt32BE();
  }

  /** Reads 32 bits, unsigned. */
  uint32(): number {
    return this.bytes(4).readUInt32BE();
  }

  /** Reads `count` bytes. */
  bytes(count: number): Buffer {
    if (count < 0 || count > this.remaining) {
      throw new RangeError(`${String(count)} bytes wanted, ${String(this.remaining)} left`);
    }
    this.#offset += count;
    return this.#body.subarray(this.#offset - count, this.#offset);
  }

  /** Reads a zero-terminated string. */
  cstring(): string {
    const end = this.#body.indexOf(0, this.#offset);
    if (end < 0) {
      throw new RangeError('a string without its terminating zero');
    }
    const text = this.#body.toString('utf8', this.#offset, end);
    this.#offset = end + 1;
    return text;
  }

  /** Reads everything left. */
  rest(): Buffer {
    return this.bytes(this.remaining);
  }
}

/** Decodes ErrorResponse or NoticeResponse. */
export function decodeErrorFields(body: Buffer): ErrorFields {
  const reader = new BodyReader(body);
  const fields: Record<string, string> = {};
  for (let code = reader.uint8(); code !== 0; code = reader.uint8()) {
    fields[String.fromCharCode(code)] = reader.cstring();
  }
  return fields;
}

/** Decodes RowDescription. */
export function decodeRowDescription(body: Buffer): FieldDescription[] {
  const reader = new BodyReader(body);
  return Array.from({ length: reader.int16() }, () => ({
    name: reader.cstring(),
    tableOid: reader.uint32(),
    columnNumber: reader.int16(),
    typeOid: reader.uint32(),
    typeSize: reader.int16(),
    typeModifier: reader.int32(),
    format: reader.int16(),
  }));
}

/** Decodes DataRow into bytes; `null` is SQL NULL. */
export function decodeDataRow(body: Buffer): (Buffer | null)[] {
  const reader = new BodyReader(body);
  return Array.from({ length: reader.int16() }, () => {
    const length = reader.int32();
    return length < 0 ? null : reader.bytes(length);
  });
}

/** Decodes DataRow in text format. */
export function decodeTextRow(body: Buffer): (string | null)[] {
  return decodeDataRow(body).map((value) => value?.toString('utf8') ?? null);
}

/** Decodes ParameterStatus into name and value. */
export function decodeParameterStatus(body: Buffer): readonly [name: string, value: string] {
  const reader = new BodyReader(body);
  return [reader.cstring(), reader.cstring()];
}

/** Decodes BackendKeyData. */
export function decodeBackendKey(body: Buffer): BackendKey {
  const reader = new BodyReader(body);
  return { processId: reader.int32(), secretKey: Buffer.from(reader.rest()) };
}

/** AuthenticationOk, or another request by its code with `rest` behind it. */
export function authentication(code: number, rest: Buffer = Buffer.alloc(0)): Buffer {
  return message('R', int32(code), rest);
}

/** AuthenticationSASL. */
export function authenticationSasl(mechanisms: readonly string[]): Buffer {
  return authentication(10, Buffer.concat([...mechanisms.map(cstring), Buffer.of(0)]));
}

/** ParameterStatus. */
export function parameterStatus(name: string, value: string): Buffer {
  return message('S', cstring(name), cstring(value));
}

/** BackendKeyData. */
export function backendKeyData(processId: number, secretKey: Buffer): Buffer {
  return message('K', int32(processId), secretKey);
}

/** ReadyForQuery. */
export function readyForQuery(status: string): Buffer {
  return message('Z', Buffer.from(status, 'latin1'));
}

function fieldList(fields: ErrorFields): Buffer {
  const parts = Object.entries(fields).map(([code, text]) =>
    Buffer.concat([Buffer.from(code, 'latin1'), cstring(text)]),
  );
  return Buffer.concat([...parts, Buffer.of(0)]);
}

/** ErrorResponse with exactly these fields: leave out `C` for one without SQLSTATE. */
export function errorResponse(fields: ErrorFields): Buffer {
  return message('E', fieldList(fields));
}

/** NoticeResponse with exactly these fields. */
export function noticeResponse(fields: ErrorFields): Buffer {
  return message('N', fieldList(fields));
}

/** RowDescription of text columns. */
export function rowDescription(names: readonly string[]): Buffer {
  const fields = names.map((name) =>
    Buffer.concat([cstring(name), int32(0), int16(0), int32(25), int16(-1), int32(-1), int16(0)]),
  );
  return message('T', int16(names.length), ...fields);
}

/** DataRow of text values. */
export function dataRow(values: readonly (string | Buffer | null)[]): Buffer {
  const cells = values.map((value) => {
    if (value === null) {
      return int32(-1);
    }
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    return Buffer.concat([int32(bytes.length), bytes]);
  });
  return message('D', int16(values.length), ...cells);
}

/** CommandComplete. */
export function commandComplete(tag: string): Buffer {
  return message('C', cstring(tag));
}
