import { beforeAll, describe, expect, it } from 'vitest';
import { FakeServer } from '../support/fake-server.ts';
import { RawClient } from '../support/raw-client.ts';
import { lastWords, refusalOf, refusedWith } from '../support/refusal.ts';
import { backendPid, withPooler } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const postgres = sharedPostgres();

async function show(client: RawClient, name: string): Promise<string> {
  const [row] = await client.query(`SELECT current_setting('${name}') AS value`);
  return row?.['value'] ?? '';
}

describe('a tracked parameter', () => {
  const cases = [
    ['client_encoding', 'LATIN1', 'UTF8', {}],
    ['DateStyle', 'German, DMY', 'SQL, MDY', {}],
    ['TimeZone', 'America/New_York', 'Asia/Tokyo', {}],
    ['standard_conforming_strings', 'off', 'on', {}],
    ['application_name', "o'neill \\ söhne", 'second', {}],
    ['IntervalStyle', 'iso_8601', 'sql_standard', {}],
    ['search_path', 'one, "$user"', 'two', { track_extra_parameters: 'search_path' }],
    ['work_mem', '7MB', '9MB', { track_extra_parameters: 'IntervalStyle, work_mem' }],
  ] as const;

  it.each(cases)(
    '%s is kept for each client of one server connection',
    async (name, first, second, settings) => {
      await withPooler(postgres, { settings }, async (scene) => {
        const a = await scene.login({ parameters: { [name]: first } });
        const b = await scene.login({ parameters: { [name]: second } });
        const pid = await backendPid(a);
        const direct = await postgres.login({ parameters: { [name]: first } });
        const expected = await show(direct, name);
        await direct.close();
        for (let round = 0; round < 3; round++) {
          expect(await show(a, name)).toBe(expected);
          expect(await show(b, name)).toBe(second);
        }
        expect([await backendPid(a), await backendPid(b)]).toEqual([pid, pid]);
      });
    },
  );

  it('is told in the welcome as the client gave it', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const parameters = { TimeZone: 'Asia/Tokyo', application_name: 'mine' };
      const a = await scene.login({ parameters });
      const b = await scene.login();
      expect([a.parameters.get('TimeZone'), a.parameters.get('application_name')]).toEqual([
        'Asia/Tokyo',
        'mine',
      ]);
      expect(b.parameters.get('TimeZone')).not.toBe('Asia/Tokyo');
      expect(b.parameters.get('application_name')).toBe('');
    });
  });

  it('has a name in any case', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login({ parameters: { DATESTYLE: 'German', timezone: 'EET' } });
      expect([await show(client, 'DateStyle'), await show(client, 'TimeZone')]).toEqual([
        'German, DMY',
        'EET',
      ]);
    });
  });

  it('of one client is not that of one who gave none', async () => {
    const settings = { track_extra_parameters: 'work_mem' };
    await withPooler(postgres, { settings }, async (scene) => {
      const plain = await scene.login();
      const before = [await show(plain, 'TimeZone'), await show(plain, 'work_mem')];
      const parameters = { TimeZone: 'Asia/Tokyo', work_mem: '7MB' };
      const other = await scene.login({ parameters });
      expect(await show(other, 'TimeZone')).toBe('Asia/Tokyo');
      expect(await show(other, 'work_mem')).toBe('7MB');
      expect([await show(plain, 'TimeZone'), await show(plain, 'work_mem')]).toEqual(before);
    });
  });

  it('follows its client to a new server connection', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login({ parameters: { TimeZone: 'Asia/Tokyo' } });
      const pid = await backendPid(client);
      await postgres.query(`SELECT pg_terminate_backend(${pid})`);
      await scene.waitForPool({ sv_idle: 0 });
      expect(await show(client, 'TimeZone')).toBe('Asia/Tokyo');
      expect(await backendPid(client)).not.toBe(pid);
    });
  });

  it('that the server does not report survives a reset query', async () => {
    const settings = { track_extra_parameters: 'work_mem', server_reset_query_always: 1 };
    await withPooler(postgres, { settings }, async (scene) => {
      const client = await scene.login({ parameters: { work_mem: '7MB' } });
      expect([await show(client, 'work_mem'), await show(client, 'work_mem')]).toEqual([
        '7MB',
        '7MB',
      ]);
    });
  });

  it('may be long', async () => {
    const settings = { track_extra_parameters: 'search_path' };
    await withPooler(postgres, { settings }, async (scene) => {
      const path = Array.from({ length: 40 }, (_, index) => `schema_${index}`).join(', ');
      const client = await scene.login({ parameters: { search_path: path } });
      expect(await show(client, 'search_path')).toBe(path);
    });
  });

  it('costs one statement when it differs, and none when it does not', async () => {
    const server = await FakeServer.start();
    await withPooler(server, {}, async (scene) => {
      const a = await scene.login({ parameters: { TimeZone: 'EET', DateStyle: 'German' } });
      await a.query('SELECT 1');
      await a.query('SELECT 2');
      const [connection] = await server.waitForConnections(1);
      expect(connection?.queries).toEqual([
        "SET DateStyle='German';SET TimeZone='EET';",
        'SELECT 1',
        'SELECT 2',
      ]);
    });
    await server.stop();
  });
});

