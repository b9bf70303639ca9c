import { writeSync } from 'node:fs';
import { systemClock } from '../base/clock.ts';
import type { ConfigError } from '../config/config-error.ts';
import { isYamlFile } from '../config/load.ts';
import type { RootLogger } from '../log/logger.ts';
import { pgbouncerLine } from '../log/pgbouncer-line.ts';
import type { RunArguments } from './arguments.ts';
import { reportStart } from './daemon.ts';

const STDERR = 2;

const CANNOT_LOAD = 'cannot load config file';

/** A line of PgBouncer's log, for what must be told before there is a log. */
function earlyLine(level: 'error' | 'fatal', fields: Readonly<Record<string, unknown>>): string {
  const event = level === 'fatal' ? 'start_failed' : 'config_reload_failed';
  const common = { wallMs: systemClock.wallMs(), pid: process.pid, message: undefined };
  return pgbouncerLine({ ...common, level, event, fields });
}

/** Ends a start that has no log yet; also tells the process that waits for it in the foreground. */
export function failStart({ file, quiet }: RunArguments, problem: string): never {
  if (!quiet) {
    const line = isYamlFile(file)
      ? `maitred: ${problem}\n`
      : earlyLine('fatal', { error: problem });
    writeSync(STDERR, line);
  }
  reportStart({ isUp: false, problem });
  process.exit(1);
}

/** Ends a start whose configuration cannot be used, with all that is wrong with it. */
export function failLoading(args: RunArguments, error: ConfigError): never {
  tellProblems(args, error);
  reportStart({ isUp: false, problem: CANNOT_LOAD });
  process.exit(1);
}

/** Whoever reads the log of a PgBouncer finds the lines that it would have written. */
function tellProblems({ file, quiet }: RunArguments, error: ConfigError): void {
  if (quiet) {
    return;
  }
  if (isYamlFile(file)) {
    writeSync(STDERR, `maitred: ${CANNOT_LOAD}\n${error.message}\n`);
    return;
  }
  for (const { message: problem, file: origin } of error.problems) {
    writeSync(STDERR, earlyLine('error', { problem, file: origin }));
  }
  writeSync(STDERR, earlyLine('fatal', { error: CANNOT_LOAD }));
}

/**
 * Logs why a start fails, and tells the process that waits for it; does not end the process. JSON is
 * for programs: whoever starts it by hand gets a sentence, too.
 */
export function logStartFailure(
  { file, quiet }: RunArguments,
  logger: RootLogger,
  problem: string,
): void {
  logger.fatal('start_failed', { error: problem });
  if (!quiet && isYamlFile(file)) {
    writeSync(STDERR, `maitred: ${problem}\n`);
  }
  reportStart({ isUp: false, problem });
}
