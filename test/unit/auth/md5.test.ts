import { describe, expect, it } from 'vitest';
import { isMd5ResponseValid, md5Digest, md5Response } from '../../../src/auth/md5.ts';

const SALT = Buffer.from([1, 2, 3, 4]);

describe('md5', () => {
  it('makes the digest that PostgreSQL stores', () => {
    // CREATE ROLE m1 PASSWORD 'pencil' with password_encryption = md5, PostgreSQL 18.4.
    expect(md5Digest('pencil', 'm1')).toBe('md57474753e4b2f9e23953d5977773aabb0');
    expect(md5Digest(Buffer.from('pencil'), 'm1')).toBe('md57474753e4b2f9e23953d5977773aabb0');
  });

  it('accepts its own response, and no other', () => {
    const digest = md5Digest('pencil', 'm1');
    const response = Buffer.from(md5Response(digest, SALT));
    expect(response.toString()).toMatch(/^md5[0-9a-f]{32}$/);
    expect(isMd5ResponseValid(response, digest, SALT)).toBe(true);
    expect(isMd5ResponseValid(response, digest, Buffer.from([1, 2, 3, 5]))).toBe(false);
    expect(isMd5ResponseValid(response, md5Digest('pencil', 'm2'), SALT)).toBe(false);
    expect(isMd5ResponseValid(response.subarray(0, 34), digest, SALT)).toBe(false);
    expect(isMd5ResponseValid(Buffer.alloc(0), digest, SALT)).toBe(false);
    expect(isMd5ResponseValid(Buffer.from(digest), digest, SALT)).toBe(false);
  });
});
