/** Longest pattern of LIKE, in UTF-16 units: bounds the work of matching, with the cell's length. */
export const MAX_PATTERN_LENGTH = 256;

/** One position of a pattern: a character, any one character, or any run of them. */
type Step = string | { readonly isAny: 'one' | 'run' };

const ONE: Step = { isAny: 'one' };
const RUN: Step = { isAny: 'run' };

function compile(pattern: string): readonly Step[] | null {
  const steps: Step[] = [];
  let isEscaped = false;
  for (const character of pattern) {
    if (isEscaped || !'\\%_'.includes(character)) {
      steps.push(character);
      isEscaped = false;
    } else if (character === '\\') {
      isEscaped = true;
    } else {
      steps.push(character === '%' ? RUN : ONE);
    }
  }
  return isEscaped ? null : steps;
}

/** Goes back to the last run only, so the work is at most pattern times text. */
function matches(steps: readonly Step[], text: readonly string[]): boolean {
  let step = 0;
  let position = 0;
  let runStep = -1;
  let runPosition = 0;
  while (position < text.length) {
    const current = steps[step];
    if (current === RUN) {
      runStep = step;
      runPosition = position;
      step += 1;
    } else if (current === ONE || current === text[position]) {
      step += 1;
      position += 1;
    } else if (runStep >= 0) {
      runPosition += 1;
      position = runPosition;
      step = runStep + 1;
    } else {
      return false;
    }
  }
  while (steps[step] === RUN) {
    step += 1;
  }
  return step === steps.length;
}

/**
 * Makes a test of a pattern of LIKE: `%` is any text, `_` any character, a backslash takes the
 * next character as it is.
 *
 * @param isCaseFolded - as ILIKE.
 * @returns `null` if the pattern ends in a lone backslash.
 */
export function likeMatcher(
  pattern: string,
  isCaseFolded: boolean,
): ((text: string) => boolean) | null {
  const fold = (text: string): string => (isCaseFolded ? text.toLowerCase() : text);
  const steps = compile(fold(pattern));
  return steps === null ? null : (text) => matches(steps, Array.from(fold(text)));
}
