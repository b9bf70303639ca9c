import { AuthenticationCode, BackendCode, HEADER_BYTES } from './codes.ts';

/** One column of a RowDescription. All columns are in text format, of no table. */
export interface ColumnDescription {
  readonly name: string;
  /** Type OID, for example 25 for text. */
  readonly typeOid: number;
  /** Type size in bytes, -1 for variable width. */
  readonly typeSize: number;
}

/** The fields of an ErrorResponse or NoticeResponse. */
export interface ReportFields {
  readonly severity: string;
  /** SQLSTATE, five characters. */
  readonly sqlstate: string;
  readonly message: string;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
}

function message(code: number, bodyBytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(HEADER_BYTES + bodyBytes);
  buffer[0] = code;
  buffer.writeInt32BE(4 + bodyBytes, 1);
  return buffer;
}

/** Strings on the wire end in a zero byte, so one inside would cut the message short. */
function cstring(text: string): string {
  return text.includes('\0') ? `${text.replaceAll('\0', '')}\0` : `${text}\0`;
}

function textMessage(code: number, text: string): Buffer {
  const buffer = message(code, Buffer.byteLength(text));
  buffer.write(text, HEADER_BYTES);
  return buffer;
}

function authentication(code: number, data: Buffer): Buffer {
  const buffer = message(BackendCode.Authentication, 4 + data.length);
  buffer.writeInt32BE(code, HEADER_BYTES);
  data.copy(buffer, HEADER_BYTES + 4);
  return buffer;
}

const NO_DATA = Buffer.alloc(0);

/** AuthenticationOk. A shared constant: never write into it. */
export const AUTHENTICATION_OK: Buffer = authentication(AuthenticationCode.Ok, NO_DATA);
/** ParseComplete, a shared constant. */
export const PARSE_COMPLETE: Buffer = message(BackendCode.ParseComplete, 0);
/** BindComplete, a shared constant. */
export const BIND_COMPLETE: Buffer = message(BackendCode.BindComplete, 0);
/** CloseComplete, a shared constant. */
export const CLOSE_COMPLETE: Buffer = message(BackendCode.CloseComplete, 0);
/** NoData, a shared constant. */
export const NO_DATA_RESPONSE: Buffer = message(BackendCode.NoData, 0);
/** EmptyQueryResponse, a shared constant. */
export const EMPTY_QUERY_RESPONSE: Buffer = message(BackendCode.EmptyQueryResponse, 0);

/** Builds AuthenticationCleartextPassword. */
export function writeAuthenticationCleartextPassword(): Buffer {
  return authentication(AuthenticationCode.CleartextPassword, NO_DATA);
}

/** Builds AuthenticationMD5Password. @param salt - 4 bytes, copied. */
export function writeAuthenticationMd5Password(salt: Buffer): Buffer {
  return authentication(AuthenticationCode.Md5Password, salt);
}

/** Builds AuthenticationSASL, offering `mechanisms` in order of preference. */
export function writeAuthenticationSasl(mechanisms: readonly string[]): Buffer {
  return authentication(
    AuthenticationCode.Sasl,
    Buffer.from(`${mechanisms.map(cstring).join('')}\0`),
  );
}

/** Builds AuthenticationSASLContinue. @param data - mechanism data, copied. */
export function writeAuthenticationSaslContinue(data: string): Buffer {
  return authentication(AuthenticationCode.SaslContinue, Buffer.from(data));
}

/** Builds AuthenticationSASLFinal. @param data - mechanism data, copied. */
export function writeAuthenticationSaslFinal(data: string): Buffer {
  return authentication(AuthenticationCode.SaslFinal, Buffer.from(data));
}

/** Builds ParameterStatus. */
export function writeParameterStatus(name: string, value: string): Buffer {
  return textMessage(BackendCode.ParameterStatus, cstring(name) + cstring(value));
}

/**
 * Builds BackendKeyData.
 *
 * @param processId - unsigned 32-bit number.
 * @param secret - 4 bytes in protocol 3.0, 4 to 256 in 3.2; copied.
 */
