import { describe, expect, it } from 'vitest';
import { crc32c } from '../../../src/net/crc32c.ts';
import {
  looksLikeProxyHeader,
  MAX_V1_BYTES,
  MAX_V2_BYTES,
  readProxyHeader,
} from '../../../src/net/proxy-header.ts';
import {
  PROXY_SIGNATURE,
  proxyExtension,
  proxyV2,
  proxyV2Tcp4,
  proxyV2Tcp6,
} from '../../support/proxy-headers.ts';
import { SeededRandom, testSeed } from '../../support/seeded-random.ts';

const V1 = Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.1 56324 6432\r\n');
const INCOMPLETE = { kind: 'incomplete' };

function problemOf(header: Buffer): string {
  const result = readProxyHeader(header);
  return result.kind === 'bad' ? result.problem : result.kind;
}

/** Reads the header at each length of its begin, and with more behind it. */
function readEverySplit(header: Buffer): ReturnType<typeof readProxyHeader> {
  for (let end = 0; end < header.length; end++) {
    expect(readProxyHeader(header.subarray(0, end))).toEqual(INCOMPLETE);
  }
  const result = readProxyHeader(header);
  expect(readProxyHeader(Buffer.concat([header, header]))).toEqual(result);
  return result;
}

describe('a PROXY header of version 1', () => {
  it.each([
    ['PROXY TCP4 192.0.2.7 198.51.100.1 56324 6432\r\n', { address: '192.0.2.7', port: 56324 }],
    ['PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n', { address: '0.0.0.0', port: 0 }],
    ['PROXY TCP6 2001:db8::7 ::1 56324 6432\r\n', { address: '2001:db8::7', port: 56324 }],
    ['PROXY UNKNOWN\r\n', null],
    ['PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n', null],
  ])('%j is read however it is cut', (text, source) => {
    const header = Buffer.from(text);
    expect(readEverySplit(header)).toEqual({ kind: 'header', source, bytes: header.length });
  });

  it.each([
    ['PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n', 'malformed PROXY line'],
    ['PROXY TCP4 192.0.2.7 198.51.100.1 56324 6432 1\r\n', 'malformed PROXY line'],
    ['PROXY TCP4  192.0.2.7 198.51.100.1 56324 6432\r\n', 'malformed PROXY line'],
    ['PROXY TCP4 192.0.2.7 198.51.100.1 56324 65536\r\n', 'malformed PROXY line'],
    ['PROXY TCP4 192.0.2.7 198.51.100.1 056 6432\r\n', 'malformed PROXY line'],
    ['PROXY TCP4 192.0.2.7 198.51.100.1 -1 6432\r\n', 'malformed PROXY line'],
    ['PROXY TCP4 192.0.2.256 198.51.100.1 1 6432\r\n', 'malformed PROXY line'],
    ['PROXY TCP4 ::1 ::1 1 6432\r\n', 'malformed PROXY line'],
    ['PROXY TCP6 192.0.2.7 198.51.100.1 1 6432\r\n', 'malformed PROXY line'],
    ['PROXY TCP6 fe80::1%eth0 ::1 1 6432\r\n', 'malformed PROXY line'],
    ['PROXY TCP4\r\n', 'malformed PROXY line'],
    ['PROXY UDP4 192.0.2.7 198.51.100.1 1 6432\r\n', 'unknown family in PROXY line'],
    ['PROXY tcp4 192.0.2.7 198.51.100.1 1 6432\r\n', 'unknown family in PROXY line'],
    ['PROXY \r\n', 'unknown family in PROXY line'],
    ['PROXY UNKNOWN\n\n\r\n', 'unknown family in PROXY line'],
    ['proxy TCP4 192.0.2.7 198.51.100.1 1 6432\r\n', 'no PROXY header'],
    ['GET / HTTP/1.1\r\n', 'no PROXY header'],
  ])('%j is refused', (text, problem) => {
    expect(problemOf(Buffer.from(text))).toBe(problem);
  });

  it('is bounded', () => {
    const start = 'PROXY UNKNOWN ';
    const longest = `${start}${'x'.repeat(MAX_V1_BYTES - start.length - 2)}\r\n`;
    expect(longest).toHaveLength(MAX_V1_BYTES);
    expect(problemOf(Buffer.from(longest))).toBe('header');
    expect(problemOf(Buffer.from(longest.replace('x', 'xx')))).toBe('PROXY line too long');
    expect(problemOf(Buffer.from(start.padEnd(MAX_V1_BYTES - 1, 'x')))).toBe('incomplete');
    expect(problemOf(Buffer.from(start.padEnd(MAX_V1_BYTES, 'x')))).toBe('PROXY line too long');
  });
});

