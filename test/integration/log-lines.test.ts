import { describe, expect, it } from 'vitest';
import { type LogScene, withLog } from '../support/log-scene.ts';
import { refusalOf } from '../support/refusal.ts';

const CLIENT = String.raw`C-0x[\da-f]+: `;
/** Asks the console two things. @returns what the log says of them when all is known. */
async function tellQueries(scene: LogScene): Promise<string[]> {
  await scene.console('SHOW VERSION');
  await scene.console("SET nonsense = 'a password'").catch(() => []);
  await scene.waitFor(/ ERROR SET failed/);
  return scene.matching(/ DEBUG got admin query/).map((line) => line.replace(/.* DEBUG /, ''));
}

const AT = String.raw`@127\.0\.0\.1:\d+ `;

describe("the log in PgBouncer's words", () => {
  it('tells at the start how many files may be open', async () => {
    await withLog('pgbouncer', { settings: { max_client_conn: 77 } }, async (scene) => {
      const [line] = scene.matching(/kernel file descriptor limit/);
      // 77 clients, 10 files of its own, one database with pools of 20 for each of two users.
      expect(line).toMatch(
        / LOG kernel file descriptor limit: -?\d+ \(hard: -?\d+\); max_client_conn: 77, max expected fd use: 127$/,
      );
    });
  });

  it('tells of a server connection when it stands, before its login', async () => {
    await withLog('pgbouncer', {}, async (scene, server) => {
      server.script = {
        onStartup: (connection) => {
          connection.fail({ S: 'FATAL', C: '28000', M: 'not you' });
        },
      };
      await scene.visit();
      await scene.waitFor(/ WARNING server login failed: FATAL not you$/);
      const lines = scene.matching(/new connection to server|server login failed/);
      expect(lines[0]).toMatch(/ LOG S-0x[\da-f]+: app\/bob@.* new connection to server \(from /);
      expect(lines[1]).toContain('server login failed');
    });
  });

  it('tells of users that do not exist, and the client does not learn it', async () => {
    await withLog('pgbouncer', { settings: { auth_type: 'md5' } }, async (scene) => {
      const unknown = await refusalOf(scene.login({ user: 'eve', password: 'x' }));
      await scene.waitFor(new RegExp(` LOG ${CLIENT}app/eve${AT}no such user: eve$`));
      const known = await refusalOf(scene.login({ user: 'bob', password: 'x' }));
      expect(unknown.replace('eve', 'bob')).toBe(known);
      expect(scene.matching(/no such user: bob/)).toEqual([]);
    });
  });

  it('names who is refused before the password is asked for, in each line', async () => {
    await withLog('pgbouncer', {}, async (scene) => {
      for (const [options, who, why] of [
        [{ database: 'pgbouncer' }, 'pgbouncer/bob', 'not allowed'],
        [{ parameters: { jit: 'off' } }, 'app/bob', 'unsupported startup parameter: jit'],
      ] as const) {
        await refusalOf(scene.login(options));
        const from = `${CLIENT}${who}${AT}`;
        const names = `db=${who.replace('/', ' user=')}`;
        await scene.waitFor(new RegExp(` WARNING ${from}login failed: ${names} \\(${why}\\)$`));
        await scene.waitFor(new RegExp(` LOG ${from}closing because: ${why} \\(age=`));
        await scene.waitFor(new RegExp(` WARNING ${from}pooler error: ${why}$`));
      }
      const nameless = await scene.connect();
      nameless.startup({ user: '' });
      await nameless.readToEnd();
      const nobody = String.raw`\(nodb\)/\(nouser\)`;
      await scene.waitFor(new RegExp(` ${nobody}${AT}closing because: no username supplied`));
    });
  });

  it('tells of databases made from *, once, and when they are dropped', async () => {
    const databases = { '*': { host: '127.0.0.1', port: 1 } };
    const settings = { autodb_idle_timeout: '0.2', server_login_retry: 0 };
    await withLog('pgbouncer', { databases, settings }, async (scene) => {
      await scene.visit({ database: 'app' });
      const { port } = scene;
      expect(port).toBeGreaterThan(0);
      const client = await scene.connect();
      client.startup({ user: 'bob', database: 'other' });
      await scene.waitFor(/ LOG C-0x[\da-f]+: .* registered new auto-database: other$/);
      client.destroy();
      await scene.waitFor(
        / WARNING dropping database 'other' as it does not exist anymore or inactive auto-database$/,
      );
      expect(scene.matching(/registered new auto-database/)).toHaveLength(1);
    });
  });

  it('tells of startup parameters that are not supported, with their values', async () => {
    await withLog('pgbouncer', {}, async (scene) => {
      expect(await refusalOf(scene.login({ parameters: { jit: 'off' } }))).toContain('0A000');
      await scene.waitFor(/ WARNING C-0x[\da-f]+: .* unsupported startup parameter: jit=off$/);
      const options = '-c work_mem=1MB';
      expect(await refusalOf(scene.login({ parameters: { options } }))).toContain('0A000');
      await scene.waitFor(/ unsupported startup parameter in options: work_mem=1MB$/);
      await scene.visit({ parameters: { DateStyle: 'ISO' } });
      expect(scene.matching(/unsupported startup parameter:? .*DateStyle/)).toEqual([]);
    });
  });

  it('tells of errors on the console, with no password', async () => {
    await withLog('pgbouncer', { settings: { verbose: 2 } }, async (scene) => {
      for (const command of [
        'NONSENSE',
        "ALTER USER x PASSWORD 'hunter2'",
        'RESUME',
        "SELECT 'postgres://u:hunter2@h/db'",
        "SET auth_ldap_options = 'ldapserver=h ldapbasedn=d ldapbindpasswd=hunter2'",
      ]) {
        await scene.console(command).catch(() => null);
      }
      await scene.waitFor(/ ERROR invalid command 'NONSENSE', use SHOW HELP;$/);
      await scene.waitFor(/ ERROR invalid command '\*\*\*', use SHOW HELP;$/);
      await scene.waitFor(/ ERROR pooler is not paused\/suspended$/);
      await scene.console('SHOW VERSION');
      expect(scene.matching(/ ERROR /)).toHaveLength(3);
      expect(scene.matching(/hunter2/)).toEqual([]);
    });
  });

  it('tells of tracked parameters that the server refuses', async () => {
    await withLog('pgbouncer', {}, async (scene, server) => {
      const client = await scene.login();
      await client.query('SELECT 1');
      await client.close();
      server.script = {
        onMessage: (connection, message) => {
          if (message.body.toString().startsWith('SET ')) {
            connection.failQuery({ S: 'ERROR', C: '22023', M: 'bad zone' });
          } else {
            connection.answer(message);
          }
        },
      };
      const other = await scene.login({ parameters: { TimeZone: 'Nowhere' } });
      await other.query('SELECT 1').catch(() => null);
      await scene.waitFor(/ ERROR varcache_apply failed: ERROR: bad zone$/);
    });
  });

  it('tells of messages that nobody asked a server for', async () => {
    await withLog('pgbouncer', {}, async (scene, server) => {
      await scene.visit();
      await scene.waitFor(/ LOG C-0x.* closing because: client close request/);
      const [connection] = await server.waitForConnections(1);
      connection?.send(Buffer.from('D\0\0\0\x06\0\0', 'latin1'));
      await scene.waitFor(
        / WARNING S-0x[\da-f]+: app\/bob@.* got packet 'D' of 6 bytes from server when not linked$/,
      );
    });
  });

  it('tells more with verbose 1', async () => {
    for (const verbose of [0, 1]) {
      await withLog('pgbouncer', { settings: { verbose } }, async (scene) => {
        await scene.visit();
        await scene.waitFor(/ LOG C-0x.* closing because: client close request/);
        const queries = await tellQueries(scene);
        expect(queries).toEqual(
          verbose === 0 ? [] : ['got admin query: SHOW VERSION', 'got admin query: ***'],
        );
        const launched = scene.matching(/ DEBUG S-0x.* launching new connection to server$/);
        const loggedIn = scene.matching(/ DEBUG S-0x.* server login ok, start accepting queries$/);
        expect([launched.length, loggedIn.length]).toEqual([verbose, verbose]);
        const client = ['P: got connection: .* -> ', 'got var: user=bob$', 'logged in$'].map(
          (text) => scene.matching(new RegExp(` DEBUG C-0x.* ${text}`)).length,
        );
        // Two consoles have come in before.
        expect(client).toEqual([3 * verbose, verbose, 3 * verbose]);
      });
    }
  });
});