export function writeBackendKeyData(processId: number, secret: Buffer): Buffer {
  const buffer = message(BackendCode.BackendKeyData, 4 + secret.length);
  buffer.writeUInt32BE(processId, HEADER_BYTES);
  secret.copy(buffer, HEADER_BYTES + 4);
  return buffer;
}

/** Builds ReadyForQuery. @param status - one of `TransactionStatus`. */
export function writeReadyForQuery(status: number): Buffer {
  const buffer = message(BackendCode.ReadyForQuery, 1);
  buffer[HEADER_BYTES] = status;
  return buffer;
}

/**
 * Builds NegotiateProtocolVersion.
 *
 * @param newest - newest version supported, as in a startup packet (0x00030002 for 3.2).
 * @param options - the `_pq_.` options that were not recognised.
 */
export function writeNegotiateProtocolVersion(newest: number, options: readonly string[]): Buffer {
  const text = options.map(cstring).join('');
  const buffer = message(BackendCode.NegotiateProtocolVersion, 8 + Buffer.byteLength(text));
  buffer.writeInt32BE(newest, HEADER_BYTES);
  buffer.writeInt32BE(options.length, HEADER_BYTES + 4);
  buffer.write(text, HEADER_BYTES + 8);
  return buffer;
}

function report(code: number, fields: ReportFields): Buffer {
  let text = `S${cstring(fields.severity)}V${cstring(fields.severity)}C${cstring(fields.sqlstate)}`;
  text += `M${cstring(fields.message)}`;
  if (fields.detail !== undefined) {
    text += `D${cstring(fields.detail)}`;
  }
  if (fields.hint !== undefined) {
    text += `H${cstring(fields.hint)}`;
  }
  return textMessage(code, `${text}\0`);
}

/** Builds ErrorResponse. */
export function writeErrorResponse(fields: ReportFields): Buffer {
  return report(BackendCode.ErrorResponse, fields);
}

/** Builds NoticeResponse. */
export function writeNoticeResponse(fields: ReportFields): Buffer {
  return report(BackendCode.NoticeResponse, fields);
}

/** Builds RowDescription. */
export function writeRowDescription(columns: readonly ColumnDescription[]): Buffer {
  let bytes = 2;
  for (const column of columns) {
    bytes += Buffer.byteLength(cstring(column.name)) + 18;
  }
  const buffer = message(BackendCode.RowDescription, bytes);
  let offset = buffer.writeInt16BE(columns.length, HEADER_BYTES);
  for (const column of columns) {
    offset += buffer.write(cstring(column.name), offset);
    offset = buffer.writeInt32BE(0, offset); // table OID
    offset = buffer.writeInt16BE(0, offset); // column number
    offset = buffer.writeUInt32BE(column.typeOid, offset);
    offset = buffer.writeInt16BE(column.typeSize, offset);
    offset = buffer.writeInt32BE(-1, offset); // type modifier
    offset = buffer.writeInt16BE(0, offset); // text format
  }
  return buffer;
}

/** Builds DataRow from text values; `null` is SQL NULL. */
export function writeDataRow(values: readonly (string | null)[]): Buffer {
  let bytes = 2;
  for (const value of values) {
    bytes += 4 + (value === null ? 0 : Buffer.byteLength(value));
  }
  const buffer = message(BackendCode.DataRow, bytes);
  let offset = buffer.writeInt16BE(values.length, HEADER_BYTES);
  for (const value of values) {
    if (value === null) {
      offset = buffer.writeInt32BE(-1, offset);
    } else {
      const written = buffer.write(value, offset + 4);
      buffer.writeInt32BE(written, offset);
      offset += 4 + written;
    }
  }
  return buffer;
}

/** Builds CommandComplete. */
export function writeCommandComplete(tag: string): Buffer {
  return textMessage(BackendCode.CommandComplete, cstring(tag));
}

/** Builds ParameterDescription for a statement without parameters. */
export function writeParameterDescription(typeOids: readonly number[]): Buffer {
  const buffer = message(BackendCode.ParameterDescription, 2 + 4 * typeOids.length);
  let offset = buffer.writeInt16BE(typeOids.length, HEADER_BYTES);
  for (const oid of typeOids) {
    offset = buffer.writeUInt32BE(oid, offset);
  }
  return buffer;
}
