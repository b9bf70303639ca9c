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

/** Why a client is refused for its parameters. */
export interface StartupRefusal {
  readonly error: PoolerError;
  /** The parameter that is not supported, for the log; null when it is something else. */
  readonly refused: RefusedParameter | null;
}

/** A parameter that is neither tracked nor ignored. */
export interface RefusedParameter {
  readonly parameter: string;
  readonly value: string;
  /** Whether it stood in `options`. */
  readonly isOption: boolean;
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

function refusal(error: PoolerError): StartupRefusal {
  return { error, refused: null };
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

  takeOptions(options: string): StartupRefusal | null {
    const settings = parseOptions(options);
    if (settings === null) {
      return this.#isLenient ? null : refusal(poolerError('badOptions'));
    }
    for (const { name, value } of settings) {
      if (!this.take(name, value) && !this.#rules.ignored.includes('options')) {
        const refused = { parameter: name, value, isOption: true };
        return { error: poolerError('unsupportedOptionsParameter', name), refused };
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
): StartupParameters | StartupRefusal {
  const user = parameters.get('user') ?? '';
  if (user === '') {
    return refusal(poolerError('noUser'));
  }
  if (Buffer.byteLength(user) > MAX_USER_BYTES) {
    return refusal(poolerError('userTooLong'));
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
        return refusal(poolerError('replicationUnsupported'));
      }
    } else if (name === 'options') {
      const problem = reader.takeOptions(value);
      if (problem !== null) {
        return problem;
      }
    } else if (!reader.take(name, value)) {
      const refused = { parameter: name, value, isOption: false };
      return { error: poolerError('unsupportedStartupParameter', name), refused };
    }
  }
  return { user, database, values: reader.values };
}
