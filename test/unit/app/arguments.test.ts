import { describe, expect, it } from 'vitest';
import { readArguments, USAGE } from '../../../src/app/arguments.ts';

const RUN = {
  kind: 'run',
  file: 'f.ini',
  verbose: 0,
  quiet: false,
  daemon: false,
  reboot: false,
  user: null,
} as const;

const ALL = { ...RUN, quiet: true, daemon: true, user: 'pooler' } as const;

describe('readArguments', () => {
  it.each<[readonly string[], object]>([
    [['f.ini'], RUN],
    [['-vv', '-q', 'f.ini'], { ...RUN, verbose: 2, quiet: true }],
    [['./check'], { ...RUN, file: './check' }],
    [['./convert'], { ...RUN, file: './convert' }],
    [['checks'], { ...RUN, file: 'checks' }],
    [['-d', '-u', 'pooler', 'f.ini'], { ...RUN, daemon: true, user: 'pooler' }],
    [['--daemon', '--user=pooler', 'f.ini'], { ...RUN, daemon: true, user: 'pooler' }],
    [['check', 'f.ini'], { kind: 'check', file: 'f.ini' }],
    [['check', 'check'], { kind: 'check', file: 'check' }],
    [['check', '--', '-f'], { kind: 'check', file: '-f' }],
    [['convert', 'f.ini'], { kind: 'convert', file: 'f.ini' }],
    [['--help'], { kind: 'help' }],
    [['check', '--help'], { kind: 'help' }],
    [['-V', 'f.ini'], { kind: 'version' }],
    [['-dqvvu', 'pooler', 'f.ini'], { ...ALL, verbose: 2 }],
    [['f.ini', '-vupooler', '-dq', '--verb'], { ...ALL, verbose: 2 }],
    [['--dae', '--qui', '--us', 'pooler', 'f.ini'], ALL],
    [['-u', 'first', '-upooler', '-dq', '--', 'f.ini'], ALL],
    [['--', '-x'], { ...RUN, file: '-x' }],
    [['-'], { ...RUN, file: '-' }],
    [['-u', '-V', 'f.ini'], { ...RUN, user: '-V' }],
    [['-Vh'], { kind: 'version' }],
    [['-hV'], { kind: 'help' }],
    [['--vers', '-x', '--nope'], { kind: 'version' }],
    [['-R', '-V'], { kind: 'version' }],
    [['-R', 'f.ini'], { ...RUN, reboot: true }],
    [['f.ini', '--reb', '-d'], { ...RUN, daemon: true, reboot: true }],
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
    [['check', '-d', 'f.ini'], 'check takes no options'],
    [['check', '-R', 'f.ini'], 'check takes no options'],
    [['-u'], "option requires an argument -- 'u'"],
    [['-qu'], "option requires an argument -- 'u'"],
    [['--user'], "option '--user' requires an argument"],
    [['-x', '-V'], "invalid option -- 'x'"],
    [['-qx'], "invalid option -- 'x'"],
    [['f.ini', '-?'], "invalid option -- '?'"],
    [['--nope=1'], "unrecognized option '--nope=1'"],
    [['--VERSION'], "unrecognized option '--VERSION'"],
    [['--ver'], "option '--ver' is ambiguous; possibilities: '--verbose' '--version'"],
    [['--qui=1', 'f.ini'], "option '--quiet' doesn't allow an argument"],
    [['--', 'f.ini', '-V'], 'no configuration file specified'],
  ])('refuses %j', (args, problem) => {
    expect(readArguments(args)).toEqual({
      kind: 'wrong',
      problem: expect.stringContaining(problem) as string,
    });
  });

  it('names its commands in the help', () => {
    expect(USAGE).toContain('maitred check CONFIG_FILE');
    expect(USAGE).toContain('maitred convert PGBOUNCER_INI');
    expect(USAGE).toContain('-R, --reboot');
  });
});
