import { ConfigError } from '../../../src/config/config-error.ts';
import type { ConfigProblem } from '../../../src/config/config-error.ts';
import { parseConfigText } from '../../../src/config/load.ts';

/** Returns the problems of a text that must not load. */
export function problemsOf(text: string, file = 'm.yaml'): readonly ConfigProblem[] {
  try {
    parseConfigText(file, text);
  } catch (error) {
    if (error instanceof ConfigError) {
      return error.problems;
    }
    throw error;
  }
  throw new Error('the text loaded without a problem');
}

/** Returns the messages of a text that must not load. */
export function messagesOf(text: string): readonly string[] {
  return problemsOf(text).map((problem) => problem.message);
}
