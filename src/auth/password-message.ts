/**
 * Reads the body of PasswordMessage: one string and its NUL, nothing behind.
 *
 * @param body - Behind type byte and length. Borrowed.
 * @returns A view of `body` without the NUL, or `null` when malformed. Never throws.
 * @source PostgreSQL manual, "Message Formats: PasswordMessage (F)"
 */
export function readPasswordMessage(body: Buffer): Buffer | null {
  return body.indexOf(0) === body.length - 1 && body.length > 0 ? body.subarray(0, -1) : null;
}

/** Makes the body of PasswordMessage. */
export function writePasswordMessage(password: string): Buffer {
  return Buffer.from(`${password}\0`, 'utf8');
}

/** Content of SASLInitialResponse. */
export interface SaslInitialResponse {
  readonly mechanism: string;
  /** A view of the message, or `null` when the client sent no initial response (length -1). */
  readonly data: Buffer | null;
}

/**
 * Reads the body of SASLInitialResponse.
 *
 * | offset | size | field |
 * |---|---|---|
 * | 0 | n + 1 | mechanism, NUL-terminated |
 * | n + 1 | 4 | int32, big-endian: bytes of data, or -1 for none |
 * | n + 5 | the rest | data |
 *
 * @param body - Behind type byte and length. Borrowed.
 * @returns `null` when malformed: the length must be exactly that of the rest. Never throws.
 * @source PostgreSQL manual, "Message Formats: SASLInitialResponse (F)"; CVE-2026-6664
 */
export function readSaslInitialResponse(body: Buffer): SaslInitialResponse | null {
  const nul = body.indexOf(0);
  const restBytes = body.length - nul - 1 - 4;
  if (nul < 0 || restBytes < 0) {
    return null;
  }
  const mechanism = body.toString('latin1', 0, nul);
  const dataBytes = body.readInt32BE(nul + 1);
  if (dataBytes === -1 && restBytes === 0) {
    return { mechanism, data: null };
  }
  return dataBytes === restBytes ? { mechanism, data: body.subarray(nul + 5) } : null;
}

/** Makes the body of SASLInitialResponse; `mechanism` and `data` are ASCII. */
export function writeSaslInitialResponse(mechanism: string, data: string): Buffer {
  const body = Buffer.alloc(mechanism.length + 5 + data.length);
  body.write(mechanism, 0, 'latin1');
  body.writeInt32BE(data.length, mechanism.length + 1);
  body.write(data, mechanism.length + 5, 'latin1');
  return body;
}

/**
 * Reads the mechanisms that AuthenticationSASL offers: strings, ended by an empty one.
 *
 * @param body - Behind the authentication code. Borrowed.
 * @returns `null` when malformed. Never throws.
 * @source PostgreSQL manual, "Message Formats: AuthenticationSASL (B)"
 */
export function readSaslMechanisms(body: Buffer): string[] | null {
  const text = body.toString('latin1');
  return text === '\0' || !text.endsWith('\0\0') ? null : text.slice(0, -2).split('\0');
}
