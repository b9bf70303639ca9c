import { pino } from 'pino';
import type { Logger as PinoLogger } from 'pino';
import type { Clock } from '../base/clock.ts';
import { escapeJsonLine } from './escape.ts';
import { NOISE_EVENTS } from './events.ts';
import type { LogEvent } from './events.ts';
import type { Level } from './levels.ts';
import { pgbouncerLine, pgbouncerMessage, type MessageParts } from './pgbouncer-line.ts';
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
  /** Written with `verbose` 1 and above; events of `NOISE_EVENTS` with 2 only. */
  readonly debug: LogFunction;
  /** True when `debug` writes; to be asked before fields are put together on a busy path. */
  readonly isDebug: boolean;
  /** The same for events of `NOISE_EVENTS`. */
  readonly isNoise: boolean;
  /** Makes a logger that adds `fields` to each line. It follows the level of its root. */
  child(fields: object): Logger;
}

/** The logger that was created, as opposed to its children. */
export interface RootLogger extends Logger {
  /** Sets the level of this logger and all its children, from the setting `verbose`: 0, 1, or 2 and above. */
  setVerbose(verbose: number): void;
  /** Sets the format of this logger and all its children. */
  setFormat(format: LogFormat): void;
  /** Lines given up because the destination threw. */
  readonly lostLineCount: number;
}

/** What lines look like: JSON objects, or PgBouncer's text. */
export type LogFormat = 'json' | 'pgbouncer';

/** Takes finished lines. */
export interface LogDestination {
  /** @param line - One line and its newline. To be written before this returns. */
  write(line: string): void;
  /**
   * Takes the same event as bare text in PgBouncer's words, before {@link write}; for syslog.
   *
   * @param text - Puts it into words; called only when somebody wants them.
   */
  writeText?(level: Level, text: () => string): void;
}

/** What {@link createLogger} needs. */
export interface LoggerOptions {
  readonly destination: LogDestination;
  readonly clock: Clock;
  readonly format: LogFormat;
  /** The setting `verbose`: 0, 1, or 2 and above. */
  readonly verbose: number;
  /** Put into each line as `pid`. */
  readonly pid: number;
}

interface Shared {
  verbose: number;
  format: LogFormat;
  lostLineCount: number;
  /** Offers an event as bare text. @param parts - called only when somebody wants it. */
  readonly offerText: (level: Level, parts: () => MessageParts) => void;
  /** Writes a line of the text format. */
  readonly writeText: (level: Level, parts: MessageParts) => void;
}

/**
 * Makes the logger. The JSON format has one object a line, with `level`, `time` (ISO 8601, UTC),
 * `pid`, `event`, the fields and `msg`; the other one is PgBouncer's. What peers put into names and
 * texts cannot break or forge a line of either.
 *
 * A destination that throws costs the line, never the caller.
 */
export function createLogger(options: LoggerOptions): RootLogger {
  const { destination, clock, pid } = options;
  const write = (line: string): void => {
    try {
      destination.write(line);
    } catch {
      // There is no better place to report it to.
      shared.lostLineCount += 1;
    }
  };
  const shared: Shared = {
    verbose: options.verbose,
    format: options.format,
    lostLineCount: 0,
    offerText: (level, parts) => {
      try {
        destination.writeText?.(level, () => pgbouncerMessage(parts()));
      } catch {
        // There is no better place to report it to.
        shared.lostLineCount += 1;
      }
    },
    writeText: (level, { event, fields, message }) => {
      write(pgbouncerLine({ level, event, fields, message, wallMs: clock.wallMs(), pid }));
    },
  };
  const base = pino(
    {
      // The level is decided before pino is asked: its children keep the level they were made with.
      level: 'trace',
      base: { pid },
      timestamp: () => `,"time":"${new Date(clock.wallMs()).toISOString()}"`,
      // Errors are plain objects by now; pino's own serializer would drop their causes.
      serializers: { err: (value: unknown) => value },
      formatters: { level: (label) => ({ level: label }) },
    },
    {
      write: (line: string) => {
        write(escapeJsonLine(line));
      },
    },
  );
  const logger = wrap(base, {}, shared);
  return Object.defineProperties(logger, {
    setVerbose: {
      value: (verbose: number): void => {
        shared.verbose = verbose;
      },
    },
    setFormat: {
      value: (format: LogFormat): void => {
        shared.format = format;
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
  isNoise: false,
  child: () => nullLogger,
};

function discard(): void {
  // Nothing is what it is for.
}

/** @param bound - fields of the parents, sanitized, for the text format. */
function wrap(target: PinoLogger, bound: Record<string, unknown>, shared: Shared): Logger {
  const at =
    (level: Level): LogFunction =>
    (event, fields, message) => {
      const text = message === undefined ? undefined : cutText(message);
      const parts = (): MessageParts => {
        return { event, fields: { ...bound, ...sanitizeFields(fields) }, message: text };
      };
      shared.offerText(level, parts);
      if (shared.format === 'pgbouncer') {
        shared.writeText(level, parts());
        return;
      }
      const line = sanitizeFields(fields, { event });
      const write = level === 'noise' ? 'trace' : level;
      if (text === undefined) {
        target[write](line);
      } else {
        target[write](line, text);
      }
    };
  const debug = at('debug');
  const noise = at('noise');
  return {
    fatal: at('fatal'),
    error: at('error'),
    warn: at('warn'),
    info: at('info'),
    debug: (event, fields, message) => {
      const isNoise = NOISE_EVENTS.has(event);
      if (shared.verbose > (isNoise ? 1 : 0)) {
        (isNoise ? noise : debug)(event, fields, message);
      }
    },
    get isDebug() {
      return shared.verbose > 0;
    },
    get isNoise() {
      return shared.verbose > 1;
    },
    child: (fields) => {
      const clean = sanitizeFields(fields);
      return wrap(target.child(escapeNames(clean)), { ...bound, ...clean }, shared);
    },
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