describe('a value that the server refuses', () => {
  beforeAll(async () => {
    await postgres.query('DROP TABLE IF EXISTS startup_trace; CREATE TABLE startup_trace (id int)');
  });

  it.each([
    ['TimeZone', 'Nowhere/Land', /^invalid value for parameter "TimeZone": "Nowhere\/Land"$/],
    ['client_encoding', 'KLINGON', /^invalid value for parameter "client_encoding": "KLINGON"$/],
    ['DateStyle', 'Mayan', /^invalid value for parameter "DateStyle"/],
  ])('%s=%s ends the client with the words of the server', async (name, value, detail) => {
    await withPooler(postgres, {}, async (scene) => {
      const other = await scene.login({ parameters: { TimeZone: 'EET' } });
      const pid = await backendPid(other);
      // A second one shows that the value is not remembered as a good one.
      for (let round = 0; round < 2; round++) {
        const client = await scene.login({ parameters: { [name]: value } });
        const error = await refusedWith(client.query('INSERT INTO startup_trace VALUES (1)'));
        expect(error.message).toBe('FATAL 22023: invalid server parameter');
        expect(error.fields['D']).toMatch(detail);
        expect((await client.readToEnd()).length).toBe(0);
      }
      expect(await backendPid(other)).toBe(pid);
      expect(await show(other, 'TimeZone')).toBe('EET');
      expect(await other.query('SELECT id FROM startup_trace')).toEqual([]);
    });
  });

  it('takes the good values beside it along', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const plain = await scene.login();
      const before = await show(plain, 'DateStyle');
      const bad = { DateStyle: 'German', TimeZone: 'Nowhere/Land' };
      const client = await scene.login({ parameters: bad });
      expect(await refusalOf(client.query('SELECT 1'))).toContain('22023');
      expect(await show(plain, 'DateStyle')).toBe(before);
    });
  });

  it('does no harm while a value already accepted is in use', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const good = await scene.login({ parameters: { TimeZone: 'EET' } });
      await good.query('SELECT 1');
      const mixed = { TimeZone: 'EET', DateStyle: 'Mayan' };
      const client = await scene.login({ parameters: mixed });
      const refused = client.query('INSERT INTO startup_trace VALUES (2)');
      expect(await refusalOf(refused)).toContain('22023');
      expect(await good.query('SELECT id FROM startup_trace')).toEqual([]);
    });
  });
});

