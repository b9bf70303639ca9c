import { createContext, Script } from 'node:vm';

/**
 * How long a task may take, in ms. Names that are matched come from clients, and what an expression
 * such as `^(a+)+$` takes grows exponentially with their length. It is time of the wall: on a busy machine
 * an honest expression must not run out of it.
 */
export const TIME_BUDGET_MS = 200;

const sandbox: { task: () => void } = { task: nothing };
createContext(sandbox);
const run = new Script('task()');

/** What became of a task; `too_slow` when it was stopped. */
export type BudgetOutcome<Result> =
  { readonly kind: 'done'; readonly result: Result } | { readonly kind: 'too_slow' };

/**
 * Runs a task that matches texts of clients against expressions of an operator, without letting that
 * hold up the process. Not for hot paths: it takes some 100 µs at least. Never throws.
 *
 * @param task - May be stopped anywhere, so it changes nothing; synchronous.
 */
export function runWithinBudget<Result>(task: () => Result): BudgetOutcome<Result> {
  let outcome: BudgetOutcome<Result> = { kind: 'too_slow' };
  sandbox.task = () => {
    outcome = { kind: 'done', result: task() };
  };
  try {
    run.runInContext(sandbox, { timeout: TIME_BUDGET_MS });
    return outcome;
  } catch {
    // The time is up, or the stack of the engine is.
    return { kind: 'too_slow' };
  } finally {
    sandbox.task = nothing;
  }
}

function nothing(): void {
  // Nothing is kept of a task that has run.
}
