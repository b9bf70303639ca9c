import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemNative } from '../../src/net/native.ts';
import { DatagramReceiver } from '../support/datagram-receiver.ts';
import { withKoffiHooks } from '../support/koffi-hooks.ts';
import { usePooler } from '../support/pooler-fixture.ts';
import type { LogLine } from '../support/pooler-fixture.ts';
import { waitFor, withDeadline } from '../support/wait-for.ts';

/** PgBouncer's text, which is that of its log but for the unit of times. */
const STATUS_LINE =
  /^STATUS=stats: 0 xacts\/s, 0 queries\/s, 0 client parses\/s, 0 server parses\/s, 0 binds\/s, in 0 B\/s, out 0 B\/s, xact 0 μs, query 0 μs, wait 0 μs$/m;

const CONFIG = { maitred: { stats_period: 1 } };

/** A search path without the program systemd-notify. */
const NO_PROGRAM = '/absent';

/** Gives a directory of its own to `work`. */
async function withDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'mtr-'));
  try {
    await work(directory);
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
}

describe.skipIf(systemNative().calls === null)('the service manager, by the process itself', () => {
  it.each(['a path', 'an abstract name'])('is told all at %s', (kind) =>
    withDirectory(async (directory) => {
      const isPath = kind === 'a path';
      const socket = isPath ? path.join(directory, 'notify') : `@${path.basename(directory)}`;
      const manager = new DatagramReceiver(socket.replace(/^@/, '\0'));
      const env = { NOTIFY_SOCKET: socket, PATH: NO_PROGRAM };
      const texts = (): string => manager.read().join('\0');
      try {
        await usePooler({ config: CONFIG, env }, async (pooler) => {
          await waitFor('the start', () => texts().startsWith('READY=1\0'));
          await waitFor('statistics', () => manager.read().some((text) => STATUS_LINE.test(text)));
          const client = await pooler.login({ user: 'postgres', database: 'pgbouncer' });
          pooler.signal('SIGHUP');
          await waitFor('the reload', () =>
            /\0RELOADING=1\nMONOTONIC_USEC=\d+\0READY=1(?:\0|$)/.test(texts()),
          );
          pooler.signal('SIGTERM');
          await waitFor('the shutdown', () => manager.read().includes('STOPPING=1'));
          await client.close();
          await withDeadline('the end', pooler.exited);
          expect(JSON.stringify(pooler.logs)).not.toContain('systemd-notify');
        });
      } finally {
        manager.close();
      }
    }),
  );

  it('is told of a shutdown that ends at once', () =>
    withDirectory(async (directory) => {
      const manager = new DatagramReceiver(path.join(directory, 'notify'));
      const env = { NOTIFY_SOCKET: manager.path, PATH: NO_PROGRAM };
      try {
        await usePooler({ config: {}, env }, async (pooler) => {
          pooler.signal('SIGTERM');
          await withDeadline('the end', pooler.exited);
          expect(manager.read()).toEqual(['READY=1', 'STOPPING=1']);
        });
      } finally {
        manager.close();
      }
    }));
});

/** A systemd-notify that writes its arguments to a file. */
function fakeNotify(directory: string): string {
  const calls = path.join(directory, 'calls');
  const program = path.join(directory, 'systemd-notify');
  fs.writeFileSync(program, `#!/bin/sh\necho "$*" >> '${calls}'\n`, { mode: 0o755 });
  return calls;
}

describe('the service manager, by systemd-notify', () => {
  it.each([
    ['without system calls', withKoffiHooks({ isAbsent: true })],
    ['where its socket is not there', {}],
  ])('is told of start, reload, statistics and shutdown, in this order, %s', (_name, hooks) =>
    withDirectory(async (directory) => {
      const calls = fakeNotify(directory);
      const env = {
        ...hooks,
        NOTIFY_SOCKET: '/absent',
        PATH: `${directory}:${process.env['PATH'] ?? ''}`,
      };
      const has = (text: string) => () => fs.readFileSync(calls, 'utf8').includes(text);
      await usePooler({ config: CONFIG, env }, async (pooler) => {
        await waitFor('the start', has('READY=1'));
        await waitFor('statistics', () => STATUS_LINE.test(fs.readFileSync(calls, 'utf8')));
        const client = await pooler.login({ user: 'postgres', database: 'pgbouncer' });
        pooler.signal('SIGHUP');
        await waitFor('the reload', () =>
          /RELOADING=1 MONOTONIC_USEC=\d+\n(?:STATUS.*\n)*READY=1\n/.test(
            fs.readFileSync(calls, 'utf8'),
          ),
        );
        pooler.signal('SIGTERM');
        await waitFor('the shutdown', has('STOPPING=1'));
        await client.close();
        await withDeadline('the end', pooler.exited);
      });
    }),
  );
});

describe('the service manager', () => {
  it('that cannot be told is warned of once', async () => {
    const env = { NOTIFY_SOCKET: '/absent', PATH: NO_PROGRAM };
    await usePooler({ config: CONFIG, env }, async (pooler) => {
      const isWarning = (line: LogLine): boolean =>
        String(line['problem']).includes('systemd-notify does not work: ');
      await pooler.waitForLog('the warning', isWarning);
      await pooler.waitForEvent('stats');
      pooler.signal('SIGHUP');
      await pooler.waitForEvent('config_reloaded');
      expect(pooler.logs.filter(isWarning)).toHaveLength(1);
    });
  });

  it('is not told when it does not ask', () =>
    withDirectory(async (directory) => {
      const calls = fakeNotify(directory);
      const env = { NOTIFY_SOCKET: '', PATH: `${directory}:${process.env['PATH'] ?? ''}` };
      await usePooler({ config: {}, env }, async (pooler) => {
        pooler.signal('SIGHUP');
        await pooler.waitForEvent('config_reloaded');
        expect(fs.existsSync(calls)).toBe(false);
      });
    }));
});
