import {
  readColumnCount,
  readDataRow,
  readServerReport,
  type ServerReport,
} from '../protocol/backend-reader.ts';
import { BackendCode, TransactionStatus } from '../protocol/codes.ts';
import { MessageAssembler } from '../protocol/message-assembler.ts';
import { MAX_PASSWORD_BYTES, MAX_USER_BYTES } from './limits.ts';
import type { FoundUser, UnknownUser } from './auth-query.ts';
import { NO_SECRET, parseSecret } from './secret.ts';

/** Largest message of a reply, and most bytes of all of them: a row has a name and a secret. */
const MAX_REPLY_BYTES = 262_144;

/** Columns that the query must have: name and secret. */
const COLUMNS = 2;

const UNKNOWN_USER: UnknownUser = { kind: 'unknown' };

/** What a complete reply means. */
export type AuthQueryOutcome =
  | FoundUser
  | UnknownUser
  /** The server refused the query. */
  | { readonly kind: 'refused'; readonly report: ServerReport }
  /** The reply is not that of a query for a name and a secret. */
  | { readonly kind: 'malformed'; readonly reason: string };

/**
 * Reads the reply to `auth_query` run by the extended protocol: Parse, Bind, Describe, Execute, Sync.
 * Every message has an outcome, and none throws. What is wrong first counts, but the reply is
 * complete with its ReadyForQuery only.
 *
 * @source PgBouncer setting `auth_query`; PostgreSQL manual, "Extended Query"
 */
export class AuthQueryReply {
  readonly #assembler = new MessageAssembler(MAX_REPLY_BYTES);
  #byteCount = 0;
  #problem: AuthQueryOutcome | null = null;
  #hasColumns = false;
  /** What its one row says; null until that has come. */
  #row: FoundUser | UnknownUser | null = null;
  #isExecuted = false;
  #outcome: AuthQueryOutcome | null = null;
  #isClean = true;

  /** What the reply means; null until it is complete. */
  get outcome(): AuthQueryOutcome | null {
    return this.#outcome;
  }

  /** Whether the connection can be used again. */
  get isClean(): boolean {
    return this.#isClean;
  }

  /** Takes bytes of the server. @param chunk - borrowed. */
  feed(chunk: Buffer): void {
    if (this.outcome !== null) {
      return;
    }
    this.#byteCount += chunk.length;
    const broken = this.#assembler.feed(chunk, (code, body) => {
      this.#onMessage(code, body);
      return this.#outcome === null;
    });
    if (broken !== null || this.#byteCount > MAX_REPLY_BYTES) {
      this.#abort('the reply is too long');
    }
  }

  #onMessage(code: number, body: Buffer): void {
    switch (code) {
      case BackendCode.ParseComplete:
      case BackendCode.BindComplete:
      case BackendCode.NoticeResponse:
      case BackendCode.ParameterStatus:
      case BackendCode.NotificationResponse:
        return;
      case BackendCode.RowDescription:
        this.#onRowDescription(body);
        return;
      case BackendCode.DataRow:
        this.#onDataRow(body);
        return;
      case BackendCode.CommandComplete:
      case BackendCode.PortalSuspended:
        this.#isExecuted = true;
        return;
      case BackendCode.ErrorResponse:
        this.#problem ??= { kind: 'refused', report: readServerReport(body) };
        return;
      case BackendCode.NoData:
      case BackendCode.EmptyQueryResponse:
        this.#reject('unexpected response from auth_query: it returns no rows');
        return;
      case BackendCode.ReadyForQuery:
        this.#onReadyForQuery(body);
        return;
      default:
        this.#abort(`unexpected response from auth_query: message 0x${code.toString(16)}`);
    }
  }

  #onRowDescription(body: Buffer): void {
    const count = readColumnCount(body);
    if (count === COLUMNS) {
      this.#hasColumns = true;
    } else {
      this.#reject(`expected 2 columns from auth_query, not ${String(count)}`);
    }
  }

  #onDataRow(body: Buffer): void {
    const values = readDataRow(body, COLUMNS);
    if (!this.#hasColumns || values === null) {
      this.#reject('malformed row from auth_query');
      return;
    }
    if (this.#row !== null) {
      this.#reject('auth_query returned more than one row');
      return;
    }
    const [name = null, secret = null] = values;
    if (name === null && secret === null) {
      // COMPAT: a function with OUT parameters, as the one of PgBouncer's manual, has a row for
      // everybody; PgBouncer tells such clients of a configuration error, and so who does not exist.
      this.#row = UNKNOWN_USER;
    } else if (name === null) {
      this.#reject('auth_query response contained null user name');
    } else if (name === '' || Buffer.byteLength(name) > MAX_USER_BYTES || name.includes('\0')) {
      this.#reject('auth_query response contained a user name that is empty or too long');
    } else if (secret !== null && Buffer.byteLength(secret) > MAX_PASSWORD_BYTES) {
      this.#reject('auth_query response contained a secret that is too long');
    } else {
      this.#row = {
        kind: 'found',
        name,
        secret: secret === null ? NO_SECRET : parseSecret(secret),
      };
    }
  }

  #onReadyForQuery(body: Buffer): void {
    if (body[0] !== TransactionStatus.Idle) {
      this.#abort('unexpected response from auth_query: it left a transaction open');
    } else if (this.#problem === null && !this.#isExecuted) {
      this.#abort('unexpected response from auth_query: it ended before its result');
    } else {
      this.#outcome = this.#problem ?? this.#row ?? UNKNOWN_USER;
    }
  }

  #reject(reason: string): void {
    this.#problem ??= { kind: 'malformed', reason };
  }

  /** Nothing more can be made of this connection. */
  #abort(reason: string): void {
    if (this.#outcome === null) {
      this.#reject(reason);
      this.#isClean = false;
      this.#outcome = this.#problem;
    }
  }
}
