import { describe, expect, it } from 'vitest';
import { formatG } from '../../../src/config/format-number.ts';
import {
  checkQuery,
  int,
  list,
  onOff,
  oneOf,
  size,
  str,
  time,
} from '../../../src/config/setting.ts';
import type { Setting } from '../../../src/config/setting.ts';
import {
  describeAllowed,
  parseListValue,
  parseValue,
  showValue,
} from '../../../src/config/value-text.ts';

const doc = 'A setting.';
const SWITCH = onOff({ default: false, doc });
const COUNT = int({ default: 1, min: 1, max: 300, doc });
const MODE = int({ default: 0o777, max: 0o777, octal: true, doc });
const POOL_SIZE = int({ default: null, inherit: 'negative', doc });
const LIMIT = int({ default: null, inherit: 'zero-or-less', doc });
const TIME = time({ default: 0, doc });
const SECONDS = time({ default: 1_000, min: 1_000, wholeSeconds: true, doc });
const INHERITED_TIME = time({ default: null, inherit: 'negative', doc });
const SIZE = size({ default: 1024, min: 1024, doc });
const TEXT = str({ default: '', doc });
const CHECK = checkQuery({ default: '', doc });
const CHOICE = oneOf(['md5', 'trust'], { default: 'md5', notYetValues: ['hba'], doc });
const WORDS = list({ default: [], doc });
const LATER = int({ default: 5, support: 'not-yet', doc });
const LATER_TEXT = str({ default: null, support: 'not-yet', doc });

const GOOD: readonly (readonly [string, Setting, unknown])[] = [
  ...['1', 'on', 'TRUE', 'yes', ' On '].map((text) => [text, SWITCH, true] as const),
  ...['0', 'off', 'False', 'no'].map((text) => [text, SWITCH, false] as const),
  ['1', COUNT, 1],
  ['300', COUNT, 300],
  ['+7', COUNT, 7],
  ['0x10', COUNT, 16],
  ['0777', MODE, 511],
  ['0o700', MODE, 448],
  ['0', POOL_SIZE, 0],
  ['-1', POOL_SIZE, null],
  ['0', LIMIT, null],
  ['-5', LIMIT, null],
  ['5', LIMIT, 5],
  ['0', TIME, 0],
  ['-0', TIME, 0],
  ['30', TIME, 30_000],
  ['1.5', TIME, 1_500],
  ['.5', TIME, 500],
  ['2e1', TIME, 20_000],
  ['30s', TIME, 30_000],
  ['500ms', TIME, 500],
  ['5m', TIME, 300_000],
  ['5 min', TIME, 300_000],
  ['1h', TIME, 3_600_000],
  ['1D', TIME, 86_400_000],
  ['2147483647', TIME, 2_147_483_647_000],
  ['60', SECONDS, 60_000],
  ['-1', INHERITED_TIME, null],
  ['0', INHERITED_TIME, 0],
  ['1024', SIZE, 1024],
  ['256MB', SIZE, 268_435_456],
  ['64kB', SIZE, 65_536],
  ['1gb', SIZE, 1_073_741_824],
  ['2048B', SIZE, 2048],
  ['', TEXT, ''],
  [' kept as it is ', TEXT, ' kept as it is '],
  ['', CHECK, null],
  ['<empty>', CHECK, ''],
  ['select 1', CHECK, 'select 1'],
  ['MD5', CHOICE, 'md5'],
  ['', WORDS, []],
  ['a, b c,,d', WORDS, ['a', 'b', 'c', 'd']],
  ['__proto__', WORDS, ['__proto__']],
  ['5', LATER, 5],
];

