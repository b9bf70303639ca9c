import { describe, expect, it } from 'vitest';
import {
  readBackendKeyData,
  readParameterStatus,
  readServerReport,
} from '../../../src/protocol/backend-reader.ts';

describe('readServerReport', () => {
  it('reads the fields of an error', () => {
    const body = Buffer.from('SFEHLER\0VERROR\0C42601\0Msyntax error\0Ddetail\0Hhint\0P15\0\0');
    expect(readServerReport(body)).toEqual({
      severity: 'ERROR',
      sqlstate: '42601',
      message: 'syntax error',
      detail: 'detail',
      hint: 'hint',
    });
  });

  const NEUTRAL = {
    severity: 'FATAL',
    sqlstate: 'XX000',
    message: 'no message',
    detail: '',
    hint: '',
  };

  it.each([
    ['nothing at all', '', {}],
    ['a terminator only', '\0', {}],
    ['no SQLSTATE', 'SERROR\0Mm\0\0', { severity: 'ERROR', message: 'm' }],
    ['no severity but S', 'SPANIC\0\0', { severity: 'PANIC' }],
    ['a SQLSTATE that is none', "C42'; \0\0", {}],
    ['a SQLSTATE that is too long', 'C426011\0\0', {}],
    ['an empty SQLSTATE', 'C\0\0', {}],
    ['no terminator of the list', 'C42601\0', { sqlstate: '42601' }],
    ['a field without terminator', 'Mcut o', { message: 'cut o' }],
    ['a field of one letter at the end', 'M', { message: '' }],
    ['duplicates, of which the last counts', 'Ma\0Mb\0\0', { message: 'b' }],
    ['bytes behind the terminator', 'Ma\0\0Mb\0', { message: 'a' }],
    ['unknown fields', '\u0001x\0zy\0Ma\0\0', { message: 'a' }],
  ])('survives %s', (_what, text, expected) => {
    expect(readServerReport(Buffer.from(text, 'latin1'))).toEqual({ ...NEUTRAL, ...expected });
  });

  it('survives invalid UTF-8', () => {
    const body = Buffer.from([0x4d, 0xff, 0xfe, 0, 0]);
    expect(readServerReport(body).message).toBe('\ufffd\ufffd');
  });

  it('takes time linear in the length', () => {
    const body = Buffer.from('Mx\0'.repeat(300_000));
    expect(readServerReport(body).message).toBe('x');
  });
});

describe('readParameterStatus', () => {
  it.each([
    ['a\0b\0', { name: 'a', value: 'b' }],
    ['a\0\0', { name: 'a', value: '' }],
    ['\0b\0', { name: '', value: 'b' }],
    ['__proto__\0x\0', { name: '__proto__', value: 'x' }],
  ])('reads %j', (text, expected) => {
    expect(readParameterStatus(Buffer.from(text))).toEqual(expected);
  });

  it.each(['', 'a', 'a\0', 'a\0b', 'a\0b\0c', 'a\0b\0\0', '\0'])('refuses %j', (text) => {
    expect(readParameterStatus(Buffer.from(text))).toBeNull();
  });
});

describe('readBackendKeyData', () => {
  it('copies the secret and reads the process id as unsigned', () => {
    const body = Buffer.from('fffffffe01020304', 'hex');
    const key = readBackendKeyData(body);
    body.fill(0);
    expect(key).toEqual({ processId: 0xfffffffe, secret: Buffer.from('01020304', 'hex') });
  });

  it('accepts secrets of 4 to 256 bytes, and no others', () => {
    for (let bytes = 0; bytes <= 300; bytes++) {
      const key = readBackendKeyData(Buffer.alloc(bytes, 1));
      const isLegal = bytes >= 8 && bytes <= 260;
      expect(key?.secret.length ?? null).toBe(isLegal ? bytes - 4 : null);
    }
  });
});
