import { describe, expect, it, vi } from 'vitest';
import * as b from '../support/backend-messages.ts';
import * as f from '../support/frontend-messages.ts';
import { SeededRandom, testSeed } from '../support/seeded-random.ts';
import {
  RelayFixture,
  type FakeClient,
  type FakeServer,
  type FixtureOptions,
} from '../unit/relay/relay-fixture.ts';
import { allSplits, BorrowedBuffer, isLegalRun, randomSplit } from './byte-splits.ts';

/** Sends chunks of one reused read buffer, as the socket layer does. */
function replyChunks(server: FakeServer, chunks: readonly Buffer[]): void {
  const borrowed = new BorrowedBuffer();
  for (const chunk of chunks) {
    if (!server.isClosed) {
      borrowed.lend(chunk, (buffer, end) => {
        server.link.onServerData(buffer, end);
      });
    }
  }
}

/** A linked pair whose client has sent `requests`. */
function asked(
  requests: Buffer,
  options: FixtureOptions = {},
): { client: FakeClient; server: FakeServer } {
  const pair = new RelayFixture({ poolMode: 'session', ...options }).link();
  pair.client.send(requests);
  return pair;
}

const ERROR = b.errorResponse({ S: 'ERROR', V: 'ERROR', C: '42601', M: 'syntax error' });
const NOTICE = b.noticeResponse({ S: 'NOTICE', C: '00000', M: 'mind the gap' });
const NOTIFICATION = f.message('A', f.int32(7), f.cstring('channel'), f.cstring('payload'));
const STATUS = b.parameterStatus('application_name', 'psql');
const BY_THE_WAY = [NOTICE, NOTIFICATION, STATUS];
const EMPTY = (type: string): Buffer => f.message(type);
const COPY_BODY = Buffer.concat([Buffer.of(0), f.int16(1), f.int16(0)]);

/** What is asked and what the server answers, message by message. */
const ANSWERS: Readonly<Record<string, readonly [requests: Buffer, replies: readonly Buffer[]]>> = {
  'rows of a simple query': [
    f.query('SELECT'),
    [
      b.rowDescription(['a', 'b']),
      b.dataRow(['1', null]),
      b.dataRow(['', 'Z\0\0\0\u0005I']),
      b.commandComplete('SELECT 2'),
      b.readyForQuery('I'),
    ],
  ],
  'an extended query': [
    f.extendedQuery('SELECT'),
    [
      EMPTY('1'),
      EMPTY('2'),
      b.rowDescription(['a']),
      b.dataRow(['x']),
      b.commandComplete('SELECT 1'),
      b.readyForQuery('T'),
    ],
  ],
  'a statement described': [
    Buffer.concat([f.parse('x'), f.describe('S'), f.close('S'), f.sync()]),
    [
      EMPTY('1'),
      f.message('t', f.int16(1), f.int32(25)),
      EMPTY('n'),
      EMPTY('3'),
      b.readyForQuery('I'),
    ],
  ],
  'an error': [f.extendedQuery('SELEC'), [ERROR, b.readyForQuery('E')]],
  'COPY OUT': [
    f.query('COPY t TO STDOUT'),
    [
      f.message('H', COPY_BODY),
      f.copyData('1\n'),
      f.copyData(''),
      EMPTY('c'),
      b.commandComplete('COPY 2'),
      b.readyForQuery('I'),
    ],
  ],
  'COPY IN': [
    Buffer.concat([f.query('COPY t FROM STDIN'), f.copyData('1\n'), f.copyDone()]),
    [f.message('G', COPY_BODY), b.commandComplete('COPY 1'), b.readyForQuery('I')],
  ],
  'a function call': [f.functionCall(1, []), [f.message('V', f.int32(-1)), b.readyForQuery('I')]],
  'a portal in portions': [
    Buffer.concat([f.execute('', 1), f.execute(), f.sync()]),
    [b.dataRow(['1']), EMPTY('s'), EMPTY('I'), b.readyForQuery('T')],
  ],
};

