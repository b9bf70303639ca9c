import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { systemErrorText } from '../base/system-error-text.ts';
import type { Level } from './levels.ts';
import { LineWriter, type WriteBytes } from './line-writer.ts';
import type { LogDestination, Logger } from './logger.ts';
import type { Syslog } from './syslog.ts';

/** A log file that cannot be opened. */
export class LogFileError extends Error {
  override readonly name = 'LogFileError';
  readonly file: string;
  /** What the system says. */
  readonly reason: string;

  constructor(file: string, reason: string, cause: unknown) {
    super(`Cannot open logfile: '${file}': ${reason}`, { cause });
    this.file = file;
    this.reason = reason;
  }
}

/** Appending survives rotation by truncation. Not to block matters for pipes: see LineWriter. */
const OPEN_FLAGS =
  constants.O_WRONLY |
  constants.O_APPEND |
  constants.O_CREAT |
  constants.O_NONBLOCK |
  constants.O_NOCTTY;

/** Mode of a new log file before the umask, as C's fopen has it. */
const FILE_MODE = 0o666;

const writeBytes: WriteBytes = (descriptor, bytes, offset) => writeSync(descriptor, bytes, offset);

/**
 * Where lines go: standard error, `logfile` and syslog, each whatever happens to the other. A destination
 * that does not take a line loses it; that is told in the log itself once the destination works
 * again. That file or syslog have failed is told at once, to the others.
 */
export class LogOutput implements LogDestination {
  readonly #write: WriteBytes;
  readonly #stderr: LineWriter | null;
  #file: LineWriter | null = null;
  #fileName = '';
  #syslog: Syslog | null = null;
  #logger: Logger | null = null;
  #isReporting = false;

  /**
   * @param stderr - Descriptor of standard error, which should not block; null to leave it alone.
   * @param write - Writes to a descriptor.
   */
  constructor(stderr: number | null, write: WriteBytes = writeBytes) {
    this.#write = write;
    this.#stderr = stderr === null ? null : new LineWriter(stderr, write);
  }

  /** Sets the logger that tells about lost lines. It may write to this output. */
  reportTo(logger: Logger): void {
    this.#logger = logger;
  }

  /**
   * Opens `file` to append to, or opens it anew after a rotation; empty for none. The file that was
   * open before is closed when the new one is open, so that no line falls between them.
   *
   * @throws {@link LogFileError}; the file that was open before then stays.
   */
  openFile(file: string): void {
    const next = file === '' ? null : new LineWriter(openToAppend(file), this.#write);
    const previous = this.#file;
    this.#file = next;
    this.#fileName = file;
    if (previous !== null) {
      closeSync(previous.descriptor);
    }
  }

  /** Sends lines to `syslog` from now on too; null for no syslog. The one before is closed. */
  setSyslog(syslog: Syslog | null): void {
    this.#syslog?.close();
    this.#syslog = syslog;
  }

  writeText(level: Level, text: () => string): void {
    this.#syslog?.write(level, text());
  }

  write(line: string): void {
    this.#file?.write(line);
    this.#stderr?.write(line);
    if (!this.#isReporting) {
      this.#isReporting = true;
      this.#report(this.#file, this.#fileName);
      this.#report(this.#stderr, 'standard error');
      this.#report(this.#syslog, 'syslog');
      this.#isReporting = false;
    }
  }

  #report(writer: LineWriter | Syslog | null, destination: string): void {
    const notice = writer?.takeNotice() ?? null;
    if (notice === null) {
      return;
    }
    if (notice.kind === 'recovered') {
      this.#logger?.error('log_lines_lost', { lines: notice.lostLines, destination });
    } else if (writer === this.#file) {
      this.#logger?.error('log_file_failed', {
        action: 'write',
        file: destination,
        error: notice.error,
      });
    } else if (writer === this.#syslog) {
      this.#logger?.error('syslog_failed', { error: notice.error });
    }
  }
}

function openToAppend(file: string): number {
  try {
    return openSync(file, OPEN_FLAGS, FILE_MODE);
  } catch (cause) {
    throw new LogFileError(file, systemErrorText(cause), cause);
  }
}
