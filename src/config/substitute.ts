/** A text with its variables replaced. */
export interface Substitution {
  readonly text: string;
  /** Whether any variable was there: the text may hold a secret now. */
  readonly isReplaced: boolean;
  /** What is wrong, a sentence each; never holds a value. */
  readonly problems: readonly string[];
}

/** `$${`, or `${` with what follows up to the `}` when that looks like a name. */
const REFERENCE = /\$\$\{|\$\{(?:([A-Za-z_]\w*)\})?/g;

/**
 * Replaces `${NAME}` by environment variables; `$${` stands for a plain `${`. What a variable holds
 * is not looked into again.
 *
 * @param text - As written.
 * @param env - Variables by name.
 */
export function substituteVariables(
  text: string,
  env: Readonly<Record<string, string | undefined>>,
): Substitution {
  const problems: string[] = [];
  let isReplaced = false;
  const replaced = text.replace(REFERENCE, (matched, name: string | undefined) => {
    if (matched === '$${') {
      return '${';
    }
    const value = name !== undefined && Object.hasOwn(env, name) ? env[name] : undefined;
    if (name === undefined) {
      problems.push('a variable is written as ${NAME}; write $${ for a plain ${');
    } else if (value === undefined) {
      problems.push(`environment variable ${name.slice(0, 80)} is not set`);
    }
    isReplaced = true;
    return value ?? '';
  });
  return { text: replaced, isReplaced, problems };
}

/** Writes a text so that {@link substituteVariables} gives it back. */
export function escapeVariables(text: string): string {
  return text.replaceAll('${', () => '$${');
}
