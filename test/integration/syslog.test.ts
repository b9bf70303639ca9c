import path from 'node:path';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { guardChild } from '../support/child-guard.mjs';
import { DatagramReceiver } from '../support/datagram-receiver.ts';
import { withKoffiHooks } from '../support/koffi-hooks.ts';
import { LogScene } from '../support/log-scene.ts';
import { PoolerFixture, startPooler } from '../support/pooler-fixture.ts';
import type { PoolerOptions } from '../support/pooler-fixture.ts';
import { waitFor, withDeadline } from '../support/wait-for.ts';

describe.runIf(process.platform === 'linux')('syslog', () => {
  let directory = '';
  let receiver: DatagramReceiver;

  beforeEach(() => {
    directory = mkdtempSync(path.join(os.tmpdir(), 'mtr-'));
    receiver = new DatagramReceiver(path.join(directory, 'log'));
  });
  afterEach(() => {
    receiver.close();
    rmSync(directory, { recursive: true, force: true });
  });

  function options(settings: Readonly<Record<string, unknown>>): PoolerOptions {
    return {
      env: withKoffiHooks({ syslog: receiver.path }),
      config: { maitred: { syslog: 1, ...settings } },
    };
  }

  function waitForText(text: string): Promise<string> {
    return waitFor(`syslog line: ${text}`, () =>
      receiver.read().find((line) => line.includes(text)),
    );
  }

  it('gets PgBouncer’s lines, with facility and name of the settings, which RELOAD changes', async () => {
    const settings = { syslog_facility: 'local2', syslog_ident: 'bouncer-a', verbose: 2 };
    const pooler = await startPooler(options(settings));
    try {
      const tag = String.raw`\w{3} [ \d]\d \d\d:\d\d:\d\d bouncer-a\[${String(pooler.pid)}\]: `;
      expect(await waitForText('process up: PgBouncer')).toMatch(
        new RegExp(`^<${String(18 * 8 + 6)}>${tag}process up: PgBouncer`),
      );
      const client = await pooler.login({ user: 'postgres', database: 'pgbouncer' });
      expect(await waitForText('login attempt: db=pgbouncer')).toContain('C-0x');
      await pooler.waitForEvent('client_connected');
      pooler.rewriteConfig({ maitred: { syslog: 1, syslog_facility: 'user', syslog_ident: 'b' } });
      await client.query('RELOAD');
      expect(await waitForText('configuration reloaded')).toMatch(/^<14>.* b\[/);
      // Debugging is for the others.
      expect(receiver.read().join('\n')).not.toContain('got connection');
      await client.query("SET syslog = '0'");
      const count = receiver.read().length;
      await client.close();
      await pooler.waitForEvent('client_disconnected');
      expect(receiver.read()).toHaveLength(count);
      await pooler.stop();
    } finally {
      await pooler.kill();
    }
  });

  it('gets them also where standard error does not: -q', async () => {
    const pooler = PoolerFixture.spawn({ ...options({ log_format: 'pgbouncer' }), args: ['-q'] });
    try {
      expect(await waitForText('process up')).toMatch(/^<30>.* pgbouncer\[\d+\]: process up/);
      expect(pooler.logs).toEqual([]);
    } finally {
      await pooler.kill();
    }
  });

  it('gets them from the background: -d', async () => {
    const { env } = options({});
    const foreground = PoolerFixture.spawn({
      ...(env === undefined ? {} : { env }),
      config: (of) => ({ maitred: { syslog: 1, pidfile: path.join(of, 'pid') } }),
      args: ['-d'],
    });
    let dismissGuard = (): void => {};
    try {
      expect(await withDeadline('the foreground', foreground.exited)).toMatchObject({ code: 0 });
      const pid = Number(readFileSync(path.join(foreground.directory, 'pid'), 'utf8'));
      dismissGuard = guardChild(pid, 'QUIT', foreground.directory);
      expect(await waitForText('process up')).toContain(`pgbouncer[${String(pid)}]: process up`);
      process.kill(pid, 'SIGQUIT');
      await waitForText('got SIGQUIT, fast exit');
      await waitFor('the end of the process', () => !existsSync(`/proc/${String(pid)}/exe`));
    } finally {
      dismissGuard();
      await foreground.kill();
    }
  });

  it('that nobody reads holds up nothing, and what it lost is told later', async () => {
    const pooler = await startPooler(options({}));
    try {
      await waitForText('process up');
      // Fills the queue of the socket, which has room for a few lines.
      for (let count = 0; count < 40; count++) {
        const client = await pooler.login({ user: 'postgres', database: 'pgbouncer' });
        await client.close();
      }
      receiver.read();
      await pooler.console('SHOW VERSION');
      const lost = await pooler.waitForEvent('log_lines_lost');
      expect(lost).toMatchObject({ destination: 'syslog' });
      expect(lost['lines']).toBeGreaterThan(0);
      await pooler.kill();
    } finally {
      await pooler.kill();
    }
  });

  it('that is not there is told once, and found when it comes', async () => {
    receiver.close();
    const pooler = PoolerFixture.spawn(options({ log_format: 'pgbouncer' }));
    try {
      const scene = new LogScene(pooler);
      await scene.waitUntilUp();
      await scene.waitFor(/ERROR Cannot send to syslog: ENOENT/);
      receiver = new DatagramReceiver(receiver.path);
      const client = await scene.login({ user: 'postgres', database: 'pgbouncer' });
      await waitForText('login attempt');
      await scene.waitFor(/log lines lost: lines=\d+ destination=syslog/);
      expect(scene.matching(/Cannot send to syslog/)).toHaveLength(1);
      await client.close();
    } finally {
      await pooler.kill();
    }
  });
});
