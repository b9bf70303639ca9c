import { describe, expect, it } from 'vitest';
import { MAX_OUTSTANDING } from '../../src/relay/outstanding-requests.ts';
import { commandComplete, readyForQuery } from '../support/backend-messages.ts';
import * as f from '../support/frontend-messages.ts';
import { SeededRandom, testSeed } from '../support/seeded-random.ts';
import { RelayFixture, type FakeClient, type FakeServer } from '../unit/relay/relay-fixture.ts';
import { allSplits, BorrowedBuffer, isLegalRun, randomSplit } from './byte-splits.ts';

/** Sends chunks of one shared read buffer, as the socket layer does. */
function sendChunks(client: FakeClient, chunks: readonly Buffer[]): void {
  const borrowed = new BorrowedBuffer();
  for (const chunk of chunks) {
    borrowed.lend(chunk, (buffer, end) => client.link?.onClientData(buffer, 0, end));
  }
}

function linked(maxPacketSizeBytes?: number): { client: FakeClient; server: FakeServer } {
  return new RelayFixture({
    poolMode: 'session',
    ...(maxPacketSizeBytes === undefined ? {} : { maxPacketSizeBytes }),
  }).link();
}

const STREAMS: Readonly<Record<string, Buffer>> = {
  'a simple query': f.query('SELECT 1'),
  'an empty query': f.query(''),
  'an extended query': f.extendedQuery('SELECT $1', ['x', null]),
  'a pipeline': Buffer.concat([f.parse('a'), f.flush(), f.bind(), f.execute(), f.sync(), f.sync()]),
  'COPY messages': Buffer.concat([f.copyData('1\t2\n'), f.copyData(''), f.copyDone()]),
  'CopyFail and a function call': Buffer.concat([f.copyFail('no'), f.functionCall(1, ['a'])]),
  'Describe and Close': Buffer.concat([f.describe('S', 's'), f.close('P'), f.sync()]),
  'bodies that look like headers': f.query('X\0\0\0\u0004Q\0\0\0'),
};

describe('RequestRelay: what a client may send', () => {
  it.each(Object.keys(STREAMS))('forwards %s byte for byte, however it is cut', (name) => {
    const stream = STREAMS[name] ?? Buffer.alloc(0);
    for (const chunks of allSplits(stream)) {
      const { client, server } = linked();
      sendChunks(client, chunks);
      expect(server.takeInput().equals(stream)).toBe(true);
      expect(client.framer.isAtBoundary).toBe(true);
      expect(client.isClosed).toBe(false);
    }
  });

  it('forwards all of them glued together as one write', () => {
    const stream = Buffer.concat(Object.values(STREAMS));
    const { client, server } = linked();
    sendChunks(client, [stream]);
    expect(server.snapshots).toEqual([stream]);
  });

  it.each(Object.keys(STREAMS))('never forwards a header of %s that is not whole', (name) => {
    const stream = STREAMS[name] ?? Buffer.alloc(0);
    for (let bytes = 1; bytes < 5; bytes++) {
      const { client, server } = linked();
      sendChunks(client, [stream.subarray(0, bytes)]);
      expect(server.snapshots).toEqual([]);
      expect(client.framer.isAtBoundary).toBe(false);
      sendChunks(client, [stream.subarray(bytes)]);
      expect(server.takeInput().equals(stream)).toBe(true);
    }
  });

  it('keeps no more than a header of a huge message', () => {
    const { client, server } = linked();
    const body = Buffer.alloc(4096, 7);
    const header = f.messageWithLength('d', 4 + 1_000_000_000);
    sendChunks(client, [header, body]);
    expect(server.takeInput()).toEqual(Buffer.concat([header, body]));
    expect(client.framer.bodyRemaining).toBe(1_000_000_000 - body.length);
    expect(client.framer.savedBytes).toBe(0);
  });
});