const NAMES = Object.keys(ANSWERS);

function answer(name: string): readonly [Buffer, readonly Buffer[]] {
  return ANSWERS[name] ?? [Buffer.alloc(0), []];
}

describe('ReplyRelay: what a server may send', () => {
  it.each(NAMES)('forwards %s byte for byte, however it is cut', (name) => {
    const [requests, replies] = answer(name);
    const stream = Buffer.concat(replies);
    for (const chunks of allSplits(stream)) {
      const { client, server } = asked(requests);
      replyChunks(server, chunks);
      expect(client.output.equals(stream)).toBe(true);
      expect(server.link.ledger.isEmpty).toBe(true);
      expect(server.link.replies.isAtBoundary).toBe(true);
      expect(server.isClosed).toBe(false);
    }
  });

  it('forwards one chunk as one write of the chunk itself', () => {
    const [requests, replies] = answer('rows of a simple query');
    const { client, server } = asked(requests);
    const chunk = Buffer.concat(replies);
    server.link.onServerData(chunk, chunk.length);
    expect(client.written).toHaveLength(1);
    expect(client.written[0]).toBe(chunk);
  });

  it.each(NAMES)('lets notices, notifications and parameters into %s anywhere', (name) => {
    const [requests, replies] = answer(name);
    for (let at = 0; at <= replies.length; at++) {
      for (const message of BY_THE_WAY) {
        const stream = Buffer.concat([...replies.slice(0, at), message, ...replies.slice(at)]);
        const { client, server } = asked(requests);
        const cut = 1 + ((at * 7) % (stream.length - 1));
        replyChunks(server, [stream.subarray(0, cut), stream.subarray(cut)]);
        expect(client.output).toEqual(stream);
        expect(server.link.ledger.isEmpty).toBe(true);
      }
    }
  });

  it('learns the parameters that the server reports, wherever they are cut', () => {
    const stream = Buffer.concat([b.parameterStatus('TimeZone', 'UTC'), b.readyForQuery('I')]);
    for (const chunks of allSplits(stream)) {
      const { client, server } = asked(f.sync());
      replyChunks(server, chunks);
      expect([server.parameters[2], client.parameters[2]]).toEqual(['UTC', 'UTC']);
    }
  });

  it.each(['I', 'T', 'E'])('learns transaction status %s, wherever it is cut', (status) => {
    for (const chunks of allSplits(b.readyForQuery(status))) {
      const { server } = asked(f.sync());
      replyChunks(server, chunks);
      expect(server.link.transactionStatus).toBe(status.charCodeAt(0));
    }
  });
});

describe('ReplyRelay: big messages', () => {
  it('streams a huge row without holding it', () => {
    const { client, server } = asked(f.query('SELECT'));
    const header = f.messageWithLength('D', 4 + 500_000_000);
    const chunk = Buffer.alloc(60_000, 1);
    server.link.onServerData(header, header.length);
    expect(server.link.isMidReply).toBe(true);
    for (let count = 0; count < 20; count++) {
      server.link.onServerData(chunk, chunk.length);
      // The very chunk, not a copy: nothing is kept.
      expect(client.written.at(-1)).toBe(chunk);
    }
    expect(client.output.length).toBe(header.length + 20 * chunk.length);
  });

  it.each([32_767, 32_768, 32_769, 100_000])(
    'forwards errors, parameters and notices of length %d in chunks of any size',
    (length) => {
      for (const type of ['E', 'S', 'N']) {
        const body = Buffer.alloc(length - 4, 'x');
        const stream = Buffer.concat([f.message(type, body), b.readyForQuery('I')]);
        for (const size of [1000, 4096, 32_768, 65_536]) {
          const { client, server } = asked(f.query(''));
          for (let at = 0; at < stream.length; at += size) {
            replyChunks(server, [stream.subarray(at, at + size)]);
          }
          expect(client.output.equals(stream)).toBe(true);
          expect(server.isClosed).toBe(false);
        }
      }
    },
  );
});

