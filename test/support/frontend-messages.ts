/** Builders for every message a client can send. They check nothing: tests send nonsense too. */

const EMPTY = Buffer.alloc(0);

/** Protocol 3.0, as the startup packet spells it. */
export const PROTOCOL_3_0 = 0x0003_0000;

/** Protocol 3.2 (PostgreSQL 18): cancel keys of up to 256 bytes. */
export const PROTOCOL_3_2 = 0x0003_0002;

const SSL_REQUEST_CODE = 80_877_103;
const GSSENC_REQUEST_CODE = 80_877_104;
const CANCEL_REQUEST_CODE = 80_877_102;

/** A parameter or result format: text or binary. */
export type FormatCode = 0 | 1;

/** A value of Bind or FunctionCall; `null` is SQL NULL, a string is sent as UTF-8. */
export type BindValue = string | Buffer | null;

/** The parts of a Bind message; everything left out is empty. */
export interface BindOptions {
  readonly portal?: string;
  readonly statement?: string;
  readonly values?: readonly BindValue[];
  readonly parameterFormats?: readonly FormatCode[];
  readonly resultFormats?: readonly FormatCode[];
}

/** Encodes 32 bits, big endian. */
export function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value >>> 0);
  return buffer;
}

/** Encodes 16 bits, big endian. */
export function int16(value: number): Buffer {
  const buffer = Buffer.alloc(2);
  buffer.writeUInt16BE(value & 0xffff);
  return buffer;
}

/** Encodes a zero-terminated string. Bytes are taken as they are. */
export function cstring(value: string | Buffer): Buffer {
  return Buffer.concat([typeof value === 'string' ? Buffer.from(value) : value, Buffer.of(0)]);
}

/** Puts type byte and length before a body. Serves for backend messages as well. */
export function message(type: string, ...body: readonly Buffer[]): Buffer {
  const payload = Buffer.concat(body);
  return Buffer.concat([Buffer.from(type, 'latin1'), int32(payload.length + 4), payload]);
}

/** A message whose length field is `length`, with a body of no meaning. */
export function messageOfLength(type: string, length: number): Buffer {
  return message(type, Buffer.alloc(length - 4, 0x41));
}

/** Messages, with their types, that cost their sender the connection when they are long. */
export const SHORT_MESSAGES: readonly (readonly [name: string, type: string])[] = [
  ['Sync', 'S'],
  ['Flush', 'H'],
  ['Describe', 'D'],
  ['Close', 'C'],
  ['Execute', 'E'],
];

/** A message whose length field lies. */
export function messageWithLength(type: string, length: number, body: Buffer = EMPTY): Buffer {
  return Buffer.concat([Buffer.from(type, 'latin1'), int32(length), body]);
}

function untyped(...body: readonly Buffer[]): Buffer {
  const payload = Buffer.concat(body);
  return Buffer.concat([int32(payload.length + 4), payload]);
}

/** StartupMessage. Parameter order is kept. */
export function startupMessage(
  parameters: Readonly<Record<string, string>>,
  protocolVersion = PROTOCOL_3_0,
): Buffer {
  const pairs = Object.entries(parameters).flatMap(([name, value]) => [
    cstring(name),
    cstring(value),
  ]);
  return untyped(int32(protocolVersion), ...pairs, Buffer.of(0));
}

/** SSLRequest. */
export function sslRequest(): Buffer {
  return untyped(int32(SSL_REQUEST_CODE));
}

/** GSSENCRequest. */
export function gssEncRequest(): Buffer {
  return untyped(int32(GSSENC_REQUEST_CODE));
}

/** CancelRequest, with a key of any length. */
export function cancelRequest(processId: number, secretKey: Buffer): Buffer {
  return untyped(int32(CANCEL_REQUEST_CODE), int32(processId), secretKey);
}

/** Query: one string, any number of statements. */
export function query(sql: string | Buffer): Buffer {
  return message('Q', cstring(sql));
}

/** Parse. */
export function parse(sql: string, name = '', parameterTypes: readonly number[] = []): Buffer {
  return message(
    'P',
    cstring(name),
    cstring(sql),
    int16(parameterTypes.length),
    ...parameterTypes.map(int32),
  );
}

function lengthPrefixed(value: BindValue): Buffer {
  if (value === null) {
    return int32(-1);
  }
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  return Buffer.concat([int32(bytes.length), bytes]);
}

function counted(items: readonly Buffer[]): Buffer {
  return Buffer.concat([int16(items.length), ...items]);
}

/** Bind. */
export function bind(options: BindOptions = {}): Buffer {
  return message(
    'B',
    cstring(options.portal ?? ''),
    cstring(options.statement ?? ''),
    counted((options.parameterFormats ?? []).map(int16)),
    counted((options.values ?? []).map(lengthPrefixed)),
    counted((options.resultFormats ?? []).map(int16)),
  );
}

/** Describe of a statement (`S`) or a portal (`P`). */
export function describe(kind: 'S' | 'P', name = ''): Buffer {
  return message('D', Buffer.from(kind), cstring(name));
}

/** Close of a statement (`S`) or a portal (`P`). */
export function close(kind: 'S' | 'P', name = ''): Buffer {
  return message('C', Buffer.from(kind), cstring(name));
}

/** Execute; `maxRows` 0 means all. */
export function execute(portal = '', maxRows = 0): Buffer {
  return message('E', cstring(portal), int32(maxRows));
}

/** Sync. */
export function sync(): Buffer {
  return message('S');
}

/** Flush. */
export function flush(): Buffer {
  return message('H');
}

/** Terminate. */
export function terminate(): Buffer {
  return message('X');
}

/** CopyData. */
export function copyData(data: string | Buffer): Buffer {
  return message('d', typeof data === 'string' ? Buffer.from(data) : data);
}

/** CopyDone. */
export function copyDone(): Buffer {
  return message('c');
}

/** CopyFail. */
export function copyFail(reason: string): Buffer {
  return message('f', cstring(reason));
}

/** FunctionCall, arguments and result in one format. */
export function functionCall(
  functionOid: number,
  values: readonly BindValue[],
  format: FormatCode = 0,
): Buffer {
  return message(
    'F',
    int32(functionOid),
    counted([int16(format)]),
    counted(values.map(lengthPrefixed)),
    int16(format),
  );
}

/** PasswordMessage: plain text, or the md5 answer. */
export function passwordMessage(password: string | Buffer): Buffer {
  return message('p', cstring(password));
}

/** SASLInitialResponse; `null` data sends length -1. */
export function saslInitialResponse(mechanism: string, data: string | null): Buffer {
  return message('p', cstring(mechanism), lengthPrefixed(data));
}

/** SASLResponse. */
export function saslResponse(data: string | Buffer): Buffer {
  return message('p', typeof data === 'string' ? Buffer.from(data) : data);
}

/** Parse, Bind, Describe portal, Execute and Sync of one statement: what most drivers send. */
export function extendedQuery(sql: string, values: readonly BindValue[] = [], name = ''): Buffer {
  return Buffer.concat([
    parse(sql, name),
    bind({ statement: name, values }),
    describe('P'),
    execute(),
    sync(),
  ]);
}