describe('the parameter options', () => {
  it.each([
    ['-c TimeZone=EET', { TimeZone: 'EET' }],
    ['-cTimeZone=EET', { TimeZone: 'EET' }],
    ['--TimeZone=EET', { TimeZone: 'EET' }],
    ['  -c  timezone=EET   --DateStyle=German  ', { TimeZone: 'EET', DateStyle: 'German, DMY' }],
    ['-c application_name=a\\ b\\\\c', { application_name: 'a b\\c' }],
    ['--application-name=dashed', { application_name: 'dashed' }],
    ['', { application_name: '' }],
  ])('%j sets %j', async (options, expected) => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login({ parameters: { options } });
      const direct = await postgres.login({ parameters: { options } });
      for (const [name, value] of Object.entries(expected)) {
        expect(await show(client, name)).toBe(value);
        expect(await show(direct, name)).toBe(value);
      }
      await direct.close();
    });
  });

  const forms =
    "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed";

  it.each([
    ['-c statement_timeout=1s', 'unsupported startup parameter in options: statement_timeout'],
    ['-c TimeZone=EET -c jit=off', 'unsupported startup parameter in options: jit'],
    ['-e', forms],
    ['-c', forms],
    ['-c=', forms],
    ['--', forms],
    ['TimeZone=EET', forms],
    [`-c ${'='.repeat(5000)}`, forms],
  ])('%j is refused', async (options, text) => {
    await withPooler(postgres, {}, async (scene) => {
      expect(await refusalOf(scene.login({ parameters: { options } }))).toBe(
        `FATAL 0A000: ${text}`,
      );
    });
  });

  it('may hold settings that ignore_startup_parameters names, which do nothing', async () => {
    const settings = { ignore_startup_parameters: 'statement_timeout' };
    await withPooler(postgres, { settings }, async (scene) => {
      const options = '-c statement_timeout=7s -c TimeZone=EET';
      const client = await scene.login({ parameters: { options } });
      expect(await show(client, 'TimeZone')).toBe('EET');
      expect(await show(client, 'statement_timeout')).not.toBe('7s');
      expect(await refusalOf(scene.login({ parameters: { options: '-c jit=off' } }))).toContain(
        'jit',
      );
    });
  });

  it('may hold anything when ignore_startup_parameters names options', async () => {
    const settings = { ignore_startup_parameters: 'options' };
    await withPooler(postgres, { settings }, async (scene) => {
      const options = '-c jit=off -c TimeZone=EET';
      const client = await scene.login({ parameters: { options } });
      expect(await show(client, 'TimeZone')).toBe('EET');
    });
  });
});

describe('another parameter', () => {
  it('is refused', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const refused = scene.login({ parameters: { extra_float_digits: '3' } });
      expect(await refusalOf(refused)).toBe(
        'FATAL 0A000: unsupported startup parameter: extra_float_digits',
      );
    });
  });

  it('is dropped when ignore_startup_parameters names it', async () => {
    const settings = { ignore_startup_parameters: 'extra_float_digits, work_mem' };
    await withPooler(postgres, { settings }, async (scene) => {
      const client = await scene.login({
        parameters: { extra_float_digits: '3', work_mem: '7MB' },
      });
      expect(await show(client, 'work_mem')).not.toBe('7MB');
      expect(await refusalOf(scene.login({ parameters: { jit: 'off' } }))).toContain('0A000');
    });
  });

  it.each(['__proto__', 'constructor', 'toString'])('%s is like any other', async (name) => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.connect();
      // An object literal would take the first of these names for its prototype.
      client.startup(
        Object.fromEntries([
          ['user', 'postgres'],
          [name, 'x'],
        ]),
      );
      expect(await lastWords(client)).toBe(`FATAL 0A000: unsupported startup parameter: ${name}`);
      expect(await refusalOf(scene.login({ database: name }))).toBe(
        `FATAL 3D000: no such database: ${name}`,
      );
      expect(await refusalOf(scene.login({ user: name }))).toBe(
        'FATAL 28P01: "trust" authentication failed',
      );
    });
  });

  it('replication=false is nothing special', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login({ parameters: { replication: 'false' } });
      expect(await show(client, 'application_name')).toBe('');
    });
  });
});

