import { describe, expect, it } from 'vitest';
import { encodeBinary } from '../../../src/admin/binary-values.ts';

const NUMERIC = 1700;

describe('encodeBinary', () => {
  it.each([
    // count, weight, sign, scale, then base-10000 digits
    ['0', NUMERIC, '0000 0000 0000 0000'],
    ['-0.00', NUMERIC, '0000 0000 0000 0002'],
    ['1', NUMERIC, '0001 0000 0000 0000 0001'],
    ['10000', NUMERIC, '0001 0001 0000 0000 0001'],
    ['100010000', NUMERIC, '0002 0002 0000 0000 0001 0001'],
    ['-12345.678', NUMERIC, '0003 0001 4000 0003 0001 0929 1a7c'],
    ['0.0001', NUMERIC, '0001 ffff 0000 0004 0001'],
    ['0.00001', NUMERIC, '0001 fffe 0000 0005 03e8'],
    ['2147483647', 23, '7fff ffff'],
    ['-1', 23, 'ffff ffff'],
    ['4294967295', 26, 'ffff ffff'],
    ['9007199254740993', 20, '0020 0000 0000 0001'],
    ['-1', 20, 'ffff ffff ffff ffff'],
    ['t', 16, '01'],
    ['f', 16, '00'],
    ['é', 25, 'c3a9'],
    ['', 25, ''],
  ])('encodes %j of type %i', (text, typeOid, hex) => {
    expect(encodeBinary(text, typeOid).toString('hex')).toBe(hex.replaceAll(' ', ''));
  });
});
