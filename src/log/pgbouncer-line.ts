import type { LogEvent } from './events.ts';
import { escapeText } from './escape.ts';
import type { Level } from './levels.ts';
import { pgbouncerText } from './pgbouncer-text.ts';

/** Longest message, in bytes. @source PgBouncer: its buffer for one message. */
const MAX_MESSAGE_BYTES = 2047;

const LEVEL_NAMES: Readonly<Record<Level, string>> = {
  fatal: 'FATAL',
  error: 'ERROR',
  warn: 'WARNING',
  info: 'LOG',
  debug: 'DEBUG',
  noise: 'NOISE',
};

/** Regional languages that each know the abbreviations of their own zones, such as CET or IST. */
const ZONE_LOCALES = ['en-US', 'en-GB', 'en-AU', 'en-IN', 'en-ZA'] as const;

/** One line before it is put into words. */
export interface LineParts {
  readonly level: Level;
  readonly event: LogEvent;
  /** Sanitized. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string | undefined;
  /** Milliseconds since the Unix epoch. */
  readonly wallMs: number;
  readonly pid: number;
}

/** The part of a line that has neither time nor level. */
export type MessageParts = Pick<LineParts, 'event' | 'fields' | 'message'>;

/**
 * Puts an event into PgBouncer's words, as one line of at most 2047 bytes.
 *
 * @returns the line without its end.
 */
export function pgbouncerMessage({ event, fields, message }: MessageParts): string {
  return cutBytes(escapeText(pgbouncerText(event, fields, message)), MAX_MESSAGE_BYTES);
}

/**
 * Writes a line in PgBouncer's shape: `YYYY-MM-DD HH:MM:SS.mmm TZ [PID] LEVEL MESSAGE`, in local
 * time. Messages are cut to 2047 bytes.
 *
 * COMPAT: a newline in a message becomes `\n`, where PgBouncer goes on in the next line: what peers
 * send must not look like a line of its own.
 *
 * @returns The line with its newline.
 */
export function pgbouncerLine(parts: LineParts): string {
  const { level, wallMs, pid } = parts;
  const text = pgbouncerMessage(parts);
  return `${localTime(new Date(wallMs))} [${String(pid)}] ${LEVEL_NAMES[level]} ${text}\n`;
}

function localTime(date: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${String(date.getFullYear())}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${day} ${time}.${String(date.getMilliseconds()).padStart(3, '0')} ${zoneOf(date)}`;
}

/** Names by offset: the system zone has few, and asking for one costs many microseconds. */
const zones = new Map<number, string>();

function zoneOf(date: Date): string {
  const offset = date.getTimezoneOffset();
  let zone = zones.get(offset);
  if (zone === undefined) {
    // Asking Intl for what is known already would cost megabytes.
    zone = isUtc(date) ? 'UTC' : (findAbbreviation(date) ?? numericZone(offset));
    zones.set(offset, zone);
  }
  return zone;
}

/** Whether local time is UTC, as far as that can be told without Intl. */
function isUtc(date: Date): boolean {
  return String(date).endsWith('(Coordinated Universal Time)');
}

function findAbbreviation(date: Date): string | undefined {
  const names = ZONE_LOCALES.map((locale) =>
    new Intl.DateTimeFormat(locale, { timeZoneName: 'short' })
      .formatToParts(date)
      .find(({ type }) => type === 'timeZoneName'),
  );
  return names.map((part) => part?.value ?? '').find((name) => /^[A-Z]{2,5}$/.test(name));
}

/** `+03` or `+0545`, as zones without an abbreviation are called. @param offset - minutes west. */
function numericZone(offset: number): string {
  const minutes = Math.abs(offset);
  const hours = String(Math.trunc(minutes / 60)).padStart(2, '0');
  const rest = minutes % 60;
  const tail = rest === 0 ? '' : String(rest).padStart(2, '0');
  return `${offset > 0 ? '-' : '+'}${hours}${tail}`;
}

/** Cuts text to a number of bytes, between two characters. */
function cutBytes(text: string, maxBytes: number): string {
  if (text.length * 3 <= maxBytes) {
    return text;
  }
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) {
    return text;
  }
  let end = maxBytes;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) {
    end -= 1;
  }
  return bytes.toString('utf8', 0, end);
}
