import { describe, expect, it } from 'vitest';
import { inheritedSockets, pathOfInode } from '../../../src/app/systemd.ts';

describe('inheritedSockets', () => {
  it('counts from descriptor 3', () => {
    expect(inheritedSockets({ LISTEN_PID: '42', LISTEN_FDS: '2' }, 42)).toEqual([3, 4]);
  });

  it.each([
    ['for another process', { LISTEN_PID: '41', LISTEN_FDS: '1' }],
    ['for nobody', { LISTEN_FDS: '1' }],
    ['that are none', { LISTEN_PID: '42', LISTEN_FDS: '0' }],
    ['without a count', { LISTEN_PID: '42' }],
  ])('leaves sockets %s alone', (_what, env) => {
    expect(inheritedSockets(env, 42)).toEqual([]);
  });

  it.each(['x', '-1', '', '1e3', '99999999999'])('refuses the count %j', (count) => {
    expect(() => inheritedSockets({ LISTEN_PID: '42', LISTEN_FDS: count }, 42)).toThrow(
      `LISTEN_FDS is not a number of sockets: ${count}`,
    );
  });
});

describe('pathOfInode', () => {
  const table = `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 17251 /run/pooler/.s.PGSQL.6432
0000000000000000: 00000003 00000000 00000000 0001 03 17252
0000000000000000: 00000002 00000000 00010000 0001 01 17253 @abstract/.s.PGSQL.6432
0000000000000000: 00000002 00000000 00010000 0001 01 17254 /with a space/s
`;

  it.each([
    ['17251', '/run/pooler/.s.PGSQL.6432'],
    ['17253', '\0abstract/.s.PGSQL.6432'],
    ['17254', '/with a space/s'],
    ['17252', ''],
    ['1725', ''],
  ])('of %s is %j', (inode, path) => {
    expect(pathOfInode(table, inode)).toBe(path);
  });
});
