import { describe, expect, it } from 'vitest';
import { escapeDnValue, escapeFilterValue, simpleBindName } from '../../../src/auth/ldap-names.ts';

describe('a value of a distinguished name', () => {
  it.each([
    ['ann', 'ann'],
    ['ann lee', 'ann lee'],
    ['ann,ou=admins', 'ann\\,ou\\=admins'],
    ['a+b', 'a\\+b'],
    ['a"b', 'a\\"b'],
    ['a\\b', 'a\\\\b'],
    ['a<b>;', 'a\\<b\\>\\;'],
    ['#a', '\\#a'],
    [' a ', '\\ a\\ '],
    [' ', '\\ '],
    ['a\0b', 'a\\00b'],
    ['äö', 'äö'],
  ])('%j is written %j', (text, escaped) => {
    expect(escapeDnValue(text)).toBe(escaped);
  });
});

describe('a value of a filter', () => {
  it.each([
    ['ann', 'ann'],
    ['*', '\\2a'],
    ['ann)(uid=*', 'ann\\29\\28uid=\\2a'],
    ['a\\2a', 'a\\5c2a'],
    ['a\0', 'a\\00'],
    ['$username', '$username'],
  ])('%j is written %j', (text, escaped) => {
    expect(escapeFilterValue(text)).toBe(escaped);
  });
});

describe('the name of a simple bind', () => {
  it.each([
    ['uid=', 'ann', ',dc=x', 'uid=ann,dc=x'],
    ['uid=', 'ann,ou=y', ',dc=x', 'uid=ann\\,ou\\=y,dc=x'],
    ['', 'ann,ou=y', ',dc=x', 'ann\\,ou\\=y,dc=x'],
    ['', 'ann', '@example.net', 'ann@example.net'],
    ['', 'a+b', '@example.net', 'a+b@example.net'],
    ['DOMAIN\\', 'ann', '', 'DOMAIN\\ann'],
  ])('%j %j %j is %j', (prefix, user, suffix, name) => {
    expect(simpleBindName(prefix, user, suffix)).toBe(name);
  });
});
