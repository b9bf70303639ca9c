import { describe, expect, it } from 'vitest';
import { AuthQueryReply } from '../../../src/auth/auth-query-reply.ts';
import * as backend from '../../support/backend-messages.ts';
import * as frontend from '../../support/frontend-messages.ts';
import { SeededRandom, testSeed } from '../../support/seeded-random.ts';

const HEAD = Buffer.concat([frontend.message('1'), frontend.message('2')]);
const COLUMNS = backend.rowDescription(['rolname', 'rolpassword']);
const DONE = backend.commandComplete('SELECT 1');
const READY = backend.readyForQuery('I');

function reply(...parts: readonly Buffer[]): AuthQueryReply {
  const result = new AuthQueryReply();
  result.feed(Buffer.concat(parts));
  return result;
}

const GOOD = [HEAD, COLUMNS, backend.dataRow(['fay', 'pencil']), DONE, READY];

describe('AuthQueryReply', () => {
  it('reads one row however it is cut', () => {
    const bytes = Buffer.concat(GOOD);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const result = new AuthQueryReply();
      result.feed(bytes.subarray(0, cut));
      expect(result.outcome !== null).toBe(cut === bytes.length);
      result.feed(bytes.subarray(cut));
      expect(result.outcome).toEqual({
        kind: 'found',
        name: 'fay',
        secret: { kind: 'plain', password: 'pencil' },
      });
      expect(result.isClean).toBe(true);
    }
  });

  it('takes no row for nobody, and a NULL secret for none', () => {
    expect(reply(HEAD, COLUMNS, DONE, READY).outcome).toEqual({ kind: 'unknown' });
    const row = backend.dataRow(['fay', null]);
    expect(reply(HEAD, COLUMNS, row, DONE, READY).outcome).toEqual({
      kind: 'found',
      name: 'fay',
      secret: { kind: 'none' },
    });
  });

  it('tells an error of the server, also behind a row', () => {
    const error = backend.errorResponse({ S: 'ERROR', C: '22012', M: 'division by zero' });
    for (const parts of [[error], [COLUMNS, backend.dataRow(['a', 'b']), error]]) {
      expect(reply(HEAD, ...parts, READY).outcome).toMatchObject({
        kind: 'refused',
        report: { sqlstate: '22012' },
      });
    }
  });

  it.each([
    ['suspended behind two rows', [COLUMNS, GOOD[2], GOOD[2], frontend.message('s'), READY]],
    ['an int32 of columns', [frontend.message('T', Buffer.of(0)), DONE, READY]],
    [
      'a value beyond its row',
      [COLUMNS, frontend.message('D', Buffer.from('0002ffffff00', 'hex'))],
    ],
    [
      'a value of length -2',
      [COLUMNS, frontend.message('D', Buffer.from('0002fffffffeffffffff', 'hex')), DONE, READY],
    ],
    [
      'bytes behind the last value',
      [COLUMNS, frontend.message('D', Buffer.from('0002ffffffffffffffff00', 'hex')), DONE, READY],
    ],
    ['a message that is no part of a reply', [frontend.message('R', frontend.int32(0))]],
    ['a length below 4', [Buffer.from('5a00000003', 'hex')]],
    ['a length beyond all bounds', [Buffer.from('447fffffff', 'hex')]],
    ['an open transaction', [...GOOD.slice(1, 4), backend.readyForQuery('T')]],
    ['an end before the result', [COLUMNS, READY]],
    ['COPY', [frontend.message('G', Buffer.from([0, 0, 0]))]],
  ])('refuses %s', (_what, parts) => {
    const given = [HEAD, ...parts.filter((part) => part !== undefined)];
    const result = reply(...given, DONE, READY);
    expect(result.outcome?.kind).toBe('malformed');
  });

  it('holds a bounded amount', () => {
    const result = new AuthQueryReply();
    const notice = backend.noticeResponse({ S: 'NOTICE', M: 'x'.repeat(60_000) });
    for (let i = 0; i < 5; i++) {
      result.feed(notice);
    }
    expect(result.outcome).toEqual({ kind: 'malformed', reason: 'the reply is too long' });
    expect(result.isClean).toBe(false);
  });

  it('never throws, whatever the bytes are', () => {
    const seed = testSeed('auth-query-reply');
    const random = new SeededRandom(seed);
    const bytes = Buffer.concat(GOOD);
    for (let round = 0; round < 2000; round++) {
      const changed = Buffer.from(bytes);
      for (let i = 0; i < 1 + random.below(4); i++) {
        changed[random.below(changed.length)] = random.below(256);
      }
      const result = new AuthQueryReply();
      expect(
        () => {
          result.feed(changed);
        },
        `seed ${String(seed)}`,
      ).not.toThrow();
    }
  });
});
