import { describe, expect, it } from 'vitest';
import type { Clock } from '../../../src/base/clock.ts';
import { LogOutput } from '../../../src/log/log-output.ts';
import { createLogger, type LogFormat } from '../../../src/log/logger.ts';
import { Syslog, type DatagramPort } from '../../../src/log/syslog.ts';

const NOON = new Date(2026, 2, 4, 12, 5, 9);
const clock: Clock = { nowMs: () => 0, wallMs: () => NOON.getTime() };

/** A reader that can be full or gone. */
class FakePort implements DatagramPort {
  readonly sent: string[] = [];
  problem: string | null = null;
  isClosed = false;

  send(bytes: Buffer): void {
    if (this.problem !== null) {
      throw Object.assign(new Error(`${this.problem}: no`), { code: this.problem });
    }
    this.sent.push(bytes.toString());
  }

  close(): void {
    this.isClosed = true;
  }
}

function makeSyslog(port: DatagramPort, facility = 'daemon', ident = 'pgbouncer'): Syslog {
  return new Syslog({ port, clock, pid: 42, facility, ident });
}

describe('Syslog', () => {
  it.each([
    ['fatal', '<26>'],
    ['error', '<27>'],
    ['warn', '<28>'],
    ['info', '<30>'],
  ] as const)('sends %s with its severity', (level, priority) => {
    const port = new FakePort();
    makeSyslog(port).write(level, 'text');
    expect(port.sent).toEqual([`${priority}Mar  4 12:05:09 pgbouncer[42]: text`]);
  });

  it.each(['debug', 'noise'] as const)('does not send %s', (level) => {
    const port = new FakePort();
    makeSyslog(port).write(level, 'text');
    expect(port.sent).toEqual([]);
  });

  it.each([
    ['user', 8],
    ['daemon', 24],
    ['auth', 32],
    ['authpriv', 80],
    ['local0', 128],
    ['local7', 184],
    ['LOCAL3', 152],
    ['nonsense', 24],
    ['', 24],
  ])('has the facility %s', (facility, base) => {
    const port = new FakePort();
    makeSyslog(port, facility, 'me').write('error', 'x');
    expect(port.sent).toEqual([`<${String(base + 3)}>Mar  4 12:05:09 me[42]: x`]);
  });

  it('drops and counts lines that are not taken, and tells of it once they are again', () => {
    const port = new FakePort();
    const syslog = makeSyslog(port);
    port.problem = 'EAGAIN';
    syslog.write('info', 'one');
    syslog.write('info', 'two');
    expect(syslog.takeNotice()).toBeNull();
    port.problem = null;
    syslog.write('info', 'three');
    expect(syslog.lostLineCount).toBe(2);
    expect(syslog.takeNotice()).toEqual({ kind: 'recovered', lostLines: 2 });
    expect(port.sent).toHaveLength(1);
  });
});

describe('a log with syslog', () => {
  function makeLog(format: LogFormat, verbose = 0) {
    const port = new FakePort();
    const lines: string[] = [];
    const output = new LogOutput(99, (_descriptor, bytes) => {
      lines.push(bytes.toString());
      return bytes.length;
    });
    output.setSyslog(makeSyslog(port));
    const logger = createLogger({ destination: output, clock, format, verbose, pid: 42 });
    output.reportTo(logger);
    return { port, lines, output, logger };
  }

  it.each(['json', 'pgbouncer'] as const)(
    'sends PgBouncer’s text without time and level, in the format %s too',
    (format) => {
      const { port, lines, logger } = makeLog(format);
      logger.child({ client: 26 }).info('client_disconnected', {
        ...{ database: 'app', user: 'bob', address: '10.0.0.7', port: 5000 },
        ...{ reason: 'client close request', ageSeconds: 12 },
      });
      expect(port.sent).toEqual([
        '<30>Mar  4 12:05:09 pgbouncer[42]: C-0x1a: app/bob@10.0.0.7:5000 closing because: client close request (age=12s)',
      ]);
      expect(lines).toHaveLength(1);
    },
  );

  it('cannot be forged by what peers send', () => {
    const { port, logger } = makeLog('json');
    logger.warn('client_login_failed', { client: 1, user: 'a\n<24>b', reason: 'x' });
    expect(port.sent).toHaveLength(1);
    expect(port.sent[0]).not.toContain('\n');
  });

  it('leaves out debugging, which the others get', () => {
    const { port, lines, logger } = makeLog('json', 2);
    logger.debug('client_connected', { client: 1 });
    expect(lines).toHaveLength(1);
    expect(port.sent).toEqual([]);
  });

  it('goes on without syslog when that has gone, and says so once, elsewhere', () => {
    const { port, lines, logger } = makeLog('json');
    port.problem = 'ENOENT';
    logger.info('process_up', {});
    logger.info('process_up', {});
    const events = lines.map((line) => (JSON.parse(line) as { event: string }).event);
    expect(events).toEqual(['process_up', 'syslog_failed', 'process_up']);
    port.problem = null;
    logger.info('process_up', {});
    expect(lines.join('')).toContain('"event":"log_lines_lost","lines":3,"destination":"syslog"');
  });

  it('is closed when it is switched off or replaced', () => {
    const { port, output, logger } = makeLog('json');
    const next = new FakePort();
    output.setSyslog(makeSyslog(next));
    expect(port.isClosed).toBe(true);
    logger.info('process_up', {});
    output.setSyslog(null);
    logger.info('process_up', {});
    expect({ before: port.sent.length, after: next.sent.length }).toEqual({ before: 0, after: 1 });
    expect(next.isClosed).toBe(true);
  });
});
