import { describe, expect, it } from 'vitest';
import { MessageAssembler } from '../../../src/protocol/message-assembler.ts';
import * as f from '../../support/frontend-messages.ts';

/** Feeds chunks and lists what comes out as `code:body`. */
function collect(assembler: MessageAssembler, chunks: readonly Buffer[], stopAt = ''): string[] {
  const messages: string[] = [];
  for (const chunk of chunks) {
    const lent = Buffer.from(chunk);
    const problem = assembler.feed(lent, (code, body) => {
      messages.push(`${String.fromCharCode(code)}:${body.toString('latin1')}`);
      return String.fromCharCode(code) !== stopAt;
    });
    lent.fill(0xee);
    if (problem !== null) {
      messages.push(`problem ${String(problem.code)} ${String(problem.length)}`);
    }
  }
  return messages;
}

const STREAM = Buffer.concat([
  f.message('p', Buffer.from('secret')),
  f.message('S'),
  f.message('Q', Buffer.from('x')),
]);
const MESSAGES = ['p:secret', 'S:', 'Q:x'];

describe('MessageAssembler', () => {
  it('takes messages out however the stream is cut', () => {
    for (let at = 0; at <= STREAM.length; at++) {
      const assembler = new MessageAssembler(100);
      const chunks = [STREAM.subarray(0, at), STREAM.subarray(at)];
      expect(collect(assembler, chunks)).toEqual(MESSAGES);
      expect(assembler.heldBytes).toBe(0);
      expect(assembler.takeRest()).toBeNull();
    }
  });

  it('takes messages out byte by byte', () => {
    const bytes = Array.from(STREAM, (byte) => Buffer.of(byte));
    expect(collect(new MessageAssembler(100), bytes)).toEqual(MESSAGES);
  });

  it('stops where it is told to, and hands over the rest once', () => {
    const assembler = new MessageAssembler(100);
    expect(collect(assembler, [STREAM], 'p')).toEqual(['p:secret']);
    expect(assembler.takeRest()).toEqual(STREAM.subarray(11));
    expect(assembler.takeRest()).toBeNull();
  });

  it.each([3, 2, 1, 0, -1, -2_147_483_648, 100, 2_147_483_647])(
    'refuses a length of %d under a limit of 100 bytes, with the header alone',
    (length) => {
      const bad = f.messageWithLength('p', length);
      for (let at = 0; at < 5; at++) {
        const chunks = [bad.subarray(0, at), bad.subarray(at)];
        const found = collect(new MessageAssembler(100), chunks);
        expect(found).toEqual([`problem 112 ${String(length)}`]);
      }
    },
  );

  it('accepts a message of just the limit', () => {
    const largest = f.message('p', Buffer.alloc(95, 'x'));
    expect(largest.length).toBe(100);
    expect(collect(new MessageAssembler(100), [largest])).toEqual([`p:${'x'.repeat(95)}`]);
  });

  it('hands out what is good in front of a bad header', () => {
    const stream = Buffer.concat([STREAM, f.messageWithLength('p', 3)]);
    expect(collect(new MessageAssembler(100), [stream])).toEqual([...MESSAGES, 'problem 112 3']);
  });

  it('holds no more than what has come, whatever was announced', () => {
    const assembler = new MessageAssembler(1_000_000_000);
    collect(assembler, [f.messageWithLength('p', 999_999_999)]);
    expect(assembler.heldBytes).toBe(5);
  });
});
