import { remember } from '../base/remember.ts';

/**
 * Values of tracked parameters by index; null where unknown. Never changed in place: clients and
 * server connections with the same values come to share one list, and comparing them is then
 * comparing two references.
 */
export type ParameterValues = readonly (string | null)[];

/** Parameters that PostgreSQL reports and that are always kept per client. */
const BUILT_IN = [
  'DateStyle',
  'client_encoding',
  'TimeZone',
  'standard_conforming_strings',
  'application_name',
] as const;

/** Longest value that is tracked, in bytes; longer ones are refused at login. */
export const MAX_PARAMETER_BYTES = 16_384;
/** Most values remembered as accepted per pool. */
const MAX_ACCEPTED_VALUES = 1000;
/** Most lists of values remembered for others to share. */
const MAX_SHARED_LISTS = 500;
/** Longest of them as JSON, in characters: clients with values of their own have nothing to share. */
const MAX_SHARED_CHARS = 2000;

/**
 * The set of parameters kept per client: the built-in ones and `track_extra_parameters`. Fixed for
 * the life of the process.
 */
export class TrackedParameters {
  /** Names in canonical spelling; the index is that of {@link ParameterValues}. */
  readonly names: readonly string[];
  readonly #indexes = new Map<string, number>();
  /** By their values as JSON. */
  readonly #shared = new Map<string, ParameterValues>();

  /** @param extra - further names, any case. */
  constructor(extra: readonly string[]) {
    const names: string[] = [...BUILT_IN];
    for (const name of extra) {
      if (!names.some((known) => known.toLowerCase() === name.toLowerCase())) {
        names.push(name);
      }
    }
    this.names = names;
    for (const [index, name] of names.entries()) {
      this.#indexes.set(name.toLowerCase(), index);
    }
  }

  /** Index of a parameter, in any case; -1 when it is not tracked. */
  indexOf(name: string): number {
    return this.#indexes.get(name.toLowerCase()) ?? -1;
  }

  /**
   * The list that all with these values share, unless it is very long; see {@link ParameterValues}.
   *
   * @param values - owned from now on.
   */
  share(values: ParameterValues): ParameterValues {
    const key = JSON.stringify(values);
    return key.length > MAX_SHARED_CHARS
      ? values
      : remember(this.#shared, MAX_SHARED_LISTS, key, () => values);
  }

  /** The same values but for one, shared. */
  withValue(values: ParameterValues, index: number, value: string | null): ParameterValues {
    return values[index] === value ? values : this.share(values.with(index, value));
  }

  /** A list without any value. */
  emptyValues(): (string | null)[] {
    return this.names.map(() => null);
  }
}

/**
 * Whether a server with `server` values must be changed before it serves `client`. A client without
 * a value is one that counts on the server's default.
 */
export function parametersDiffer(client: ParameterValues, server: ParameterValues): boolean {
  for (let index = 0; index < client.length; index++) {
    if (client[index] !== server[index]) {
      return true;
    }
  }
  return false;
}

/**
 * Quotes a string as an SQL literal that reads the same with standard_conforming_strings off.
 *
 * @param isUnicodeEscaped - whether everything but printable ASCII is escaped, so that it reads the same
 *   under every client_encoding. Servers whose own encoding is UTF8 can read that.
 */
export function quoteLiteral(value: string, isUnicodeEscaped: boolean): string {
  const doubled = value.replaceAll("'", "''");
  const slashed = doubled.replaceAll('\\', '\\\\');
  const escaped = isUnicodeEscaped ? slashed.replaceAll(/[^ -~]/g, escapeUnit) : slashed;
  return escaped === doubled ? `'${doubled}'` : `E'${escaped}'`;
}

/** @param unit - of UTF-16: the server puts surrogate pairs together. */
function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** A change of tracked parameters on a server connection. */
export interface ParameterChange {
  /** SQL that makes it, several SETs in one transaction. */
  readonly sql: string;
  /** Whether servers of the pool are known to accept every value. */
  readonly isAccepted: boolean;
  /** `name=value` of each change. */
  readonly keys: readonly string[];
}

/**
 * Plans the change that gives a server with `server` values those of `client`.
 *
 * @param isUnicodeEscaped - see {@link quoteLiteral}.
 */
export function planParameterChange(
  tracked: TrackedParameters,
  client: ParameterValues,
  server: ParameterValues,
  accepted: ReadonlySet<string>,
  isUnicodeEscaped: boolean,
): ParameterChange {
  let sql = '';
  let isAccepted = true;
  const keys: string[] = [];
  for (const [index, name] of tracked.names.entries()) {
    const value = client[index] ?? null;
    if (value === (server[index] ?? null)) {
      continue;
    }
    if (value === null) {
      sql += `RESET ${name};`;
      continue;
    }
    const key = `${name}=${value}`;
    keys.push(key);
    isAccepted &&= accepted.has(key);
    const literal = quoteLiteral(value, isUnicodeEscaped);
    // set_config takes a list as one string, which SET would take as one quoted name.
    sql +=
      name.toLowerCase() === 'search_path'
        ? `SELECT pg_catalog.set_config('search_path',${literal},false);`
        : `SET ${name}=${literal};`;
  }
  return { sql, isAccepted, keys };
}

/** Remembers values that a server has accepted, up to a limit. */
export function rememberAccepted(accepted: Set<string>, keys: readonly string[]): void {
  if (accepted.size + keys.length > MAX_ACCEPTED_VALUES) {
    accepted.clear();
  }
  for (const key of keys) {
    accepted.add(key);
  }
}

/** Forgets values that a server has refused after all. */
export function forgetAccepted(accepted: Set<string>, keys: readonly string[]): void {
  for (const key of keys) {
    accepted.delete(key);
  }
}

/**
 * After a successful change both sides agree: the client's values become what the server reports,
 * in the server's spelling; where it does not report a parameter, its value is now the client's.
 *
 * @param isReported - by index, whether the server reports the parameter.
 * @returns the values of both.
 */
export function settleParameters(
  client: ParameterValues,
  server: ParameterValues,
  isReported: readonly boolean[],
): ParameterValues {
  return client.map((value, index) =>
    isReported[index] === true ? (server[index] ?? null) : value,
  );
}

/** After a reset a server has its defaults, which nobody knows where it does not report them. */
export function forgetUnreported(
  server: ParameterValues,
  isReported: readonly boolean[],
): ParameterValues {
  return server.map((value, index) => (isReported[index] === true ? value : null));
}
