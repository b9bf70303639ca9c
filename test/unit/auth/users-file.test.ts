import { describe, expect, it } from 'vitest';
import { parseUsersFile } from '../../../src/auth/users-file.ts';
import type { UsersFile } from '../../../src/auth/users-file.ts';
import { seededRandom } from './support.ts';

function parse(text: string): UsersFile {
  return parseUsersFile('userlist.txt', text);
}

function passwords(file: UsersFile): [string, string][] {
  return [...file.users].map(([user, secret]) => [
    user,
    secret.kind === 'plain' ? secret.password : secret.kind,
  ]);
}

const BROKEN =
  'broken auth file: a line has to be "user" "password", or a comment that begins with ;';

describe('parseUsersFile', () => {
  it('reads names, passwords, quotes, comments and the rest of lines as PgBouncer does', () => {
    const file = parse(
      '; comment "x" "y"\n\n  "bob" "secret" ignored "rest"\n"a""b" "c""d"\r\n\t"quote" """"\n"empty" ""\n"spaced"   ,  "x y"',
    );
    expect(file.problems).toEqual([]);
    expect(passwords(file)).toEqual([
      ['bob', 'secret'],
      ['a"b', 'c"d'],
      ['quote', '"'],
      ['empty', 'none'],
      ['spaced', 'x y'],
    ]);
  });

  it('reads an empty file, also one that starts with a byte order mark', () => {
    expect(parse('')).toEqual({ users: new Map(), problems: [] });
    expect(passwords(parse('\ufeff"bob" "x"'))).toEqual([['bob', 'x']]);
  });

  it.each(['__proto__', 'constructor', 'hasOwnProperty'])('keeps %s as a name', (name) => {
    const file = parse(`"${name}" "x"`);
    expect(file.users.get(name)).toEqual({ kind: 'plain', password: 'x' });
    expect(parse('').users.get(name)).toBeUndefined();
  });

  it.each([
    ['a line without quotes', '"a" "1"\nbob secret\n"c" "3"', 2, BROKEN],
    ['a comment in another style', '"a" "1"\n# no\n"c" "3"', 2, BROKEN],
    ['an open name', '"a" "1"\n\n"bob', 3, BROKEN],
    ['a missing password', '"a" "1"\n"bob"', 2, BROKEN],
    ['an open password', '"a" "1"\n"bob" "secret', 2, BROKEN],
    ['a NUL in a password', '"a" "1"\n"bob" "x\0y"', 2, BROKEN],
    [
      'a name of 128 bytes',
      `"a" "1"\n"${'é'.repeat(64)}" "x"`,
      2,
      'username too long in auth file',
    ],
    [
      'a password of 65531 bytes',
      `"a" "1"\n"bob" "${'x'.repeat(65_531)}"`,
      2,
      'password too long in auth file',
    ],
  ])('stops at %s and names the line', (_what, text, line, message) => {
    const file = parse(text);
    expect(file.problems).toEqual([{ file: 'userlist.txt', line, message, isUsed: false }]);
    expect(passwords(file)).toEqual([['a', '1']]);
  });

  it('takes a name of 127 bytes and a password of 65530', () => {
    const file = parse(`"${'u'.repeat(127)}" "${'p'.repeat(65_530)}"`);
    expect(file.problems).toEqual([]);
    expect(file.users.size).toBe(1);
  });

  it('uses a password on a later line, and says so', () => {
    const file = parse('"bob"\n"alice" "secret"\n"carol" "x"');
    expect(passwords(file)).toEqual([
      ['bob', 'alice'],
      ['carol', 'x'],
    ]);
    expect(file.problems).toHaveLength(1);
    expect(file.problems[0]).toMatchObject({ line: 1, isUsed: true });
  });

  it('lets the last of two lines for a user count, and says so', () => {
    const file = parse('"bob" "1"\n"bob" "2"');
    expect(passwords(file)).toEqual([['bob', '2']]);
    expect(file.problems).toMatchObject([{ line: 2, isUsed: true }]);
  });

  it('leaves out an entry that was not UTF-8, and goes on', () => {
    const text = Buffer.from('"b\xff" "1"\n"c" "2"', 'latin1').toString('utf8');
    const file = parse(text);
    expect(passwords(file)).toEqual([['c', '2']]);
    expect(file.problems.map((problem) => problem.line)).toEqual([1]);
  });

  it('never tells a name or a secret in a problem', () => {
    const broken = [
      '"hush" "psst',
      '"hush" psst',
      'hush psst',
      '"hush"\n"psst"',
      '"hush" "psst"\n"hush" "psst"',
    ];
    for (const text of broken) {
      const messages = JSON.stringify(parse(text).problems);
      expect(messages).not.toBe('[]');
      expect(messages).not.toMatch(/hush|psst/);
    }
  });

  it('never throws and always ends, whatever the text', () => {
    const alphabet = '"";\n\r ab\0\ufffd';
    const random = seededRandom('users-file');
    for (let round = 0; round < 2000; round++) {
      const bytes = random(40);
      const text = [...bytes].map((byte) => alphabet.charAt(byte % alphabet.length)).join('');
      expect(() => parse(text), JSON.stringify(text)).not.toThrow();
    }
  });
});
