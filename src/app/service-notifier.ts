import { spawn } from 'node:child_process';
import type { Logger, RootLogger } from '../log/logger.ts';
import { statsText } from '../log/pgbouncer-text.ts';
import { DatagramSocket } from '../net/datagram-socket.ts';
import type { NativeCalls } from '../net/native-calls.ts';
import { asError } from './system-error.ts';

/** Program of systemd that passes messages on, for where this process cannot send them itself. */
const PROGRAM = 'systemd-notify';

/** A program that does not end is ended: the messages behind it wait for it. */
const PROGRAM_TIMEOUT_MS = 10_000;

/** Messages that may wait; there are only a few a minute. */
const WAITING_MAX = 16;

/** The addresses that {@link DatagramSocket} knows: paths and names of the abstract namespace. */
const UNIX_ADDRESS = /^[/@]/;

/** What {@link ServiceNotifier} needs from around it. */
export interface ServiceNotifierOptions {
  /** The variable NOTIFY_SOCKET; without one, nothing is ever sent. */
  readonly socket: string | undefined;
  readonly logger: Logger;
  /** System calls that Node.js has no function for; `null` where they cannot be made. */
  readonly nativeCalls: () => NativeCalls | null;
}

/**
 * Tells a service manager how the process is, where one asks for it by NOTIFY_SOCKET. Messages are
 * sent one after the other, since their order has a meaning. What cannot be sent is logged once.
 *
 * They come from this process where system calls can be made, as a unit with `Type=notify` alone asks
 * for; otherwise from a program, so that the unit has to allow it.
 *
 * @source sd_notify(3)
 */
export class ServiceNotifier {
  readonly #isWanted: boolean;
  readonly #socket: DatagramSocket | null;
  readonly #logger: Logger;
  readonly #waiting: (readonly string[])[] = [];
  #isSending = false;
  #hasWarned = false;

  constructor({ socket = '', logger, nativeCalls }: ServiceNotifierOptions) {
    this.#isWanted = socket !== '';
    const calls = UNIX_ADDRESS.test(socket) ? nativeCalls() : null;
    const path = socket.replace(/^@/, '\0');
    this.#socket = calls === null ? null : new DatagramSocket(path, calls);
    this.#logger = logger;
  }

  /** The start, or a reload, is done. */
  ready(): void {
    this.#send(['READY=1']);
  }

  /** A reload begins. @param monotonicUs - Time of CLOCK_MONOTONIC in µs. */
  reloading(monotonicUs: bigint): void {
    this.#send(['RELOADING=1', `MONOTONIC_USEC=${String(monotonicUs)}`]);
  }

  /**
   * A shutdown begins. With the program it may be lost when the process ends at once and other
   * messages wait; the end says the same.
   */
  stopping(): void {
    this.#send(['STOPPING=1']);
  }

  /** One line about how things go. */
  status(text: string): void {
    this.#send([`STATUS=${text}`]);
  }

  #send(assignments: readonly string[]): void {
    if (!this.#isWanted || this.#waiting.length >= WAITING_MAX || this.#sendByItself(assignments)) {
      return;
    }
    this.#waiting.push(assignments);
    this.#pump();
  }

  /** @returns whether it has been sent; not while others wait, which it must not overtake. */
  #sendByItself(assignments: readonly string[]): boolean {
    if (this.#socket === null || this.#isSending) {
      return false;
    }
    try {
      this.#socket.send(Buffer.from(assignments.join('\n')));
      return true;
    } catch {
      // The program tries longer, and tells when it cannot, either.
      return false;
    }
  }

  #pump(): void {
    const next = this.#isSending ? undefined : this.#waiting.shift();
    if (next === undefined) {
      return;
    }
    this.#isSending = true;
    let isDone = false;
    const done = (problem: string | null): void => {
      // A program that cannot be started may report both an error and an end.
      if (isDone) {
        return;
      }
      isDone = true;
      this.#isSending = false;
      if (problem !== null) {
        this.#warn(problem);
      }
      this.#pump();
    };
    const child = spawn(PROGRAM, next, { stdio: 'ignore', timeout: PROGRAM_TIMEOUT_MS });
    child.once('error', (error) => {
      done(asError(error).message);
    });
    child.once('exit', (code, signal) => {
      done(code === 0 ? null : `it ended with ${signal ?? `code ${String(code)}`}`);
    });
  }

  #warn(problem: string): void {
    if (!this.#hasWarned) {
      this.#hasWarned = true;
      this.#logger.warn('config_warning', {
        problem: `the service manager asks to be notified, but ${PROGRAM} does not work: ${problem}`,
      });
    }
  }
}

/** Makes a logger that hands the periodic statistics to the service manager, too. */
export function withStatus(logger: RootLogger, notifier: ServiceNotifier): RootLogger {
  const info: Logger['info'] = (event, fields, message) => {
    logger.info(event, fields, message);
    if (event === 'stats') {
      // Safe: the event is written with the averages of the period and nothing else.
      notifier.status(statsText(fields as Readonly<Record<string, unknown>>, 'μs'));
    }
  };
  return Object.create(logger, { info: { value: info } }) as RootLogger;
}
