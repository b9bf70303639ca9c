import { describe, expect, it } from 'vitest';
import { matchWithinBudget } from '../../../src/auth/bounded-pattern.ts';

describe('matchWithinBudget', () => {
  it('tells what matches, with its groups', () => {
    expect(matchWithinBudget(/^(.*)@(x)?/u, 'ann@b')).toMatchObject({
      kind: 'match',
      groups: ['ann@', 'ann', undefined],
    });
    expect(matchWithinBudget(/^b/u, 'ann')).toEqual({ kind: 'none' });
  });

  it.each([
    ['^(a+)+$', `${'a'.repeat(100)}!`],
    ['^(a|a)*$', `${'a'.repeat(100)}!`],
    ['^(.*a){30}$', 'a'.repeat(60)],
  ])('gives up %s, which would take years', (source, text) => {
    const startMs = performance.now();
    expect(matchWithinBudget(new RegExp(source, 'u'), text)).toEqual({ kind: 'too_slow' });
    expect(performance.now() - startMs).toBeLessThan(2_000);
    expect(matchWithinBudget(/a/u, 'a').kind).toBe('match');
  });
});
