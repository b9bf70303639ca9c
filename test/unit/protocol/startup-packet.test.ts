import { describe, expect, it } from 'vitest';
import { PROTOCOL_3_0, PROTOCOL_3_2 } from '../../../src/protocol/codes.ts';
import {
  readStartupPacket,
  startupPacketBytes,
  type StartupPacket,
} from '../../../src/protocol/startup-packet.ts';
import { writeCancelRequest, writeStartupMessage } from '../../../src/protocol/startup-writer.ts';
import * as f from '../../support/frontend-messages.ts';
import { SeededRandom, testSeed } from '../../support/seeded-random.ts';

const USER = { user: 'u', database: 'd' };

function startup(packet: Buffer): Extract<StartupPacket, { kind: 'startup' }> {
  const read = readStartupPacket(packet);
  if (read.kind !== 'startup') {
    throw new Error(`read as ${read.kind}`);
  }
  return read;
}

describe('startupPacketBytes', () => {
  it.each([
    ['', 0],
    ['00', 0],
    ['0000', 0],
    ['000000', 0],
    ['01', -1],
    ['16030100', -1],
    ['51', -1],
    ['ff', -1],
    ['00000000', -1],
    ['00000004', -1],
    ['00000007', -1],
    ['00000008', 8],
    ['00002710', 10_000],
    ['00002711', -1],
    ['7fffffff', -1],
    ['80000000', -1],
    ['0000000904d2162f', 9],
  ])('of %s is %d', (hex, expected) => {
    expect(startupPacketBytes(Buffer.from(hex, 'hex'))).toBe(expected);
  });
});

