import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { countBulk, startRest } from '../../../src/net/bulk-rest.ts';

const BUFFER_BYTES = 65_536;

/** Feeds pieces one after the other and returns how many it took until a rest was due. */
function piecesUntilRest(pieces: readonly number[]): number | null {
  let total = 0;
  for (const [index, piece] of pieces.entries()) {
    total = countBulk(total, piece, BUFFER_BYTES);
    if (total < 0) {
      return index + 1;
    }
  }
  return null;
}

describe('countBulk', () => {
  it('asks for a rest after a megabyte in large pieces', () => {
    const pieces = new Array<number>(200).fill(8192);
    expect(piecesUntilRest(pieces)).toBe(Math.ceil(1_000_000 / 8192));
  });

  it('begins anew after a small piece, so that replies never wait', () => {
    const pieces = new Array<number>(1000).fill(8192).map((size, i) => (i % 100 === 0 ? 50 : size));
    expect(piecesUntilRest(pieces)).toBeNull();
    expect(countBulk(-1_000_000, 4095, BUFFER_BYTES)).toBe(0);
  });

  it('goes on as long as reads fill the buffer, and rests after the one that does not', () => {
    const full = new Array<number>(100).fill(BUFFER_BYTES);
    expect(piecesUntilRest(full)).toBeNull();
    expect(piecesUntilRest([...full, 4096])).toBe(101);
  });

  it('asks again after each further piece', () => {
    const rested = countBulk(1_000_000, 8192, BUFFER_BYTES);
    expect(rested).toBeLessThan(0);
    expect(countBulk(rested, 8192, BUFFER_BYTES)).toBeLessThan(0);
    expect(countBulk(rested, BUFFER_BYTES, BUFFER_BYTES)).toBeGreaterThan(0);
  });

  it('never counts beyond small integers', () => {
    let total = 0;
    for (let i = 0; i < 100_000; i++) {
      total = countBulk(total, BUFFER_BYTES, BUFFER_BYTES);
    }
    expect(total).toBe(1_000_000);
  });
});

describe('startRest', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('wakes all streams that rest with one timer, and each once', () => {
    const wakes: string[] = [];
    const stream = (name: string) => ({ onRestOver: () => wakes.push(name) });
    startRest(stream('a'));
    startRest(stream('b'));
    expect(vi.getTimerCount()).toBe(1);
    expect(wakes).toEqual([]);
    vi.runAllTimers();
    expect(wakes).toEqual(['a', 'b']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('lets a stream rest again at once', () => {
    let wakes = 0;
    const stream = {
      onRestOver: () => {
        wakes++;
        if (wakes === 1) {
          startRest(stream);
        }
      },
    };
    startRest(stream);
    vi.runAllTimers();
    expect(wakes).toBe(2);
  });
});
