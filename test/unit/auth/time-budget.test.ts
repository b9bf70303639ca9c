import { describe, expect, it } from 'vitest';
import { runWithinBudget } from '../../../src/auth/time-budget.ts';

describe('runWithinBudget', () => {
  it('hands on what the task returns', () => {
    const { groups } = /^(?<name>.*)@/u.exec('ann@b') ?? {};
    expect(runWithinBudget(() => /^(?<name>.*)@/u.exec('ann@b')?.groups)).toEqual({
      kind: 'done',
      result: groups,
    });
    expect(runWithinBudget(() => null)).toEqual({ kind: 'done', result: null });
  });

  it.each([
    ['^(a+)+$', `${'a'.repeat(100)}!`],
    ['^(a|a)*$', `${'a'.repeat(100)}!`],
    ['^(.*a){30}$', 'a'.repeat(60)],
  ])('stops %s, which would take years', (source, text) => {
    const startMs = performance.now();
    const pattern = new RegExp(source, 'u');
    expect(runWithinBudget(() => pattern.test(text))).toEqual({ kind: 'too_slow' });
    expect(performance.now() - startMs).toBeLessThan(2_000);
    expect(runWithinBudget(() => pattern.test('a'))).toMatchObject({ kind: 'done' });
  });

  it('survives a task that runs out of the stack', () => {
    const descend = (depth: number): number => 1 + descend(depth + 1);
    expect(runWithinBudget(() => descend(0))).toEqual({ kind: 'too_slow' });
  });
});
