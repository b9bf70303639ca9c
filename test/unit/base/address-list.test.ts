import { describe, expect, it } from 'vitest';
import {
  AddressList,
  checkNetwork,
  checkNetworkOrUnix,
  originOf,
  plainAddress,
} from '../../../src/base/address-list.ts';

describe('checkNetwork', () => {
  it.each(['10.0.0.0/8', '0.0.0.0/0', '192.0.2.1', '::1', '::/0', '2001:db8::/32', '::1/128'])(
    'takes %s',
    (text) => {
      expect(checkNetwork(text)).toBeNull();
    },
  );

  it.each([
    '',
    'localhost',
    '10.0.0.0/33',
    '::/129',
    '10.0.0/8',
    '10.0.0.0/',
    '10.0.0.0/-1',
    '10.0.0.0/ 8',
    '10.0.0.0/8/8',
    '1.2.3.4/1e1',
    'fe80::1%eth0',
    '10.0.0.0/0x8',
  ])('refuses %j', (text) => {
    expect(checkNetwork(text)).toContain('is not an address or network');
  });

  it('knows the word unix only where it may stand', () => {
    expect(checkNetworkOrUnix('unix')).toBeNull();
    expect(checkNetworkOrUnix('10.0.0.1')).toBeNull();
    expect(checkNetworkOrUnix('unix:')).not.toBeNull();
    expect(checkNetwork('unix')).not.toBeNull();
  });
});

describe('AddressList', () => {
  const list = new AddressList(['10.1.0.0/16', '192.0.2.7', '2001:db8::/32', 'unix']);

  it.each([
    '10.1.0.0',
    '10.1.255.255',
    '192.0.2.7',
    '2001:db8::1',
    '2001:DB8:0:0::9',
    '::ffff:10.1.2.3',
    '::ffff:0a01:0203',
    '2001:db8::1%eth0',
  ])('has %s', (address) => {
    expect(list.has(address)).toBe(true);
  });

  it.each(['10.2.0.0', '10.0.255.255', '192.0.2.8', '2001:db9::', '::1', '', 'unix', 'nonsense'])(
    'has no %j',
    (address) => {
      expect(list.has(address)).toBe(false);
    },
  );

  it('has nothing when it is empty, and tells whether unix is in it', () => {
    expect(new AddressList([]).has('127.0.0.1')).toBe(false);
    expect(new AddressList([]).hasUnix).toBe(false);
    expect(list.hasUnix).toBe(true);
  });

  it('of /0 has every address of its family, and no other', () => {
    expect(new AddressList(['0.0.0.0/0']).has('203.0.113.9')).toBe(true);
    expect(new AddressList(['0.0.0.0/0']).has('2001:db8::1')).toBe(false);
    expect(new AddressList(['::/0']).has('2001:db8::1')).toBe(true);
  });
});

describe('originOf', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:0DB8:1:2::', '2001:db8:1:2::/64'],
    ['2001:db8::9', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['64:ff9b::192.0.2.7', '64:ff9b:0:0::/64'],
    ['unix', 'unix'],
    ['', ''],
  ])('of %s is %s', (address, origin) => {
    expect(originOf(address)).toBe(origin);
  });
});

describe('AddressList asked more than once', () => {
  it('says the same, also after thousands of others', () => {
    const list = new AddressList(['10.0.0.0/8']);
    const verdicts = (): boolean[] => ['10.1.2.3', '11.1.2.3', 'x'].map((text) => list.has(text));
    expect(verdicts()).toEqual([true, false, false]);
    expect(verdicts()).toEqual([true, false, false]);
    for (let i = 0; i < 3000; i++) {
      expect(list.has(`10.2.${String(i >> 8)}.${String(i & 255)}`)).toBe(true);
    }
    expect(verdicts()).toEqual([true, false, false]);
  });
});

describe('plainAddress', () => {
  it.each([
    ['::FFFF:1.2.3.4', '1.2.3.4'],
    ['::ffff:102:304', '1.2.3.4'],
    ['::ffff:1.2.3', '::ffff:1.2.3'],
    ['::1', '::1'],
  ])('of %s is %s', (address, plain) => {
    expect(plainAddress(address)).toBe(plain);
  });
});
