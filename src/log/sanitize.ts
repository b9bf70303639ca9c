import { remember } from '../base/remember.ts';

/** What stands in a log line where a secret would. */
export const REDACTED = '[redacted]';
/** Longest string value in a log line, in UTF-16 units; the rest is cut off. */
export const MAX_LOGGED_CHARS = 2048;

const MAX_DEPTH = 4;
const MAX_ENTRIES = 100;
/** Names of fields that are remembered: nearly all are written in the source. */
const MAX_REMEMBERED_NAMES = 1000;

/** Names without `_` and `-`, in lower case. */
const SECRET_NAMES: ReadonlySet<string> = new Set([
  'authorization',
  'backendkey',
  'cancelkey',
  'clientkey',
  'credential',
  'credentials',
  'digest',
  'passwd',
  'password',
  'privatekey',
  'proof',
  'saltedpassword',
  'scramkeys',
  'secret',
  'secretkey',
  'secrets',
  'serverkey',
  'storedkey',
  'token',
  'verifier',
]);

/** Top-level keys that the logger itself writes, or that pino gives a meaning of their own. */
const RESERVED_NAMES: ReadonlySet<string> = new Set([
  'customLevels',
  'event',
  'formatters',
  'level',
  'msg',
  'pid',
  'serializers',
  'time',
]);

/**
 * Makes a copy of `fields` that is safe to log: values under the name of a secret are replaced,
 * bytes are counted instead of shown, long strings, deep objects and long lists are cut, errors keep
 * type, message, code and stack. A field named as one of the logger's own, or as a
 * property of `Object.prototype`, gets a `_` behind.
 *
 * Never throws, also not for getters that do.
 *
 * @param clean - what the copy is put into, and what is returned.
 */
export function sanitizeFields(
  fields: object,
  clean: Record<string, unknown> = {},
): Record<string, unknown> {
  for (const name of namesOf(fields)) {
    const { topName, isSecret } = traitsOf(name);
    clean[topName] = isSecret ? REDACTED : copyProperty(fields, name, 0);
  }
  return clean;
}

/** What is done with a field of a name. */
interface NameTraits {
  /** How it is called at the top of a line. */
  readonly topName: string;
  readonly isSecret: boolean;
}

const knownTraits = new Map<string, NameTraits>();

function traitsOf(name: string): NameTraits {
  return name.length > MAX_LOGGED_CHARS
    ? findTraits(name)
    : remember(knownTraits, MAX_REMEMBERED_NAMES, name, () => findTraits(name));
}

function findTraits(name: string): NameTraits {
  const written = cutText(name);
  const topName = isReserved(written) ? `${written}_` : written;
  return { topName, isSecret: isSecretName(name) };
}

/** Cuts `text` to {@link MAX_LOGGED_CHARS}. */
export function cutText(text: string): string {
  return text.length <= MAX_LOGGED_CHARS ? text : `${text.slice(0, MAX_LOGGED_CHARS)}...`;
}

/** Names of `Object.prototype` are reserved too: pino looks fields up in plain objects by name. */
function isReserved(name: string): boolean {
  return RESERVED_NAMES.has(name) || name in Object.prototype;
}

/** Tells whether a value under `name` must not be logged. */
export function isSecretName(name: string): boolean {
  return SECRET_NAMES.has(name.toLowerCase().replaceAll(/[_-]/g, ''));
}

function namesOf(value: object): string[] {
  const names = Object.keys(value);
  return names.length > MAX_ENTRIES ? names.slice(0, MAX_ENTRIES) : names;
}

function copyEntries(value: object, depth: number): [string, unknown][] {
  return namesOf(value).map((name) => [
    cutText(name),
    traitsOf(name).isSecret ? REDACTED : copyProperty(value, name, depth),
  ]);
}

function copyProperty(holder: object, name: string, depth: number): unknown {
  try {
    return copyValue((holder as Record<string, unknown>)[name], depth + 1);
  } catch (error) {
    // A log line with a hole is better than an exception where somebody only wanted to log.
    return `[unreadable: ${error instanceof Error ? error.message : 'unknown'}]`;
  }
}

function copyValue(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'string':
      return cutText(value);
    case 'bigint':
      return value.toString();
    case 'object':
      return value === null ? null : copyObject(value, depth);
    case 'function':
    case 'symbol':
      return undefined;
    case 'number':
    case 'boolean':
    case 'undefined':
      return value;
  }
}

function copyObject(value: object, depth: number): unknown {
  if (value instanceof Error) {
    return copyError(value, depth);
  }
  if (ArrayBuffer.isView(value)) {
    return `[${String(value.byteLength)} bytes]`;
  }
  if (value instanceof Date) {
    return Number.isNaN(value.getTime()) ? null : value.toISOString();
  }
  if (depth > MAX_DEPTH) {
    return '[...]';
  }
  if (Array.isArray(value)) {
    return value.slice(0, MAX_ENTRIES).map((item) => copyValue(item, depth + 1));
  }
  if (value instanceof Map) {
    return `[Map of ${String(value.size)}]`;
  }
  if (value instanceof Set) {
    return copyValue([...value], depth);
  }
  return Object.fromEntries(copyEntries(value, depth));
}

function copyError(error: Error, depth: number): Record<string, unknown> {
  const code = (error as { code?: unknown }).code;
  return {
    type: error.name,
    message: cutText(error.message),
    ...(code === undefined ? {} : { code: copyValue(code, MAX_DEPTH + 1) }),
    ...(error.cause === undefined || depth > MAX_DEPTH
      ? {}
      : { cause: copyValue(error.cause, depth + 1) }),
    stack: cutText(String(error.stack)),
  };
}