describe("ReplyRelay: replies to maitred's own requests", () => {
  /** A pair whose client's parameters are set ahead of its first request. */
  function withPrefix(): { client: FakeClient; server: FakeServer } {
    const fixture = new RelayFixture({ poolMode: 'session' });
    fixture.pool.acceptedValues.add('application_name=app');
    const server = fixture.addServer({ application_name: '' });
    const client = fixture.addClient({ application_name: 'app' });
    fixture.pool.acquire(client);
    expect(server.link.begin(client)).toBe(true);
    client.send(f.query('SELECT 1'));
    expect(server.takeInput()).toEqual(
      Buffer.concat([f.query("SET application_name='app';"), f.query('SELECT 1')]),
    );
    return { client, server };
  }

  const own = [b.commandComplete('SET'), b.parameterStatus('application_name', 'app'), NOTICE];
  const replies = Buffer.concat(answer('rows of a simple query')[1]);

  it('cuts them out precisely, however the stream is cut', () => {
    const stream = Buffer.concat([...own, b.readyForQuery('I'), replies]);
    for (const chunks of allSplits(stream)) {
      const { client, server } = withPrefix();
      replyChunks(server, chunks);
      expect(client.output.equals(replies)).toBe(true);
      expect(server.link.ledger.isEmpty).toBe(true);
      expect(server.parameters).toEqual(client.parameters);
    }
  });

  it('cuts out nothing but them', () => {
    const stream = Buffer.concat([NOTIFICATION, ...own, NOTIFICATION, b.readyForQuery('I')]);
    const { client, server } = withPrefix();
    replyChunks(server, [Buffer.concat([stream, NOTICE, replies])]);
    expect(client.output).toEqual(Buffer.concat([NOTIFICATION, NOTIFICATION, NOTICE, replies]));
  });

  it('drops the rest of a long reply of its own that a chunk cuts', () => {
    const long = b.noticeResponse({ M: 'x'.repeat(100_000) });
    const stream = Buffer.concat([long, ...own, b.readyForQuery('I'), replies]);
    const { client, server } = withPrefix();
    replyChunks(server, [stream.subarray(0, 50_000)]);
    expect(server.link.isMidReply).toBe(false);
    replyChunks(server, [stream.subarray(50_000, 90_000), stream.subarray(90_000)]);
    expect(client.output).toEqual(replies);
  });
});

describe('ReplyRelay: a message that begins while nobody is linked', () => {
  const notification = f.message(
    'A',
    f.int32(7),
    f.cstring('channel'),
    f.cstring('x'.repeat(7000)),
  );
  const own = Buffer.concat([
    b.rowDescription(['a']),
    b.dataRow(['own']),
    b.commandComplete('SELECT 1'),
    b.readyForQuery('I'),
  ]);

  it.each([
    ['a notification', notification],
    ['a notice', b.noticeResponse({ M: 'x'.repeat(7000) })],
  ])('%s, has no part of it passed to the client that comes in between', (_what, message) => {
    for (const cut of [6, 100, message.length - 1]) {
      const fixture = new RelayFixture();
      const server = fixture.addServer();
      replyChunks(server, [message.subarray(0, cut)]);
      const client = fixture.addClient();
      expect(fixture.pool.acquire(client)).toBe(server);
      expect(server.link.begin(client)).toBe(true);
      client.send(f.query('SELECT'));
      expect(server.link.isMidReply).toBe(false);
      replyChunks(server, [Buffer.concat([message.subarray(cut), own])]);
      expect(client.output).toEqual(own);
      expect(client.link).toBeNull();
    }
  });

  it('behind the end of a query of our own, is kept from the client that waits', () => {
    const fixture = new RelayFixture();
    const server = fixture.addServer();
    const [first, next] = [fixture.addClient(), fixture.addClient()];
    fixture.pool.acquire(first);
    server.link.begin(first);
    expect(fixture.pool.acquire(next)).toBeNull();
    next.heldRequests = f.query('SELECT');
    first.send(f.query('BEGIN'));
    server.reply(b.commandComplete('BEGIN'), b.readyForQuery('T'));
    first.close(false);
    server.reply(b.commandComplete('ROLLBACK'), b.readyForQuery('I'));
    // DISCARD ALL has been sent.
    replyChunks(server, [
      Buffer.concat([
        b.commandComplete('DISCARD ALL'),
        b.readyForQuery('I'),
        notification.subarray(0, 100),
      ]),
    ]);
    expect(next.link).toBe(server.link);
    replyChunks(server, [Buffer.concat([notification.subarray(100), own])]);
    expect(next.output).toEqual(own);
  });
});

