import { describe, expect, it } from 'vitest';
import { readStartupParameters } from '../../src/client/startup-parameters.ts';
import { MAX_PARAMETER_BYTES, TrackedParameters } from '../../src/relay/parameter-cache.ts';

const tracked = new TrackedParameters(['search_path']);

/** The outcome: `reason: message` of the error, or `database/user` and the tracked values. */
function read(
  parameters: Readonly<Record<string, string>> | readonly (readonly [string, string])[],
  ignored: readonly string[] = [],
): string {
  const pairs = Array.isArray(parameters) ? parameters : Object.entries(parameters);
  const result = readStartupParameters(new Map(pairs as [string, string][]), {
    tracked,
    ignored,
    isLenient: (database) => database === 'console',
  });
  if ('error' in result) {
    return `${result.error.reason}: ${result.error.message}`;
  }
  const values = result.values.flatMap((value, index) =>
    value === null ? [] : [` ${tracked.names[index] ?? ''}=${value}`],
  );
  return `${result.database}/${result.user}${values.join('')}`;
}

describe('readStartupParameters', () => {
  it.each([
    [{ user: 'u', database: 'd' }, 'd/u'],
    [{ user: 'u' }, 'u/u'],
    [{ user: 'u', database: '' }, 'u/u'],
    [{ user: '__proto__', database: 'constructor' }, 'constructor/__proto__'],
    [{ user: 'u', application_name: 'a', TIMEZONE: 'UTC' }, 'u/u TimeZone=UTC application_name=a'],
    [{ user: 'u', search_path: 'x' }, 'u/u search_path=x'],
    [{ user: 'u', options: '-c search_path=x --datestyle=iso' }, 'u/u DateStyle=iso search_path=x'],
    [{ user: 'u', options: '' }, 'u/u'],
    [{ user: 'u', '_pq_.anything': 'x' }, 'u/u'],
  ])('accepts %j', (parameters, expected) => {
    expect(read(parameters)).toBe(expected);
  });

  it.each([
    [{}, 'noUser'],
    [{ user: '' }, 'noUser'],
    [{ database: 'd' }, 'noUser'],
    [{ user: 'x'.repeat(128) }, 'userTooLong'],
    [{ user: 'ä'.repeat(64) }, 'userTooLong'],
    [{ user: 'x'.repeat(9900) }, 'userTooLong'],
    [{ user: 'u', geqo: 'off' }, 'unsupportedStartupParameter'],
    [{ user: 'u', constructor: 'x' }, 'unsupportedStartupParameter'],
    [{ user: 'u', options: '-c geqo=off' }, 'unsupportedOptionsParameter'],
    [{ user: 'u', options: '-c toString=off' }, 'unsupportedOptionsParameter'],
    [{ user: 'u', options: '-c=' }, 'badOptions'],
    [{ user: 'u', options: 'geqo=off' }, 'badOptions'],
    [
      { user: 'u', application_name: 'x'.repeat(MAX_PARAMETER_BYTES + 1) },
      'unsupportedStartupParameter',
    ],
  ])('refuses %j', (parameters, reason) => {
    expect(read(parameters)).toMatch(new RegExp(`^${reason}: `));
  });

  it('accepts a user name of 127 bytes and a value of the largest size', () => {
    const user = 'x'.repeat(127);
    expect(read({ user })).toBe(`${user}/${user}`);
    const value = 'x'.repeat(MAX_PARAMETER_BYTES);
    expect(read({ user: 'u', application_name: value })).toBe(`u/u application_name=${value}`);
  });

  it('refuses __proto__ as the name of a parameter', () => {
    const pairs = [
      ['user', 'u'],
      ['__proto__', 'x'],
    ] as const;
    expect(read(pairs)).toBe(
      'unsupportedStartupParameter: unsupported startup parameter: __proto__',
    );
    expect(read(pairs, ['__proto__'])).toBe('u/u');
  });

  it('ignores what is listed, and everything in options when options is listed', () => {
    expect(read({ user: 'u', geqo: 'off' }, ['geqo'])).toBe('u/u');
    expect(read({ user: 'u', geqo: 'off' }, ['jit'])).toMatch(/^unsupportedStartupParameter/);
    expect(read({ user: 'u', options: '-c geqo=off' }, ['geqo'])).toBe('u/u');
    expect(read({ user: 'u', options: '-c geqo=off -c search_path=x' }, ['options'])).toBe(
      'u/u search_path=x',
    );
  });

  it('takes anything for the console', () => {
    const parameters = { user: 'u', database: 'console', geqo: 'off', options: '-d 5' };
    expect(read(parameters)).toBe('console/u');
  });

  it.each(['database', 'DATABASE', 'true', 'TRUE', 't', 'tr', 'on', 'yes', 'y', '1'])(
    'refuses replication=%s',
    (replication) => {
      expect(read({ user: 'u', replication })).toMatch(/^replicationUnsupported/);
      expect(read({ user: 'u', replication, database: 'console' })).toMatch(/^replicationUns/);
    },
  );

  it.each(['false', 'FALSE', 'f', 'off', 'of', 'no', 'n', '0', ''])(
    'takes replication=%s for none',
    (replication) => {
      expect(read({ user: 'u', replication })).toBe('u/u');
    },
  );
});
