import { describe, expect, it } from 'vitest';
import { assert, assertNever, InvariantError } from '../../../src/base/assert.ts';
import { systemClock } from '../../../src/base/clock.ts';

describe('assert', () => {
  it('does nothing when the condition holds', () => {
    expect(() => {
      assert(1 + 1 === 2, 'arithmetic holds');
    }).not.toThrow();
  });

  it('throws an InvariantError that names what should have been true', () => {
    expect(() => {
      assert(Number('1') > 1, 'one is more than one');
    }).toThrow(new InvariantError('one is more than one'));
  });
});

describe('assertNever', () => {
  it('throws an InvariantError that shows the value', () => {
    expect(() => assertNever('surprise' as never)).toThrow(
      new InvariantError('unexpected value: surprise'),
    );
  });
});

describe('systemClock', () => {
  it('never goes back', () => {
    const first = systemClock.nowMs();
    expect(systemClock.nowMs()).toBeGreaterThanOrEqual(first);
  });

  it('shows the wall clock apart from the monotonic one', () => {
    expect(systemClock.wallMs()).toBeGreaterThan(Date.UTC(2024, 0, 1));
    expect(systemClock.nowMs()).toBeLessThan(Date.UTC(2024, 0, 1));
  });
});
