import { parseArgs } from 'node:util';

/** How to run the pooler. */
export interface RunArguments {
  readonly kind: 'run';
  readonly file: string;
  readonly verbose: number;
  readonly quiet: boolean;
  readonly daemon: boolean;
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
  -u, --user=NAME   run as this system user
  -v, --verbose     log more; may be repeated
  -V, --version     show the version, then exit
  -h, --help        show this help, then exit
`;

/** What to do instead of a takeover, which would have to pass descriptors between processes. */
const NO_REBOOT =
  'option -R, --reboot is not supported: set so_reuseport, start the new process beside the old ' +
  'one, then give SHUTDOWN WAIT_FOR_CLIENTS on the console of the old one';

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

/** Reads the command line, without the names of node and of the script. Never throws. */
export function readArguments(args: readonly string[]): Arguments {
  let parsed;
  try {
    parsed = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        daemon: { type: 'boolean', short: 'd' },
        reboot: { type: 'boolean', short: 'R' },
        user: { type: 'string', short: 'u' },
        quiet: { type: 'boolean', short: 'q' },
        verbose: { type: 'boolean', short: 'v', multiple: true },
        version: { type: 'boolean', short: 'V' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    return { kind: 'wrong', problem: error instanceof Error ? error.message : String(error) };
  }
  const { values, positionals } = parsed;
  if (values.help === true) {
    return { kind: 'help' };
  }
  if (values.version === true) {
    return { kind: 'version' };
  }
  if (values.reboot === true) {
    return { kind: 'wrong', problem: NO_REBOOT };
  }
  const [file, ...more] = positionals;
  const command = COMMANDS.find((word) => word === file);
  if (command !== undefined) {
    return readCommand(command, more, Object.keys(values).length > 0);
  }
  if (file === undefined || more.length > 0) {
    return { kind: 'wrong', problem: 'no configuration file specified' };
  }
  return {
    kind: 'run',
    file,
    verbose: values.verbose?.length ?? 0,
    quiet: values.quiet ?? false,
    daemon: values.daemon ?? false,
    user: values.user ?? null,
  };
}
