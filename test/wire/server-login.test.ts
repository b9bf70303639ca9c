import { describe, expect, it } from 'vitest';
import { PasswordDeriver } from '../../src/auth/password-derivation.ts';
import type { Secret } from '../../src/auth/secret.ts';
import { ServerLogin, type LoginResult } from '../../src/server/server-login.ts';
import * as b from '../support/backend-messages.ts';
import * as f from '../support/frontend-messages.ts';
import { seededRandom } from '../unit/auth/support.ts';
import { SeededRandom, testSeed } from '../support/seeded-random.ts';
import { allSplits, BorrowedBuffer, randomSplit } from './byte-splits.ts';

const OK = b.authentication(0);
const KEY = b.backendKeyData(7, Buffer.from([1, 2, 3, 4]));
const READY = b.readyForQuery('I');
const WELCOME = Buffer.concat([
  OK,
  b.parameterStatus('TimeZone', 'UTC'),
  b.noticeResponse({ M: 'hello' }),
  KEY,
  READY,
]);

class Dialogue {
  readonly sent: Buffer[] = [];
  result: LoginResult = { kind: 'going_on' };
  readonly login: ServerLogin;
  readonly #borrowed = new BorrowedBuffer();

  constructor(secret: Secret = { kind: 'plain', password: 'pencil' }) {
    const deriver = new PasswordDeriver();
    this.login = new ServerLogin(
      { user: 'u', secret, keys: null, deriver, random: seededRandom('server login') },
      (message) => this.sent.push(message),
      (result) => {
        this.result = result;
      },
    );
  }

  feed(...chunks: readonly Buffer[]): this {
    for (const chunk of chunks) {
      this.#borrowed.lend(chunk, (buffer, end) => {
        this.result = this.login.onData(buffer.subarray(0, end));
      });
    }
    return this;
  }

  /** The outcome in a word, with the reason of a failure. */
  get outcome(): string {
    return this.result.kind === 'failed' ? `failed: ${this.result.reason}` : this.result.kind;
  }
}

describe('ServerLogin: honest servers', () => {
  it('is done at ReadyForQuery, however the stream is cut', () => {
    for (const chunks of allSplits(WELCOME)) {
      const dialogue = new Dialogue().feed(...chunks);
      expect(dialogue.result).toEqual({ kind: 'done', rest: null });
      expect([...dialogue.login.parameters]).toEqual([['TimeZone', 'UTC']]);
      expect(dialogue.login.cancelKey).toEqual({
        processId: 7,
        secret: Buffer.from([1, 2, 3, 4]),
      });
    }
  });

  it('hands over what came behind ReadyForQuery, owned', () => {
    const notice = b.noticeResponse({ M: 'x' });
    const dialogue = new Dialogue().feed(Buffer.concat([WELCOME, notice]));
    expect(dialogue.result).toEqual({ kind: 'done', rest: notice });
  });

  it('needs neither parameters nor a cancel key', () => {
    const dialogue = new Dialogue().feed(OK, READY);
    expect(dialogue.outcome).toBe('done');
    expect(dialogue.login.cancelKey).toBeNull();
  });

  it('answers a request for the password', () => {
    const dialogue = new Dialogue().feed(b.authentication(3));
    expect(dialogue.sent).toEqual([f.passwordMessage('pencil')]);
    expect(dialogue.feed(WELCOME).outcome).toBe('done');
  });

  it('ignores NegotiateProtocolVersion and notices', () => {
    const negotiate = f.message('v', f.int32(0x30000), f.int32(0));
    const dialogue = new Dialogue().feed(b.noticeResponse({}), negotiate, WELCOME);
    expect(dialogue.outcome).toBe('done');
  });

  it('takes the error of a server at any point', () => {
    const error = b.errorResponse({ S: 'FATAL', C: '28P01', M: 'no', D: 'd', H: 'h' });
    for (const before of [[], [b.authentication(3)], [OK], [OK, KEY]]) {
      expect(new Dialogue().feed(...before, error).result).toMatchObject({
        kind: 'refused',
        report: { sqlstate: '28P01', message: 'no', detail: 'd', hint: 'h' },
      });
    }
  });
});

