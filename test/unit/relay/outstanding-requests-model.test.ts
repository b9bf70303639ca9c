import { describe, expect, it } from 'vitest';
import { Disposition, OutstandingRequests } from '../../../src/relay/outstanding-requests.ts';
import { BackendModel, BROKEN_FLUSH, type ModelRequest } from './backend-model.ts';
import { SeededRandom, testSeed } from '../../support/seeded-random.ts';

const SEQUENCES = 4000;
const STEPS = 40;

/** Messages of a client, the likelier ones more often. */
const CLIENT_LETTERS = Array.from('QQQPBDEESSSSSCHhFddddcccf');
const POLITE_COPY_LETTERS = Array.from('ddddcSHhf');
const POLITE_STREAM_LETTERS = Array.from('ddddddc');

type TraceEvent =
  | { readonly kind: 'send'; readonly letter: string }
  | { readonly kind: 'internal_query' }
  | { readonly kind: 'reply'; readonly letter: string; readonly isInternal: boolean };

/** Lets an event happen to the ledger. @returns its verdict on a reply, null for a request. */
function apply(ledger: OutstandingRequests, event: TraceEvent): number | null {
  switch (event.kind) {
    case 'internal_query':
      ledger.pushSkippedQuery();
      return null;
    case 'send':
      if (event.letter === BROKEN_FLUSH) {
        ledger.onBrokenFlush();
      } else {
        ledger.onFrontendMessage(event.letter.charCodeAt(0));
      }
      return null;
    case 'reply':
      return ledger.onBackendMessage(event.letter.charCodeAt(0));
  }
}

/** One client, the ledger and the model, with both directions delayed at random. */
class Session {
  readonly trace: TraceEvent[] = [];
  readonly ledger = new OutstandingRequests();
  readonly model: BackendModel;
  readonly #random: SeededRandom;
  readonly #toServer: ModelRequest[] = [];
  /** Replies of the model that have reached the ledger, count. */
  #delivered = 0;
  /** The ledger has given up foreseeing replies. */
  isUnclear = false;
  isOver = false;
  problem: string | null = null;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    const isStrict = this.#random.chance(0.5);
    this.model = new BackendModel(this.#random, isStrict, this.#random.chance(0.3));
  }

  run(): this {
    if (this.#random.chance(0.3)) {
      this.#send('Q', true);
    }
    for (let step = 0; step < STEPS && this.#isGoingOn; step++) {
      this.#step();
    }
    this.#drain();
    return this;
  }

  get #isGoingOn(): boolean {
    return this.problem === null && !this.isOver && !this.model.isDead;
  }

  #step(): void {
    const dice = this.#random.below(8);
    if (dice < 3) {
      this.#send(this.#random.pick(this.#clientLetters()), false);
    } else if (dice < 5) {
      this.#serve();
    } else if (dice < 7) {
      this.#deliver();
    } else if (this.#random.chance(0.1)) {
      this.model.interrupt();
    }
    this.#check();
  }

  #clientLetters(): readonly string[] {
    const { isCopyIn, isCopyBoth } = this.ledger;
    if ((!isCopyIn && !isCopyBoth) || this.#random.chance(0.1)) {
      return CLIENT_LETTERS;
    }
    return isCopyIn ? POLITE_COPY_LETTERS : POLITE_STREAM_LETTERS;
  }

  #send(letter: string, isInternal: boolean): void {
    const event: TraceEvent = isInternal ? { kind: 'internal_query' } : { kind: 'send', letter };
    this.trace.push(event);
    this.#toServer.push({ letter, isInternal });
    apply(this.ledger, event);
  }

  #serve(): void {
    const request = this.#toServer.shift();
    if (request !== undefined) {
      this.model.handle(request);
    }
  }

  #deliver(): void {
    const reply = this.model.replies[this.#delivered];
    if (reply === undefined) {
      return;
    }
    this.#delivered++;
    const { letter, isInternal } = reply;
    this.trace.push({ kind: 'reply', letter, isInternal });
    const verdict = this.ledger.onBackendMessage(letter.charCodeAt(0));
    if (this.ledger.isUnclear) {
      this.isUnclear = true;
      this.isOver ||= verdict === Disposition.Violation;
      return;
    }
    const isByTheWay = letter === 'N' || letter === 'S' || letter === 'A';
    const expected = isInternal ? Disposition.Skip : Disposition.Forward;
    if (verdict !== expected && !(isByTheWay && verdict === Disposition.Skip)) {
      this.problem = `${letter}: verdict ${String(verdict)} instead of ${String(expected)}`;
    }
  }

  /** Whether something that has a reply is still on its way, in either direction. */
  get #isOwing(): boolean {
    const isReply = this.model.replies
      .slice(this.#delivered)
      .some(({ letter }) => !'NSA'.includes(letter));
    return isReply || this.#toServer.some(({ letter }) => !'dcfH'.includes(letter));
  }

  #check(): void {
    const { ledger, model } = this;
    if (this.problem === null && ledger.isEmpty && !ledger.isUnclear) {
      if (this.#isOwing || !model.isInSync) {
        this.problem = 'empty, but the server owes something';
      }
    }
  }

  /** Nothing more is asked: everything arrives, and the ledger must agree with the model. */
  #drain(): void {
    while (this.#toServer.length > 0) {
      this.#serve();
    }
    while (this.#delivered < this.model.replies.length && this.problem === null && !this.isOver) {
      this.#deliver();
      this.#check();
    }
    const { ledger, model } = this;
    if (this.problem !== null || this.isUnclear || model.isDead || ledger.isUnclear) {
      return;
    }
    if (ledger.isEmpty !== model.isInSync) {
      this.problem = `isEmpty is ${String(ledger.isEmpty)}, in sync is ${String(model.isInSync)}`;
    } else if (ledger.isCopyIn !== (model.copyIn !== 'none')) {
      this.problem = `isCopyIn is ${String(ledger.isCopyIn)}, COPY is ${model.copyIn}`;
    } else if (ledger.isSyncMissing !== (model.isIgnoringToSync || model.isUnsynced)) {
      this.problem = `isSyncMissing is ${String(ledger.isSyncMissing)}`;
    } else if (ledger.isCopyBoth !== (model.stream !== 'none')) {
      this.problem = `isCopyBoth is ${String(ledger.isCopyBoth)}, the stream is ${model.stream}`;
    } else if (ledger.isReadyOwed !== (model.copyIn === 'simple' || model.stream !== 'none')) {
      this.problem = `isReadyOwed is ${String(ledger.isReadyOwed)}`;
    }
  }
}

