import { describe, expect, it } from 'vitest';
import {
  forgetUnreported,
  parametersDiffer,
  planParameterChange,
  quoteLiteral,
  rememberAccepted,
  settleParameters,
  TrackedParameters,
  type ParameterValues,
} from '../../../src/relay/parameter-cache.ts';
import { SeededRandom, testSeed } from '../../support/seeded-random.ts';

/** Reads an SQL literal as PostgreSQL does; null when it is not exactly one literal. */
function readLiteral(sql: string, isConforming: boolean): string | null {
  const isEscape = sql.startsWith("E'");
  let at = isEscape ? 2 : 1;
  if (sql[at - 1] !== "'") {
    return null;
  }
  let value = '';
  for (; at < sql.length; at++) {
    const char = sql.charAt(at);
    if (isEscape && sql.startsWith('\\u', at)) {
      value += String.fromCharCode(Number.parseInt(sql.slice(at + 2, at + 6), 16));
      at += 5;
    } else if (char === '\\' && (isEscape || !isConforming)) {
      at++;
      value += sql.charAt(at);
    } else if (char !== "'") {
      value += char;
    } else if (sql[at + 1] === "'") {
      at++;
      value += "'";
    } else {
      return at === sql.length - 1 ? value : null;
    }
  }
  return null;
}

describe('quoteLiteral', () => {
  it.each([
    ['', "''"],
    ['a', "'a'"],
    ["it's", "'it''s'"],
    ['\\', "E'\\\\'"],
    ["\\'; DROP TABLE t; --", "E'\\\\''; DROP TABLE t; --'"],
  ])('quotes %j as %s', (value, expected) => {
    expect(quoteLiteral(value, false)).toBe(expected);
    expect(quoteLiteral(value, true)).toBe(expected);
  });

  it.each([
    ['é', "'é'", "E'\\u00e9'"],
    ["é'\\", "E'é''\\\\'", "E'\\u00e9''\\\\'"],
    ['\u{1F418}\n', "'\u{1F418}\n'", "E'\\ud83d\\udc18\\u000a'"],
  ])('quotes %j as %s, or as %s', (value, plain, escaped) => {
    expect(quoteLiteral(value, false)).toBe(plain);
    expect(quoteLiteral(value, true)).toBe(escaped);
  });

  it('reads back the same with standard_conforming_strings on and off, whatever is quoted', () => {
    const seed = testSeed('quoting');
    const random = new SeededRandom(seed);
    for (let round = 0; round < 5000; round++) {
      const pieces = Array.from({ length: random.below(8) }, () =>
        random.pick(["'", '\\', ';', 'u00e9', "''", 'é', '\n', '\u{1F418}', '$$']),
      );
      const value = pieces.join('');
      for (const isConforming of [true, false]) {
        for (const isEscaped of [true, false]) {
          const literal = quoteLiteral(value, isEscaped);
          expect(readLiteral(literal, isConforming), `seed ${String(seed)}`).toBe(value);
        }
      }
    }
  });
});

describe('TrackedParameters', () => {
  it('knows its names in any case, each once', () => {
    const tracked = new TrackedParameters(['IntervalStyle', 'timezone', 'intervalstyle']);
    expect(tracked.names).toHaveLength(6);
    expect(tracked.indexOf('TIMEZONE')).toBe(2);
    expect(tracked.indexOf('intervalSTYLE')).toBe(5);
    expect(tracked.emptyValues()).toEqual([null, null, null, null, null, null]);
  });

  it.each(['', 'geqo', '__proto__', 'constructor'])('does not know %j', (name) => {
    expect(new TrackedParameters([]).indexOf(name)).toBe(-1);
  });
});

