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

  it('lets a parameter of its own count more than one in options, as PostgreSQL does', () => {
    const options = ['options', '-c timezone=UTC -c timezone=EET'] as const;
    const own = ['TimeZone', 'PST8PDT'] as const;
    expect(read([['user', 'u'], options, own])).toBe('u/u TimeZone=PST8PDT');
    expect(read([['user', 'u'], own, options])).toBe('u/u TimeZone=PST8PDT');
    expect(read([['user', 'u'], options])).toBe('u/u TimeZone=EET');
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
});

describe('replication in a startup packet', () => {
  /** The kind of replication and the options to be passed on. */
  function replication(parameters: Readonly<Record<string, string>>): string {
    const result = readStartupParameters(new Map(Object.entries({ user: 'u', ...parameters })), {
      tracked,
      ignored: [],
      isLenient: (database) => database === 'console',
    });
    if ('error' in result) {
      return result.error.message;
    }
    const { replication: found } = result;
    return found === null ? 'none' : `${found.kind} ${found.options ?? '-'}`;
  }

  it.each([
    ['database', 'logical -'],
    ...['true', 'TRUE', 't', 'tr', 'on', 'ON', 'yes', 'y', 'Ye', '1'].map((word) => [
      word,
      'physical -',
    ]),
    ...['false', 'FALSE', 'f', 'off', 'of', 'o', 'no', 'n', '0', ''].map((word) => [word, 'none']),
    // PostgreSQL refuses what it cannot read; PgBouncer and maitred take it for a plain client.
    ...['DATABASE', 'data', 'databases', 'truely', '2', '11', 'maybe'].map((word) => [
      word,
      'none',
    ]),
  ])('%j is %s', (word, expected) => {
    expect(replication({ replication: word })).toBe(expected);
  });

  it.each([
    { options: '-c geqo=off', replication: 'database' },
    { replication: 'database', options: '-c geqo=off' },
  ])('leaves the options to the server, whatever the order: %j', (parameters) => {
    expect(replication(parameters)).toBe('logical -c geqo=off');
    expect(replication({ ...parameters, options: 'rubbish' })).toBe('logical rubbish');
  });

  it('frees no other parameter from being known, nor options without it', () => {
    expect(replication({ replication: 'on', geqo: 'off' })).toBe(
      'unsupported startup parameter: geqo',
    );
    expect(replication({ replication: 'off', options: '-c geqo=off' })).toBe(
      'unsupported startup parameter in options: geqo',
    );
  });

  it('means nothing to the console', () => {
    expect(replication({ replication: 'database', database: 'console' })).toBe('none');
  });

  it('keeps tracked values for the server', () => {
    const parameters = {
      user: 'u',
      replication: 'on',
      application_name: 'standby',
      datestyle: 'iso',
    };
    expect(read(parameters)).toBe('u/u DateStyle=iso application_name=standby');
  });
});