describe('user and database', () => {
  it('are needed, and the database is that of the name of the user', async () => {
    const databases = { [postgres.user]: { dbname: postgres.database } };
    await withPooler(postgres, { databases }, async (scene) => {
      const client = await scene.connect();
      await client.login({ user: postgres.user });
      await client.query('SELECT 1');
      const empty = await scene.connect();
      await empty.login({ user: postgres.user, database: '' });
      for (const parameters of [{}, { user: '' }, { database: 'app' }]) {
        const nobody = await RawClient.connect(scene.pooler.target);
        nobody.startup(parameters);
        expect(await lastWords(nobody)).toBe('FATAL 28000: no username supplied');
      }
    });
  });

  it.each([
    [127, 'FATAL 28P01: "trust" authentication failed'],
    [128, 'FATAL 28000: username too long'],
  ])('a name of %i bytes is judged by its bytes', async (bytes, words) => {
    await withPooler(postgres, {}, async (scene) => {
      expect(await refusalOf(scene.login({ user: 'ö'.repeat(60).padEnd(bytes - 60, 'x') }))).toBe(
        words,
      );
    });
  });
});

describe('application_name_add_host', () => {
  const settings = { application_name_add_host: 1 };

  it('adds address and port of the client, once', async () => {
    await withPooler(postgres, { settings }, async (scene) => {
      for (const [given, name] of [
        [{ application_name: 'mine' }, 'mine'],
        [{}, 'app'],
      ] as const) {
        const client = await scene.login({ parameters: given });
        const expected = `${name} - 127.0.0.1:${String(client.socket.localPort)}`;
        expect(client.parameters.get('application_name')).toBe(expected);
        expect(await show(client, 'application_name')).toBe(expected);
        const [row] = await client.query(
          'SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()',
        );
        expect(row?.['application_name']).toBe(expected);
      }
    });
  });

  it('leaves to the client what it sets later', async () => {
    await withPooler(postgres, { settings }, async (scene) => {
      const client = await scene.login();
      await client.query("SET application_name = 'later'");
      expect(await show(client, 'application_name')).toBe('later');
    });
  });

  it('names the unix socket', async () => {
    await withPooler(postgres, { settings }, async (scene) => {
      const client = await RawClient.login(scene.pooler.socketTarget, {
        user: postgres.user,
        database: 'app',
      });
      // Without system calls the process id is not known.
      expect(await show(client, 'application_name')).toMatch(/^app - unix(?:\(\d+@.+\))?:\d+$/);
      await client.close();
    });
  });

  it('off adds nothing', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const client = await scene.login({ parameters: { application_name: 'mine' } });
      expect(await show(client, 'application_name')).toBe('mine');
    });
  });
});

describe('login_notify_message', () => {
  const settings = { login_notify_message: 'maintenance at 5 o’clock' };

  it('comes right before ReadyForQuery, to every client', async () => {
    await withPooler(postgres, { settings }, async (scene) => {
      for (const database of ['app', 'pgbouncer']) {
        const client = await RawClient.connect(scene.pooler.target);
        client.startup({ user: postgres.user, database });
        const messages = await client.readUntil('Z');
        expect(messages.map(({ type }) => type).join('')).toMatch(/^RS+KNZ$/);
        expect(client.notices).toMatchObject([
          { S: 'NOTICE', C: '00000', M: 'maintenance at 5 o’clock' },
        ]);
        await client.close();
      }
    });
  });

  it('is taken over on RELOAD, and an empty one is not sent', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const before = await scene.login();
      expect(before.notices).toEqual([]);
      await scene.pooler.console("SET login_notify_message = 'hello'");
      const client = await scene.login();
      await waitFor('the notice', () => client.notices.length === 1);
    });
  });
});