describe('planParameterChange', () => {
  const tracked = new TrackedParameters(['search_path', 'IntervalStyle']);

  it.each([
    [['iso'], ['iso'], false],
    [['iso'], ['german'], true],
    [[null], ['german'], true],
    [[null], [null], false],
    [['iso'], [null], true],
    [[''], [null], true],
  ])('client %j and server %j differ: %s', (client, server, expected) => {
    expect(parametersDiffer(client, server)).toBe(expected);
  });

  it('sets what differs, resets what the client has no value for, and nothing else', () => {
    const client = ['iso', 'UTF8', null, null, "o'neil", 'a, "B"', null];
    const server = ['iso', 'LATIN1', 'UTC', 'on', null, null, 'iso_8601'];
    const plan = planParameterChange(tracked, client, server, new Set(), true);
    expect(plan.sql).toBe(
      "SET client_encoding='UTF8';RESET TimeZone;RESET standard_conforming_strings;" +
        "SET application_name='o''neil';" +
        `SELECT pg_catalog.set_config('search_path','a, "B"',false);RESET IntervalStyle;`,
    );
    expect(plan.keys).toEqual([
      'client_encoding=UTF8',
      "application_name=o'neil",
      'search_path=a, "B"',
    ]);
    expect(plan.isAccepted).toBe(false);
  });

  it('is accepted when every value is known', () => {
    const accepted = new Set(['DateStyle=iso', 'client_encoding=UTF8']);
    const plan = (client: (string | null)[]): boolean =>
      planParameterChange(tracked, client, tracked.emptyValues(), accepted, true).isAccepted;
    expect(plan(['iso', 'UTF8'])).toBe(true);
    expect(plan(['iso', 'LATIN1'])).toBe(false);
    expect(plan(['UTF8', 'iso'])).toBe(false);
  });
});

describe('rememberAccepted', () => {
  it('forgets everything rather than grow beyond its limit', () => {
    const accepted = new Set<string>();
    for (let count = 0; count < 5000; count++) {
      rememberAccepted(accepted, [`a=${String(count)}`]);
      expect(accepted.size).toBeLessThanOrEqual(1000);
    }
    expect(accepted.has('a=4999')).toBe(true);
  });
});

describe('settleParameters', () => {
  it('takes the spelling of the server, or the value of the client where it reports none', () => {
    const client = ['iso', 'x', null];
    const server = ['ISO, MDY', null, 'set by another client'];
    const settled = settleParameters(client, server, [true, false, false]);
    expect(settled).toEqual(['ISO, MDY', 'x', null]);
  });

  it('does not take its own word for a report of the server', () => {
    let server: ParameterValues = [null];
    for (const value of ['first', 'second']) {
      server = settleParameters([value], server, [false]);
      expect(server).toEqual([value]);
    }
  });
});

describe('forgetUnreported', () => {
  it('keeps what the server reports by itself', () => {
    const server = ['ISO, MDY', 'x', null];
    expect(forgetUnreported(server, [true, false, false])).toEqual(['ISO, MDY', null, null]);
    expect(server, 'others may share it').toEqual(['ISO, MDY', 'x', null]);
  });
});

describe('lists of values', () => {
  it('are the same for all with the same values', () => {
    const tracked = new TrackedParameters([]);
    const first = tracked.share(['a', null]);
    expect(tracked.share(['a', null])).toBe(first);
    expect(tracked.share(['a', 'null'])).not.toBe(first);
    expect(tracked.withValue(tracked.share(['b', null]), 0, 'a')).toBe(first);
  });

  it('are not kept for others when they are very long', () => {
    const tracked = new TrackedParameters([]);
    const values = ['x'.repeat(16_384), null];
    expect(tracked.share(values)).toBe(values);
    expect(tracked.share([...values])).not.toBe(values);
  });

  it('are left to those that share them when one of these changes', () => {
    const tracked = new TrackedParameters([]);
    const shared = tracked.share(['a', 'b']);
    expect(tracked.withValue(shared, 1, 'c')).toEqual(['a', 'c']);
    expect(tracked.withValue(shared, 1, 'b')).toBe(shared);
    expect(shared).toEqual(['a', 'b']);
  });

  it('are not remembered for ever', () => {
    const tracked = new TrackedParameters([]);
    const first = tracked.share(['first']);
    for (let count = 0; count < 1000; count++) {
      tracked.share([String(count)]);
    }
    expect(tracked.share(['first'])).not.toBe(first);
  });
});
