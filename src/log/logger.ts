import { pino } from 'pino';
import type { Logger as PinoLogger } from 'pino';
import type { Clock } from '../base/clock.ts';
import type { LogEvent } from './events.ts';
import { cutText, sanitizeFields } from './sanitize.ts';

/** Writes one event to the log; `fields` are sanitized, `message` is for human readers. */
export type LogFunction = (event: LogEvent, fields: object, message?: string) => void;

/** The log as the rest of maitred sees it. No method throws. */
export interface Logger {
  /** The process cannot go on. */
  readonly fatal: LogFunction;
  /** Something failed that should have worked. */
  readonly error: LogFunction;
  /** Something an operator should look at some day. */
  readonly warn: LogFunction;
  /** Normal operation; PgBouncer's level LOG. */
  readonly info: LogFunction;
  /** Written with `verbose` 1 and above. */
  readonly debug: LogFunction;
  /** True when `debug` writes; to be asked before fields are put together on a busy path. */
  readonly isDebug: boolean;
  /** Makes a logger that adds `fields` to each line. It follows the level of its root. */
  child(fields: object): Logger;
}

/** The logger that was created, as opposed to its children. */
export interface RootLogger extends Logger {
  /** Sets the level of this logger and all its children, from the setting `verbose`: 0 to 2. */
  setVerbose(verbose: number): void;
  /** Lines given up because the destination threw. */
  readonly lostLineCount: number;
}

/** Takes finished lines. */
export interface LogDestination {
  /** @param line - One JSON object and its newline. To be written before this returns. */
  write(line: string): void;
}

/** What {@link createLogger} needs. */
export interface LoggerOptions {
  readonly destination: LogDestination;
  readonly clock: Clock;
  /** The setting `verbose`: 0 to 2. */
  readonly verbose: number;
  /** Put into each line as `pid`. */
  readonly pid: number;
}

/**
 * Characters that JSON allows in a string but that end a line, or steer a terminal, for some
 * readers: DEL, the C1 controls, the Unicode line ends, and lone surrogates, which are not UTF-8.
 * JSON has all other control characters escaped already.
 */
const UNSAFE_IN_LINE = /[\u007f-\u009f\u2028\u2029]|\p{Surrogate}/gu;

type Level = 'fatal' | 'error' | 'warn' | 'info' | 'debug';

interface Shared {
  verbose: number;
  lostLineCount: number;
}

/**
 * Makes the logger: one JSON object a line, with `level`, `time` (ISO 8601, UTC), `pid`, `event`,
 * the fields and `msg`. What peers put into names and texts cannot break or forge a line.
 *
 * A destination that throws (a closed pipe, a full disk) costs the line, never the caller.
 */
export function createLogger(options: LoggerOptions): RootLogger {
  const { destination, clock, pid } = options;
  const shared: Shared = { verbose: options.verbose, lostLineCount: 0 };
  const guarded: LogDestination = {
    write: (line) => {
      try {
        destination.write(line.replace(UNSAFE_IN_LINE, escapeCharacter));
      } catch {
        // There is no better place to report it to; the count is shown in the statistics.
        shared.lostLineCount += 1;
      }
    },
  };
  const base = pino(
    {
      // The level is decided before pino is asked: its children keep the level they were made with.
      level: 'debug',
      base: { pid },
      timestamp: () => `,"time":"${new Date(clock.wallMs()).toISOString()}"`,
      // Errors are plain objects by now; pino's own serializer would drop their causes.
      serializers: { err: (value: unknown) => value },
      formatters: { level: (label) => ({ level: label }) },
    },
    guarded,
  );
  const logger = wrap(base, shared);
  return Object.defineProperties(logger, {
    setVerbose: {
      value: (verbose: number): void => {
        shared.verbose = verbose;
      },
    },
    lostLineCount: { get: () => shared.lostLineCount },
  }) as RootLogger;
}

/** Writes nothing. */
export const nullLogger: Logger = {
  fatal: discard,
  error: discard,
  warn: discard,
  info: discard,
  debug: discard,
  isDebug: false,
  child: () => nullLogger,
};

function discard(): void {
  // Nothing is what it is for.
}

function wrap(target: PinoLogger, shared: Shared): Logger {
  const at =
    (level: Level): LogFunction =>
    (event, fields, message) => {
      const line = { event, ...sanitizeFields(fields) };
      if (message === undefined) {
        target[level](line);
      } else {
        target[level](line, cutText(message));
      }
    };
  const debug = at('debug');
  return {
    fatal: at('fatal'),
    error: at('error'),
    warn: at('warn'),
    info: at('info'),
    debug: (event, fields, message) => {
      if (shared.verbose > 0) {
        debug(event, fields, message);
      }
    },
    get isDebug() {
      return shared.verbose > 0;
    },
    child: (fields) => wrap(target.child(escapeNames(sanitizeFields(fields))), shared),
  };
}

/** Escapes the names of fields: pino puts those of a child into the line as they are. */
function escapeNames(fields: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(fields);
  return Object.fromEntries(entries.map(([name, value]) => [quoteless(name), value]));
}

function quoteless(name: string): string {
  return JSON.stringify(name).slice(1, -1);
}

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
