import { describe, expect, it } from 'vitest';
import { RequestIntake } from '../../src/client/request-intake.ts';
import { writeErrorResponse } from '../../src/protocol/backend-writer.ts';
import { poolerError } from '../../src/protocol/pooler-errors.ts';
import { REQUEST_KINDS } from '../../src/relay/request-framer.ts';
import { commandComplete, readyForQuery } from '../support/backend-messages.ts';
import * as f from '../support/frontend-messages.ts';
import { SeededRandom, testSeed } from '../support/seeded-random.ts';
import { RelayFixture, type FakeClient, type FakeServer } from '../unit/relay/relay-fixture.ts';
import { allSplits, BorrowedBuffer, isLegalRun, randomSplit } from './byte-splits.ts';

const DONE = Buffer.concat([commandComplete('SELECT 1'), readyForQuery('I')]);
const CANCELED = writeErrorResponse(poolerError('canceledInQueue'));
const READY = readyForQuery('I');

/** A client with an intake, which gets its chunks as the real one does. */
class Scene {
  readonly fixture = new RelayFixture({ maxPacketSizeBytes: 200_000 });
  readonly client: FakeClient = this.fixture.addClient();
  readonly rules = { maxPacketSizeBytes: 200_000, requestKinds: REQUEST_KINDS };
  readonly intake = new RequestIntake(this.client, this.fixture.pool, this.rules);
  readonly #borrowed = new BorrowedBuffer();

  constructor() {
    this.client.takeHeld = () => this.intake.takeHeld();
  }

  feed(...chunks: readonly Buffer[]): this {
    for (const chunk of chunks) {
      this.#borrowed.lend(chunk, (buffer, end) => {
        this.#take(buffer, end);
      });
    }
    return this;
  }

  #take(buffer: Buffer, end: number): void {
    const { link, isClosed } = this.client;
    if (isClosed) {
      return;
    }
    if (link === null) {
      this.intake.take(buffer, end);
    } else if (this.intake.isDone) {
      link.onClientData(buffer, 0, end);
    } else {
      this.intake.hold(buffer, 0, end);
    }
  }

  /** Cancels the request that waits. */
  cancel(): void {
    this.fixture.pool.withdraw(this.client);
    this.intake.cancelFirst();
  }
}

function withServer(): { scene: Scene; server: FakeServer } {
  const scene = new Scene();
  return { scene, server: scene.fixture.addServer() };
}

describe('RequestIntake: with a server connection at hand', () => {
  it.each([
    ['a query', Buffer.alloc(0), f.query('SELECT 1')],
    ['an extended query', Buffer.alloc(0), f.extendedQuery('SELECT 1')],
    ['a query behind a stray COPY message', f.copyData('x'), f.query('SELECT 1')],
  ])('takes one for %s, however it is cut', (_what, stray, expected) => {
    const stream = Buffer.concat([stray, expected]);
    for (const chunks of allSplits(stream)) {
      const { scene, server } = withServer();
      scene.feed(...chunks);
      expect(server.takeInput().equals(expected)).toBe(true);
      expect(scene.client.link).toBe(server.link);
      expect(scene.intake.isDone).toBe(true);
    }
  });

  it('takes none for a Flush, which nobody answers', () => {
    for (const chunks of allSplits(Buffer.concat([f.flush(), f.flush()]))) {
      const { scene, server } = withServer();
      scene.feed(...chunks);
      expect(server.takeInput()).toEqual(Buffer.alloc(0));
      expect(scene.client.link).toBeNull();
      expect(scene.intake.isDone).toBe(true);
      scene.feed(f.query('SELECT 1'));
      expect(server.takeInput()).toEqual(f.query('SELECT 1'));
    }
  });

  it('goes by the limit of now for the size of a message', () => {
    const { scene } = withServer();
    scene.rules.maxPacketSizeBytes = 100;
    scene.feed(f.query('x'.repeat(200)));
    expect(scene.client.events).toEqual([expect.stringMatching(/^bad size /)]);
  });

  it('takes none before a small request is whole', () => {
    const request = f.query('SELECT 1');
    for (let at = 1; at < request.length; at++) {
      const { scene, server } = withServer();
      scene.feed(request.subarray(0, at));
      expect([scene.client.link, server.state]).toEqual([null, 'idle']);
      expect(scene.intake.isFull).toBe(false);
    }
  });

  it('takes one for the header of a large request, which is not held', () => {
    const { scene, server } = withServer();
    const header = f.messageWithLength('Q', 100_000);
    scene.feed(header);
    expect(server.takeInput()).toEqual(header);
    expect(scene.intake.isDone).toBe(true);
  });

  it('takes none for stray COPY messages, in whatever pieces they come', () => {
    const stray = Buffer.concat([f.copyData('x'.repeat(50)), f.copyDone(), f.copyFail('no')]);
    for (const chunks of allSplits(stray)) {
      const { scene, server } = withServer();
      scene.feed(...chunks);
      expect([server.state, scene.intake.isDone]).toEqual(['idle', true]);
      expect(scene.client.isClosed).toBe(false);
    }
  });
});

