import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../src/config/config-error.ts';
import { parseConfigText } from '../../../src/config/load.ts';
import { messagesOf, problemsOf } from './support.ts';

describe('a file that is no settings file', () => {
  it.each([
    ['', 'the file holds no settings'],
    ['# only a comment\n', 'the file holds no settings'],
    ['{}', 'the file holds no settings'],
    ['null', 'the file holds no settings'],
    ['hello', 'the file holds a single value'],
    ['- maitred\n', 'the file holds a list'],
    ['maitred: 5', 'maitred is a single value; allowed: keys with values below it'],
    ['databases: [a, b]', 'databases is a list'],
    ['users: { alice: session }', 'users.alice is a single value'],
  ])('is refused: %j', (text, sentence) => {
    expect(messagesOf(text)).toEqual([expect.stringContaining(sentence)]);
  });

  it.each(['m.yaml', 'm.yml', 'M.YAML'])('is YAML by its name: %s', (file) => {
    expect(parseConfigText(file, 'maitred: { listen_port: 7 }').settings.listenPort).toBe(7);
    expect(problemsOf('[pgbouncer]\nlisten_port = 7\n', file)).not.toEqual([]);
  });

  it.each(['pgbouncer.ini', 'pgbouncer.conf', 'yaml', 'm.yaml.bak'])(
    'is an ini file by any other name: %s',
    (file) => {
      expect(parseConfigText(file, '[pgbouncer]\nlisten_port = 7\n').settings.listenPort).toBe(7);
      expect(problemsOf('maitred: { listen_port: 7 }', file)).not.toEqual([]);
    },
  );
});

describe('a YAML syntax error', () => {
  it.each([
    ['maitred:\n\tlisten_port: 1\n', 2, 1, 'a tab in the indentation'],
    ['databases:\n  *: {}\n', 2, 4, 'write "*" in quotes'],
    ['maitred: { job_name: @x }\n', 1, 22, 'write it in quotes'],
    ['maitred: { job_name: "x }\n', 2, 1, 'is missing'],
    ['maitred: { job_name: x\n', 2, 1, 'never closed'],
    ['maitred:\n  a: b: c\n', 2, 6, 'check the indentation'],
    ['maitred: {}\n---\nusers: {}\n', 2, 1, 'a second document'],
    ['maitred: { verbose: !!int 1 }\n', 1, 21, 'tags (!name) are not used'],
    ['maitred: { job_name: "\\q" }\n', 1, 23, 'unknown escape'],
  ])('is reported at its place: %j', (text, line, column, sentence) => {
    const problem = problemsOf(text).find(({ message }) => message.includes(sentence));
    expect(problem).toMatchObject({ line, column });
    expect(problem?.message).toMatch(/^m\.yaml:\d+:\d+: YAML syntax error: /);
  });

  it.each([
    ['maitred: { job_name: *x }', 1, 22, 'an alias (*name) names nothing written before it'],
    ['databases: { a: &x { host: *x } }', 1, 28, 'names nothing written before it'],
    ['? [a]\n: 1\nmaitred: {}\n', 1, 3, 'a key must be a single word'],
  ])('that only shows on reading is reported too: %j', (text, line, column, sentence) => {
    const problem = problemsOf(text).find(({ message }) => message.includes(sentence));
    expect(problem).toMatchObject({ line, column });
  });
});

describe('a hostile file', () => {
  it.each(['[', '{a: ', '- ', '? '])('nested thousands deep with %j is refused', (piece) => {
    expect(messagesOf(piece.repeat(5_000))).toEqual([
      'm.yaml: the file is too large or nested too deeply',
    ]);
  });

  it('whose aliases multiply is read in linear time', () => {
    const lines = ['maitred:', '  a0: &a0 [x]'];
    for (let level = 1; level < 28; level += 1) {
      const alias = `*a${String(level - 1)}`;
      lines.push(`  a${String(level)}: &a${String(level)} [${alias}, ${alias}, ${alias}]`);
    }
    expect(problemsOf(lines.join('\n'))).toHaveLength(28);
  });
});

const SEED = Number(process.env['TEST_SEED'] ?? 20_251_121);
const PIECES = [
  '[',
  '{',
  '}',
  ':',
  ' ',
  '\n',
  '\t',
  '*',
  '&a',
  '*a',
  '"',
  "'",
  '#',
  '-',
  '\0',
  '|',
  '!',
  '%',
];
const SOUND = 'maitred:\n  listen_port: 1\n  admin_users: [a, b]\ndatabases:\n  a: { host: h }\n';

/** Numbers from 0 to below `limit`, the same for the same seed. */
function seeded(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

describe('a damaged file', () => {
  it(`either loads or is refused with problems that have a message (seed ${String(SEED)})`, () => {
    const next = seeded(SEED);
    let refused = 0;
    for (let run = 0; run < 2_000; run += 1) {
      let text = SOUND;
      for (let change = 0; change <= next(4); change += 1) {
        const at = next(text.length);
        text = text.slice(0, at) + (PIECES[next(PIECES.length)] ?? '') + text.slice(at + next(3));
      }
      try {
        parseConfigText('m.yaml', text);
      } catch (error) {
        expect(error, JSON.stringify(text)).toBeInstanceOf(ConfigError);
        expect((error as ConfigError).problems, JSON.stringify(text)).not.toEqual([]);
        refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(200);
  });
});
