import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeServer } from '../support/fake-server.ts';
import * as frontend from '../support/frontend-messages.ts';
import { startPostgres } from '../support/postgres-fixture.ts';
import type { PostgresFixture } from '../support/postgres-fixture.ts';
import type { RawClient } from '../support/raw-client.ts';
import { lastWords, refusalOf } from '../support/refusal.ts';
import { withPooler } from '../support/scene.ts';
import type { Scene, SceneOptions } from '../support/scene.ts';
import { waitFor } from '../support/wait-for.ts';

let postgres: PostgresFixture;

beforeAll(async () => {
  const settings = { wal_level: 'logical', max_wal_senders: '10', max_replication_slots: '10' };
  postgres = await startPostgres({ settings });
  await postgres.query('CREATE TABLE public.logged (id int PRIMARY KEY, word text)');
  await postgres.createRole('plain');
});

afterAll(async () => {
  await postgres.stop();
});

/** As other scenes, with a little more room. */
function withScene(options: SceneOptions, body: (scene: Scene) => Promise<void>): Promise<void> {
  const settings = { default_pool_size: 3, ...options.settings };
  return withPooler(postgres, { ...options, settings }, body);
}

function logicalClient(scene: Scene, parameters: Record<string, string> = {}): Promise<RawClient> {
  return scene.login({ parameters: { replication: 'database', ...parameters } });
}

/** Walsenders that PostgreSQL has, oldest first. */
async function walSenders(): Promise<string[]> {
  const rows = await postgres.query(
    `SELECT pid FROM pg_stat_activity WHERE backend_type = 'walsender' ORDER BY backend_start`,
  );
  return rows.map(({ pid }) => pid ?? '');
}

/** Waits until PostgreSQL has no walsender any more. */
async function waitForNoWalSender(): Promise<void> {
  await waitFor('the walsenders to end', async () => (await walSenders()).length === 0);
}

/** Creates a slot that lasts as long as the connection, and begins to stream from it. */
async function startLogicalStream(client: RawClient, slot: string): Promise<void> {
  await client.query(`CREATE_REPLICATION_SLOT ${slot} TEMPORARY LOGICAL test_decoding`);
  client.send(frontend.query(`START_REPLICATION SLOT ${slot} LOGICAL 0/0 ("include-xids" '0')`));
  await client.readUntil('W');
}

/** The next change in a stream of test_decoding; keepalives are left out. */
async function nextChange(client: RawClient): Promise<string> {
  for (;;) {
    const { type, body } = await client.readMessage();
    expect(type).toBe('d');
    if (body.toString('latin1', 0, 1) === 'w') {
      return body.toString('utf8', 25);
    }
  }
}

/** The changes of one transaction. */
async function nextTransaction(client: RawClient): Promise<string[]> {
  const changes: string[] = [];
  for (;;) {
    const change = await nextChange(client);
    if (change.startsWith('COMMIT')) {
      return changes;
    }
    if (!change.startsWith('BEGIN')) {
      changes.push(change);
    }
  }
}

/** A standby status update that confirms everything up to `lsn` and asks for an answer. */
function statusUpdate(lsn: bigint): Buffer {
  const body = Buffer.alloc(34);
  body.write('r', 0, 'latin1');
  for (const offset of [1, 9, 17]) {
    body.writeBigUInt64BE(lsn, offset);
  }
  body.writeUInt8(1, 33);
  return frontend.copyData(body);
}

/** Reads up to the answer to a status update. */
async function readKeepalive(client: RawClient): Promise<void> {
  for (;;) {
    const { type, body } = await client.readMessage();
    expect(type).toBe('d');
    if (body.toString('latin1', 0, 1) === 'k') {
      return;
    }
  }
}

/** What SHOW CLIENTS or SHOW SERVERS says of the replication of each connection. */
async function replicationColumn(scene: Scene, what: 'CLIENTS' | 'SERVERS'): Promise<string[]> {
  const rows = await scene.pooler.console(`SHOW ${what}`);
  return rows
    .filter(({ database }) => database !== 'pgbouncer')
    .map(({ replication, state }) => `${replication ?? ''} ${state ?? ''}`)
    .sort();
}

