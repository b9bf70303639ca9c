import { describe, expect, it } from 'vitest';
import type { Config } from '../../../src/config/config.ts';
import { parseConfigText } from '../../../src/config/load.ts';
import { escapeVariables, substituteVariables } from '../../../src/config/substitute.ts';
import { problemsIn, readFrom } from './support.ts';

const FILES = {
  '/run/secrets/plain': 'hunter2',
  '/run/secrets/line': 'hunter2\n',
  '/run/secrets/crlf': 'hunter2\r\n',
  '/run/secrets/lines': 'a\nhunter2\n\n',
  '/run/secrets/zero': 'hunter2\0',
};
const ENV = { PW: 'hunter2', HOST: 'db.example', EMPTY: '', NESTED: '${PW}', PORT: '7' };

function load(text: string): Config {
  return parseConfigText('m.yaml', text, { readText: readFrom(FILES), env: ENV });
}

function passwordOf(text: string): string | undefined {
  return load(`databases:\n  a:\n    password: ${text}\n`).databases.get('a')?.password;
}

describe('substituteVariables', () => {
  it.each([
    ['', ''],
    ['a', 'a'],
    ['$', '$'],
    ['$PW', '$PW'],
    ['{PW}', '{PW}'],
    ['${PW}', 'hunter2'],
    ['a${PW}b${HOST}c', 'ahunter2bdb.examplec'],
    ['${EMPTY}', ''],
    ['${NESTED}', '${PW}'],
    ['$${PW}', '${PW}'],
    ['$$${PW}', '$${PW}'],
    ['$$', '$$'],
    ['$$a', '$$a'],
    ['$${', '${'],
  ])('turns %j into %j', (text, expected) => {
    expect(substituteVariables(text, ENV)).toMatchObject({ text: expected, problems: [] });
  });

  it.each([
    ['${NO_SUCH}', 'environment variable NO_SUCH is not set'],
    ['${constructor}', 'environment variable constructor is not set'],
    ['${', 'a variable is written as ${NAME}'],
    ['${}', 'a variable is written as ${NAME}'],
    ['${1A}', 'a variable is written as ${NAME}'],
    ['${A:-b}', 'a variable is written as ${NAME}'],
    ['${A', 'a variable is written as ${NAME}'],
  ])('finds what is wrong with %j', (text, problem) => {
    expect(substituteVariables(text, ENV).problems).toEqual([expect.stringContaining(problem)]);
  });

  it.each(['', '$', '${', '$${PW}', '${PW}', '$$${a}$', '{$}${}${x'])(
    'gives back an escaped text: %j',
    (text) => {
      expect(substituteVariables(escapeVariables(text), ENV)).toEqual({
        text,
        isReplaced: false,
        problems: [],
      });
    },
  );

  it('takes linear time', () => {
    expect(substituteVariables('${'.repeat(500_000), ENV).problems).toHaveLength(500_000);
    expect(substituteVariables('$'.repeat(1_000_000), ENV).text).toHaveLength(1_000_000);
  });
});

describe('a variable in a YAML file', () => {
  it('is replaced in any value', () => {
    const config = load(
      'maitred:\n  listen_port: ${PORT}\n  admin_users: [a, "${HOST}"]\ndatabases:\n  a: { host: "${HOST}", password: "x${PW}" }\n',
    );
    expect(config.settings).toMatchObject({ listenPort: 7, adminUsers: ['a', 'db.example'] });
    expect(config.databases.get('a')).toMatchObject({ host: 'db.example', password: 'xhunter2' });
  });

  it('is left alone in a key', () => {
    expect([...load('databases: { "${HOST}": {} }').databases.keys()]).toEqual(['${HOST}']);
  });

  it('that is not set is a problem with its place', () => {
    const text = 'databases:\n  a:\n    host: ${NO_SUCH}\n    user: ${\n';
    const found = problemsIn(() => load(text));
    expect(found.map(({ line, column }) => [line, column])).toEqual(
      expect.arrayContaining([
        [3, 11],
        [4, 11],
      ]),
    );
    expect(found[0]?.message).toBe('m.yaml:3:11: environment variable NO_SUCH is not set');
  });

  it('is not repeated when its value is wrong', () => {
    const found = problemsIn(() => load('maitred:\n  pool_mode: ${PW}\n  listen_port: a${PW}\n'));
    expect(found.map(({ value }) => value)).toEqual(['***', '***']);
    expect(JSON.stringify(found)).not.toContain('hunter2');
  });
});

describe('a secret kept elsewhere', () => {
  it.each([
    ['{ file: /run/secrets/plain }', 'hunter2'],
    ['{ file: /run/secrets/line }', 'hunter2'],
    ['{ file: /run/secrets/crlf }', 'hunter2'],
    ['{ file: /run/secrets/lines }', 'a\nhunter2\n'],
    ['{ env: PW }', 'hunter2'],
    ['{ env: EMPTY }', ''],
    ['{ env: NESTED }', '${PW}'],
  ])('is fetched: %s', (text, expected) => {
    expect(passwordOf(text)).toBe(expected);
  });

  it.each([
    ['{ file: /no }', 'could not load file "/no": no such file'],
    ['{ env: NO_SUCH }', 'environment variable NO_SUCH is not set'],
    ['{ env: __proto__ }', 'environment variable __proto__ is not set'],
    ['{ file: /run/secrets/zero }', 'holds a zero byte'],
    ['{}', 'a secret is a text, { file: PATH } or { env: NAME }'],
    ['{ file: a, env: b }', 'a secret is a text'],
    ['{ fil: a }', 'a secret is a text'],
    ['{ env: [PW] }', 'a secret is a text'],
    ['{ env: }', 'a secret is a text'],
  ])('is refused with its place: %s', (text, wrong) => {
    const found = problemsIn(() => load(`databases:\n  a:\n    password: ${text}\n`));
    expect(found).toEqual([expect.objectContaining({ line: 3, column: 15, value: '***' })]);
    expect(found[0]?.message).toContain(wrong);
    expect(JSON.stringify(found)).not.toContain('hunter2');
  });

  it('is for secrets only', () => {
    const found = problemsIn(() => load('databases: { a: { host: { env: HOST } } }'));
    expect(found[0]?.message).toContain('keys where one value is expected');
  });
});