describe('ServerLogin: hostile servers', () => {
  it.each([
    ['without SQLSTATE', b.errorResponse({ M: 'x' })],
    ['without fields', f.message('E', Buffer.of(0))],
    ['without a body', f.message('E')],
    ['unterminated', f.message('E', Buffer.from('C28'))],
    ['with an odd SQLSTATE', b.errorResponse({ C: '\u001b[31m' })],
  ])('an error %s', (_what, error) => {
    const { result } = new Dialogue().feed(error);
    expect(result).toMatchObject({ kind: 'refused', report: { sqlstate: 'XX000' } });
  });

  it.each([
    ['ReadyForQuery before AuthenticationOk', READY, /untimely ReadyForQuery/],
    ['BackendKeyData before AuthenticationOk', KEY, /untimely BackendKeyData/],
    ['AuthenticationOk cut short', f.message('R', f.int16(0)), /malformed Authentication/],
    ['AuthenticationOk twice', Buffer.concat([OK, OK]), /./],
    ['a request behind AuthenticationOk', Buffer.concat([OK, b.authentication(3)]), /./],
    ['a request twice', Buffer.concat([b.authentication(3), b.authentication(3)]), /./],
    ['an unknown request', b.authentication(99), /./],
    ['a transaction', Buffer.concat([OK, b.readyForQuery('T')]), /ReadyForQuery/],
    ['a long ReadyForQuery', Buffer.concat([OK, f.message('Z', Buffer.from('II'))]), /Ready/],
    ['a parameter without value', f.message('S', Buffer.from('a\0')), /ParameterStatus/],
    ['a row', b.dataRow(['x']), /unexpected message 'D'/],
  ])('%s', (_what, stream, reason) => {
    for (const chunks of allSplits(stream)) {
      expect(new Dialogue().feed(...chunks).outcome).toMatch(reason);
    }
  });

  it('each message that has no place in a login', () => {
    for (let code = 0; code < 256; code++) {
      if (!'RENvSKZ'.includes(String.fromCharCode(code))) {
        const dialogue = new Dialogue().feed(OK, Buffer.concat([Buffer.of(code), f.int32(4)]));
        expect(dialogue.outcome).toMatch(/^failed: unexpected message/);
      }
    }
  });

  it.each([0, 3, -1, 65_540, 2_147_483_647])('a length of %d, at once', (length) => {
    const dialogue = new Dialogue().feed(f.messageWithLength('R', length));
    expect(dialogue.outcome).toBe('failed: unknown pkt from server');
  });

  it('cancel keys that are too short or too long', () => {
    for (let bytes = 0; bytes <= 300; bytes++) {
      const dialogue = new Dialogue().feed(OK, b.backendKeyData(1, Buffer.alloc(bytes)));
      const isLegal = bytes >= 4 && bytes <= 256;
      expect(dialogue.result.kind).toBe(isLegal ? 'going_on' : 'failed');
    }
  });

  it('thousands of parameters', () => {
    const dialogue = new Dialogue().feed(OK);
    let count = 0;
    while (dialogue.result.kind === 'going_on' && count < 5000) {
      dialogue.feed(b.parameterStatus(`p${String(count++)}`, 'x'));
    }
    expect(dialogue.outcome).toMatch(/ParameterStatus/);
    expect(dialogue.login.parameters.size).toBe(500);
  });

  it('parameters with names that objects know', () => {
    const dialogue = new Dialogue().feed(b.parameterStatus('__proto__', 'x'), WELCOME);
    expect(dialogue.login.parameters.get('__proto__')).toBe('x');
  });

  it('stays failed whatever comes next', () => {
    for (const bad of [READY, f.messageWithLength('R', 3), b.errorResponse({})]) {
      const dialogue = new Dialogue().feed(bad);
      const { kind } = dialogue.result;
      expect(kind).not.toBe('going_on');
      expect(dialogue.feed(OK, READY, OK, READY).result.kind).toBe(kind);
    }
  });

  it('random bytes: never throws, and believes nobody who was not asked', () => {
    const seed = testSeed('server login');
    for (let round = 0; round < 1000; round++) {
      const random = new SeededRandom(seed + round);
      const stream = Buffer.concat([b.authentication(3), WELCOME]);
      for (let bits = random.below(4); bits > 0; bits--) {
        stream[random.below(stream.length)] = random.below(256);
      }
      const dialogue = new Dialogue();
      dialogue.feed(...randomSplit(stream, 20, (limit) => random.below(limit)));
      if (dialogue.result.kind === 'done') {
        expect(stream.includes(OK), `seed ${String(seed + round)}`).toBe(true);
      }
    }
  });
});