describe('a PROXY header of version 2', () => {
  const extensions = Buffer.concat([
    proxyExtension(0x04, Buffer.alloc(9)),
    proxyExtension(0x20, Buffer.alloc(300, 7)),
    proxyExtension(0x05, Buffer.alloc(0)),
  ]);

  it.each([
    ['IPv4', proxyV2Tcp4('192.0.2.7', 56324), { address: '192.0.2.7', port: 56324 }],
    [
      'IPv4 with extensions',
      proxyV2Tcp4('192.0.2.7', 1, extensions),
      { address: '192.0.2.7', port: 1 },
    ],
    [
      'IPv6',
      proxyV2Tcp6('20010db8000000000000000000000007', 9),
      { address: '2001:db8::7', port: 9 },
    ],
    [
      'IPv6 without zeros',
      proxyV2Tcp6('20010db8000100020003000400050006', 9),
      { address: '2001:db8:1:2:3:4:5:6', port: 9 },
    ],
    ['IPv6 of zeros', proxyV2Tcp6('0'.repeat(32), 9), { address: '::', port: 9 }],
    [
      'IPv6 with two runs of zeros',
      proxyV2Tcp6('20010000000000010000000000000001', 9),
      { address: '2001:0:0:1::1', port: 9 },
    ],
    [
      'IPv6 with 10 beside a run of zeros',
      proxyV2Tcp6('00100000000000100000000000100000', 9),
      { address: '10::10:0:0:10:0', port: 9 },
    ],
    [
      'IPv4 in IPv6',
      proxyV2Tcp6(`${'0'.repeat(20)}ffffc0000207`, 9),
      { address: '192.0.2.7', port: 9 },
    ],
    ['a unix socket', proxyV2(0x21, 0x31, Buffer.alloc(216, 1)), { address: 'unix', port: 0 }],
    ['no family', proxyV2(0x21, 0x00, Buffer.alloc(0)), null],
    ['no family, with extensions', proxyV2(0x21, 0x00, extensions), null],
    ['LOCAL', proxyV2(0x20, 0x00, Buffer.alloc(0)), null],
    ['LOCAL with rubbish', proxyV2(0x20, 0x11, Buffer.alloc(77, 0xff)), null],
  ])('of %s is read however it is cut', (_what, header, source) => {
    expect(readEverySplit(header)).toEqual({ kind: 'header', source, bytes: header.length });
  });

  it.each([
    ['version 1', proxyV2(0x11, 0x11, Buffer.alloc(12)), 'unknown version or command'],
    ['command 2', proxyV2(0x22, 0x11, Buffer.alloc(12)), 'unknown version or command'],
    ['UDP', proxyV2(0x21, 0x12, Buffer.alloc(12)), 'unknown family'],
    ['family 4', proxyV2(0x21, 0x41, Buffer.alloc(12)), 'unknown family'],
    ['a short IPv4 part', proxyV2(0x21, 0x11, Buffer.alloc(11)), 'too short for its addresses'],
    ['a short IPv6 part', proxyV2(0x21, 0x21, Buffer.alloc(35)), 'too short for its addresses'],
    ['a short unix part', proxyV2(0x21, 0x31, Buffer.alloc(215)), 'too short for its addresses'],
    ['half an extension', proxyV2Tcp4('1.2.3.4', 1, Buffer.from([4, 0])), 'cut-off extension'],
    [
      'an extension beyond its end',
      proxyV2Tcp4('1.2.3.4', 1, Buffer.from([4, 0xff, 0xff, 0])),
      'cut-off extension',
    ],
    [
      'a checksum of 3 bytes',
      proxyV2Tcp4('1.2.3.4', 1, proxyExtension(3, Buffer.alloc(3))),
      'malformed checksum',
    ],
    [
      'a wrong checksum',
      proxyV2Tcp4('1.2.3.4', 1, proxyExtension(3, Buffer.alloc(4))),
      'wrong checksum',
    ],
  ])('with %s is refused', (_what, header, problem) => {
    expect(problemOf(header)).toContain(problem);
  });

  it('with a right checksum is read', () => {
    const header = proxyV2Tcp4('1.2.3.4', 1, proxyExtension(3, Buffer.alloc(4)));
    header.writeUInt32BE(crc32c(header), header.length - 4);
    expect(problemOf(header)).toBe('header');
    header.writeUInt8(9, 16);
    expect(problemOf(header)).toBe('wrong checksum of PROXY header');
  });

  it('is refused by its announced length, before that much has come', () => {
    const head = Buffer.concat([PROXY_SIGNATURE, Buffer.from([0x21, 0x11, 0xff, 0xff])]);
    expect(problemOf(head)).toBe('PROXY header too long');
    const longest = proxyV2(0x20, 0, Buffer.alloc(MAX_V2_BYTES - 16));
    expect(problemOf(longest)).toBe('header');
    expect(problemOf(proxyV2(0x20, 0, Buffer.alloc(MAX_V2_BYTES - 15)))).toBe(
      'PROXY header too long',
    );
  });
});

