import { describe, expect, it } from 'vitest';
import { MAX_QUEUED_BYTES, MAX_QUEUED_MESSAGES } from '../../../src/admin/console-inbox.ts';
import { FrontendCode } from '../../../src/protocol/codes.ts';
import * as f from '../../support/frontend-messages.ts';
import { ConsoleFixture, summary } from './console-fixture.ts';

const READY = 'ReadyForQuery I';
const CANCELED = 'ErrorResponse ERROR 57014 canceling statement due to user request';
const OVERFLOW = 'ErrorResponse FATAL 54000 too many queries while a command is waiting';

/** A session whose first command waits. */
function waiting(query = 'PAUSE'): ConsoleFixture {
  const fixture = new ConsoleFixture('admin');
  fixture.control.outcomes.push('waiting');
  expect(fixture.query(query)).toEqual([]);
  return fixture;
}

function settle(fixture: ConsoleFixture, index = 0): void {
  fixture.control.waiting[index]?.({ kind: 'done' });
}

describe('a command that waits', () => {
  it.each([
    ['PAUSE', 'PAUSE'],
    ['PAUSE shop', 'PAUSE'],
    ['WAIT_CLOSE', 'WAIT_CLOSE'],
    ['RELOAD', 'RELOAD'],
    ['SET a = b', 'SET a=b'],
  ])('%s is answered when it is done', (query, tag) => {
    const fixture = waiting(query);
    settle(fixture);
    expect(summary(fixture.output())).toEqual([`CommandComplete ${tag}`, READY]);
  });

  it('is answered with the error when it fails', () => {
    const fixture = waiting();
    fixture.control.waiting[0]?.({ kind: 'error', sqlstate: '55000', message: 'resumed' });
    expect(summary(fixture.output())).toEqual(['ErrorResponse ERROR 55000 resumed', READY]);
  });

  it('is answered once, however often it is settled', () => {
    const fixture = waiting();
    settle(fixture);
    settle(fixture);
    expect(summary(fixture.output())).toEqual(['CommandComplete PAUSE', READY]);
  });

  it('is not answered by the settling of an earlier command', () => {
    const fixture = waiting('WAIT_CLOSE');
    settle(fixture);
    fixture.control.outcomes.push('waiting');
    fixture.query('PAUSE');
    settle(fixture, 0);
    expect(fixture.output()).toEqual([]);
    settle(fixture, 1);
    expect(summary(fixture.output())).toEqual(['CommandComplete PAUSE', READY]);
  });

  it('holds back later messages and lets them run in order', () => {
    const fixture = waiting();
    expect(fixture.query('SHOW VERSION')).toEqual([]);
    fixture.take(f.parse('nonsense'), f.sync());
    fixture.control.outcomes.push('waiting');
    fixture.query('WAIT_CLOSE');
    fixture.query('');
    expect(fixture.output()).toEqual([]);
    settle(fixture);
    expect(summary(fixture.output())).toEqual([
      'CommandComplete PAUSE',
      READY,
      'RowDescription version',
      'DataRow PgBouncer 1.25.2 (maitred 0.1.0)',
      'CommandComplete SHOW',
      READY,
      "ErrorResponse ERROR 42601 invalid command 'nonsense', use SHOW HELP;",
      READY,
    ]);
    settle(fixture, 1);
    expect(summary(fixture.output())).toEqual([
      'CommandComplete WAIT_CLOSE',
      READY,
      'EmptyQueryResponse',
      READY,
    ]);
  });

  it('holds back as many messages as the limit and ends the session at one more', () => {
    const fixture = waiting();
    for (let count = 0; count < MAX_QUEUED_MESSAGES; count += 1) {
      expect(fixture.send('')).toBe(true);
    }
    expect(fixture.output()).toEqual([]);
    expect(fixture.send('')).toBe(false);
    expect(summary(fixture.output())).toEqual([OVERFLOW]);
    expect(fixture.control.abandonedCount).toBe(1);
    settle(fixture);
    expect(fixture.output()).toEqual([]);
  });

  it('holds back as much text as the limit and ends the session at one character more', () => {
    const fixture = waiting();
    expect(fixture.send(' '.repeat(MAX_QUEUED_BYTES - 3))).toBe(true);
    expect(fixture.send(' ')).toBe(true);
    expect(fixture.send(' ')).toBe(false);
    expect(summary(fixture.output())).toEqual([OVERFLOW]);
  });

  it('frees the room of messages that have been answered', () => {
    const fixture = waiting();
    fixture.query(' '.repeat(MAX_QUEUED_BYTES - 1));
    settle(fixture);
    fixture.output();
    fixture.control.outcomes.push('waiting');
    fixture.query('PAUSE');
    expect(fixture.send(' '.repeat(MAX_QUEUED_BYTES - 1))).toBe(true);
    expect(fixture.output()).toEqual([]);
  });

  it('is no limit to a long query when nothing waits', () => {
    const fixture = new ConsoleFixture();
    expect(summary(fixture.query(' '.repeat(MAX_QUEUED_BYTES + 1)))).toEqual([
      'EmptyQueryResponse',
      READY,
    ]);
  });
});

