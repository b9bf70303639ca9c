import { parseArgs } from 'node:util';

/** What the command line asks for. */
export type Arguments =
  | {
      readonly kind: 'run';
      readonly file: string;
      readonly verbose: number;
      readonly quiet: boolean;
    }
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }
  | { readonly kind: 'wrong'; readonly problem: string };

/** The text of `--help`. */
export const USAGE = `maitred is a PostgreSQL connection pooler.

Usage:
  maitred [OPTION]... CONFIG_FILE

Options:
  -q, --quiet     write no log to standard error
  -v, --verbose   log more; may be repeated
  -V, --version   show the version, then exit
  -h, --help      show this help, then exit
`;

/** Options of PgBouncer that are known and not supported. */
const NOT_SUPPORTED: ReadonlyMap<string, string> = new Map([
  ['daemon', '-d'],
  ['reboot', '-R'],
  ['user', '-u'],
]);

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
  for (const [name, short] of NOT_SUPPORTED) {
    if (name in values) {
      return { kind: 'wrong', problem: `option ${short}, --${name} is not supported yet` };
    }
  }
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0) {
    return { kind: 'wrong', problem: 'no configuration file specified' };
  }
  return {
    kind: 'run',
    file,
    verbose: values.verbose?.length ?? 0,
    quiet: values.quiet ?? false,
  };
}
