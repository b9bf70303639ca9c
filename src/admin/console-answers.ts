import { assertNever } from '../base/assert.ts';
import type { ColumnDescription } from '../protocol/backend-writer.ts';
import { SqlState } from '../protocol/sqlstate.ts';
import type { ConsoleCommand } from './command-parser.ts';
import type { ActionCommand } from './commands.ts';
import type { ConsoleSqlState } from './console-sqlstate.ts';
import type { CommandError } from './control.ts';
import type { ValueSource } from './driver-chatter.ts';
import type { Row } from './row-condition.ts';
import { columnOf } from './show-columns.ts';
import { RELOAD_PLAN_COLUMNS, reloadPlanRows } from './show-reload.ts';
import { HELP_LINES, SHOW_TABLES } from './show-tables.ts';

/** A message beside the rows. */
export interface Notice {
  readonly severity: 'NOTICE' | 'WARNING';
  readonly sqlstate: ConsoleSqlState;
  readonly message: string;
  readonly detail?: string;
}

/** The answer to a command that does not act, before it is put into messages. */
export interface Answer {
  readonly notices: readonly Notice[];
  /** `null` if there is no result set. */
  readonly columns: readonly ColumnDescription[] | null;
  /** Made as they are taken, of a snapshot that has been taken; null stands for no row. */
  readonly rows: Iterable<Row | null>;
  /** The command tag for a number of rows; `null` for the answer to an empty query. */
  readonly tag: ((count: number) => string) | null;
}

/** Commands whose answer needs the session. */
export type SessionCommand = Extract<
  ConsoleCommand,
  { readonly kind: 'transaction' | 'deallocate' }
>;
/** Commands that do not act: all but the last are answered from a snapshot. */
export type PassiveCommand = Exclude<ConsoleCommand, ActionCommand | { readonly kind: 'sequence' }>;

const ACTION_KINDS: ReadonlySet<ConsoleCommand['kind']> = new Set<ActionCommand['kind']>([
  'set',
  'reload',
  'database',
  'kill_client',
  'kill_server',
  'suspend',
  'shutdown',
]);

/** Tells whether a command acts on the pooler. */
export function isAction(command: ConsoleCommand): command is ActionCommand {
  return ACTION_KINDS.has(command.kind);
}

/** Makes an answer without rows. */
export function plainAnswer(tag: string, ...notices: readonly Notice[]): Answer {
  return { notices, columns: null, rows: [], tag: () => tag };
}

function tableAnswer(
  columns: readonly ColumnDescription[],
  rows: Iterable<Row | null>,
  tag: (count: number) => string,
): Answer {
  return { notices: [], columns, rows, tag };
}

function notice(message: string, detail?: string): Notice {
  const sqlstate = SqlState.SuccessfulCompletion;
  return { severity: 'NOTICE', sqlstate, message, ...(detail === undefined ? {} : { detail }) };
}

const SHOW_TAG = (): string => 'SHOW';
const SELECT_TAG = (count: number): string => `SELECT ${String(count)}`;

/** The columns of a command's result set, without carrying it out; `null` if it has none. */
export function columnsOf(command: ConsoleCommand): readonly ColumnDescription[] | null {
  switch (command.kind) {
    case 'show':
      return command.topic === 'help' ? null : SHOW_TABLES[command.topic].columns;
    case 'rows':
      return command.query.columns;
    case 'reload_dry_run':
      return RELOAD_PLAN_COLUMNS;
    case 'show_parameter':
      return [columnOf(command.name, 'text')];
    case 'constants':
      return command.items.map(({ column }) => column);
    case 'no_rows':
      return command.columns;
    default:
      return null;
  }
}

/** Answers a command that neither acts nor concerns the session. */
export function answerCommand(
  command: Exclude<PassiveCommand, SessionCommand>,
  source: ValueSource,
): Answer | CommandError {
  const columns = columnsOf(command) ?? [];
  switch (command.kind) {
    case 'empty':
      return { notices: [], columns: null, rows: [], tag: null };
    case 'show': {
      if (command.topic === 'help') {
        const detail = HELP_LINES.map((line) => `\n\t${line}`).join('');
        return plainAnswer('SHOW', notice('Console usage', detail));
      }
      return tableAnswer(columns, SHOW_TABLES[command.topic].rows(source.control), SHOW_TAG);
    }
    case 'rows':
      return tableAnswer(columns, command.query.rows(source.control), command.query.tag);
    case 'reload_dry_run': {
      const rows = reloadPlanRows(source.control);
      return 'kind' in rows ? rows : tableAnswer(columns, rows, () => 'RELOAD DRY RUN');
    }
    case 'show_parameter':
      return tableAnswer(columns, [[command.value]], SHOW_TAG);
    case 'constants': {
      const row = command.items.map(({ value }) => value(source));
      return tableAnswer(columns, [row], SELECT_TAG);
    }
    case 'no_rows':
      return tableAnswer(columns, [], SELECT_TAG);
    case 'set_ignored':
      return plainAnswer('SET', notice('SET ignored'));
    case 'harmless':
      return plainAnswer(command.tag);
    case 'unsupported':
      return command.refusal;
    default:
      return assertNever(command);
  }
}
