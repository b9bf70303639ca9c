import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { SocketTuner } from '../../../src/app/socket-tuner.ts';
import { DEFAULT_SETTINGS } from '../../../src/config/config.ts';
import { nullLogger, type Logger } from '../../../src/log/logger.ts';
import type { Listener } from '../../../src/net/listener.ts';
import type { NativeCalls } from '../../../src/net/native-calls.ts';
import type { Native } from '../../../src/net/native.ts';

const NONE: Native = { calls: null, problem: 'not here' };

function withCalls(calls: Partial<NativeCalls>): Native {
  return { calls: calls as NativeCalls, problem: null };
}

/** A logger that notes its warnings. */
function noting(): { readonly logger: Logger; readonly warnings: unknown[] } {
  const warnings: unknown[] = [];
  const warn: Logger['warn'] = (event, fields) => warnings.push([event, fields]);
  return { logger: { ...nullLogger, warn }, warnings };
}

const SOCKET = {
  _handle: { fd: 5 },
  setKeepAlive: () => {
    // Always works.
  },
} as unknown as Socket;

describe('SocketTuner', () => {
  it('goes on without an option that cannot be set, and tells of it once', () => {
    const { logger, warnings } = noting();
    const setOption = (): void => {
      throw new Error('EINVAL: invalid argument, setsockopt');
    };
    const tuner = new SocketTuner(withCalls({ setOption }), logger);
    const settings = { ...DEFAULT_SETTINGS, tcpUserTimeout: 5 };
    tuner.tune(SOCKET, settings);
    tuner.tune(SOCKET, settings);
    expect(warnings).toEqual([
      ['socket_option_failed', { error: 'EINVAL: invalid argument, setsockopt' }],
    ]);
  });

  it('tunes listeners by the setting, and not without system calls', () => {
    const { logger } = noting();
    const asked: boolean[] = [];
    const listener = {
      setDeferAccept: (isOn: boolean) => asked.push(isOn),
    } as unknown as Listener;
    const tuner = new SocketTuner(withCalls({}), logger);
    tuner.tuneListener(listener, { ...DEFAULT_SETTINGS, tcpDeferAccept: true });
    tuner.tuneListener(listener, { ...DEFAULT_SETTINGS, tcpDeferAccept: false });
    new SocketTuner(NONE, logger).tuneListener(listener, DEFAULT_SETTINGS);
    expect(asked).toEqual([true, false]);
  });

  it('knows nobody at the other end without system calls', () => {
    expect(new SocketTuner(NONE, nullLogger).peerOf(SOCKET)).toBeNull();
  });
});