describe('a command that settles before it returns', () => {
  it('is answered once', () => {
    const fixture = new ConsoleFixture();
    fixture.control.reload = (call) => {
      call.settle({ kind: 'done' });
      return { kind: 'waiting', abandon: () => undefined };
    };
    expect(summary(fixture.query('RELOAD'))).toEqual(['CommandComplete RELOAD', READY]);
    expect(summary(fixture.query(''))).toEqual(['EmptyQueryResponse', READY]);
  });
});

describe('a cancel request', () => {
  it('ends a waiting PAUSE with an error and resumes the pooler', () => {
    const fixture = waiting();
    fixture.session.onCancel();
    expect(summary(fixture.output())).toEqual([CANCELED, READY]);
    expect(fixture.control.abandonedCount).toBe(1);
    expect(fixture.control.calls.map(({ name, args }) => [name, args])).toEqual([
      ['pause', [null]],
      ['resume', [null]],
    ]);
    expect(fixture.audited.at(-1)).toBe('alice@192.0.2.1:5000: PAUSE canceled, doing RESUME');
  });

  it('ends a waiting PAUSE also when the resume is refused', () => {
    const fixture = waiting();
    fixture.control.outcomes.push({ kind: 'error', sqlstate: '55000', message: 'shutting down' });
    fixture.session.onCancel();
    expect(summary(fixture.output())).toEqual([CANCELED, READY]);
  });

  it.each(['PAUSE shop', 'WAIT_CLOSE', 'WAIT_CLOSE shop', 'RELOAD'])(
    'ends a waiting %s and resumes nothing',
    (query) => {
      const fixture = waiting(query);
      fixture.session.onCancel();
      expect(summary(fixture.output())).toEqual([CANCELED, READY]);
      expect(fixture.control.calls).toHaveLength(1);
      expect(fixture.control.abandonedCount).toBe(1);
    },
  );

  it('lets the messages behind the command run', () => {
    const fixture = waiting();
    fixture.query('');
    fixture.session.onCancel();
    expect(summary(fixture.output())).toEqual([CANCELED, READY, 'EmptyQueryResponse', READY]);
  });

  it('makes a late outcome have no effect', () => {
    const fixture = waiting();
    fixture.session.onCancel();
    fixture.output();
    settle(fixture);
    expect(fixture.output()).toEqual([]);
  });

  it.each(['admin', 'stats'] as const)('does nothing when nothing waits, for %s', (role) => {
    const fixture = new ConsoleFixture(role);
    fixture.session.onCancel();
    expect(fixture.output()).toEqual([]);
    expect(fixture.control.calls).toEqual([]);
  });
});

describe('a client that goes', () => {
  it('abandons the command that waits without undoing it', () => {
    const fixture = waiting();
    fixture.query('SHOW VERSION');
    fixture.session.onClosed();
    expect(fixture.control.abandonedCount).toBe(1);
    settle(fixture);
    fixture.session.onCancel();
    expect(fixture.output()).toEqual([]);
    expect(fixture.control.calls.map(({ name }) => name)).toEqual(['pause']);
  });

  it('is sent nothing more when it goes in the middle of its own command', () => {
    const fixture = new ConsoleFixture();
    fixture.control.killClient = () => {
      fixture.session.onClosed();
      return { kind: 'done' };
    };
    expect(fixture.send('KILL_CLIENT 1')).toBe(false);
    expect(fixture.output()).toEqual([]);
  });

  it('may go twice', () => {
    const fixture = waiting();
    fixture.session.onClosed();
    fixture.session.onClosed();
    expect(fixture.control.abandonedCount).toBe(1);
  });
});

describe('messages beside queries', () => {
  it('a FunctionCall, which no Sync follows, is refused at once', () => {
    expect(new ConsoleFixture().exchange(f.functionCall(1, []))).toEqual([
      'ErrorResponse ERROR 0A000 unsupported packet type for admin console: 70',
      READY,
    ]);
  });

  it('Flush and COPY data are ignored', () => {
    const { CopyData, CopyDone, CopyFail, Flush } = FrontendCode;
    const fixture = new ConsoleFixture();
    for (const code of [Flush, CopyData, CopyDone, CopyFail]) {
      expect(fixture.session.onMessage(code, Buffer.alloc(0))).toBe(true);
    }
    expect(fixture.output()).toEqual([]);
  });

  it('a Query without its zero byte is refused, and the session goes on', () => {
    const fixture = new ConsoleFixture();
    expect(fixture.session.onMessage(FrontendCode.Query, Buffer.from('SHOW POOLS'))).toBe(true);
    expect(summary(fixture.output())).toEqual([
      'ErrorResponse ERROR 08P01 invalid string in message',
      READY,
    ]);
  });

  it.each([0, 0x70, 0x21, 0xff])('type %i ends the session', (code) => {
    const fixture = new ConsoleFixture();
    const nothing = Buffer.alloc(0);
    expect(fixture.session.onMessage(code, nothing)).toBe(false);
    expect(summary(fixture.output())).toEqual(['ErrorResponse FATAL 08P01 unknown pkt']);
    expect(fixture.session.onMessage(code, nothing)).toBe(false);
    expect(fixture.session.onMessage(FrontendCode.Sync, nothing)).toBe(false);
    expect(fixture.session.onMessage(FrontendCode.Flush, nothing)).toBe(false);
    expect(fixture.output()).toEqual([]);
  });
});
