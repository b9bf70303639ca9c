import {
  type ColumnDescription,
  EMPTY_QUERY_RESPONSE,
  writeCommandComplete,
  writeErrorResponse,
  writeNoticeResponse,
  writeReadyForQuery,
} from '../protocol/backend-writer.ts';
import { SqlState } from '../protocol/sqlstate.ts';
import type { Answer, Notice } from './console-answers.ts';
import type { CommandDone, CommandError } from './control.ts';
import { describeColumns, encodeRow } from './extended-replies.ts';
import type { ColumnFormats } from './format-codes.ts';
import type { Row } from './row-condition.ts';

/** Builds a notice or warning. */
export function replyNotice(notice: Notice): Buffer {
  const { severity, sqlstate, message, detail } = notice;
  return writeNoticeResponse({ severity, sqlstate, message, detail });
}

/** Builds rows in the formats asked for, one by one; null for each null among them. */
export function* replyRows(
  columns: readonly ColumnDescription[] | null,
  rows: Iterable<Row | null>,
  formats: ColumnFormats,
): Generator<Buffer | null, undefined> {
  for (const row of columns === null ? [] : rows) {
    yield row === null ? null : encodeRow(row, columns ?? [], formats);
  }
}

/** Builds the end of a reply. @param count - rows that went before it. */
export function replyTag(answer: Answer, count: number): Buffer {
  return answer.tag === null ? EMPTY_QUERY_RESPONSE : writeCommandComplete(answer.tag(count));
}

/** Builds the reply to a simple query but for ReadyForQuery, message by message, as text. */
export function* replyAnswer(answer: Answer): Generator<Buffer | null, undefined> {
  const { notices, columns, rows } = answer;
  yield* notices.map(replyNotice);
  if (columns !== null) {
    yield describeColumns(columns, []);
  }
  let count = 0;
  for (const message of replyRows(columns, rows, [])) {
    count += message === null ? 0 : 1;
    yield message;
  }
  yield replyTag(answer, count);
}

/** Builds the reply to a command that succeeded. @param tag - used unless `done` has one. */
export function replyDone(done: CommandDone, tag: string): Buffer {
  return Buffer.concat([
    ...(done.notices ?? []).map((message) =>
      replyNotice({ severity: 'NOTICE', sqlstate: SqlState.SuccessfulCompletion, message }),
    ),
    writeCommandComplete(done.tag ?? tag),
  ]);
}

/** Builds the reply to a query that failed. The session goes on. */
export function replyError(error: CommandError): Buffer {
  const { sqlstate, message } = error;
  return writeErrorResponse({ severity: 'ERROR', sqlstate, message });
}

/** Builds the last message of a session that cannot go on. */
export function replyFatal(sqlstate: SqlState, message: string): Buffer {
  return writeErrorResponse({ severity: 'FATAL', sqlstate, message });
}

/** Builds ReadyForQuery. @param status - one of `TransactionStatus`. */
export function replyReady(status: number): Buffer {
  return writeReadyForQuery(status);
}