describe('RequestRelay: what a client may not send', () => {
  const before = f.query('SELECT 1');

  function sendBad(bad: Buffer, chunks: (bytes: Buffer) => Iterable<readonly Buffer[]>): string[] {
    const outcomes = new Set<string>();
    for (const split of chunks(Buffer.concat([before, bad]))) {
      const { client, server } = linked(1000);
      sendChunks(client, split);
      expect(server.takeInput()).toEqual(before);
      outcomes.add(client.events.filter((event) => event.startsWith('bad')).join());
      expect(client.isClosed).toBe(true);
    }
    return [...outcomes];
  }

  it.each([0, 1, 2, 3, -1, -2_147_483_648])('refuses length %d, and nothing of it gets on', (n) => {
    const bad = f.messageWithLength('Q', n);
    expect(sendBad(bad, allSplits)).toEqual([`bad header ${bad.toString('hex')}`]);
  });

  it.each([1000, 1001, 2_147_483_647])('refuses length %d under max_packet_size 1000', (n) => {
    const bad = f.messageWithLength('Q', n);
    expect(sendBad(bad, allSplits)).toEqual([`bad size ${bad.toString('hex')}`]);
  });

  it('accepts a message of just max_packet_size bytes', () => {
    const { client, server } = linked(1000);
    const largest = f.messageWithLength('Q', 999, Buffer.alloc(995));
    expect(largest.length).toBe(1000);
    sendChunks(client, [largest]);
    expect(server.takeInput()).toEqual(largest);
    expect(client.isClosed).toBe(false);
  });

  it('refuses each type byte that is none of a frontend message', () => {
    const legal = new Set(Array.from('BCDEFHPQSXcdf').map((letter) => letter.charCodeAt(0)));
    for (let code = 0; code < 256; code++) {
      if (!legal.has(code)) {
        const bad = Buffer.concat([Buffer.of(code), f.int32(4)]);
        expect(sendBad(bad, (bytes) => [[bytes]])).toEqual([`bad type ${bad.toString('hex')}`]);
      }
    }
  });

  it('refuses a Terminate with a body', () => {
    const bad = f.messageWithLength('X', 5);
    expect(sendBad(bad, allSplits)).toEqual([`bad header ${bad.toString('hex')}`]);
  });

  it('ends at a Terminate, forwards what came before it and nothing behind it', () => {
    for (const split of allSplits(Buffer.concat([before, f.terminate(), f.query('DROP')]))) {
      const { client, server } = linked();
      sendChunks(client, split);
      expect(server.takeInput()).toEqual(before);
      expect(client.events).toContain('terminate');
    }
  });
});

describe('RequestRelay: random bytes', () => {
  it('never throws, and forwards nothing but whole judged headers and their bodies', () => {
    const seed = testSeed('requests');
    for (let round = 0; round < 400; round++) {
      const random = new SeededRandom(seed + round);
      const parts = Array.from({ length: 8 }, () =>
        random.chance(0.2) ? random.bytes(random.below(30)) : random.pick(Object.values(STREAMS)),
      );
      const stream = Buffer.concat(parts);
      const { client, server } = linked(5000);
      sendChunks(
        client,
        randomSplit(stream, 40, (limit) => random.below(limit)),
      );
      const forwarded = Buffer.concat(server.forwarded);
      const context = `seed ${String(seed + round)}`;
      expect(forwarded.equals(stream.subarray(0, forwarded.length)), context).toBe(true);
      expect(isLegalRun(forwarded, 'BCDEFHPQScdf', 5000), context).toBe(true);
    }
  });
});

describe('RequestRelay: a server that does not keep up', () => {
  it('stops reading the client until the kernel has taken what was written', () => {
    const { client, server } = linked();
    server.isFull = true;
    client.send(f.query('a'));
    expect(client.isPaused).toBe(true);
    server.isFull = false;
    server.link.onServerDrain();
    expect(client.isPaused).toBe(false);
  });

  it('does not stop reading while the kernel takes everything', () => {
    const { client } = linked();
    client.send(f.query('a'));
    expect(client.events).toEqual([]);
  });
});

