import { parseOptions } from '../protocol/options-parser.ts';
import { poolerError, type PoolerError } from '../protocol/pooler-errors.ts';
import {
  MAX_PARAMETER_BYTES,
  type ParameterValues,
  type TrackedParameters,
} from '../relay/parameter-cache.ts';

/** What the parameters of a startup packet come to. */
export interface StartupParameters {
  readonly user: string;
  /** The user name where the client names no database. */
  readonly database: string;
  /** Tracked parameters that the client gave. */
  readonly values: ParameterValues;
}

/** What decides which parameters are accepted. */
export interface StartupRules {
  readonly tracked: TrackedParameters;
  /** `ignore_startup_parameters`, as written. */
  readonly ignored: readonly string[];
  /** Whether everything unknown is ignored, as for the console. */
  readonly isLenient: (database: string) => boolean;
}

/** Longest user name, in bytes. */
const MAX_USER_BYTES = 127;
const FALSE_WORDS = ['false', 'off', 'no', '0'];

/** PostgreSQL takes any unique prefix of these; text that is none of them counts as false here. */
function isReplication(value: string): boolean {
  const word = value.toLowerCase();
  if (word === 'database') {
    return true;
  }
  if (word === '' || FALSE_WORDS.some((text) => text.startsWith(word))) {
    return false;
  }
  return 'true'.startsWith(word) || 'yes'.startsWith(word) || word === 'on' || word === '1';
}

class ParameterReader {
  readonly values: ParameterValues;
  readonly #rules: StartupRules;
  readonly #isLenient: boolean;

  constructor(rules: StartupRules, isLenient: boolean) {
    this.#rules = rules;
    this.#isLenient = isLenient;
    this.values = rules.tracked.emptyValues();
  }

  /** @returns whether the parameter is accepted. */
  take(name: string, value: string): boolean {
    const index = this.#rules.tracked.indexOf(name);
    if (index !== -1 && Buffer.byteLength(value) <= MAX_PARAMETER_BYTES) {
      this.values[index] = value;
      return true;
    }
    return this.#isLenient || this.#rules.ignored.includes(name);
  }

  takeOptions(options: string): PoolerError | null {
    const settings = parseOptions(options);
    if (settings === null) {
      return this.#isLenient ? null : poolerError('badOptions');
    }
    for (const { name, value } of settings) {
      if (!this.take(name, value) && !this.#rules.ignored.includes('options')) {
        return poolerError('unsupportedOptionsParameter', name);
      }
    }
    return null;
  }
}

/**
 * Judges the parameters of a startup packet.
 *
 * @returns what they come to, or the error that refuses the client. Never throws.
 */
export function readStartupParameters(
  parameters: ReadonlyMap<string, string>,
  rules: StartupRules,
): StartupParameters | { readonly error: PoolerError } {
  const user = parameters.get('user') ?? '';
  if (user === '') {
    return { error: poolerError('noUser') };
  }
  if (Buffer.byteLength(user) > MAX_USER_BYTES) {
    return { error: poolerError('userTooLong') };
  }
  const named = parameters.get('database') ?? '';
  const database = named === '' ? user : named;
  const reader = new ParameterReader(rules, rules.isLenient(database));
  for (const [name, value] of parameters) {
    if (name === 'user' || name === 'database' || name.startsWith('_pq_.')) {
      continue;
    }
    if (name === 'replication') {
      if (isReplication(value)) {
        return { error: poolerError('replicationUnsupported') };
      }
    } else if (name === 'options') {
      const error = reader.takeOptions(value);
      if (error !== null) {
        return { error };
      }
    } else if (!reader.take(name, value)) {
      return { error: poolerError('unsupportedStartupParameter', name) };
    }
  }
  return { user, database, values: reader.values };
}
