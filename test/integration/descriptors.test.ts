import { readlinkSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { withPooler } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

const postgres = sharedPostgres();
const isLinux = process.platform === 'linux';

const COLUMNS = [
  'fd',
  'task',
  'user',
  'database',
  'addr',
  'port',
  'cancel',
  'link',
  'client_encoding',
  'std_strings',
  'datestyle',
  'timezone',
  'password',
  'scram_client_key',
  'scram_server_key',
];
const TYPES = [23, 25, 25, 25, 25, 23, 20, 23, 25, 25, 25, 25, 25, 17, 17];

describe('SHOW FDS', () => {
  it.runIf(isLinux)('tells of the sockets and of who is linked to whom', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login({ parameters: { TimeZone: 'Asia/Kathmandu' } });
      const { processId = 0, secretKey = Buffer.alloc(4) } = client.backendKey ?? {};
      await client.query('BEGIN');
      const console = await scene.login({ user: 'postgres', database: 'pgbouncer' });
      const [shown] = (await console.simpleQuery('SHOW FDS')).results;
      expect(shown?.tag).toBe('SHOW');
      expect(shown?.fields.map(({ name }) => name)).toEqual(COLUMNS);
      expect(shown?.fields.map(({ typeOid }) => typeOid)).toEqual(TYPES);
      const rows = await console.query('SHOW FDS');
      const tasks = rows.map(({ task }) => task);
      expect(tasks).toEqual(['pooler', 'pooler', 'client', 'server']);
      for (const { fd } of rows) {
        const link = readlinkSync(`/proc/${String(scene.pooler.pid)}/fd/${String(fd)}`);
        expect(link).toMatch(/^socket:/);
      }
      const [tcp, unix, ofClient, ofServer] = rows;
      const port = String(scene.pooler.port);
      expect([tcp?.['addr'], tcp?.['port'], tcp?.['user']]).toEqual(['127.0.0.1', port, null]);
      expect([unix?.['addr'], unix?.['port']]).toEqual(['unix', port]);
      expect(ofClient).toMatchObject({
        user: postgres.user,
        database: 'app',
        addr: '127.0.0.1',
        port: String(client.socket.localPort),
        cancel: ((BigInt(processId) << 32n) | BigInt(secretKey.readUInt32BE(0))).toString(),
        link: ofServer?.['fd'],
        timezone: 'Asia/Kathmandu',
        client_encoding: 'UTF8',
        std_strings: 'on',
        password: null,
        scram_client_key: null,
        scram_server_key: null,
      });
      expect(ofServer).toMatchObject({ link: ofClient?.['fd'], port: String(postgres.port) });
      const [row] = await console.query("SHOW FDS WHERE task = 'client'");
      expect(row).toEqual(ofClient);
    });
  });

  it('is refused to those who may only look, however they ask', async () => {
    const options = { settings: { stats_users: 'watcher' }, logins: ['watcher'] };
    await withPooler(postgres, options, async (scene) => {
      const watcher = await scene.login({ user: 'watcher', database: 'pgbouncer' });
      const refused = 'ERROR 42501: admin access needed';
      for (const sql of [
        'SHOW FDS',
        'SELECT fds',
        'SHOW FDS LIMIT 1',
        'SELECT * FROM pgbouncer.fds',
        'SELECT count(*) FROM maitred.fds',
        'SELECT cancel FROM pgbouncer.fds WHERE fd > 0',
      ]) {
        expect((await watcher.simpleQuery(sql)).errors[0]?.message, sql).toBe(refused);
        expect((await watcher.extendedQuery(sql)).errors[0]?.message, sql).toBe(refused);
      }
      expect((await watcher.simpleQuery('SHOW DNS_ZONES')).errors).toEqual([]);
    });
  });
});
