import { ConfigError } from '../../../src/config/config-error.ts';
import type { ConfigProblem } from '../../../src/config/config-error.ts';
import type { Config } from '../../../src/config/config.ts';
import { loadConfig, parseConfigText } from '../../../src/config/load.ts';

/** Returns the problems of a loading that must fail. */
export function problemsIn(load: () => Config): readonly ConfigProblem[] {
  try {
    load();
  } catch (error) {
    if (error instanceof ConfigError) {
      return error.problems;
    }
    throw error;
  }
  throw new Error('the text loaded without a problem');
}

/** Returns the problems of a text that must not load. */
export function problemsOf(text: string, file = 'm.yaml'): readonly ConfigProblem[] {
  return problemsIn(() => parseConfigText(file, text));
}

/** Returns the messages of a text that must not load. */
export function messagesOf(text: string): readonly string[] {
  return problemsOf(text).map((problem) => problem.message);
}

/** Reads from a record of files. */
export function readFrom(files: Readonly<Record<string, string>>): (file: string) => string {
  return (file) => {
    const text = Object.hasOwn(files, file) ? files[file] : undefined;
    if (text === undefined) {
      throw new Error('no such file');
    }
    return text;
  };
}

/** Loads `p.ini` of a record of files. */
export function loadFiles(files: Readonly<Record<string, string>>): Config {
  return loadConfig('p.ini', readFrom(files));
}

/** Returns the problems of `p.ini` of a record of files, which must not load. */
export function problemsOfFiles(files: Readonly<Record<string, string>>): readonly ConfigProblem[] {
  return problemsIn(() => loadFiles(files));
}