describe('readStartupPacket', () => {
  it('reads a startup message', () => {
    const read = startup(f.startupMessage({ ...USER, application_name: 'ä', empty: '' }));
    expect([...read.parameters]).toEqual([
      ['user', 'u'],
      ['database', 'd'],
      ['application_name', 'ä'],
      ['empty', ''],
    ]);
    expect(read).toMatchObject({ version: PROTOCOL_3_0, needsNegotiation: false });
  });

  it.each(['user', 'database'])('takes no %s that is not UTF-8', (name) => {
    const packet = f.startupMessage({ ...USER, [name]: 'x' });
    packet[packet.lastIndexOf('x')] = 0xff;
    expect(readStartupPacket(packet)).toEqual({ kind: 'bad', problem: 'encoding', found: '' });
    const other = f.startupMessage({ ...USER, application_name: 'x' });
    other[other.lastIndexOf('x')] = 0xff;
    expect(startup(other).parameters.get('application_name')).toBe('\ufffd');
  });

  it.each([
    [0x30000, PROTOCOL_3_0, false],
    [0x30001, PROTOCOL_3_0, true],
    [0x30002, PROTOCOL_3_2, false],
    [0x30003, PROTOCOL_3_2, true],
    [0x3270f, PROTOCOL_3_2, true],
    [0x3ffff, PROTOCOL_3_2, true],
  ])('version %d is spoken as %d', (asked, version, needsNegotiation) => {
    expect(startup(f.startupMessage(USER, asked))).toMatchObject({ version, needsNegotiation });
  });

  it('lists options of the protocol that are not known', () => {
    const read = startup(f.startupMessage({ ...USER, '_pq_.a': '1', '_pq_.b': '' }));
    expect(read.unknownOptions).toEqual(['_pq_.a', '_pq_.b']);
    expect(read.needsNegotiation).toBe(true);
  });

  it('takes the last of duplicates, and names that objects know', () => {
    const pairs = ['user', 'a', 'user', 'b', '__proto__', 'x', 'constructor', 'y'];
    const body = Buffer.concat([f.int32(PROTOCOL_3_0), ...pairs.map(f.cstring), Buffer.of(0)]);
    const packet = Buffer.concat([f.int32(body.length + 4), body]);
    const { parameters } = startup(packet);
    expect(parameters.get('user')).toBe('b');
    expect(parameters.get('__proto__')).toBe('x');
    expect(parameters.get('toString')).toBeUndefined();
  });

  it.each([0x20000, 0x10000, 0x2ffff])('refuses the old protocol %d', (version) => {
    const read = readStartupPacket(f.startupMessage(USER, version));
    expect(read).toMatchObject({ kind: 'bad', problem: 'old_protocol' });
  });

  it.each([0x40000, 0x7fff0000, 0xffff0000])('refuses version %d', (version) => {
    const read = readStartupPacket(f.startupMessage(USER, version));
    expect(read).toMatchObject({ kind: 'bad', problem: 'version' });
  });

  it('refuses version 0', () => {
    const read = readStartupPacket(f.startupMessage(USER, 7));
    expect(read).toMatchObject({ kind: 'bad', problem: 'header' });
  });

  it.each([
    ['no terminator', 'user\0u\0'],
    ['nothing', ''],
    ['a name without value', 'user\0\0'.slice(0, -1)],
    ['an unterminated name', 'user'],
    ['an unterminated value', 'user\0u'],
    ['bytes behind the terminator', 'user\0u\0\0x'],
    ['a second terminator', 'user\0u\0\0\0'],
  ])('refuses a layout with %s', (_what, text) => {
    const body = Buffer.concat([f.int32(PROTOCOL_3_0), Buffer.from(text)]);
    const packet = Buffer.concat([f.int32(body.length + 4), body]);
    expect(readStartupPacket(packet)).toMatchObject({ kind: 'bad', problem: 'layout' });
  });

  it('reads requests for encryption of just eight bytes', () => {
    expect(readStartupPacket(f.sslRequest())).toEqual({ kind: 'ssl' });
    expect(readStartupPacket(f.gssEncRequest())).toEqual({ kind: 'gssenc' });
    for (const request of [f.sslRequest(), f.gssEncRequest()]) {
      const long = Buffer.concat([request, Buffer.of(0)]);
      expect(readStartupPacket(long)).toMatchObject({ kind: 'bad', problem: 'header' });
    }
  });

  it('reads cancel requests with secrets of 4 to 256 bytes, and no others', () => {
    for (let bytes = 0; bytes <= 300; bytes++) {
      const secret = Buffer.alloc(bytes, 7);
      const read = readStartupPacket(f.cancelRequest(-2, secret));
      if (bytes >= 4 && bytes <= 256) {
        expect(read).toEqual({ kind: 'cancel', processId: 0xfffffffe, secret });
      } else {
        expect(read).toMatchObject({ kind: 'bad', problem: 'header' });
      }
    }
  });

  it('owns the secret of a cancel request', () => {
    const packet = f.cancelRequest(1, Buffer.from([1, 2, 3, 4]));
    const read = readStartupPacket(packet);
    packet.fill(0);
    expect(read).toMatchObject({ secret: Buffer.from([1, 2, 3, 4]) });
  });

  it('never throws on random packets of legal length', () => {
    const seed = testSeed('startup');
    const random = new SeededRandom(seed);
    for (let round = 0; round < 3000; round++) {
      const packet = f.startupMessage({ user: 'u', a: 'b' });
      for (let count = random.below(6); count > 0; count--) {
        packet[4 + random.below(packet.length - 4)] = random.below(256);
      }
      expect(['startup', 'bad', 'ssl', 'gssenc', 'cancel']).toContain(
        readStartupPacket(packet).kind,
      );
    }
  });
});

describe('startup-writer', () => {
  it('writes startup messages that read back', () => {
    const packet = writeStartupMessage(PROTOCOL_3_0, [
      ['user', 'ü'],
      ['options', '-c a=b'],
    ]);
    expect(packet).toEqual(f.startupMessage({ user: 'ü', options: '-c a=b' }));
    expect(startupPacketBytes(packet)).toBe(packet.length);
  });

  it('lets no zero byte smuggle a parameter in', () => {
    const packet = writeStartupMessage(PROTOCOL_3_0, [['user', 'a\0database\0evil']]);
    expect([...startup(packet).parameters]).toEqual([['user', 'adatabaseevil']]);
  });

  it('writes cancel requests that read back', () => {
    const secret = Buffer.alloc(256, 5);
    expect(writeCancelRequest(0xfffffffe, secret)).toEqual(f.cancelRequest(-2, secret));
  });
});
