import { createContext, Script } from 'node:vm';

/**
 * How long one match may take, in ms. Names that are matched come from clients, and what an expression
 * such as `^(a+)+$` takes grows exponentially with their length. It is time of the wall: on a busy machine
 * an honest expression must not run out of it.
 */
export const MATCH_BUDGET_MS = 200;

const sandbox = createContext({ pattern: /(?:)/u, text: '' });
const exec = new Script('pattern.exec(text)');

/** What a pattern makes of a text. */
export type BoundedMatch =
  | { readonly kind: 'match'; readonly groups: readonly (string | undefined)[] }
  | { readonly kind: 'none' }
  | { readonly kind: 'too_slow' };

/**
 * Matches a text that somebody else has chosen against the expression of an operator, without letting
 * that hold up the process. Not for hot paths: it takes some 100 µs at least. Never throws.
 */
export function matchWithinBudget(pattern: RegExp, text: string): BoundedMatch {
  sandbox['pattern'] = pattern;
  sandbox['text'] = text;
  try {
    const groups = exec.runInContext(sandbox, {
      timeout: MATCH_BUDGET_MS,
    }) as RegExpExecArray | null;
    return groups === null ? { kind: 'none' } : { kind: 'match', groups: [...groups] };
  } catch {
    // The time is up, or the stack of the engine is.
    return { kind: 'too_slow' };
  }
}
