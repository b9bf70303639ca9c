import { describe, expect, it } from 'vitest';
import {
  formatIpAddress,
  hasHostBits,
  isInNetwork,
  parseIpAddress,
  prefixMask,
  withoutMapping,
} from '../../../src/net/ip-address.ts';

function hex(address: Uint8Array | null): string | null {
  return address === null ? null : Buffer.from(address).toString('hex');
}

describe('parseIpAddress', () => {
  it.each([
    ['127.0.0.1', '7f000001'],
    ['255.255.255.255', 'ffffffff'],
    ['::', '0'.repeat(32)],
    ['::1', `${'0'.repeat(31)}1`],
    ['fe80::1', `fe80${'0'.repeat(27)}1`],
    ['fe80::1%eth0', `fe80${'0'.repeat(27)}1`],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
    ['1::', `0001${'0'.repeat(28)}`],
    ['2001:DB8::A:0', `20010db8${'0'.repeat(16)}000a0000`],
    ['::ffff:10.1.2.3', `${'0'.repeat(20)}ffff0a010203`],
    ['64:ff9b::1.2.3.4', `0064ff9b${'0'.repeat(16)}01020304`],
  ])('reads %s', (text, bytes) => {
    expect(hex(parseIpAddress(text))).toBe(bytes);
  });

  it.each([
    '',
    'localhost',
    '127.1',
    '1.2.3.4.5',
    '256.0.0.1',
    '01.2.3.4',
    '1.2.3.4/8',
    ':::',
    '1:2:3:4:5:6:7:8:9',
    '12345::',
    '::1x',
    '1::2::3',
    ' 127.0.0.1',
  ])('takes %j for no address', (text) => {
    expect(parseIpAddress(text)).toBeNull();
  });
});

describe('formatIpAddress', () => {
  it.each(['10.0.0.255', '::', '::1', 'fe80::1', '1::', '1:2:3:4:5:6:7:8', '1:0:0:2::'])(
    'prints %s so that it reads back',
    (text) => {
      const address = parseIpAddress(text);
      expect(address).not.toBeNull();
      const printed = formatIpAddress(address ?? Uint8Array.of());
      expect(hex(parseIpAddress(printed))).toBe(hex(address));
    },
  );
});

describe('a mapped address', () => {
  it('becomes IPv4, and others stay', () => {
    const of = (text: string): string =>
      formatIpAddress(withoutMapping(parseIpAddress(text) ?? Uint8Array.of()));
    expect(of('::ffff:10.1.2.3')).toBe('10.1.2.3');
    expect(of('::10.1.2.3')).toBe('::a01:203');
    expect(of('10.1.2.3')).toBe('10.1.2.3');
  });
});

describe('prefixMask', () => {
  it.each([
    [0, 4, '00000000'],
    [1, 4, '80000000'],
    [9, 4, 'ff800000'],
    [32, 4, 'ffffffff'],
    [64, 16, `${'f'.repeat(16)}${'0'.repeat(16)}`],
    [127, 16, `${'f'.repeat(31)}e`],
    [33, 4, null],
    [-1, 4, null],
    [129, 16, null],
    [1.5, 4, null],
    [NaN, 4, null],
  ])('of %d bits in %d bytes is %s', (bits, bytes, mask) => {
    expect(hex(prefixMask(bits, bytes))).toBe(mask);
  });
});

describe('a network', () => {
  it.each([
    ['10.1.2.3', '10.1.0.0', '255.255.0.0', true],
    ['10.2.2.3', '10.1.0.0', '255.255.0.0', false],
    ['10.9.2.7', '10.0.2.0', '255.0.255.0', true],
    ['10.9.3.7', '10.0.2.0', '255.0.255.0', false],
    ['10.1.2.3', '10.1.99.99', '255.255.0.0', true],
    ['1.2.3.4', '0.0.0.0', '0.0.0.0', true],
    ['::1', '0.0.0.0', '0.0.0.0', false],
    ['1.2.3.4', '::', '::', false],
    ['fe80::9', 'fe80::', 'ffff::', true],
    ['fe81::9', 'fe80::', 'ffff::', false],
  ])('%s in %s / %s: %s', (text, base, maskText, isIn) => {
    const [address, network, mask] = [text, base, maskText].map(
      (each) => parseIpAddress(each) ?? Uint8Array.of(),
    );
    expect(
      isInNetwork(address ?? Uint8Array.of(), {
        address: network ?? Uint8Array.of(),
        mask: mask ?? Uint8Array.of(),
      }),
    ).toBe(isIn);
  });

  it('has host bits when its address goes beyond its mask', () => {
    const mask = Uint8Array.of(255, 0, 0, 0);
    expect(hasHostBits({ address: Uint8Array.of(10, 0, 0, 0), mask })).toBe(false);
    expect(hasHostBits({ address: Uint8Array.of(10, 0, 0, 1), mask })).toBe(true);
  });
});
