import { describe, expect, it } from 'vitest';
import { decodeRequest, decodeVerdict, encodeRequest } from '../../../src/app/pam-messages.ts';

describe('a request to the process that asks PAM', () => {
  it.each([
    ['ann', Buffer.from('secret'), '10.0.0.7'],
    ['a\n"b\\é', Buffer.from([0x0a, 0xff, 0xfe, 0x22]), '::1'],
    ['', Buffer.alloc(0), ''],
  ])('is one line and comes over whole: %j', (user, password, host) => {
    const line = encodeRequest({ service: 'pgbouncer', user, password, host });
    expect(line.indexOf('\n')).toBe(line.length - 1);
    expect(decodeRequest(line)).toEqual({ service: 'pgbouncer', user, password, host });
  });
});

describe('a verdict', () => {
  it.each([
    ['{"kind":"accepted"}', { kind: 'accepted' }],
    ['{"kind":"refused","reason":"x"}', { kind: 'refused', reason: 'x' }],
  ])('is read: %s', (line, verdict) => {
    expect(decodeVerdict(line)).toEqual(verdict);
  });

  it.each(['', 'accepted', '{}', '[]', '"accepted"', '{"kind":"Accepted"}', '{"kind":true}'])(
    'that cannot be read is a refusal: %s',
    (line) => {
      expect(decodeVerdict(line)).toEqual({
        kind: 'refused',
        reason: 'the answer of PAM could not be read',
      });
    },
  );

  it('of null is a refusal as well', () => {
    expect(decodeVerdict('null')).toHaveProperty('kind', 'refused');
  });
});
