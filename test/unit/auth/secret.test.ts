import { describe, expect, it } from 'vitest';
import { parseSecret } from '../../../src/auth/secret.ts';

const SALT = 'yiropHi97Uhyg1WpuL76RQ==';
const STORED = '1qVYK1CAm08O4A5Nckw5N7jvURU5fpl/mEtiQiLBvQM=';
const SERVER = 'SZZLVHTRG9KdNcfi/6XNKiSSUj1JkYMzXg1E/IrjjOc=';

describe('parseSecret', () => {
  it('reads a verifier of PostgreSQL', () => {
    expect(parseSecret(`SCRAM-SHA-256$4096:${SALT}$${STORED}:${SERVER}`)).toEqual({
      kind: 'scram',
      iterations: 4096,
      salt: Buffer.from(SALT, 'base64'),
      storedKey: Buffer.from(STORED, 'base64'),
      serverKey: Buffer.from(SERVER, 'base64'),
    });
  });

  it('reads an md5 hash', () => {
    const digest = 'md57474753e4b2f9e23953d5977773aabb0';
    expect(parseSecret(digest)).toEqual({ kind: 'md5', digest });
  });

  it.each(['', 'md5', 'SCRAM-SHA-256'])('takes %j for no secret at all', (text) => {
    expect(parseSecret(text)).toEqual({ kind: 'none' });
  });

  it.each([
    'pencil',
    'md57474753E4B2F9E23953D5977773AABB0',
    'md57474753e4b2f9e23953d5977773aabb',
    'md57474753e4b2f9e23953d5977773aabb0a',
    `SCRAM-SHA-256$0:${SALT}$${STORED}:${SERVER}`,
    `SCRAM-SHA-256$-1:${SALT}$${STORED}:${SERVER}`,
    `SCRAM-SHA-256$2147483648:${SALT}$${STORED}:${SERVER}`,
    `SCRAM-SHA-256$4096:$${STORED}:${SERVER}`,
    `SCRAM-SHA-256$4096:=$${STORED}:${SERVER}`,
    `SCRAM-SHA-256$4096:${SALT}$AAAA:${SERVER}`,
    `SCRAM-SHA-256$4096:${SALT}$${STORED}:AAAA`,
    `SCRAM-SHA-256$4096:${SALT}$${STORED}`,
    `SCRAM-SHA-256$4096:${SALT}$${STORED}:${SERVER}:x`,
    `SCRAM-SHA-256$4096:${SALT}$${STORED}:${SERVER}\n`,
    `scram-sha-256$4096:${SALT}$${STORED}:${SERVER}`,
  ])('takes %j for a plain password', (text) => {
    expect(parseSecret(text)).toEqual({ kind: 'plain', password: text });
  });
});