describe('RequestRelay: a client that sends much', () => {
  const large = f.copyData(Buffer.alloc(20_000, 1));

  it('gets a read buffer of its own, which is then written as it is', () => {
    const { client, server } = linked();
    client.send(f.query('COPY'));
    expect(client.isReadBufferOwn).toBe(false);
    client.send(large);
    expect(client.isReadBufferOwn).toBe(true);
    client.send(large);
    expect(client.detachCount).toBe(0);
    client.send(f.copyDone());
    expect(client.isReadBufferOwn).toBe(false);
    const expected = Buffer.concat([f.query('COPY'), large, large, f.copyDone()]);
    expect(server.takeInput()).toEqual(expected);
  });

  it('has its buffer kept by the server connection that has not written it yet', () => {
    const { client, server } = linked();
    client.send(large);
    server.isFull = true;
    client.send(large);
    expect(server.kept).toEqual([client.readBuffer]);
    expect(client.isPaused).toBe(true);
  });

  it('has the cut-off header of an earlier chunk sent in front', () => {
    for (let at = 1; at < 5; at++) {
      const { client, server } = linked();
      client.send(large);
      client.send(large.subarray(0, at));
      client.isReadBufferOwn = true;
      client.send(large.subarray(at));
      expect(server.takeInput()).toEqual(Buffer.concat([large, large]));
    }
  });
});

describe('RequestRelay: long pipelines', () => {
  const turn = Buffer.concat([commandComplete('SELECT 1'), readyForQuery('I')]);

  it('is held back while others wait, and goes on once it is answered', () => {
    const fixture = new RelayFixture();
    const { client, server } = fixture.link();
    expect(fixture.pool.acquire(fixture.addClient())).toBeNull();
    client.send(...Array.from({ length: 63 }, () => f.query('')));
    expect(client.isPaused).toBe(false);
    client.send(f.query(''));
    expect(client.isPaused).toBe(true);
    server.reply(...Array.from({ length: 63 }, () => turn));
    expect(client.isPaused).toBe(true);
    server.reply(turn);
    expect(client.events).toEqual(['pause', 'released']);
    expect(client.isPaused).toBe(false);
  });

  it('leaves a request that is cut off with the client, for its next turn', () => {
    const request = f.query('SELECT 1');
    for (let at = 1; at < request.length; at++) {
      const fixture = new RelayFixture();
      const { client, server } = fixture.link();
      fixture.pool.acquire(fixture.addClient());
      const whole = Buffer.concat(Array.from({ length: 64 }, () => f.query('')));
      client.send(whole, request.subarray(0, at));
      expect(server.takeInput()).toEqual(whole);
      expect(client.heldRequests).toEqual(request.subarray(0, at));
      expect(client.framer.isAtBoundary).toBe(true);
      server.reply(...Array.from({ length: 64 }, () => turn));
      expect(client.events).toContain('released');
    }
  });

  it('is not held back while nobody waits', () => {
    const { client } = new RelayFixture().link();
    client.send(...Array.from({ length: 1000 }, () => f.query('')));
    expect(client.isPaused).toBe(false);
  });

  it('is not held back before a Sync: nothing would end the wait', () => {
    const fixture = new RelayFixture();
    const { client } = fixture.link();
    fixture.pool.acquire(fixture.addClient());
    client.send(...Array.from({ length: 200 }, () => f.execute()));
    expect(client.isPaused).toBe(false);
  });

  it('is held back at the limit also while nobody waits', () => {
    const { client } = new RelayFixture().link();
    client.send(Buffer.concat(Array.from({ length: MAX_OUTSTANDING }, () => f.sync())));
    expect(client.isPaused).toBe(false);
    client.send(f.sync());
    expect(client.isPaused).toBe(true);
  });

  it('forgets the hold when the client goes, so that the next one is read', () => {
    const fixture = new RelayFixture();
    const { client, server } = fixture.link();
    const next = fixture.addClient();
    next.heldRequests = Buffer.concat(Array.from({ length: 63 }, () => f.query('')));
    fixture.pool.acquire(next);
    fixture.pool.acquire(fixture.addClient());
    client.send(...Array.from({ length: 64 }, () => f.query('')));
    expect(client.isPaused).toBe(true);
    client.close(true);
    server.reply(...Array.from({ length: 64 }, () => turn));
    server.reply(turn); // the reset query
    expect(next.events).toEqual(['assigned', 'ready']);
    next.send(f.query(''));
    expect(next.isPaused).toBe(true);
  });
});
