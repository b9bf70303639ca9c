import {
  writeCommandComplete,
  writeDataRow,
  writeErrorResponse,
  writeNoticeResponse,
  writeReadyForQuery,
  writeRowDescription,
} from '../protocol/backend-writer.ts';
import { TransactionStatus } from '../protocol/codes.ts';
import { SqlState } from '../protocol/sqlstate.ts';
import type { CommandDone, CommandError, Control } from './control.ts';
import { HELP_LINES, SHOW_TABLES, type TableTopic } from './show-tables.ts';

const TEXT_OID = 25;

/** ReadyForQuery outside a transaction, the only one the console sends. A shared constant. */
export const CONSOLE_READY: Buffer = writeReadyForQuery(TransactionStatus.Idle);

function notice(message: string, detail?: string): Buffer {
  return writeNoticeResponse({
    severity: 'NOTICE',
    sqlstate: SqlState.SuccessfulCompletion,
    message,
    detail,
  });
}

/** Builds the reply to SHOW of a table: RowDescription, DataRows, CommandComplete. */
export function replyTable(topic: TableTopic, control: Control): Buffer {
  const { columns, rows } = SHOW_TABLES[topic];
  return Buffer.concat([
    writeRowDescription(columns),
    ...rows(control).map(writeDataRow),
    writeCommandComplete('SHOW'),
  ]);
}

/** Builds the reply to SHOW HELP: a notice and a tag, without a result set. */
export function replyHelp(): Buffer {
  const detail = HELP_LINES.map((line) => `\n\t${line}`).join('');
  return Buffer.concat([notice('Console usage', detail), writeCommandComplete('SHOW')]);
}

/** Builds the reply to SHOW of a client-side parameter. @param name - also the column's name. */
export function replyParameter(name: string, value: string): Buffer {
  return Buffer.concat([
    writeRowDescription([{ name, typeOid: TEXT_OID, typeSize: -1 }]),
    writeDataRow([value]),
    writeCommandComplete('SHOW'),
  ]);
}

/** Builds the reply to a command that succeeded. @param tag - used unless `done` has one. */
export function replyDone(done: CommandDone, tag: string): Buffer {
  return Buffer.concat([
    ...(done.notices ?? []).map((text) => notice(text)),
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
