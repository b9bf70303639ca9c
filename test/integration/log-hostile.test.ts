import fs, { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { DatagramReceiver } from '../support/datagram-receiver.ts';
import { cstring, message } from '../support/frontend-messages.ts';
import { withKoffiHooks } from '../support/koffi-hooks.ts';
import { withLog } from '../support/log-scene.ts';
import type { LogFormat, LogScene } from '../support/log-scene.ts';

const FORGED = '2026-01-01 00:00:00.000 UTC [1] FATAL forged';
const MARK = 'h0st1le';

/** What names and commands are made of. */
const TEXTS: readonly Buffer[] = [
  Buffer.from(`${MARK}\n${FORGED}`),
  Buffer.from(`${MARK}\r${FORGED}`),
  Buffer.from(`${MARK}\x1b[2J\x1b]0;t\x07`),
  Buffer.from(`${MARK}"}\\'{"level":"fatal"`),
  Buffer.from(`${MARK} %s %n %d %%`),
  Buffer.from(`${MARK}\u2028\u2029\u0085\u202e`),
  Buffer.concat([Buffer.from(MARK), Buffer.of(0xff, 0xfe, 0xc3, 0x28, 0xed, 0xa0, 0x80, 0x0a)]),
  Buffer.from(MARK.repeat(700)),
];

function startup(...pairs: readonly (readonly [string | Buffer, string | Buffer])[]): Buffer {
  const zero = Buffer.alloc(1);
  const body = Buffer.concat([...pairs.flat().flatMap((text) => [Buffer.from(text), zero]), zero]);
  const head = Buffer.alloc(8);
  head.writeInt32BE(body.length + 8, 0);
  head.writeInt32BE(196_608, 4);
  return Buffer.concat([head, body]);
}

/** Sends a text in each place where a peer can put one that is logged. */
async function say(scene: LogScene, text: Buffer): Promise<void> {
  const user = ['user', 'bob'] as const;
  for (const packet of [
    startup(['user', text], ['database', 'app']),
    startup(user, ['database', text]),
    startup(user, ['database', 'app'], [text, 'x']),
    startup(user, ['database', 'app'], ['jit', text]),
    startup(user, ['database', 'app'], ['replication', text]),
    startup(user, ['database', 'app'], ['options', Buffer.concat([Buffer.from('-c '), text])]),
  ]) {
    const client = await scene.connect();
    client.send(packet);
    await client.readUntil('Z').catch(() => null);
    await client.close();
  }
  const named = await scene.connect();
  named.send(startup(user, ['database', 'app'], ['application_name', text]));
  await named.readUntil('Z');
  await named.close();
  const console = await scene.login({ user: 'postgres', database: 'pgbouncer' });
  for (const words of ['', 'SHOW ', 'KILL ', 'SET ', "SET job_name = '"]) {
    console.send(
      message('Q', cstring(Buffer.concat([Buffer.from(words), text]).toString('latin1'))),
    );
    await console.readUntil('Z').catch(() => null);
  }
  await console.close();
}

describe('texts of peers in the log', () => {
  it.each<LogFormat>(['json', 'pgbouncer'])(
    'stay in lines of bounded length, in syslog as well (%s)',
    async (format) => {
      const directory = mkdtempSync(path.join(os.tmpdir(), 'mtr-'));
      const receiver = new DatagramReceiver(path.join(directory, 'log'));
      const options = {
        settings: { logfile: 'log.txt', verbose: 2, syslog: 1 },
        env: withKoffiHooks({ syslog: receiver.path }),
      };
      try {
        await withLog(format, options, async (scene) => {
          for (const text of TEXTS) {
            await say(scene, text);
            receiver.read();
          }
          await scene.console('SHOW VERSION');
          const bytes = fs.readFileSync(path.join(scene.pooler.directory, 'log.txt'));
          const text = bytes.toString('utf8');
          expect(Buffer.from(text).equals(bytes)).toBe(true);
          const lines = text.split('\n').slice(0, -1);
          expect(lines.filter((line) => line.includes(MARK)).length).toBeGreaterThan(50);
          for (const line of lines) {
            if (format === 'json') {
              expect(JSON.parse(line)).toMatchObject({ pid: scene.pooler.pid });
            } else {
              expect(line).toMatch(
                /^\d{4}-\d\d-\d\d [\d:.]+ \S+ \[\d+\] (?:LOG|WARNING|ERROR|DEBUG|NOISE) /,
              );
              expect(line).not.toMatch(/^2026-01-01/);
            }
          }
          const sent = receiver.read();
          expect(sent.filter((line) => line.includes(MARK)).length).toBeGreaterThan(20);
          for (const line of sent) {
            expect(line).toMatch(/^<\d+>\w{3} [ \d]\d [\d:]+ \S+\[\d+\]: /);
          }
          for (const line of [...lines, ...sent]) {
            // eslint-disable-next-line no-control-regex -- control characters must not be there
            expect(line).not.toMatch(/[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e]/);
            expect(Buffer.byteLength(line)).toBeLessThan(16_384);
          }
        });
      } finally {
        receiver.close();
        rmSync(directory, { recursive: true, force: true });
      }
    },
    60_000,
  );
});
