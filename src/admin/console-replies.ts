import {
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

/** Builds rows in the formats asked for. */
export function replyRows(answer: Answer, rows: readonly Row[], formats: ColumnFormats): Buffer {
  const { columns } = answer;
  return Buffer.concat(columns === null ? [] : rows.map((row) => encodeRow(row, columns, formats)));
}

/** Builds the end of a reply. @param count - rows that went before it. */
export function replyTag(answer: Answer, count: number): Buffer {
  return answer.tag === null ? EMPTY_QUERY_RESPONSE : writeCommandComplete(answer.tag(count));
}

/** Builds the whole reply to a simple query but for ReadyForQuery: all in text format. */
export function replyAnswer(answer: Answer): Buffer {
  const { notices, columns, rows } = answer;
  return Buffer.concat([
    ...notices.map(replyNotice),
    ...(columns === null ? [] : [describeColumns(columns, [])]),
    replyRows(answer, rows, []),
    replyTag(answer, rows.length),
  ]);
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
