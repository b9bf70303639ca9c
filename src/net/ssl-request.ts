/**
 * Asks a PostgreSQL server whether it speaks TLS. Never to be changed.
 *
 * @source PostgreSQL manual, "Message Formats": SSLRequest (F)
 */
export const SSL_REQUEST: Buffer = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

const YES = 0x53;
const NO = 0x4e;

/** How to go on after the answer to {@link SSL_REQUEST}; a refusal is PgBouncer's text. */
export type SslAnswer = 'begin_tls' | 'go_on_plain' | { readonly refusal: string };

/**
 * Judges the answer to {@link SSL_REQUEST}: one byte and nothing else. Whatever comes with it was sent
 * before TLS, by the server or by somebody in between, and must not be taken for part of what follows.
 *
 * @param chunk - what has come, at least one byte, borrowed.
 * @param isTlsRequired - whether a server without TLS is refused.
 */
export function judgeSslAnswer(chunk: Buffer, isTlsRequired: boolean): SslAnswer {
  if (chunk[0] !== YES && chunk[0] !== NO) {
    return { refusal: 'bad sslreq answer' };
  }
  if (chunk.length > 1) {
    return { refusal: 'received unencrypted data after SSL response' };
  }
  if (chunk[0] === YES) {
    return 'begin_tls';
  }
  return isTlsRequired ? { refusal: 'server refused SSL' } : 'go_on_plain';
}
