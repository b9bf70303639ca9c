import { StartupCode } from './codes.ts';

/**
 * Builds a StartupMessage. (The one of pg-protocol forces a client_encoding.)
 *
 * @param version - protocol version, 0x00030000 for 3.0.
 * @param parameters - name and value pairs; a zero byte in either is dropped.
 */
export function writeStartupMessage(
  version: number,
  parameters: readonly (readonly [string, string])[],
): Buffer {
  let text = '';
  for (const [name, value] of parameters) {
    text += `${name.replaceAll('\0', '')}\0${value.replaceAll('\0', '')}\0`;
  }
  const bytes = 8 + Buffer.byteLength(text) + 1;
  const buffer = Buffer.allocUnsafe(bytes);
  buffer.writeInt32BE(bytes, 0);
  buffer.writeInt32BE(version, 4);
  buffer.write(`${text}\0`, 8);
  return buffer;
}

/**
 * Builds a CancelRequest.
 *
 * @param processId - unsigned 32-bit number.
 * @param secret - 4 to 256 bytes, copied.
 */
export function writeCancelRequest(processId: number, secret: Buffer): Buffer {
  const buffer = Buffer.allocUnsafe(12 + secret.length);
  buffer.writeInt32BE(buffer.length, 0);
  buffer.writeInt32BE(StartupCode.Cancel, 4);
  buffer.writeUInt32BE(processId, 8);
  secret.copy(buffer, 12);
  return buffer;
}