/** Whether programs can be found; they are not part of the packages that tests install. */
function hasPrograms(...names: readonly string[]): boolean {
  return names.every((name) => spawnSync(name, ['--version']).status === 0);
}

interface CommandEnd {
  readonly code: number | null;
  readonly output: string;
}

/** Runs a program of PostgreSQL; `interruptWhen` ends it by SIGINT. */
async function run(
  command: string,
  args: readonly string[],
  interruptWhen: () => Promise<boolean> = () => Promise.resolve(false),
): Promise<CommandEnd> {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PGCONNECT_TIMEOUT: '10' },
  });
  let output = '';
  child.stdout.on('data', (text) => (output += String(text)));
  child.stderr.on('data', (text) => (output += String(text)));
  let end: number | null | undefined;
  child.once('close', (code) => {
    end = code;
  });
  let isInterrupted = false;
  await waitFor(`${command} to end`, async () => {
    if (!isInterrupted && end === undefined && (await interruptWhen())) {
      isInterrupted = true;
      child.kill('SIGINT');
    }
    return end !== undefined;
  }).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw new Error(`${command}: ${output}`, { cause: error });
  });
  return { code: end ?? null, output };
}

describe('a logical replication client', () => {
  it('runs commands of replication and SQL, on a walsender of its own', async () => {
    await withScene({}, async (scene) => {
      const plain = await scene.login();
      await plain.query('SELECT 1');
      const client = await logicalClient(scene);
      const [system] = await client.query('IDENTIFY_SYSTEM');
      expect(system?.['dbname']).toBe(postgres.database);
      expect(await client.query('SELECT 5 AS five')).toEqual([{ five: '5' }]);
      const [own] = await client.query('SELECT pg_backend_pid() AS pid');
      expect(await walSenders()).toEqual([own?.['pid']]);
      expect(await replicationColumn(scene, 'CLIENTS')).toEqual(['logical active', 'none idle']);
      expect(await replicationColumn(scene, 'SERVERS')).toEqual(['logical active', 'none idle']);
    });
    await waitForNoWalSender();
  });

  it('streams what a transaction changes, confirms it, and ends the stream by CopyDone', async () => {
    await withScene({}, async (scene) => {
      const client = await logicalClient(scene);
      await startLogicalStream(client, 'both_ways');
      const writer = await scene.login();
      for (const round of [1, 2, 3]) {
        await writer.query('BEGIN');
        await writer.query(`INSERT INTO public.logged VALUES (${String(round)}, 'one')`);
        await writer.query(`UPDATE public.logged SET word = 'two' WHERE id = ${String(round)}`);
        await writer.query('COMMIT');
        expect(await nextTransaction(client)).toEqual([
          `table public.logged: INSERT: id[integer]:${String(round)} word[text]:'one'`,
          `table public.logged: UPDATE: id[integer]:${String(round)} word[text]:'two'`,
        ]);
        client.send(statusUpdate(1n));
        await readKeepalive(client);
      }
      client.send(frontend.copyDone());
      const rest = await client.readUntil('Z');
      expect(rest.map(({ type }) => type).filter((type) => type !== 'd')).toEqual([
        'c',
        'C',
        'C',
        'Z',
      ]);
      // The connection goes on as before, and can stream again.
      expect(await client.query('SELECT 6 AS six')).toEqual([{ six: '6' }]);
      client.send(frontend.query('START_REPLICATION SLOT both_ways LOGICAL 0/0'));
      await client.readUntil('W');
      client.send(frontend.copyDone());
      await client.readUntil('Z');
    });
  });

  it('gets a transaction of many megabytes in one piece, though it reads late', async () => {
    await withScene({}, async (scene) => {
      const client = await logicalClient(scene);
      await startLogicalStream(client, 'large');
      client.pause();
      const writer = await scene.login();
      const rows = 20_000;
      await writer.query(
        `INSERT INTO public.logged SELECT 1000 + n, repeat('x', 500) FROM generate_series(1, ${String(rows)}) n`,
      );
      await writer.query('DELETE FROM public.logged WHERE id > 1000');
      client.resume();
      const inserts = await nextTransaction(client);
      expect(inserts).toHaveLength(rows);
      expect(inserts.at(-1)).toContain(`id[integer]:${String(1000 + rows)}`);
      expect(await nextTransaction(client)).toHaveLength(rows);
    });
  });

  it.each(['session', 'transaction', 'statement'])(
    'keeps its server connection, slot and transaction in %s mode',
    async (mode) => {
      await withScene({ settings: { pool_mode: mode } }, async (scene) => {
        const client = await logicalClient(scene);
        const slot = `kept_${mode}`;
        await client.query(`CREATE_REPLICATION_SLOT ${slot} TEMPORARY LOGICAL test_decoding`);
        await client.query('CREATE TEMPORARY TABLE mine (n int)');
        await client.query('BEGIN');
        await client.query('INSERT INTO mine VALUES (1), (2)');
        await client.query('COMMIT');
        const [row] = await client.query(
          `SELECT (SELECT count(*) FROM mine) AS rows, active_pid = pg_backend_pid() AS mine
           FROM pg_replication_slots WHERE slot_name = '${slot}'`,
        );
        expect(row).toEqual({ rows: '2', mine: 't' });
      });
      expect(await postgres.query('SELECT slot_name FROM pg_replication_slots')).toEqual([]);
    },
  );

  it('passes its parameters and options to the server, where others may not have them', async () => {
    await withScene({}, async (scene) => {
      const parameters = {
        application_name: 'standby one',
        datestyle: 'German',
        options: '-c work_mem=1234kB -c extra_float_digits=3',
      };
      const client = await logicalClient(scene, parameters);
      const [row] = await client.query(
        `SELECT current_setting('application_name') AS name, current_setting('work_mem') AS mem,
                current_setting('DateStyle') AS style`,
      );
      expect(row).toEqual({ name: 'standby one', mem: '1234kB', style: 'German, DMY' });
      expect(client.parameters.get('DateStyle')).toBe('German, DMY');
      expect(client.parameters.get('application_name')).toBe('standby one');
      const { options, ...plain } = parameters;
      expect(await refusalOf(scene.login({ parameters: { ...plain, options } }))).toBe(
        'FATAL 0A000: unsupported startup parameter in options: work_mem',
      );
      const refused = logicalClient(scene, { geqo: 'off' });
      expect(await refusalOf(refused)).toBe('FATAL 0A000: unsupported startup parameter: geqo');
    });
  });

  it('can cancel what it runs by its own key', async () => {
    await withScene({}, async (scene) => {
      const client = await logicalClient(scene);
      client.send(frontend.query('SELECT pg_sleep(60)'));
      await waitFor('the walsender to sleep', async () => {
        const rows = await postgres.query(
          `SELECT 1 AS found FROM pg_stat_activity WHERE wait_event = 'PgSleep'`,
        );
        return rows.length === 1;
      });
      await client.cancel();
      expect((await client.readOutcome()).errors[0]?.sqlState).toBe('57014');
      expect(await client.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
    });
  });

  it('is out of reach of query_timeout while it streams', async () => {
    await withScene({ settings: { query_timeout: 1, client_idle_timeout: 1 } }, async (scene) => {
      const client = await logicalClient(scene);
      await startLogicalStream(client, 'endless');
      const plain = await scene.login();
      // A query that is too long tells that the time is over.
      expect(await refusalOf(plain.query('SELECT pg_sleep(60)'))).toBe(
        'FATAL 57014: query timeout',
      );
      await postgres.query(`INSERT INTO public.logged VALUES (500, 'late')`);
      expect(await nextTransaction(client)).toHaveLength(1);
    });
  });
});

describe('a physical replication client', () => {
  it('identifies the system, makes a slot, and streams WAL until CopyDone', async () => {
    await withScene({}, async (scene) => {
      const client = await scene.login({ parameters: { replication: 'yes' } });
      const [system] = await client.query('IDENTIFY_SYSTEM');
      expect(system?.['dbname']).toBeNull();
      const [slot] = await client.query(
        'CREATE_REPLICATION_SLOT physical_one TEMPORARY PHYSICAL RESERVE_WAL',
      );
      expect(slot?.['slot_name']).toBe('physical_one');
      const { xlogpos = '', timeline = '' } = system ?? {};
      client.send(
        frontend.query(
          `START_REPLICATION SLOT physical_one PHYSICAL ${xlogpos ?? ''} TIMELINE ${timeline ?? ''}`,
        ),
      );
      await client.readUntil('W');
      await postgres.query(`INSERT INTO public.logged VALUES (600, 'Needle in the WAL')`);
      const isFound = async (): Promise<boolean> =>
        (await client.readMessage()).body.includes('Needle in the WAL');
      while (!(await isFound())) {
        client.send(statusUpdate(0n));
      }
      expect(await replicationColumn(scene, 'CLIENTS')).toEqual(['physical active']);
      expect(await replicationColumn(scene, 'SERVERS')).toEqual(['physical active']);
      client.send(frontend.copyDone());
      const rest = await client.readUntil('Z');
      expect(rest.some(({ type }) => type === 'c')).toBe(true);
      expect(await client.query('IDENTIFY_SYSTEM')).toHaveLength(1);
    });
  });

  it('gets no SQL from its server, and says so as PostgreSQL does', async () => {
    await withScene({}, async (scene) => {
      const client = await scene.login({ parameters: { replication: 'true' } });
      expect(await refusalOf(client.query('SELECT 1'))).toContain('ERROR');
      expect(await client.query('IDENTIFY_SYSTEM')).toHaveLength(1);
    });
  });

  it('may not send anything but status updates and CopyDone while it streams', async () => {
    await withScene({}, async (scene) => {
      const client = await scene.login({ parameters: { replication: 'on' } });
      const [system] = await client.query('IDENTIFY_SYSTEM');
      client.send(frontend.query(`START_REPLICATION PHYSICAL ${system?.['xlogpos'] ?? ''}`));
      await client.readUntil('W');
      client.send(frontend.query('IDENTIFY_SYSTEM'));
      expect(await lastWords(client)).toMatch(/^FATAL 08P01: invalid standby message type/);
    });
  });
});

describe('the end of a replication client', () => {
  it.each(['Terminate', 'a reset', 'the end of the stream'])(
    'by %s in the middle of a stream ends its walsender, and nobody gets it',
    async (how) => {
      await withScene({}, async (scene) => {
        const client = await logicalClient(scene);
        await startLogicalStream(client, 'vanishing');
        if (how === 'Terminate') {
          client.send(frontend.terminate());
        } else if (how === 'a reset') {
          client.reset();
        } else {
          client.endWriting();
        }
        await waitForNoWalSender();
        await scene.waitForPool({ cl_active: 0, sv_active: 0, sv_idle: 0 });
        const plain = await scene.login();
        expect(await plain.query('SELECT 8 AS eight')).toEqual([{ eight: '8' }]);
      });
      expect(await postgres.query('SELECT slot_name FROM pg_replication_slots')).toEqual([]);
    },
  );

  it('comes when its walsender is terminated, with the words of the server', async () => {
    await withScene({}, async (scene) => {
      const client = await logicalClient(scene);
      await startLogicalStream(client, 'terminated');
      const [pid] = await walSenders();
      await postgres.query(`SELECT pg_terminate_backend(${pid ?? '0'})`);
      const error = await client.readError();
      expect(error.sqlState).toBe('57P01');
      await client.readToEnd();
    });
  });

  it('comes within a tick when RECONNECT retires its connection; others notice nothing', async () => {
    await withScene({}, async (scene) => {
      const client = await logicalClient(scene);
      const plain = await scene.login();
      await plain.query('BEGIN');
      await scene.pooler.console('RECONNECT');
      expect(await lastWords(client)).toBe('FATAL 57P01: database configuration changed');
      await plain.query('COMMIT');
      await waitForNoWalSender();
    });
  });

  it('comes as PostgreSQL ends a stream when it shuts down: no error, and no ReadyForQuery', async () => {
    await withScene({}, async (scene) => {
      const client = await scene.login({ parameters: { replication: 'yes' } });
      const [system] = await client.query('IDENTIFY_SYSTEM');
      client.send(frontend.query(`START_REPLICATION PHYSICAL ${system?.['xlogpos'] ?? ''}`));
      await client.readUntil('W');
      const isHalted = postgres.halt('fast');
      const types = new Set<string>();
      while (!types.has('C')) {
        const { type, body } = await client.readMessage();
        types.add(type);
        // It ends once everything that it has written has been confirmed.
        if (body.toString('latin1', 0, 1) === 'k') {
          client.send(statusUpdate(body.readBigUInt64BE(1)));
        }
      }
      expect(await client.readToEnd()).toHaveLength(0);
      await isHalted;
      await postgres.launch();
    });
  });

  it('comes by KILL, also for one that waits for its server connection', async () => {
    await withScene({ settings: { default_pool_size: 1 } }, async (scene) => {
      const client = await logicalClient(scene);
      const waiting = refusalOf(logicalClient(scene));
      await scene.waitForPool({ cl_waiting: 1 });
      await scene.pooler.console('KILL app');
      expect(await lastWords(client)).toBe('FATAL 57P01: database removed');
      expect(await waiting).toBe('FATAL 57P01: database removed');
      await scene.pooler.console('RESUME app');
      const again = await logicalClient(scene);
      expect(await again.query('IDENTIFY_SYSTEM')).toHaveLength(1);
    });
  });

  it('is what PAUSE waits for; a newcomer waits for RESUME', async () => {
    await withScene({}, async (scene) => {
      const client = await logicalClient(scene);
      await startLogicalStream(client, 'paused');
      let isPaused = false;
      const pause = scene.pooler.console('PAUSE').then(() => {
        isPaused = true;
      });
      const newcomer = logicalClient(scene);
      await scene.waitForPool({ cl_active: 1, cl_waiting: 1, sv_active: 1 });
      expect(isPaused).toBe(false);
      await client.close();
      await pause;
      await scene.waitForPool({ cl_waiting: 1, sv_active: 0, sv_login: 0 });
      await scene.pooler.console('RESUME');
      expect(await (await newcomer).query('IDENTIFY_SYSTEM')).toHaveLength(1);
    });
  });

  it.each(['KILL_CLIENT', 'KILL_SERVER'])('comes by %s', async (command) => {
    await withScene({}, async (scene) => {
      const client = await logicalClient(scene);
      await startLogicalStream(client, 'killed');
      const what = command === 'KILL_CLIENT' ? 'CLIENTS' : 'SERVERS';
      const rows = await scene.pooler.console(`SHOW ${what}`);
      const own = rows.find(({ replication }) => replication === 'logical');
      await scene.pooler.console(`${command} ${own?.['id'] ?? ''}`);
      expect((await client.readError()).sqlState).toBe('57P01');
      await waitForNoWalSender();
    });
  });
});

describe('the limits of a pool', () => {
  it('count replication connections; an idle one makes room, and one that is released', async () => {
    await withScene({ settings: { default_pool_size: 1 } }, async (scene) => {
      const plain = await scene.login();
      await plain.query('SELECT 1');
      await scene.waitForPool({ sv_idle: 1 });
      const first = await logicalClient(scene);
      await scene.waitForPool({ sv_active: 1, sv_idle: 0, sv_login: 0 });
      // The place is taken for as long as the replication client stays.
      plain.send(frontend.query('SELECT 2 AS two'));
      await scene.waitForPool({ cl_waiting: 1, sv_active: 1 });
      await first.close();
      expect((await plain.readOutcome()).results[0]?.rows).toEqual([['2']]);
      // A busy one is waited for.
      await plain.query('BEGIN');
      const second = logicalClient(scene);
      await scene.waitForPool({ cl_waiting: 1, sv_active: 1 });
      await plain.query('COMMIT');
      expect(await (await second).query('IDENTIFY_SYSTEM')).toHaveLength(1);
    });
  });

  it('let a replication client wait for client_login_timeout', async () => {
    const settings = { default_pool_size: 1, client_login_timeout: 1 };
    await withScene({ settings }, async (scene) => {
      const plain = await scene.login();
      await plain.query('BEGIN');
      expect(await refusalOf(logicalClient(scene))).toBe(
        'FATAL 08006: client_login_timeout (server down)',
      );
      await plain.query('COMMIT');
    });
  });

  it('hold for clients as well', async () => {
    await withScene({ settings: { max_db_client_connections: 1 } }, async (scene) => {
      await logicalClient(scene);
      expect(await refusalOf(logicalClient(scene))).toBe(
        'FATAL 53300: client connections exceeded (max_db_client_connections)',
      );
    });
  });
});

describe('a login that the server refuses', () => {
  it('is told in its words to the replication client, and to nobody else', async () => {
    await withScene({ logins: ['plain'] }, async (scene) => {
      const refused = scene.login({ user: 'plain', parameters: { replication: 'database' } });
      const error = await refusalOf(refused);
      expect(error).toMatch(/^FATAL 42501: permission denied to start WAL sender/);
      const plain = await scene.login({ user: 'plain' });
      expect(await plain.query('SELECT 9 AS nine')).toEqual([{ nine: '9' }]);
    });
  });

  it('is told as a failed login when nobody answers', async () => {
    const server = await FakeServer.start();
    const { host, port } = server;
    await server.stop();
    await withScene({ database: { host, port } }, async (scene) => {
      const refused = await logicalClient(scene).catch((error: unknown) => error);
      expect(refused).toMatchObject({ message: 'FATAL 08006: login failed' });
      const line = await scene.pooler.waitForEvent('server_connect_failed');
      expect(line['error']).toContain('ECONNREFUSED');
    });
  });

  it('is over when the client leaves while the server says nothing', async () => {
    const server = await FakeServer.start({ onStartup: () => {} });
    await withPooler(server, {}, async (scene) => {
      const client = await scene.connect();
      client.startup({ user: 'postgres', database: 'app', replication: 'database' });
      const [connection] = await server.waitForConnections(1);
      client.destroy();
      await waitFor(
        'the connection to the server to end',
        () => connection?.socket.readableEnded === true || connection?.socket.destroyed === true,
      );
      await scene.waitForPool({ sv_login: 0, cl_waiting: 0 });
    });
    await server.stop();
  });
});

describe('the log', () => {
  it.each([
    ['database', 'database'],
    ['on', 'yes'],
    ['off', 'no'],
  ])('says replication=%s as PgBouncer does: %s', async (replication, word) => {
    await withScene({}, async (scene) => {
      await scene.login({ parameters: { replication } });
      const line = await scene.pooler.waitForEvent('client_login_attempted');
      expect(line['replication']).toBe(word);
    });
  });
});

describe('the programs of PostgreSQL', () => {
  const isInstalled = hasPrograms('psql', 'pg_recvlogical');

  it.runIf(isInstalled)('psql runs commands of replication', async () => {
    await withScene({}, async (scene) => {
      const { host, port } = scene.pooler;
      const target = `host=${host} port=${String(port)} user=${postgres.user} dbname=app replication=database`;
      const { code, output } = await run('psql', ['-X', '-d', target, '-c', 'IDENTIFY_SYSTEM']);
      expect(output).toContain('systemid');
      expect(code).toBe(0);
    });
  });

  it.runIf(isInstalled)('pg_recvlogical makes a slot, streams and drops it', async () => {
    await withScene({}, async (scene) => {
      const { host, port, directory } = scene.pooler;
      const target = `host=${host} port=${String(port)} user=${postgres.user} dbname=app`;
      const slot = ['-d', target, '--slot', 'tool'];
      const created = await run('pg_recvlogical', [
        ...slot,
        '--create-slot',
        '-P',
        'test_decoding',
      ]);
      expect(created).toEqual({ code: 0, output: '' });
      const file = path.join(directory, 'changes');
      const start = ['--start', '-f', file, '--fsync-interval=0', '--status-interval=1'];
      await postgres.query(`INSERT INTO public.logged VALUES (700, 'by tool')`);
      const isWritten = (): Promise<boolean> =>
        Promise.resolve(existsSync(file) && readFileSync(file, 'utf8').includes('by tool'));
      const ended = await run('pg_recvlogical', [...slot, ...start], isWritten);
      expect(ended.code).toBe(0);
      const dropped = await run('pg_recvlogical', [...slot, '--drop-slot']);
      expect(dropped).toEqual({ code: 0, output: '' });
    });
    await waitForNoWalSender();
  });
});
