import { describe, expect, it } from 'vitest';
import * as b from '../support/backend-messages.ts';
import * as f from '../support/frontend-messages.ts';
import { RelayFixture, type FakeServer } from '../unit/relay/relay-fixture.ts';

/*
 * What a client sends behind its last query streams through to a server connection that is about to
 * go to somebody else. Whatever it is, and wherever the network cuts it, the next client gets a server
 * connection that reads its request as the begin of a message, and goes on to live.
 */

const DONE = Buffer.concat([b.commandComplete('SELECT 1'), b.readyForQuery('I')]);
const EXTENDED_DONE = Buffer.concat([f.message('1'), f.message('2'), f.message('n'), DONE]);
const QUERIES: readonly (readonly [string, Buffer, Buffer])[] = [
  ['a simple query', f.query('SELECT 1'), DONE],
  ['an extended query', f.extendedQuery('SELECT 1'), EXTENDED_DONE],
];

/**
 * Cuts at each byte of the query from its first header on, of the header behind it and a few bytes on,
 * and before the end.
 */
function cuts(query: Buffer, whole: Buffer): number[] {
  const near = Array.from({ length: query.length + 8 }, (_, index) => index + 5);
  return [...near, whole.length - 1, whole.length].filter((at) => at <= whole.length);
}

/** Whether `bytes` are whole messages. */
function isWhole(bytes: Buffer): boolean {
  let at = 0;
  while (at + 5 <= bytes.length) {
    at += 1 + bytes.readInt32BE(at + 1);
  }
  return at === bytes.length;
}

/** Whether a server that has got `input` will close the connection over it. */
function isFatal(input: Buffer): boolean {
  for (let at = 0; at + 5 <= input.length; at += 1 + input.readInt32BE(at + 1)) {
    if (
      'cf'.includes(String.fromCharCode(input.readUInt8(at))) &&
      input.readInt32BE(at + 1) > 10_000
    ) {
      return true;
    }
  }
  return false;
}

/** Sends `whole` in two pieces, with the reply before, between and behind them; asks about the end. */
function play(
  whole: Buffer,
  at: number,
  replyAt: number,
  reply: Buffer,
): { server: FakeServer; isClosed: boolean; isWaiting: boolean; input: Buffer } {
  const fixture = new RelayFixture();
  const { client, server } = fixture.link();
  const next = fixture.addClient();
  fixture.pool.acquire(next);
  let input = Buffer.alloc(0);
  const check = (): void => {
    input = Buffer.concat([input, server.takeInput()]);
    if (server.link.client === next) {
      expect(isWhole(input)).toBe(true);
      expect(isFatal(input)).toBe(false);
    }
  };
  const pieces = [whole.subarray(0, at), whole.subarray(at)];
  for (const [index, piece] of pieces.entries()) {
    if (client.link !== null) {
      client.send(piece);
    }
    check();
    if (index === replyAt && !server.isClosed) {
      server.reply(reply);
    }
    check();
  }
  return { server, isClosed: server.isClosed, isWaiting: next.events.length === 0, input };
}

describe.each(QUERIES)('behind %s', (_what, query, reply) => {
  const cases: readonly (readonly [string, Buffer, boolean])[] = [
    ['CopyDone of 10,000 bytes', f.messageOfLength('c', 10_000), false],
    ['CopyDone of 10,001 bytes', f.messageOfLength('c', 10_001), true],
    ['CopyFail of 10,000 bytes', f.messageOfLength('f', 10_000), false],
    ['CopyFail of 10,001 bytes', f.messageOfLength('f', 10_001), true],
    ['CopyData of 10,001 bytes', f.messageOfLength('d', 10_001), false],
    ['CopyData of 100,000 bytes', f.messageOfLength('d', 100_000), false],
    ['CopyDone', f.copyDone(), false],
    ['CopyFail', f.copyFail('no'), false],
    ['CopyData and CopyDone', Buffer.concat([f.copyData('x'), f.copyDone()]), false],
    ['Flush', f.flush(), false],
  ];

  it.each(cases)('%s, however it is cut', (_name, stray, isEnding) => {
    const whole = Buffer.concat([query, stray]);
    for (const at of cuts(query, whole)) {
      for (const replyAt of [0, 1]) {
        if (at < query.length && replyAt === 0) {
          continue;
        }
        const { isClosed, isWaiting, input } = play(whole, at, replyAt, reply);
        const hasGoneOut = input.length > query.length && isFatal(input);
        expect(isClosed, `cut at ${String(at)}`).toBe(isEnding && hasGoneOut);
        expect(isWaiting, `cut at ${String(at)}`).toBe(isClosed);
      }
    }
  });

  it.each(f.SHORT_MESSAGES)(
    'a long %s keeps the server connection with its sender, who loses it',
    (_name, type) => {
      const whole = Buffer.concat([query, f.messageOfLength(type, 20_000)]);
      for (const at of cuts(query, whole)) {
        const { server, isWaiting } = play(whole, at, 1, reply);
        expect(server.isClosed).toBe(false);
        expect(isWaiting, `cut at ${String(at)}`).toBe(true);
      }
    },
  );
});
