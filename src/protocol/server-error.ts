import type { ServerReport } from './backend-reader.ts';
import type { PoolerError } from './pooler-errors.ts';

/** Makes an error that ends a client in the words of the server, since it ended the connection. */
export function errorOfServer({ sqlstate, message, detail, hint }: ServerReport): PoolerError {
  return {
    severity: 'FATAL',
    sqlstate,
    message,
    reason: 'server_error',
    detail: detail === '' ? undefined : detail,
    hint: hint === '' ? undefined : hint,
  };
}
