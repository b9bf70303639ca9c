import { describe, expect, it } from 'vitest';
import { parseConfigText } from '../../../src/config/load.ts';
import { problemsOf } from './support.ts';

const BASE = 'databases:\n  a: &a { host: h, port: 1 }\n  c: &c { port: 7, dbname: z }\n';

describe('a merge key', () => {
  it.each([
    ['{ <<: *a, port: 5 }', { host: 'h', port: 5, dbname: null }],
    ['{ port: 5, <<: *a }', { host: 'h', port: 5, dbname: null }],
    ['{ <<: [*a, *c], user: u }', { host: 'h', port: 1, dbname: 'z', user: 'u' }],
    ['{ <<: *a, <<: *c }', { host: 'h', port: 1, dbname: 'z' }],
  ])('adds what a map does not have itself: %s', (keys, expected) => {
    const config = parseConfigText('m.yaml', `${BASE}  b: ${keys}\n`);
    const { host, port, dbname, user } = config.databases.get('b') ?? {};
    expect({ host, port, dbname, user }).toMatchObject({
      ...expected,
      dbname: expected.dbname ?? 'b',
    });
  });

  it('in quotes is a name', () => {
    const config = parseConfigText('m.yaml', 'databases:\n  "<<": { host: h }\n');
    expect([...config.databases.keys()]).toEqual(['<<']);
  });

  it.each(['5', '', '[1]', '[*a, x]', '"text"'])('of no map is refused: %j', (value) => {
    const [problem, ...more] = problemsOf(`${BASE}  b: { <<: ${value} }\n`);
    expect(more).toEqual([]);
    expect(problem).toMatchObject({ line: 4, column: 8 });
    expect(problem?.message).toContain('a merge key (<<) needs an alias (*name)');
  });

  it('that merges itself is refused', () => {
    expect(problemsOf('databases: &d\n  <<: *d\n').map(({ message }) => message)).toEqual(
      expect.arrayContaining([expect.stringContaining('names nothing written before it')]),
    );
  });

  it('does not hide what is wrong in the map that it names', () => {
    const found = problemsOf('databases:\n  a: &a { bogus: 1 }\n  b: { <<: *a, port: 5 }\n');
    expect(found.map(({ line, column }) => [line, column])).toEqual([
      [2, 11],
      [2, 11],
    ]);
  });
});
