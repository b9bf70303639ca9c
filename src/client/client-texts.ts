import { writeNoticeResponse } from '../protocol/backend-writer.ts';
import { poolerError, type PoolerError } from '../protocol/pooler-errors.ts';
import { SqlState } from '../protocol/sqlstate.ts';

/** What can be wrong with a message of a client. */
export type RequestProblem = 'header' | 'size' | 'type' | 'query';

/** The error that ends a client for a message. @param header - of the message; borrowed. */
export function requestError(problem: RequestProblem, header: Buffer): PoolerError {
  switch (problem) {
    case 'query':
      return poolerError('pqexecDisallowed');
    case 'type':
      return poolerError('unknownMessage');
    case 'size':
      return poolerError('packetTooLarge', String(header.readUInt32BE(1) + 1));
    case 'header':
      return poolerError('badPacketHeader', header.toString('hex'));
  }
}

/** The notice of `query_wait_notify`; a shared constant. */
export const WAIT_NOTICE: Buffer = writeNoticeResponse({
  severity: 'NOTICE',
  sqlstate: SqlState.SuccessfulCompletion,
  message: 'No server connection available in postgres backend, client being queued',
});

/**
 * Makes the name that `application_name_add_host` asks for.
 *
 * @param name - what the client gave, or null.
 * @param address - what stands for the peer on a unix socket.
 */
export function nameWithHost(name: string | null, address: string, port: number): string {
  const host = address.includes(':') ? `[${address}]` : address;
  return `${name ?? 'app'} - ${host}:${String(port)}`;
}