describe('ReplyRelay: a message that is held', () => {
  it.each([5, 4])('takes room for what has come, not for what %d bytes announce', (headerBytes) => {
    const { client, server } = asked(f.query('SELECT'));
    const error = b.errorResponse({ S: 'ERROR', C: '22000', M: 'x'.repeat(30_000) });
    const allocate = vi.spyOn(Buffer, 'allocUnsafe');
    let largest: number;
    try {
      replyChunks(server, [error.subarray(0, headerBytes), error.subarray(headerBytes, 6)]);
      largest = Math.max(...allocate.mock.calls.map(([bytes]) => bytes));
    } finally {
      allocate.mockRestore();
    }
    expect(largest).toBeLessThan(100);
    for (let offset = 6; offset < error.length; offset += 1000) {
      expect(client.output.length).toBe(0);
      replyChunks(server, [error.subarray(offset, offset + 1000)]);
    }
    expect(client.output).toEqual(error);
  });
});

describe('ReplyRelay: what a server may not send', () => {
  const before = b.rowDescription(['a']);

  /** Lets the server misbehave in each way of cutting; nothing of it may reach the client. */
  function misbehave(
    bad: Buffer,
    options: FixtureOptions = {},
    cut: (bytes: Buffer) => Iterable<readonly Buffer[]> = allSplits,
  ): void {
    const stream = Buffer.concat([before, bad, b.dataRow(['never'])]);
    for (const chunks of stream.length < 200 ? cut(stream) : [[stream]]) {
      const { client, server } = asked(f.query('SELECT'), options);
      replyChunks(server, chunks);
      expect(client.output.equals(before)).toBe(true);
      expect(client.error?.reason).toBe('serverProtocolViolation');
      expect(server.closeReason).toMatch(/^unexpected message from server/);
    }
  }

  it.each([0, 1, 2, 3, -1, -2_147_483_648, 40_000, 2_147_483_647])('a length of %d', (length) => {
    misbehave(f.messageWithLength('D', length), { maxPacketSizeBytes: 1000 });
    misbehave(f.messageWithLength('E', length), { maxPacketSizeBytes: 1000 });
  });

  it('one byte more than max_packet_size, as soon as its header has come whole', () => {
    const { client, server } = asked(f.query('SELECT'), { maxPacketSizeBytes: 1000 });
    replyChunks(server, [f.messageWithLength('D', 1000)]);
    expect(client.output).toEqual(Buffer.alloc(0));
    expect(server.isClosed).toBe(true);
  });

  it('but may send max_packet_size bytes', () => {
    const largest = f.messageWithLength('D', 999, Buffer.alloc(995));
    const { client, server } = asked(f.query('SELECT'), { maxPacketSizeBytes: 1000 });
    replyChunks(server, [largest]);
    expect(client.output).toEqual(largest);
  });

  it('each type byte that has no place after login', () => {
    const legal = new Set(
      Array.from('123ACDEGHINSTVWZcdnst').map((letter) => letter.charCodeAt(0)),
    );
    for (let code = 0; code < 256; code++) {
      if (!legal.has(code)) {
        misbehave(Buffer.concat([Buffer.of(code), f.int32(4)]), {}, (bytes) => [[bytes]]);
      }
    }
  });

  it.each(['R', 'K', 'v'])('%s, which belongs to the login', (type) => {
    misbehave(f.message(type, f.int32(0), f.int32(0)));
  });

  it('a reply that nothing asked for', () => {
    misbehave(f.message('1'));
  });

  it.each([
    ['without a status', f.message('Z')],
    ['with two statuses', f.message('Z', Buffer.from('II'))],
    ['with an unknown status', b.readyForQuery('X')],
    ['of 40,000 bytes', f.message('Z', Buffer.alloc(40_000, 'I'))],
  ])('a ReadyForQuery %s', (_what, bad) => {
    misbehave(bad);
  });

  it("a malformed ReadyForQuery in maitred's own query", () => {
    const fixture = new RelayFixture();
    const server = fixture.addServer();
    fixture.pool.acquire(fixture.addClient());
    server.link.internal.run('check', 'SELECT 1');
    replyChunks(server, [b.readyForQuery('X')]);
    expect(server.closeReason).toMatch(/^unexpected message/);
  });
});

