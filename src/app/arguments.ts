import { readOptions } from './getopt.ts';
import type { GivenOption, OptionSpec } from './getopt.ts';

/** How to run the pooler. */
export interface RunArguments {
  readonly kind: 'run';
  readonly file: string;
  readonly verbose: number;
  readonly quiet: boolean;
  readonly daemon: boolean;
  /** Whether to take over from the process that runs, if there is one. */
  readonly reboot: boolean;
  /** System user to run as; `null` leaves it to the setting `user`. */
  readonly user: string | null;
}

/** What the command line asks for. */
export type Arguments =
  | RunArguments
  | { readonly kind: 'check' | 'convert'; readonly file: string }
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }
  | { readonly kind: 'wrong'; readonly problem: string };

/** The text of `--help`. */
export const USAGE = `maitred is a PostgreSQL connection pooler.

Usage:
  maitred [OPTION]... CONFIG_FILE
  maitred check CONFIG_FILE       tell what is wrong with a configuration, or what
                                  it comes to, then exit
  maitred convert PGBOUNCER_INI   print a pgbouncer.ini as YAML, then exit

CONFIG_FILE is YAML when its name ends in .yaml or .yml, else it has the format of
pgbouncer.ini. Environment variables override its settings: MAITRED_LISTEN_PORT is
listen_port. A file called check or convert is written ./check or ./convert.

Options:
  -d, --daemon      run in the background; needs the setting pidfile
  -q, --quiet       write no log to standard error
  -R, --reboot      take over from the process that runs, refusing no connection;
                    needs unix_socket_dir, and so_reuseport in both
  -u, --user=NAME   run as this system user
  -v, --verbose     log more; may be repeated
  -V, --version     show the version, then exit
  -h, --help        show this help, then exit
`;

/** Words that are commands when they stand first. */
const COMMANDS = ['check', 'convert'] as const;

/** Reads what stands after a command word. */
function readCommand(
  kind: (typeof COMMANDS)[number],
  files: readonly string[],
  hasOptions: boolean,
): Arguments {
  const [file, ...more] = files;
  if (file === undefined) {
    return { kind: 'wrong', problem: `no file specified for ${kind}` };
  }
  if (more.length > 0) {
    return { kind: 'wrong', problem: `${kind} takes one file` };
  }
  return hasOptions ? { kind: 'wrong', problem: `${kind} takes no options` } : { kind, file };
}

/** The options, sorted by their long names. */
const OPTIONS: readonly OptionSpec[] = [
  { letter: 'd', name: 'daemon', takesValue: false },
  { letter: 'h', name: 'help', takesValue: false },
  { letter: 'q', name: 'quiet', takesValue: false },
  { letter: 'R', name: 'reboot', takesValue: false },
  { letter: 'u', name: 'user', takesValue: true },
  { letter: 'v', name: 'verbose', takesValue: false },
  { letter: 'V', name: 'version', takesValue: false },
];

/**
 * Reads the command line, without the names of node and of the script. Of several options that
 * answer by themselves, the first counts, whatever stands behind it. Never throws.
 */
export function readArguments(args: readonly string[]): Arguments {
  const { options, operands, problem } = readOptions(args, OPTIONS);
  const answered = options.find(({ letter }) => letter === 'h' || letter === 'V');
  if (answered !== undefined) {
    return { kind: answered.letter === 'h' ? 'help' : 'version' };
  }
  if (problem !== null) {
    return { kind: 'wrong', problem };
  }
  const given = (wanted: string): readonly GivenOption[] =>
    options.filter(({ letter }) => letter === wanted);
  const [file, ...more] = operands;
  const command = COMMANDS.find((word) => word === file);
  if (command !== undefined) {
    return readCommand(command, more, options.length > 0);
  }
  if (file === undefined || more.length > 0) {
    return { kind: 'wrong', problem: 'no configuration file specified' };
  }
  return {
    kind: 'run',
    file,
    verbose: given('v').length,
    quiet: given('q').length > 0,
    daemon: given('d').length > 0,
    reboot: given('R').length > 0,
    user: given('u').at(-1)?.value ?? null,
  };
}
