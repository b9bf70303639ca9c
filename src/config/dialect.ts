import { keyForMessage } from './config-error.ts';
import type { ProblemList } from './config-error.ts';
import type { Setting } from './setting.ts';
import { describeAllowed, parseValue } from './value-text.ts';
import type { ParsedValue } from './value-text.ts';

/** Whose keys a section holds: the global settings, or those of one database, user or peer. */
export type Scope = 'maitred' | 'databases' | 'users' | 'peers';

/** What differs between file formats once their lines are read. */
export interface Dialect {
  /** Whether a repeated key replaces the one before instead of being refused. */
  readonly isLastWinning: boolean;
  /** Reads the text of a value by its row. */
  readonly parse: (text: string, setting: Setting, scope: Scope) => ParsedValue;
  /** Says which values a row accepts. */
  readonly describeAllowed: (setting: Setting, scope: Scope) => string;
  /** Prints an unknown key as it may be repeated. */
  readonly showKey: (scope: Scope, key: string) => string;
  /** Says that a key, as it may be repeated, is unknown; `fullKey` has its entry before it. */
  readonly describeUnknown: (scope: Scope, key: string, fullKey: string) => string;
  /** Completes what is wrong with a value; `shown` is the value as it may be repeated. */
  readonly describeWrong: (scope: Scope, name: string, shown: string, wrong: string) => string;
}

/** Reads values as maitred's own YAML files and the environment spell them. */
export const YAML_DIALECT: Dialect = {
  isLastWinning: false,
  parse: parseValue,
  describeAllowed,
  showKey: (_scope, key) => key,
  describeUnknown: (_scope, _key, fullKey) => `unknown parameter: ${keyForMessage(fullKey)}`,
  describeWrong: (_scope, _name, _shown, wrong) => wrong,
};

/** Where a configuration may take texts from besides its own file. */
export interface Sources {
  /** Reads a file whole as UTF-8; may throw. Relative names start from the working directory. */
  readonly readText: (file: string) => string;
  /** Environment variables by name. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Why there are no system calls, as a clause; `null` when there are, the default. */
  readonly nativeProblem?: () => string | null;
}

/** What the reading of one configuration shares. */
export interface ReadContext {
  readonly problems: ProblemList;
  readonly dialect: Dialect;
  readonly sources: Sources;
}
