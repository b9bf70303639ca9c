import { describe, expect, it } from 'vitest';
import { ambientRule } from './ambient-rules.ts';
import {
  MAX_FILE_LINES,
  MAX_FUNCTION_LINES,
  TARGET_FILE_LINES,
  commentsRule,
  documentedExportsRule,
  exportFormRule,
  fileLengthRule,
  functionLengthRule,
  longerThan,
} from './shape-rules.ts';
import { loadUnits, parseUnit } from './source-unit.ts';
import type { Rule } from './source-unit.ts';

const units = loadUnits('src');
const statements = (count: number): string => 'call();\n'.repeat(count);

function findings(rule: Rule, text: string, file = 'src/pool/a.ts'): string[] {
  return rule([parseUnit(file, text)]);
}

describe('functions', () => {
  it(`have at most ${String(MAX_FUNCTION_LINES)} lines of code in src`, () => {
    expect(functionLengthRule(units)).toEqual([]);
  });

  it('are found when one line too long, comments and blank lines apart', () => {
    const longest = `function f() {\n// why\n\n${statements(MAX_FUNCTION_LINES - 2)}}`;
    expect(findings(functionLengthRule, longest)).toEqual([]);
    const tooLong = `const f = () => {\n${statements(MAX_FUNCTION_LINES - 1)}};`;
    expect(findings(functionLengthRule, tooLong)).toHaveLength(1);
  });

  it('are found inside classes', () => {
    const text = `class C { m() {\n${statements(MAX_FUNCTION_LINES)}} }`;
    expect(findings(functionLengthRule, text)).toHaveLength(1);
  });
});

describe('files', () => {
  it(`have at most ${String(MAX_FILE_LINES)} lines in src and test`, () => {
    const all = [...units, ...loadUnits('test')];
    expect(fileLengthRule(all)).toEqual([]);
    const long = longerThan(units, TARGET_FILE_LINES);
    if (long.length > 0) {
      // eslint-disable-next-line no-console -- a target, not a limit: it is told, it fails nothing
      console.warn(
        `longer than the target of ${String(TARGET_FILE_LINES)} lines:`,
        long.map(({ path, lines }) => `${path} (${String(lines)})`).join(', '),
      );
    }
  });

  it('are found when one line too long', () => {
    expect(findings(fileLengthRule, statements(MAX_FILE_LINES))).toEqual([]);
    expect(findings(fileLengthRule, statements(MAX_FILE_LINES + 1))).toHaveLength(1);
  });
});

describe('exports', () => {
  it('have names, and no barrels, in src', () => {
    expect(exportFormRule(units)).toEqual([]);
  });

  it.each([
    ['export default f;', /export default/],
    ['export default function f() {}', /export default/],
    [`const a = 1;\nexport * from './b.ts';`, /export \*/],
    [`const a = 1;\nexport * as b from './b.ts';`, /export \*/],
    [`export { b } from './b.ts';`, /barrel/],
  ])('are found in the form %j', (text, complaint) => {
    const found = findings(exportFormRule, text);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(complaint);
  });

  it('are found in a file called index.ts', () => {
    const found = findings(exportFormRule, 'const a = 1;', 'src/pool/index.ts');
    expect(found).toEqual([expect.stringMatching(/barrel/)]);
  });

  it('are documented in src', () => {
    expect(documentedExportsRule(units)).toEqual([]);
  });

  it.each(['const a = 1;', 'function a() {}', 'class a {}', 'interface a {}', 'type a = 1;'])(
    'are found without a comment: export %s',
    (text) => {
      expect(findings(documentedExportsRule, `export ${text}`)).toHaveLength(1);
      expect(findings(documentedExportsRule, `/** */\nexport ${text}`)).toHaveLength(1);
      expect(findings(documentedExportsRule, `/** Says why. */\nexport ${text}`)).toEqual([]);
    },
  );

  it('may share the comment of a constant with the type derived from it', () => {
    const text = `/** Says why. */\nexport const A = { X: 1 } as const;\nexport type A = 1;`;
    expect(findings(documentedExportsRule, text)).toEqual([]);
  });
});

describe('comments', () => {
  it('give reasons and issues in src', () => {
    expect(commentsRule(units)).toEqual([]);
  });

  it.each([
    ['// eslint-disable-next-line curly\n', /without a reason/],
    ['// TODO make it better\n', /without an issue/],
    ['/* @ts-ignore */\n', /type checker/],
  ])('are found: %j', (comment, complaint) => {
    const found = findings(commentsRule, `const a = 1;\n${comment}const b = 2;`);
    expect(found).toEqual([expect.stringMatching(complaint)]);
  });

  it.each([
    '// eslint-disable-next-line curly -- the table is generated\n',
    '// TODO(#12) make it better\n',
    `const text = '// TODO';\n`,
  ])('are let through: %j', (comment) => {
    expect(findings(commentsRule, `${comment}const b = 2;`)).toEqual([]);
  });
});

describe('ambient time, chance, environment and console', () => {
  it('stay out of src but for its edges', () => {
    expect(ambientRule(units)).toEqual([]);
  });

  it.each([
    ['const t = Date.now();', /Clock/],
    ['const t = new Date();', /Clock/],
    ['const t = performance.now();', /nowMs/],
    ['setTimeout(f, 1);', /tick/],
    ['globalThis.setTimeout(f, 1);', /tick/],
    ['const start = setInterval;', /tick/],
    ['const r = Math.random();', /chance/],
    [`const e = process.env['A'];`, /config/],
    [`const e = process['env'];`, /config/],
    ['const { env } = process;', /config/],
    ['console.log(1);', /Logger/],
    [`const key = pbkdf2Sync('a', 'b', 1, 32, 'sha256');`, /PasswordDeriver/],
    [`import { setTimeout as delay } from 'node:timers/promises';`, /tick/],
    [`import process from 'node:process';`, /parameter/],
  ])('are found with the advice what to use: %s', (text, advice) => {
    const found = findings(ambientRule, text);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(advice);
    expect(findings(ambientRule, text, 'src/app/a.ts')).toEqual([]);
  });

  it.each([
    'const t = clock.now();',
    'socket.setTimeout(0);',
    'const d = new Date(clock.wallMs());',
    'interface Timers { setTimeout(f: () => void): void }',
    'const pid = process.pid;',
  ])('are not seen in %s', (text) => {
    expect(findings(ambientRule, text)).toEqual([]);
  });
});
