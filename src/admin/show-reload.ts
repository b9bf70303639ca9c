import type { CommandError, Control } from './control.ts';
import { column, defineTable } from './show-columns.ts';
import type { ReloadChangeSnapshot } from './snapshots.ts';

function yesNo(value: boolean | null): string | null {
  return value === null ? null : value ? 'yes' : 'no';
}

function tableOf(changes: readonly ReloadChangeSnapshot[]) {
  return defineTable<ReloadChangeSnapshot>(
    [
      column('kind', 'text', ({ kind }) => kind),
      column('name', 'text', ({ name }) => name),
      column('key', 'text', ({ key }) => key),
      column('change', 'text', ({ change }) => change),
      column('old', 'text', (change) => change.old),
      column('new', 'text', (change) => change.new),
      column('needs_restart', 'text', ({ needsRestart }) => yesNo(needsRestart)),
      column('clients', 'int4', ({ clients }) => clients),
      column('servers', 'int4', ({ servers }) => servers),
    ],
    () => changes,
  );
}

/** Columns of the answer to RELOAD DRY RUN. */
export const RELOAD_PLAN_COLUMNS = tableOf([]).columns;

/** Rows of the answer to RELOAD DRY RUN, or the error that RELOAD would have. */
export function reloadPlanRows(
  control: Control,
): readonly (readonly (string | null)[])[] | CommandError {
  const plan = control.planReload();
  return 'kind' in plan ? plan : [...tableOf(plan).rows(control)];
}
