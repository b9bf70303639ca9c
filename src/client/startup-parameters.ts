import type { Replication } from '../pool/members.ts';
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
  /** Null unless the client replicates. Consoles do not. */
  readonly replication: Replication | null;
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

/** Parameters with a meaning of their own. */
const OWN_NAMES: readonly string[] = ['user', 'database', 'replication'];
/** Longest user name, in bytes. */
const MAX_USER_BYTES = 127;

/**
 * Reads `replication`. PostgreSQL takes any unique prefix of the words of a boolean.
 *
 * COMPAT: text that is none of them is an error in PostgreSQL and counts as false here.
 */
function replicationKind(value: string): Replication['kind'] | null {
  if (value === 'database') {
    return 'logical';
  }
  const word = value.toLowerCase();
  const isTrue =
    word !== '' && ('true'.startsWith(word) || 'yes'.startsWith(word) || word === 'on');
  return isTrue || word === '1' ? 'physical' : null;
}

/** How PgBouncer's log tells what kind of client has come. */
export function replicationWord(replication: Replication | null): string {
  if (replication === null) {
    return 'no';
  }
  return replication.kind === 'logical' ? 'database' : 'yes';
}

function refusal(error: PoolerError): StartupRefusal {
  return { error, refused: null };
}

class ParameterReader {
  readonly values: (string | null)[];
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
  const isLenient = rules.isLenient(database);
  const kind = isLenient ? null : replicationKind(parameters.get('replication') ?? '');
  const reader = new ParameterReader(rules, isLenient);
  const options = parameters.get('options') ?? null;
  // Those of a replication client are for its own server connection. First, whatever the order: to
  // PostgreSQL a parameter of its own counts more than one in options.
  const problem = kind === null && options !== null ? reader.takeOptions(options) : null;
  if (problem !== null) {
    return problem;
  }
  for (const [name, value] of parameters) {
    if (OWN_NAMES.includes(name) || name === 'options' || name.startsWith('_pq_.')) {
      continue;
    }
    if (!reader.take(name, value)) {
      const refused = { parameter: name, value, isOption: false };
      return { error: poolerError('unsupportedStartupParameter', name), refused };
    }
  }
  const replication = kind === null ? null : { kind, options };
  return { user, database, values: reader.values, replication };
}