const BAD: readonly (readonly [string, Setting, string])[] = [
  ['maybe', SWITCH, 'neither on nor off'],
  ['2', SWITCH, 'neither on nor off'],
  ['', SWITCH, 'neither on nor off'],
  ['0', COUNT, 'out of range'],
  ['301', COUNT, 'out of range'],
  ['-1', COUNT, 'out of range'],
  ['99999999999999999999999', COUNT, 'out of range'],
  ['12abc', COUNT, 'not a whole number'],
  ['1.0', COUNT, 'not a whole number'],
  ['1e2', COUNT, 'not a whole number'],
  ['1_0', COUNT, 'not a whole number'],
  ['', COUNT, 'not a whole number'],
  ['NaN', COUNT, 'not a whole number'],
  ['020', COUNT, 'not a whole number'],
  ['777', MODE, 'not a whole number'],
  ['0789', MODE, 'not a whole number'],
  ['01777', MODE, 'out of range'],
  ['-1', TIME, 'out of range'],
  ['1e300', TIME, 'out of range'],
  ['1e999', TIME, 'out of range'],
  ['2147483648', TIME, 'out of range'],
  ['0.0001', TIME, 'shorter than 1ms'],
  ['5 parsecs', TIME, 'not a time'],
  ['s', TIME, 'not a time'],
  ['Infinity', TIME, 'not a time'],
  ['1:30', TIME, 'not a time'],
  ['1.5', SECONDS, 'not a whole number of seconds'],
  ['0', SECONDS, 'out of range'],
  ['1023', SIZE, 'out of range'],
  ['2GB', SIZE, 'out of range'],
  ['1024.5', SIZE, 'not a whole number'],
  ['1TB', SIZE, 'not a size'],
  ['a\0b', TEXT, 'holds a zero byte'],
  ['a\0b', CHECK, 'holds a zero byte'],
  ['a\0b', WORDS, 'holds a zero byte'],
  ['md6', CHOICE, 'unknown value'],
  ['hba', CHOICE, 'not supported yet'],
  ['6', LATER, 'not supported yet'],
  ['x', LATER, 'not supported yet'],
  ['', LATER_TEXT, 'not supported yet'],
];

describe('parseValue', () => {
  it.each(GOOD)('reads %j', (text, setting, value) => {
    expect(parseValue(text, setting)).toEqual({ value });
  });

  it.each(BAD)('refuses %j', (text, setting, wrong) => {
    expect(parseValue(text, setting)).toEqual({ wrong });
  });
});

describe('parseListValue', () => {
  it('takes each item as one word', () => {
    expect(parseListValue(['a', ' b '], WORDS)).toEqual({ value: ['a', 'b'] });
  });

  it.each([[['a b']], [['a,b']], [['']]])(
    'refuses an item that would not print as one: %j',
    (items) => {
      expect(parseListValue(items, WORDS)).toEqual({ wrong: 'an item is not a single word' });
    },
  );

  it('refuses a zero byte', () => {
    expect(parseListValue(['a\0'], WORDS)).toEqual({ wrong: 'holds a zero byte' });
  });

  it('refuses a list where one value is expected', () => {
    expect(parseListValue(['1'], COUNT)).toEqual({ wrong: 'a list where one value is expected' });
  });
});

describe('showValue', () => {
  it.each<[unknown, ReturnType<typeof showValue>, Setting]>([
    [true, '1', SWITCH],
    [false, '0', SWITCH],
    [511, '511', MODE],
    [1_500, '1.5', TIME],
    [3_600_000, '3600', TIME],
    [2_147_483_647_000, '2.14748e+09', TIME],
    [86_400_000, '86400', SECONDS],
    [1_000_000_000, '1000000', SECONDS],
    [null, null, INHERITED_TIME],
    [null, '', CHECK],
    ['', '<empty>', CHECK],
    ['select 1', 'select 1', CHECK],
    [['a', 'b'], 'a,b', WORDS],
  ])('prints %j as %j', (value, shown, setting) => {
    expect(showValue(value as Setting['default'], setting)).toBe(shown);
  });
});

describe('formatG', () => {
  it.each([
    [0, '0'],
    [1.5, '1.5'],
    [0.001, '0.001'],
    [0.0001, '0.0001'],
    [0.00001, '1e-05'],
    [999_999, '999999'],
    [999_999.6, '1e+06'],
    [1_000_000, '1e+06'],
    [1_234_567, '1.23457e+06'],
    [0.1 + 0.2, '0.3'],
    [-2.5, '-2.5'],
  ])('prints %d as C does: %s', (value, text) => {
    expect(formatG(value)).toBe(text);
  });
});

describe('describeAllowed', () => {
  it.each([
    [SWITCH, '1, on, true, yes, 0, off, false, no'],
    [COUNT, 'a whole number from 1 to 300'],
    [POOL_SIZE, 'a whole number from 0 to 2147483647, or a negative number to inherit'],
    [MODE, 'an octal number from 0000 to 0777, with its leading 0'],
    [TIME, 'seconds, or a number with ms, s, m, h or d, from 0 to 2147483647s'],
    [SECONDS, 'whole seconds, or a number with ms, s, m, h or d, from 1s to 2147483647s'],
    [SIZE, 'bytes, or a number with kB, MB or GB, from 1024 to 2147483647 bytes'],
    [TEXT, 'a text'],
    [CHOICE, 'md5, trust'],
    [WORDS, 'a list of words'],
    [LATER, 'only the default, 5, or leaving it out'],
    [LATER_TEXT, 'only leaving it out'],
  ])('says what a row accepts (%#)', (setting, sentence) => {
    expect(describeAllowed(setting)).toBe(sentence);
  });
});
