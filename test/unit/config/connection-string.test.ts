import { describe, expect, it } from 'vitest';
import { parseConnectionString } from '../../../src/config/connection-string.ts';

describe('a connection string', () => {
  it.each<[string, readonly (readonly [string, string])[]]>([
    ['', []],
    ['   ', []],
    ['host=h', [['host', 'h']]],
    [
      ' host = h  port =5432 ',
      [
        ['host', 'h'],
        ['port', '5432'],
      ],
    ],
    ["password='a b'", [['password', 'a b']]],
    ["password='it''s'", [['password', "it's"]]],
    ["password=''''", [['password', "'"]]],
    [
      "password='a=b' host=h",
      [
        ['password', 'a=b'],
        ['host', 'h'],
      ],
    ],
    ["password=x'y", [['password', "x'y"]]],
    [
      'password=a\\ host=h',
      [
        ['password', 'a\\'],
        ['host', 'h'],
      ],
    ],
    ['password=a=b', [['password', 'a=b']]],
    ['password=a\tb', [['password', 'a\tb']]],
    ["password='a\\'", [['password', 'a\\']]],
    ['host= port=1', [['host', 'port=1']]],
    ["'host'=h", [["'host'", 'h']]],
    ['\thost=h', [['\thost', 'h']]],
    [
      'a=1 a=2',
      [
        ['a', '1'],
        ['a', '2'],
      ],
    ],
    ['__proto__=x', [['__proto__', 'x']]],
  ])('is split at spaces: %j', (text, expected) => {
    const { pairs, errorOffset } = parseConnectionString(text);
    expect(errorOffset).toBeNull();
    expect(pairs.map(({ key, value }) => [key, value])).toEqual(expected);
  });

  it.each([
    ['host', 4],
    ['host ', 5],
    ['host=', 5],
    ["host=''", 5],
    ["host='a", 5],
    ["host='a''", 5],
    ['=h', 0],
    ['a=1 =h', 4],
    ['a=1 b c=2', 6],
    ["a='b'c=1", 5],
    ["a='b'\t", 5],
  ])('has a syntax error: %j at %d', (text, offset) => {
    expect(parseConnectionString(text).errorOffset).toBe(offset);
  });

  it('keeps what stands before a syntax error', () => {
    expect(parseConnectionString('a=1 b=2 c').pairs.map(({ key }) => key)).toEqual(['a', 'b']);
  });

  it('tells where keys and values stand', () => {
    expect(parseConnectionString(" a=1  b = '2'").pairs).toEqual([
      { key: 'a', keyOffset: 1, value: '1', valueOffset: 3 },
      { key: 'b', keyOffset: 6, value: '2', valueOffset: 10 },
    ]);
  });

  it.each([
    ['quotes', `a='${"''".repeat(500_000)}'`, 1],
    ['pairs', 'a=1 '.repeat(250_000), 250_000],
    ['spaces', `a${' '.repeat(1_000_000)}=1`, 1],
  ])('of a million characters is read in linear time: %s', (_name, text, count) => {
    expect(parseConnectionString(text).pairs).toHaveLength(count);
  });
});
