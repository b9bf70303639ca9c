import { describe, expect, it } from 'vitest';
import { readArguments, USAGE } from '../../../src/app/arguments.ts';

describe('readArguments', () => {
  it.each<[readonly string[], object]>([
    [['f.ini'], { kind: 'run', file: 'f.ini', verbose: 0, quiet: false }],
    [['-vv', '-q', 'f.ini'], { kind: 'run', file: 'f.ini', verbose: 2, quiet: true }],
    [['./check'], { kind: 'run', file: './check', verbose: 0, quiet: false }],
    [['./convert'], { kind: 'run', file: './convert', verbose: 0, quiet: false }],
    [['checks'], { kind: 'run', file: 'checks', verbose: 0, quiet: false }],
    [['check', 'f.ini'], { kind: 'check', file: 'f.ini' }],
    [['check', 'check'], { kind: 'check', file: 'check' }],
    [['check', '--', '-f'], { kind: 'check', file: '-f' }],
    [['convert', 'f.ini'], { kind: 'convert', file: 'f.ini' }],
    [['--help'], { kind: 'help' }],
    [['check', '--help'], { kind: 'help' }],
    [['-V', 'f.ini'], { kind: 'version' }],
  ])('understands %j', (args, expected) => {
    expect(readArguments(args)).toEqual(expected);
  });

  it.each<[readonly string[], string]>([
    [[], 'no configuration file specified'],
    [['a', 'b'], 'no configuration file specified'],
    [['f.ini', 'check'], 'no configuration file specified'],
    [['check'], 'no file specified for check'],
    [['convert'], 'no file specified for convert'],
    [['check', 'a', 'b'], 'check takes one file'],
    [['check', '-v', 'a'], 'check takes no options'],
    [['-q', 'convert', 'a'], 'convert takes no options'],
    [['-d', 'f.ini'], 'option -d, --daemon is not supported yet'],
    [['--nope'], "Unknown option '--nope'"],
  ])('refuses %j', (args, problem) => {
    expect(readArguments(args)).toEqual({
      kind: 'wrong',
      problem: expect.stringContaining(problem) as string,
    });
  });

  it('names its commands in the help', () => {
    expect(USAGE).toContain('maitred check CONFIG_FILE');
    expect(USAGE).toContain('maitred convert PGBOUNCER_INI');
  });
});
