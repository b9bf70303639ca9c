import type { Clock } from '../base/clock.ts';
import type { Level } from './levels.ts';
import { LineWriter, type WriterNotice } from './line-writer.ts';

/** Sends datagrams without waiting. */
export interface DatagramPort {
  /** @throws when it is not taken. */
  send(bytes: Buffer): void;
  close(): void;
}

/** Where syslog listens. @source syslog(3): _PATH_LOG */
export const SYSLOG_PATH = '/dev/log';

/** @source RFC 3164, "PRI Part"; those that PgBouncer knows */
const FACILITIES: ReadonlyMap<string, number> = new Map([
  ['user', 1],
  ['daemon', 3],
  ['auth', 4],
  ['authpriv', 10],
  ...Array.from({ length: 8 }, (_none, index) => [`local${String(index)}`, 16 + index] as const),
]);
const DAEMON = 3;

/**
 * Severities by level; what has none is not sent.
 *
 * @source RFC 3164, "PRI Part"; PgBouncer: syslog gets everything up to LOG
 */
const SEVERITIES: Readonly<Record<Level, number | null>> = {
  fatal: 2,
  error: 3,
  warn: 4,
  info: 6,
  debug: null,
  noise: null,
};

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** What {@link Syslog} is made from. */
export interface SyslogOptions {
  readonly port: DatagramPort;
  readonly clock: Clock;
  readonly pid: number;
  /** The setting `syslog_facility`; one that is not known stands for daemon. */
  readonly facility: string;
  /** The setting `syslog_ident`. */
  readonly ident: string;
}

/**
 * Sends lines to syslog. A line that syslog does not take at once is dropped and counted.
 *
 * @source PgBouncer settings `syslog`, `syslog_facility`, `syslog_ident`
 */
export class Syslog {
  readonly #options: SyslogOptions;
  readonly #writer: LineWriter;
  readonly #facility: number;

  constructor(options: SyslogOptions) {
    this.#options = options;
    this.#facility = FACILITIES.get(options.facility.toLowerCase()) ?? DAEMON;
    this.#writer = new LineWriter(-1, (_descriptor, bytes) => {
      options.port.send(bytes);
      // A datagram is taken whole or not at all.
      return bytes.length;
    });
  }

  /** Sends a line or drops it. Never throws. @param text - one line, without its end. */
  write(level: Level, text: string): void {
    const severity = SEVERITIES[level];
    if (severity === null) {
      return;
    }
    const { clock, ident, pid } = this.#options;
    const priority = String(this.#facility * 8 + severity);
    const time = timeOf(new Date(clock.wallMs()));
    this.#writer.write(`<${priority}>${time} ${ident}[${String(pid)}]: ${text}`);
  }

  /** Lines dropped so far. */
  get lostLineCount(): number {
    return this.#writer.lostLineCount;
  }

  /** Returns what there is to tell since the last call, or null. */
  takeNotice(): WriterNotice | null {
    return this.#writer.takeNotice();
  }

  /** Closes its socket. */
  close(): void {
    this.#options.port.close();
  }
}

/** `Nov  3 07:05:09`, in local time. @source RFC 3164, "HEADER Part of a syslog Packet" */
function timeOf(date: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const month = MONTHS[date.getMonth()] ?? '';
  const day = String(date.getDate()).padStart(2);
  return `${month} ${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
