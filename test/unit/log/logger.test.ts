import { describe, expect, it } from 'vitest';
import { LOG_EVENTS } from '../../../src/log/events.ts';
import type { LogEvent } from '../../../src/log/events.ts';
import { createLogger, nullLogger } from '../../../src/log/logger.ts';
import type { RootLogger } from '../../../src/log/logger.ts';
import { MAX_LOGGED_CHARS, REDACTED } from '../../../src/log/sanitize.ts';

interface Captured {
  readonly logger: RootLogger;
  readonly lines: string[];
  /** The last line, parsed. */
  last(): Record<string, unknown>;
}

function capture(verbose = 0): Captured {
  const lines: string[] = [];
  const logger = createLogger({
    destination: { write: (line) => lines.push(line) },
    clock: { nowMs: () => 0, wallMs: () => Date.UTC(2026, 0, 2, 3, 4, 5, 6) },
    format: 'json',
    verbose,
    pid: 42,
  });
  return { logger, lines, last: () => JSON.parse(lines.at(-1) ?? '') as Record<string, unknown> };
}

describe('createLogger', () => {
  it('writes one JSON object a line', () => {
    const { logger, lines, last } = capture();
    logger.info('client_logged_in', { user: 'bob', port: 1 }, '100% of %s logged in');
    expect(lines[0]?.endsWith('}\n')).toBe(true);
    expect(last()).toEqual({
      level: 'info',
      time: '2026-01-02T03:04:05.006Z',
      pid: 42,
      event: 'client_logged_in',
      user: 'bob',
      port: 1,
      msg: '100% of %s logged in',
    });
  });

  it.each(['fatal', 'error', 'warn', 'info', 'debug'] as const)('writes at level %s', (level) => {
    const { logger, last } = capture(1);
    logger[level]('stats', {});
    expect(last()).toMatchObject({ level, event: 'stats' });
    expect(last()).not.toHaveProperty('msg');
  });

  it('writes debug from verbose 1 on, children included, also when it changes', () => {
    const { logger, lines } = capture(0);
    const child = logger.child({ user: 'bob' });
    child.debug('stats', {});
    expect([lines.length, child.isDebug]).toEqual([0, false]);
    logger.setVerbose(2);
    child.debug('stats', {});
    expect([lines.length, child.isDebug, logger.isDebug]).toEqual([1, true, true]);
    logger.setVerbose(0);
    child.debug('stats', {});
    logger.debug('stats', {});
    expect([lines.length, child.isDebug]).toEqual([1, false]);
  });

  it('writes noise from verbose 2 on', () => {
    const { logger, lines, last } = capture(1);
    logger.debug('client_wait_ended', {});
    expect([lines.length, logger.isDebug, logger.isNoise]).toEqual([0, true, false]);
    logger.setVerbose(2);
    expect(logger.isNoise).toBe(true);
    logger.debug('client_wait_ended', {});
    expect(last()).toMatchObject({ level: 'trace', event: 'client_wait_ended' });
  });

  it("writes PgBouncer's lines when told to, with the fields of children, and JSON again", () => {
    const { logger, lines, last } = capture(2);
    const child = logger.child({ client: 10, user: 'bob' });
    logger.setFormat('pgbouncer');
    child.info('client_disconnected', { database: 'app', address: '::1', port: 5, reason: 'x' });
    child.debug('client_wait_ended', {}, 'hi');
    child.warn('stats', {}, 'x'.repeat(5000));
    const shape = /^2026-01-0[123] \d\d:\d\d:05\.006 [A-Z\d+-]{2,6} \[42\] (.*)\n$/;
    expect(lines.map((line) => shape.exec(line)?.[1]?.slice(0, 80))).toEqual([
      'LOG C-0xa: app/bob@[::1]:5 closing because: x (age=s)',
      'NOISE C-0xa: (nodb)/bob@(bad-af):0 hi',
      expect.stringMatching(/^WARNING stats: 0 xacts/),
    ]);
    logger.setFormat('json');
    child.info('stats', {});
    expect(last()).toMatchObject({ client: 10, event: 'stats' });
  });

  it.each([
    ['a line feed', 'bob\n2026-01-01 00:00:00.000 UTC [1] FATAL forged'],
    ['a carriage return', 'bob\rFATAL'],
    ['an escape sequence', 'bob\x1b[2J\x1b]0;title\x07'],
    ['a NUL', 'bob\0'],
    ['DEL and a C1 control', 'bob\x7f\x9b2J'],
    ['a Unicode line end', 'bob\u2028x\u2029y\u0085'],
    ['a bidirectional override', 'bob\u202egro.live'],
    ['a lone surrogate', 'bob\ud800'],
    ['quotes and backslashes', `b"o'b\\`],
  ])("keeps %s within PgBouncer's line", (_what, hostile) => {
    const { logger, lines } = capture(1);
    logger.setFormat('pgbouncer');
    const fields = { client: 1, user: hostile, database: hostile, reason: hostile, x: [hostile] };
    for (const event of Object.keys(LOG_EVENTS) as LogEvent[]) {
      logger.error(event, fields, hostile);
      logger.error(event, { ...fields, error: hostile, file: hostile, problem: hostile });
    }
    expect(lines).toHaveLength(2 * Object.keys(LOG_EVENTS).length);
    for (const line of lines) {
      expect(line).toMatch(/^2026-01-0[123] /);
      expect(line.slice(0, -1)).not.toMatch(/[\p{Cc}\u2028\u2029\u202e]|\p{Surrogate}/u);
      expect(line.endsWith('\n')).toBe(true);
    }
  });

  it('adds the fields of a child, and of its child, to each line', () => {
    const { logger, last } = capture();
    logger.child({ user: 'bob', password: 'x' }).child({ port: 1 }).warn('stats', { age: 2 });
    expect(last()).toMatchObject({ user: 'bob', password: REDACTED, port: 1, age: 2 });
  });

  it.each([
    ['a line feed', 'bob\n{"level":"fatal"}'],
    ['a carriage return', 'bob\r{"level":"fatal"}'],
    ['an escape sequence', 'bob\x1b[2J'],
    ['a NUL', 'bob\0'],
    ['DEL', 'bob\x7f'],
    ['a C1 control', 'bob\x9b2J'],
    ['a Unicode line end', 'bob\u2028x\u2029y'],
    ['quotes and backslashes', 'bob","level":"fatal\\'],
    ['a surrogate pair', 'bob\u{1f600}'],
    ['a lone surrogate', 'bob\ud800'],
    ['a lone surrogate in a long name', `bob\udc00${'x'.repeat(200)}`],
  ])('keeps %s inside its string', (_what, hostile) => {
    const { logger, lines, last } = capture();
    logger.child({ [hostile]: hostile }).info('stats', { user: hostile, x: [hostile] }, hostile);
    const line = lines.join('');
    expect(lines).toHaveLength(1);
    expect(line.slice(0, -1)).not.toMatch(/[\p{Cc}\u2028\u2029]|\p{Surrogate}/u);
    expect(Buffer.from(line, 'utf8').toString('utf8')).toBe(line);
    expect(last()).toMatchObject({ level: 'info', user: hostile, x: [hostile], msg: hostile });
    expect(last()[hostile]).toBe(hostile);
  });

  it.each([
    'password',
    'PASSWORD',
    'secret',
    'clientKey',
    'server_key',
    'saltedPassword',
    'storedKey',
    'secret-key',
    'cancelKey',
    'token',
    'scramKeys',
    'digest',
  ])('redacts %s at every depth', (name) => {
    const { logger, lines, last } = capture();
    logger.info('stats', { [name]: 'hush', a: { b: [{ [name]: { x: 'hush' } }] } });
    expect(lines.join('')).not.toContain('hush');
    expect(last()).toMatchObject({ [name]: REDACTED, a: { b: [{ [name]: REDACTED }] } });
  });

  it('knows secrets and its own names after thousands of others', () => {
    const { logger, last } = capture();
    const check = (): void => {
      logger.info('stats', { password: 'x', pid: 1, __proto__: 1, user: 'bob' });
      expect(last()).toEqual({
        ...{ level: 'info', time: '2026-01-02T03:04:05.006Z', pid: 42, event: 'stats' },
        ...{ password: REDACTED, pid_: 1, user: 'bob' },
      });
    };
    check();
    for (let i = 0; i < 3000; i++) {
      logger.info('stats', { [`name${String(i)}`]: i, [`secret-${'_'.repeat(i)}`]: i });
      expect(last()).toMatchObject({ [`name${String(i)}`]: i });
      expect(Object.values(last())).toContain(i < MAX_LOGGED_CHARS - 7 ? REDACTED : i);
    }
    check();
  });

  it('counts bytes instead of showing them', () => {
    const { logger, last } = capture();
    logger.info('stats', { data: Buffer.from('hush'), list: [new Uint8Array(3)] });
    expect(last()).toMatchObject({ data: '[4 bytes]', list: ['[3 bytes]'] });
  });

  it('does not let fields take the place of its own', () => {
    const { logger, lines, last } = capture();
    logger.info('stats', { level: 'fatal', event: 'forged', time: 1, msg: 'm', pid: 1 });
    expect(last()).toMatchObject({ level: 'info', event: 'stats', level_: 'fatal', pid_: 1 });
    expect(lines.join('').match(/"(level|event|time|pid)":/g)).toHaveLength(4);
  });

  it('logs errors with code, cause and stack', () => {
    const { logger, last } = capture();
    const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
    logger.error('server_connect_failed', { err: new TypeError('no way', { cause }) });
    expect(last()['err']).toMatchObject({
      type: 'TypeError',
      message: 'no way',
      cause: { message: 'refused', code: 'ECONNREFUSED' },
      stack: expect.stringContaining('no way') as string,
    });
  });

  it('bounds what one line can hold', () => {
    const { logger, lines } = capture();
    const circular: Record<string, unknown> = {};
    circular['self'] = circular;
    const many = Array.from({ length: 10_000 }, (_, i) => i);
    const error = new Error('e');
    error.cause = error;
    logger.info('stats', { a: 'x'.repeat(1e6), circular, many, error }, 'y'.repeat(1e6));
    expect(lines.join('').length).toBeLessThan(10 * MAX_LOGGED_CHARS);
    expect(lines.join('')).toContain('xxx...');
  });

  it('never throws for odd values', () => {
    const { logger, last } = capture();
    const odd = {
      big: 10n,
      fn: () => 1,
      symbol: Symbol('x'),
      nan: NaN,
      undef: undefined,
      date: new Date(NaN),
      map: new Map([['a', 1]]),
      set: new Set([1]),
      hasOwnProperty: 1,
      constructor: 1,
      toString: 'x',
      serializers: 1,
      toJSON: () => ({ forged: true }),
      ['__proto__']: { polluted: true },
      get bad(): never {
        throw new Error('getter');
      },
    };
    logger.child(odd).info('stats', { odd, ...(JSON.parse('{"__proto__":{"x":1}}') as object) });
    expect(last()['odd']).toMatchObject({
      big: '10',
      nan: null,
      date: null,
      map: '[Map of 1]',
      set: [1],
      bad: '[unreadable: getter]',
    });
  });

  it('survives a destination that throws, and counts the lost lines', () => {
    let isBroken = true;
    const lines: string[] = [];
    const logger = createLogger({
      destination: {
        write: (line) => {
          if (isBroken) {
            throw new Error('EPIPE');
          }
          lines.push(line);
        },
      },
      clock: { nowMs: () => 0, wallMs: () => 0 },
      format: 'json',
      verbose: 0,
      pid: 1,
    });
    logger.fatal('invariant_broken', {});
    expect(logger.lostLineCount).toBe(1);
    isBroken = false;
    logger.info('stats', {});
    expect(lines).toHaveLength(1);
    expect(logger.lostLineCount).toBe(1);
  });
});

describe('nullLogger', () => {
  it('accepts everything and is its own child', () => {
    nullLogger.fatal('stats', {});
    expect(nullLogger.child({}).isDebug).toBe(false);
  });
});

describe('LOG_EVENTS', () => {
  it('names events in lower snake case, each with its description', () => {
    for (const [name, when] of Object.entries(LOG_EVENTS)) {
      expect(name).toMatch(/^[a-z]+(_[a-z]+)*$/);
      expect(when).not.toBe('');
    }
  });
});