describe('ReplyRelay: random bytes', () => {
  it('never throws, and forwards only what it has judged', () => {
    const seed = testSeed('replies');
    for (let round = 0; round < 400; round++) {
      const random = new SeededRandom(seed + round);
      const [requests, replies] = answer(random.pick(NAMES));
      const stream = Buffer.concat([...replies]);
      for (let bits = random.below(4); bits > 0; bits--) {
        stream[random.below(stream.length)] = random.below(256);
      }
      const { client, server } = asked(requests, { maxPacketSizeBytes: 5000 });
      replyChunks(
        server,
        randomSplit(stream, 30, (limit) => random.below(limit)),
      );
      const context = `seed ${String(seed + round)}`;
      const { output } = client;
      expect(output.equals(stream.subarray(0, output.length)), context).toBe(true);
      expect(server.isClosed, context).toBe(client.isClosed);
      expect(isLegalRun(output, '123ACDEGHINSTVWZcdnst', 5000), context).toBe(true);
    }
  });
});

describe('ReplyRelay: a client that does not keep up', () => {
  const row = b.dataRow(['x'.repeat(10_000)]);

  function lagging(): { client: FakeClient; server: FakeServer } {
    const pair = asked(f.query('SELECT'));
    pair.client.isLagging = true;
    return pair;
  }

  it('stops the server, and goes on once the kernel has taken everything', () => {
    const { client, server } = lagging();
    server.reply(row);
    expect(server.isPaused).toBe(true);
    client.isLagging = false;
    client.pendingBytes = 0;
    server.link.onClientDrain();
    expect(server.isPaused).toBe(false);
  });

  it('gives up the read buffer that a pending write refers to', () => {
    const { client, server } = lagging();
    server.reply(row);
    expect(client.kept).toEqual([server.readBuffer]);
    expect(client.written[0]).toEqual(row);
  });

  it('keeps the read buffer while nothing is pending', () => {
    const { server } = asked(f.query('SELECT'));
    server.reply(row);
    expect([server.detachCount, server.isPaused]).toEqual([0, false]);
  });

  it('copies small replies to a client that lags, rather than pin a whole buffer', () => {
    const { client, server } = lagging();
    client.pendingBytes = 1;
    const chunk = b.dataRow(['small']);
    server.link.onServerData(chunk, chunk.length);
    const copy = Buffer.from(chunk);
    chunk.fill(0);
    expect(client.written[0]).toEqual(copy);
    expect(server.detachCount).toBe(0);
  });

  it('reads the server again when the client goes', () => {
    const { client, server } = lagging();
    server.reply(row);
    client.close(false);
    expect(server.isPaused).toBe(false);
  });
});
