import { describe, expect, it } from 'vitest';
import { splitCommand } from '../../../src/config/command-words.ts';

describe('splitCommand', () => {
  it.each<[string, readonly string[] | null]>([
    ['', []],
    ['  ', []],
    ['a', ['a']],
    [' /usr/bin/token  --db\tapp\n', ['/usr/bin/token', '--db', 'app']],
    ['a "b c" d', ['a', 'b c', 'd']],
    ['a "" b', ['a', '', 'b']],
    ['a b"c d"e', ['a', 'bc de']],
    ['a "b \\" c"', ['a', 'b " c']],
    ['a b\\ c', ['a', 'b c']],
    ['a \\\\', ['a', '\\']],
    ["a 'b c'", ['a', "'b", "c'"]],
    ['a $HOME *.c | b; c `d`', ['a', '$HOME', '*.c', '|', 'b;', 'c', '`d`']],
    ['a "b', null],
    ['a \\', null],
    ['a "\\"', null],
  ])('%j', (text, words) => {
    expect(splitCommand(text)).toEqual(words);
  });
});
