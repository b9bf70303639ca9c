import { describe, expect, it } from 'vitest';
import { QuestionPace } from '../../../src/auth/question-pace.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

function setUp(maxKeys = 10): { readonly clock: VirtualClock; readonly pace: QuestionPace } {
  const clock = new VirtualClock();
  const pace = new QuestionPace({
    burst: 3,
    intervalMs: 100,
    maxKeys,
    nowMs: () => clock.nowMs(),
  });
  return { clock, pace };
}

/** How many turns there are now. */
function turnsOf(pace: QuestionPace, key = 'a'): number {
  let count = 0;
  while (pace.take(key)) {
    count++;
  }
  return count;
}

describe('QuestionPace', () => {
  it('grants a burst, then one turn in each interval, and never more than a burst', () => {
    const { clock, pace } = setUp();
    expect(turnsOf(pace)).toBe(3);
    clock.advance(99);
    expect(turnsOf(pace)).toBe(0);
    clock.advance(1);
    expect(turnsOf(pace)).toBe(1);
    clock.advance(250);
    expect(turnsOf(pace)).toBe(2);
    clock.advance(100_000);
    expect(turnsOf(pace)).toBe(3);
  });

  it('grants each key its own', () => {
    const { pace } = setUp();
    expect(turnsOf(pace, 'a')).toBe(3);
    expect(turnsOf(pace, '__proto__')).toBe(3);
  });

  it('forgets the key that has waited longest, and all of them when told to', () => {
    const { pace } = setUp(2);
    for (const key of ['a', 'b', 'c']) {
      turnsOf(pace, key);
    }
    expect(turnsOf(pace, 'b')).toBe(0);
    expect(turnsOf(pace, 'a')).toBe(3);
    pace.clear();
    expect(turnsOf(pace, 'a')).toBe(3);
  });
});
