import { describe, expect, it } from 'vitest';
import { findGroupId } from '../../../src/app/system-accounts.ts';

const GROUP = `root:x:0:
postgres:x:113:alice,bob
broken:x::
`;

describe('findGroupId', () => {
  it.each([
    ['postgres', 113],
    ['root', 0],
    ['4711', 4711],
  ])('%s is %d', (name, gid) => {
    expect(findGroupId(GROUP, name)).toBe(gid);
  });

  it.each(['', 'alice', 'post', 'broken', '-1'])('does not find %j', (name) => {
    expect(findGroupId(GROUP, name)).toBeNull();
  });
});
