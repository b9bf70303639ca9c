import { describe, expect, it } from 'vitest';
import { renderConfigYaml } from '../../../src/config/config-yaml.ts';
import { parseConfigText } from '../../../src/config/load.ts';

/** Writes the password of a database and returns how it was written. */
function written(password: string): string {
  const text = `databases: { a: { password: ${JSON.stringify(password).replaceAll('${', () => '$${')} } }`;
  const yaml = renderConfigYaml(parseConfigText('m.yaml', text));
  const again = parseConfigText('m.yaml', yaml);
  expect(again.databases.get('a')?.password).toBe(password);
  return /^ {4}password: (.*)$/m.exec(yaml)?.[1] ?? '';
}

describe('renderConfigYaml', () => {
  it.each([
    ['plain', 'plain'],
    ['/a/b', "'/a/b'"],
    ['007', "'007'"],
    ['null', "'null'"],
    ['Yes', "'Yes'"],
    ["it's", "'it''s'"],
    [' a ', "' a '"],
    ['é\u{1f418}', "'é\u{1f418}'"],
    ['a\nb', '"a\\nb"'],
    ['a\n\n  b\r\n', '"a\\n\\n  b\\r\\n"'],
    ['a\tb', '"a\\tb"'],
    ['\u001b"\\', '"\\u001b\\"\\\\"'],
    ['\u007f\u0085\u2028\ufeff', '"\\u007f\\u0085\\u2028\\ufeff"'],
    ['${A}', "'$${A}'"],
  ])('writes %j on one line so that it is read back', (password, expected) => {
    expect(written(password)).toBe(expected);
  });

  it('writes nothing but the sections when all is at its default', () => {
    expect(renderConfigYaml(parseConfigText('p.ini', '[pgbouncer]'))).toBe(
      'maitred: {}\n\ndatabases: {}\n\nusers: {}\n',
    );
  });

  it('writes peers so that they are read back', () => {
    const text = '[pgbouncer]\npeer_id=1\n[peers]\n1=host=h\n2=host=/tmp port=7 pool_size=0\n';
    const config = parseConfigText('p.ini', text);
    const yaml = renderConfigYaml(config);
    expect(yaml).toContain("peers:\n  '1':\n    host: h\n");
    expect(parseConfigText('m.yaml', yaml).peers).toEqual(config.peers);
  });

  it('quotes the names of entries, and leaves ${ alone in them', () => {
    const config = parseConfigText('p.ini', "[pgbouncer]\n[databases]\n'a: ${B}' =\n* =\n");
    const yaml = renderConfigYaml(config);
    expect(yaml).toContain("\n  'a: ${B}': {}\n  '*': {}\n");
    expect([...parseConfigText('m.yaml', yaml).databases.keys()]).toEqual(['a: ${B}', '*']);
  });
});