describe('RequestIntake: what a client may not send', () => {
  it.each([
    ['a bad length', f.messageWithLength('Q', 3), /^bad header/],
    ['a negative length', f.messageWithLength('Q', -1), /^bad header/],
    ['a message over the limit', f.messageWithLength('Q', 200_000), /^bad size/],
    ['an unknown type', f.message('p'), /^bad type/],
    ['a startup message', f.startupMessage({ user: 'u' }), /^bad type/],
    ['Terminate', f.terminate(), /^terminate$/],
  ])('%s ends the connection and takes no server connection', (_what, bad, event) => {
    for (const chunks of allSplits(Buffer.concat([bad, f.query('never')]))) {
      const { scene, server } = withServer();
      scene.feed(...chunks);
      expect(scene.client.events.join()).toMatch(event);
      expect(server.snapshots).toEqual([]);
    }
  });
});

describe('RequestIntake: in the queue', () => {
  it('holds what comes and sends it when its turn has come', () => {
    const stream = Buffer.concat([f.query('a'), f.query('b'), f.query('c').subarray(0, 3)]);
    for (const chunks of allSplits(stream)) {
      const scene = new Scene().feed(...chunks);
      expect(scene.client.state).toBe('waiting');
      const server = scene.fixture.addServer();
      expect(server.takeInput().equals(stream.subarray(0, -3))).toBe(true);
      scene.feed(f.query('c').subarray(3));
      expect(server.takeInput()).toEqual(f.query('c'));
    }
  });

  it('is full beyond its limit, so that the client is not read', () => {
    const scene = new Scene().feed(f.query('x'));
    scene.feed(Buffer.alloc(RequestIntake.MAX_HELD_BYTES - 7));
    expect(scene.intake.isFull).toBe(false);
    scene.feed(Buffer.alloc(1));
    expect(scene.intake.isFull).toBe(true);
  });

  it('holds what comes while parameters are being set', () => {
    const scene = new Scene();
    const server = scene.fixture.addServer({ TimeZone: 'UTC' });
    scene.client.parameters = scene.fixture.values({ TimeZone: 'GMT' });
    scene.feed(f.query('a'), f.query('b'));
    expect(server.takeInput()).toEqual(f.query("SET TimeZone='GMT';"));
    server.reply(DONE);
    expect(server.takeInput()).toEqual(Buffer.concat([f.query('a'), f.query('b')]));
  });
});

describe('RequestIntake: cancelled in the queue', () => {
  it('answers a simple query with an error and ReadyForQuery', () => {
    const scene = new Scene().feed(f.query('a'));
    scene.cancel();
    expect(scene.client.output).toEqual(Buffer.concat([CANCELED, READY]));
    expect([scene.client.state, scene.intake.isDone]).toEqual(['active', true]);
  });

  it('goes on with the request behind it', () => {
    const scene = new Scene().feed(f.query('a'), f.query('b'));
    scene.cancel();
    expect(scene.client.state).toBe('waiting');
    expect(scene.fixture.addServer().takeInput()).toEqual(f.query('b'));
  });

  it('ignores an extended query up to its Sync, also one that comes later, in any pieces', () => {
    const tail = Buffer.concat([f.bind(), f.describe('P'), f.execute(), f.sync(), f.query('b')]);
    for (const chunks of allSplits(tail)) {
      const scene = new Scene().feed(f.parse('a'));
      scene.cancel();
      expect(scene.client.output).toEqual(CANCELED);
      scene.feed(...chunks);
      expect(scene.client.output).toEqual(Buffer.concat([CANCELED, READY]));
      expect(scene.fixture.addServer().takeInput()).toEqual(f.query('b'));
    }
  });

  it('ends the rest of a query that is still coming', () => {
    const large = f.query('x'.repeat(100_000));
    const scene = new Scene().feed(large.subarray(0, 50_000));
    scene.cancel();
    scene.feed(large.subarray(50_000), f.query('b'));
    expect(scene.client.output).toEqual(Buffer.concat([CANCELED, READY]));
    expect(scene.fixture.addServer().takeInput()).toEqual(f.query('b'));
  });
});

describe('RequestIntake: random bytes', () => {
  it('never throws, and the server gets whole requests from a boundary on', () => {
    const seed = testSeed('intake');
    const packets = [f.query('a'), f.parse('b'), f.sync(), f.copyData('c'), f.flush()];
    for (let round = 0; round < 400; round++) {
      const random = new SeededRandom(seed + round);
      const parts = Array.from({ length: 6 }, () =>
        random.chance(0.15) ? random.bytes(random.below(9)) : random.pick(packets),
      );
      const { scene, server } = withServer();
      scene.feed(...randomSplit(Buffer.concat(parts), 12, (limit) => random.below(limit)));
      const forwarded = Buffer.concat(server.forwarded);
      const context = `seed ${String(seed + round)}`;
      expect(isLegalRun(forwarded, 'BCDEFHPQScdf', 200_000), context).toBe(true);
    }
  });
});