describe('the begin of a connection', () => {
  it('is told from a client by its first byte, or as soon as it differs', () => {
    for (let byte = 0; byte < 256; byte++) {
      const isStart = byte === 0x50 || byte === 0x0d;
      expect(problemOf(Buffer.of(byte))).toBe(isStart ? 'incomplete' : 'no PROXY header');
    }
    expect(problemOf(Buffer.from('PROXIES'))).toBe('no PROXY header');
    expect(problemOf(Buffer.from('\r\n\r\n\0\r\nQUIX'))).toBe('no PROXY header');
  });

  it('is seen to be a header where none may be', () => {
    expect(looksLikeProxyHeader(V1)).toBe(true);
    expect(looksLikeProxyHeader(PROXY_SIGNATURE)).toBe(true);
    expect(looksLikeProxyHeader(Buffer.from('PROXY '))).toBe(true);
    expect(looksLikeProxyHeader(Buffer.from('PROX'))).toBe(false);
    expect(looksLikeProxyHeader(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]))).toBe(false);
  });

  it('may be anything: it never throws, and never takes more than there is', () => {
    const random = new SeededRandom(testSeed('PROXY headers'));
    const headers = [V1, proxyV2Tcp4('1.2.3.4', 5), proxyV2Tcp6('1'.repeat(32), 6)];
    for (let round = 0; round < 20_000; round++) {
      const bytes = Buffer.concat([random.pick(headers), Buffer.alloc(random.below(20))]);
      for (let change = random.below(4); change > 0; change--) {
        bytes.writeUInt8(random.below(256), random.below(bytes.length));
      }
      const cut = bytes.subarray(0, random.below(bytes.length + 1));
      const result = readProxyHeader(cut);
      expect(result.kind !== 'header' || result.bytes <= cut.length).toBe(true);
    }
  });
});

describe('crc32c', () => {
  it.each([
    [Buffer.from('123456789'), 0xe306_9283],
    [Buffer.alloc(32), 0x8a91_36aa],
    [Buffer.alloc(32, 0xff), 0x62a8_ab43],
  ])('is that of the standard', (bytes, expected) => {
    expect(crc32c(bytes)).toBe(expected);
  });
});
