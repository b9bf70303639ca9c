import { serialize } from 'pg-protocol';

/**
 * Builds frontend messages for the cold paths (login, reset and check queries). The package is
 * never on the byte path. Every buffer returned is owned by the caller, unless said otherwise.
 */

/** Builds Query. */
export function writeQuery(sql: string): Buffer {
  return serialize.query(sql);
}

/** Builds PasswordMessage. */
export function writePasswordMessage(password: string): Buffer {
  return serialize.password(password);
}

/** Builds SASLInitialResponse. */
export function writeSaslInitialResponse(mechanism: string, data: string): Buffer {
  return serialize.sendSASLInitialResponseMessage(mechanism, data);
}

/** Builds CopyFail. @param reason - shown in the error of the server. */
export function writeCopyFail(reason: string): Buffer {
  return serialize.copyFail(reason);
}

/**
 * Builds a query with one text parameter in the extended protocol: unnamed Parse, Bind, Describe,
 * Execute, Sync.
 *
 * @param mostRows - rows after which the server stops.
 */
export function writeParameterQuery(sql: string, value: string, mostRows: number): Buffer {
  return Buffer.concat([
    serialize.parse({ text: sql }),
    serialize.bind({ values: [value] }),
    serialize.describe({ type: 'P' }),
    serialize.execute({ rows: mostRows }),
    serialize.sync(),
  ]);
}

/** ROLLBACK in the extended protocol with its Sync, a shared constant: never write into it. */
export const ROLLBACK_AND_SYNC: Buffer = Buffer.concat([
  serialize.parse({ text: 'ROLLBACK' }),
  serialize.bind(),
  serialize.execute(),
  serialize.sync(),
]);
/** Terminate, a shared constant: never write into it. */
export const TERMINATE: Buffer = serialize.end();
