import { describe, expect, it } from 'vitest';
import { parseIniLines } from '../../../src/config/ini-lines.ts';
import type { IniItem } from '../../../src/config/ini-lines.ts';

/** Returns what a text says, without the places. */
function itemsOf(text: string): readonly object[] {
  return parseIniLines(text, 'f.ini').map((item) => {
    switch (item.kind) {
      case 'pair':
        return { [item.key]: item.value };
      case 'section':
        return { section: item.name };
      case 'include':
        return { include: item.file };
      case 'broken':
        return { broken: `${String(item.place.line)}:${String(item.place.column)} ${item.why}` };
    }
  });
}

describe('a line of an ini file', () => {
  it.each<[string, readonly object[]]>([
    ['', []],
    ['\n\n \t\r\n', []],
    ['; x = 1', []],
    ['# x = 1', []],
    ['  ; x = 1\n\t# y = 2', []],
    ['a = 1', [{ a: '1' }]],
    ['a=1', [{ a: '1' }]],
    ['a\t =\t 1', [{ a: '1' }]],
    ['  a = 1  \t', [{ a: '1' }]],
    ['a = 1\r\nb = 2\r\n', [{ a: '1' }, { b: '2' }]],
    ['a = 1 ; x', [{ a: '1 ; x' }]],
    ['a = 1 # x', [{ a: '1 # x' }]],
    ['a = b = c', [{ a: 'b = c' }]],
    ['a =', [{ a: '' }]],
    ['a = "x"', [{ a: '"x"' }]],
    ["a = 'x'", [{ a: "'x'" }]],
    ['a = x\\', [{ a: 'x\\' }]],
    ['a = \u00a0x\u00a0', [{ a: '\u00a0x\u00a0' }]],
    ['* = x', [{ '*': 'x' }]],
    ['A-b_c.9* = x', [{ 'A-b_c.9*': 'x' }]],
    ["'a b' = x", [{ 'a b': 'x' }]],
    ["'a\"=[;é' = x", [{ 'a"=[;é': 'x' }]],
    ["'' = x", [{ '': 'x' }]],
    ['= x', [{ '': 'x' }]],
    ['__proto__ = x', [JSON.parse('{"__proto__":"x"}') as object]],
    ['[a]', [{ section: 'a' }]],
    ['[ a ]', [{ section: ' a ' }]],
    ['[]', [{ section: '' }]],
    ['[a] ; x', [{ section: 'a' }]],
    ['[a] b = 1', [{ section: 'a' }, { b: '1' }]],
    ['[a][b]', [{ section: 'a' }, { section: 'b' }]],
    ['%include f', [{ include: 'f' }]],
    ['  %include\t a b.ini \r', [{ include: 'a b.ini' }]],
    ['%include  ', [{ include: '' }]],
    ['\ufeff[a]', [{ section: 'a' }]],
    ['a = 1\u0085b = 2', [{ a: '1\u0085b = 2' }]],
  ])('says what is on it: %j', (text, expected) => {
    expect(itemsOf(text)).toEqual(expected);
  });

  it.each([
    ['a', '1:2 = is missing'],
    ['a 1', '1:3 = is missing'],
    ['a b = 1', '1:3 = is missing'],
    ['é = 1', '1:1 = is missing'],
    ['"a" = 1', '1:1 a key is quoted with single quotes'],
    ["'a = 1", "1:1 a key in quotes without its closing '"],
    ["'a'b = 1", '1:4 = is missing'],
    ['[a', '1:1 a section name without its ]'],
    ['%include', '1:1 = is missing'],
    ['%included f', '1:1 = is missing'],
    ['x = 1\n  \ta: 2\n', '2:5 = is missing'],
    ['x = 1\n y = a\0b\n', '2:7 a zero byte'],
    ['; \0', '1:3 a zero byte'],
  ])('is broken: %j', (text, broken) => {
    expect(itemsOf(text).at(-1)).toEqual({ broken });
  });

  it('does not keep the next one from being read when it is broken', () => {
    expect(itemsOf('a\nb = 2\n')).toEqual([{ broken: '1:2 = is missing' }, { b: '2' }]);
  });

  it('gives the places of key and value', () => {
    const [section, pair] = parseIniLines('\n [a]\n  k  =   v w\n', 'f.ini');
    expect(section).toMatchObject({ place: { line: 2, column: 2, file: 'f.ini' } });
    expect(pair).toEqual({
      kind: 'pair',
      key: 'k',
      place: { line: 3, column: 3, file: 'f.ini' },
      value: 'v w',
      valuePlace: { line: 3, column: 10, file: 'f.ini' },
    } satisfies IniItem);
  });
});

describe('a hostile file', () => {
  it.each([
    ['one line of a million characters', `a = ${'x'.repeat(1_000_000)}`, 1],
    ['a million spaces behind a value', `a = x${' '.repeat(1_000_000)}y`, 1],
    ['a million spaces', ' '.repeat(1_000_000), 0],
    ['a key of a million characters', 'k'.repeat(1_000_000), 1],
    ['a million opened sections', '['.repeat(1_000_000), 1],
    ['a million quotes', "'".repeat(1_000_000), 1],
    ['a million lines', 'a\n'.repeat(1_000_000), 1_000_000],
    ['many sections on one line', '[a]'.repeat(300_000), 300_000],
  ])('is read in linear time: %s', (_name, text, count) => {
    const items = parseIniLines(text, 'f.ini');
    expect(items).toHaveLength(count);
  });
});