function show(trace: readonly TraceEvent[]): string {
  return trace
    .map((event) =>
      event.kind === 'internal_query'
        ? '>(Q)'
        : `${event.kind === 'send' ? '>' : '<'}${event.letter}`,
    )
    .join(' ');
}

type Corruption = 'drop' | 'duplicate' | 'swap';

/** Damages one reply of `trace`; null when there is nothing to damage. */
function corrupt(
  trace: readonly TraceEvent[],
  how: Corruption,
  random: SeededRandom,
): { readonly trace: TraceEvent[]; readonly letter: string } | null {
  const isReply = (event: TraceEvent | undefined): boolean =>
    event?.kind === 'reply' && !'NSA'.includes(event.letter);
  const places = [...trace.keys()].filter(
    (index) => isReply(trace[index]) && (how !== 'swap' || isReply(trace[index + 1])),
  );
  if (places.length === 0) {
    return null;
  }
  const at = random.pick(places);
  const damaged = [...trace];
  const victim = damaged[at];
  if (victim?.kind !== 'reply') {
    return null;
  }
  if (how === 'drop') {
    damaged.splice(at, 1);
  } else if (how === 'duplicate') {
    damaged.splice(at, 0, victim);
  } else {
    damaged.splice(at, 2, ...damaged.slice(at, at + 2).reverse());
  }
  return { trace: damaged, letter: victim.letter };
}

/** Whether a ReadyForQuery still comes before the client sends anything more. */
function isReadyComing(trace: readonly TraceEvent[], from: number): boolean {
  for (let index = from; index < trace.length; index++) {
    const event = trace[index];
    if (event?.kind !== 'reply') {
      return false;
    }
    if (event.letter === 'Z') {
      return true;
    }
  }
  return false;
}

/** What the ledger makes of a damaged trace. */
function judge(trace: readonly TraceEvent[]): 'detected' | 'unclear' | 'harmless' | 'released' {
  const ledger = new OutstandingRequests();
  let isReleasedEarly = false;
  for (const [index, event] of trace.entries()) {
    if (apply(ledger, event) === Disposition.Violation) {
      return 'detected';
    }
    if (ledger.isUnclear) {
      return 'unclear';
    }
    isReleasedEarly ||= ledger.isEmpty && isReadyComing(trace, index + 1);
  }
  return isReleasedEarly ? 'released' : 'harmless';
}

describe('OutstandingRequests beside a model of PostgreSQL', () => {
  const seed = testSeed('ledger');

  it('agrees with it on random dialogues of any client with an honest server', () => {
    let unclear = 0;
    let streams = 0;
    for (let index = 0; index < SEQUENCES; index++) {
      const session = new Session(seed + index).run();
      unclear += session.isUnclear ? 1 : 0;
      streams += session.trace.filter((event) => show([event]) === '<W').length;
      expect(session.problem, `seed ${String(seed + index)}: ${show(session.trace)}`).toBeNull();
    }
    // Giving up is for rare cases: a ledger that always gave up would agree with everything.
    expect(unclear).toBeLessThan(SEQUENCES / 2);
    expect(streams).toBeGreaterThan(SEQUENCES / 10);
  });

  it.each(['drop', 'duplicate', 'swap'] as const)(
    'never gives a server away that still owes ReadyForQuery: %s one reply',
    (how) => {
      const counts = { detected: 0, unclear: 0, harmless: 0, released: 0 };
      for (let index = 0; index < SEQUENCES / 2; index++) {
        const random = new SeededRandom(seed + index + 1);
        const damaged = corrupt(new Session(seed + index).run().trace, how, random);
        if (damaged !== null) {
          const verdict = judge(damaged.trace);
          counts[verdict]++;
          const place = `seed ${String(seed + index)}, ${how} ${damaged.letter}`;
          expect(verdict, `${place}: ${show(damaged.trace)}`).not.toBe('released');
        }
      }
      expect(counts.detected).toBeGreaterThan(0);
    },
  );
});
