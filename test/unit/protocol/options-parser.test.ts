import { describe, expect, it } from 'vitest';
import { parseOptions } from '../../../src/protocol/options-parser.ts';
import { SeededRandom, testSeed } from '../../support/seeded-random.ts';

/** The settings as `name=value`, or null. */
function parsed(options: string): string[] | null {
  return parseOptions(options)?.map(({ name, value }) => `${name}=${value}`) ?? null;
}

describe('parseOptions', () => {
  it.each([
    ['', []],
    ['   ', []],
    ['-c a=b', ['a=b']],
    ['-ca=b', ['a=b']],
    ['--a=b', ['a=b']],
    ['  -c  a=b   --c=d  ', ['a=b', 'c=d']],
    ['-c\ta=b\n-c\vc=d\f\r', ['a=b', 'c=d']],
    ['-c a=', ['a=']],
    ['-c a=b=c', ['a=b=c']],
    ['-c a=b\\ c', ['a=b c']],
    ['-c a=\\\\', ['a=\\']],
    ['-c a=b\\', ['a=b']],
    ['--statement-timeout=5', ['statement_timeout=5']],
    ['-c a-b=c-d', ['a_b=c-d']],
    ['-c a=1 -c a=2', ['a=1', 'a=2']],
    ['-c __proto__=x', ['__proto__=x']],
    ["-c a='b c'", null],
    ['-c a=b\u00a0c', ['a=b\u00a0c']],
    ['-c a=\u2003', ['a=\u2003']],
  ])('takes %j', (options, expected) => {
    expect(parsed(options)).toEqual(expected);
  });

  it.each([
    '-c',
    '-c ',
    '-c=',
    '-c =',
    '-c =b',
    '-c a',
    '-ca',
    '--',
    '--=',
    '--a',
    '-',
    '\\',
    'a=b',
    '-d 5',
    '-c a=b x',
    '-C a=b',
    '-c -c a=b',
    '-c a=b --',
    '-c a=b -c',
  ])('refuses %j', (options) => {
    expect(parsed(options)).toBeNull();
  });

  it.each([
    ['-c='.repeat(3333)],
    ['-c '.repeat(3333)],
    ['--'.repeat(5000)],
    ['\\'.repeat(10_000)],
    [' '.repeat(10_000)],
    [`-c a=${'\\ '.repeat(5000)}`],
    ['-c a=b '.repeat(1400)],
    [`-c a=${'='.repeat(10_000)}`],
    [`-c ${'-'.repeat(10_000)}=`],
  ])('takes a hostile string in time linear in its length', (options) => {
    const took = (text: string): number => {
      const start = performance.now();
      parseOptions(text);
      return performance.now() - start;
    };
    took(options);
    const best = Math.min(...Array.from({ length: 5 }, () => took(options)));
    // About 1 ms for the longest startup packet; quadratic work would take a hundred times that.
    expect(best).toBeLessThan(20);
  });

  it('never throws, and finds names that are not empty', () => {
    const seed = testSeed('options');
    const random = new SeededRandom(seed);
    const pieces = ['-c', '--', '=', ' ', '\\', 'a', "'", '-', '\t', 'é', '\u00a0'];
    for (let round = 0; round < 5000; round++) {
      const options = Array.from({ length: random.below(12) }, () => random.pick(pieces)).join('');
      for (const { name } of parseOptions(options) ?? []) {
        expect(name, `seed ${String(seed)}: ${options}`).not.toBe('');
      }
    }
  });
});
