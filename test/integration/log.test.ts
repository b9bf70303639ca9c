import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { LISTENING, LogScene, withLog } from '../support/log-scene.ts';
import type { LogFormat } from '../support/log-scene.ts';
import { PoolerFixture } from '../support/pooler-fixture.ts';
import { RawClient } from '../support/raw-client.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const FORMATS: readonly LogFormat[] = ['json', 'pgbouncer'];
const CLI_FILE = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const TEXT_LINE =
  /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [A-Z\d+-]{2,6} \[\d+\] (?:LOG|WARNING|ERROR|DEBUG|NOISE) \S.*$/;

/** What operators look for, by what it tells. The patterns of the text format are widely used ones. */
const PATTERNS = {
  login: {
    json: /"event":"client_login_attempted".*"database":"app","user":"bob"/,
    pgbouncer:
      /LOG C-0x[\da-f]+: app\/bob@127\.0\.0\.1:\d+ login attempt: db=(\S+) user=(\S+) tls=(\S+) replication=no$/,
  },
  server: {
    json: /"event":"server_connected".*"localAddress":"127\.0\.0\.1","localPort":\d+/,
    pgbouncer:
      /LOG S-0x[\da-f]+: app\/bob@127\.0\.0\.1:\d+ new connection to server \(from 127\.0\.0\.1:\d+\)$/,
  },
  clientClosed: {
    json: /"event":"client_disconnected".*"reason":"client close request","ageSeconds":0/,
    pgbouncer:
      /LOG C-0x[\da-f]+: app\/bob@127\.0\.0\.1:\d+ closing because: client close request \(age=(\d+)s\)$/,
  },
  serverClosed: {
    json: /"event":"server_disconnected".*"reason":"[^"]+","ageSeconds":\d/,
    pgbouncer: /LOG S-0x[\da-f]+: app\/bob@[\d.]+:\d+ closing because: (.*) \(age=(\d+)s\)$/,
  },
  poolerError: {
    json: /"level":"warn".*"event":"pooler_error_sent".*"sqlstate":"3D000","error":"no such database: nix"/,
    pgbouncer: /WARNING C-0x[\da-f]+: nix\/bob@[\d.]+:\d+ pooler error: no such database: nix$/,
  },
  stats: {
    json: /"event":"stats".*"xactCount":[\d.]+,"queryCount":[\d.]+/,
    pgbouncer:
      /LOG stats: (\d+) xacts\/s, (\d+) queries\/s, (\d+) client parses\/s, (\d+) server parses\/s, (\d+) binds\/s, in (\d+) B\/s, out (\d+) B\/s, xact (\d+) us, query (\d+) us, wait (\d+) us$/,
  },
} as const;

const SWITCHES = {
  log_connections: ['login', 'server'],
  log_disconnections: ['clientClosed', 'serverClosed'],
  log_pooler_errors: ['poolerError'],
  log_stats: ['stats'],
} as const;

const SWITCH_CASES = FORMATS.flatMap((format) =>
  Object.entries(SWITCHES).map(([name, whats]) => [name, format, whats] as const),
);

/** Makes everything happen that the switches are about, statistics apart. */
async function makeNoise(scene: LogScene): Promise<void> {
  await scene.visit();
  await scene.visit({ database: 'nix' });
  await scene.console('RECONNECT');
}

/** Lets two periods of statistics pass. */
async function passPeriods(scene: LogScene): Promise<void> {
  // Averages reach back two periods.
  await waitFor('two periods without a query', async () => {
    const rows = await scene.console('SHOW STATS');
    return rows.some((row) => row['database'] === 'app' && row['avg_sent'] === '0');
  });
}

describe('the switches of the log', () => {
  it.each(SWITCH_CASES)('%s turns its lines on and off (%s)', async (name, format, whats) => {
    const all = Object.values(SWITCHES).flat();
    await withLog(format, { settings: { stats_period: 1, [name]: 0 } }, async (scene) => {
      await makeNoise(scene);
      if (name === 'log_stats') {
        await passPeriods(scene);
      }
      const isOff = (what: keyof typeof PATTERNS): boolean => whats.some((off) => off === what);
      for (const what of all.filter((one) => !isOff(one))) {
        await scene.waitFor(PATTERNS[what][format]);
      }
      for (const what of all.filter(isOff)) {
        expect(scene.matching(PATTERNS[what][format])).toEqual([]);
      }
      await scene.console(`SET ${name} = 1`);
      await makeNoise(scene);
      for (const what of whats) {
        await scene.waitFor(PATTERNS[what][format]);
      }
    });
  });

  it.each(FORMATS)('the closing line comes before the error it is about (%s)', async (format) => {
    await withLog(format, {}, async (scene) => {
      await scene.visit({ database: 'nix' });
      await scene.waitFor(PATTERNS.poolerError[format]);
      const lines = scene.matching(/no such database/);
      const closing = lines.findIndex((line) => /closing because|client_disconnected/.test(line));
      const error = lines.findIndex((line) => PATTERNS.poolerError[format].test(line));
      expect(closing).toBeGreaterThan(-1);
      expect(closing).toBeLessThan(error);
    });
  });
});

describe('the format', () => {
  const ini = (directory: string): string =>
    [
      '[databases]',
      'app = host=127.0.0.1 port=1',
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      'listen_port = 0',
      `unix_socket_dir = ${directory}`,
      'auth_type = any',
      'admin_users = postgres',
      'metrics_listen_addr =',
    ].join('\n');

  it("is PgBouncer's for an ini file, in local time", async () => {
    const zones = { 'America/New_York': 'E[SD]T', 'Asia/Kathmandu': '\\+0545', UTC: 'UTC' };
    for (const [zone, name] of Object.entries(zones)) {
      const env = { TZ: zone };
      const options = { config: ini, configName: 'pgbouncer.ini', env };
      const scene = new LogScene(PoolerFixture.spawn(options));
      try {
        await scene.waitUntilUp();
        const up = await scene.waitFor(/LOG process up: PgBouncer 1\.\d+\.\d+/);
        expect(up).toMatch(
          new RegExp(`^[\\d-]+ [\\d:.]+ ${name} \\[${String(scene.pooler.pid)}\\]`),
        );
        expect(scene.matching(TEXT_LINE)).toEqual(scene.lines);
        expect(scene.matching(/LOG listening on unix:\/.*\.s\.PGSQL\.\d+$/)).toHaveLength(1);
        await scene.pooler.stop();
      } finally {
        await scene.pooler.kill();
      }
    }
  });

  it('is JSON for YAML, and changes with RELOAD', async () => {
    const config = { maitred: { auth_type: 'trust' }, databases: { app: { host: '127.0.0.1' } } };
    const pooler = await PoolerFixture.start({ config });
    const scene = new LogScene(pooler);
    try {
      const port = pooler.port;
      pooler.rewriteConfig({ ...config, maitred: { log_format: 'pgbouncer', listen_port: port } });
      pooler.signal('SIGHUP');
      await scene.waitFor(/"signal":"SIGHUP"/);
      await scene.waitFor(/ LOG configuration reloaded, changed settings: .*log_format/);
      pooler.signal('SIGHUP');
      await scene.waitFor(/ LOG got SIGHUP, re-reading config$/);
      pooler.rewriteConfig({ ...config, maitred: { pool_mode: 'swimming' } });
      pooler.signal('SIGHUP');
      await scene.waitFor(/ WARNING config file loading failed$/);
      expect(scene.matching(/ ERROR .*pool_mode/)).toHaveLength(1);
      await pooler.stop();
    } finally {
      await pooler.kill();
    }
  });

  it("tells of commands, pauses, cancel requests and the end in PgBouncer's words", async () => {
    await withLog('pgbouncer', {}, async (scene) => {
      await scene.visit();
      await scene.console('RECONNECT');
      await scene.waitFor(/ LOG RECONNECT command issued$/);
      const client = await scene.login();
      await client.cancel({ processId: 1, secretKey: Buffer.alloc(4) });
      await scene.waitFor(
        / LOG C-0x[\da-f]+: \(nodb\)\/\(nouser\)@[\d.]+:\d+ closing because: failed cancel request \(age=0s\)$/,
      );
      scene.pooler.signal('SIGUSR1');
      await scene.waitFor(/ LOG got SIGUSR1, pausing all activity$/);
      scene.pooler.signal('SIGUSR1');
      await scene.waitFor(/ LOG got SIGUSR1, but already paused\/suspended$/);
      scene.pooler.signal('SIGUSR2');
      await scene.waitFor(/ LOG got SIGUSR2, continuing from PAUSE$/);
      scene.pooler.signal('SIGUSR2');
      await scene.waitFor(/ LOG got SIGUSR2, but not paused\/suspended$/);
      scene.pooler.signal('SIGTERM');
      await scene.waitFor(/ LOG got SIGTERM, shutting down, waiting for all clients disconnect$/);
      await client.close();
      await scene.pooler.exited;
      await scene.waitFor(/ LOG client connections dropped, exiting$/);
    });
  });

  it('tells of a refused server login and of the reserve pool', async () => {
    const settings = { default_pool_size: 1, reserve_pool_size: 1, reserve_pool_timeout: 0.1 };
    const database = { pool_mode: 'transaction' };
    await withLog(
      'pgbouncer',
      { settings: { ...settings, ...database } },
      async (scene, server) => {
        const [first, second] = [await scene.login(), await scene.login()];
        await first.query('BEGIN');
        await second.query('SELECT 1');
        await scene.waitFor(
          / WARNING C-0x[\da-f]+: app\/bob@[\d.]+:\d+ taking connection from reserve_pool$/,
        );
        await first.query('COMMIT');
        await first.close();
        await second.close();
        server.script = {
          onStartup: (connection) => {
            connection.fail({ S: 'FATAL', C: '28000', M: 'not you' });
          },
        };
        await scene.console('RECONNECT');
        await scene.visit();
        await scene.waitFor(/ WARNING server login failed: FATAL not you$/);
      },
    );
  });
});

describe('levels', () => {
  it('a bare connect and close is not logged, and is with verbose 1', async () => {
    for (const verbose of [0, 1]) {
      await withLog('json', { settings: { verbose } }, async (scene) => {
        for (let probe = 0; probe < 3; probe++) {
          const socket = await scene.connect();
          socket.destroy();
        }
        const half = await scene.connect();
        half.endWriting();
        await half.readToEnd();
        await scene.visit();
        await scene.waitFor(PATTERNS.clientClosed.json);
        const own = scene.matching(/"client":/).filter((line) => !line.includes('"user":"bob"'));
        if (verbose === 0) {
          expect(own).toEqual([]);
        } else {
          const closed = /"level":"debug".*"client_disconnected".*"client unexpected eof"/;
          expect(own.filter((line) => closed.test(line))).toHaveLength(4);
        }
      });
    }
  });

  it.each([
    [[], false, false],
    [['-v'], true, false],
    [['-vv'], true, true],
  ])('with %j: debug %s, noise %s', async (args, isDebug, isNoise) => {
    await withLog('pgbouncer', { args, settings: { default_pool_size: 1 } }, async (scene) => {
      const first = await scene.login();
      await first.query('SELECT 1');
      const second = await scene.login();
      const waiting = second.query('SELECT 1');
      await waitFor('a client in the queue', async () => {
        const pools = await scene.console('SHOW POOLS');
        return pools.some((row) => row['database'] === 'app' && row['cl_waiting'] === '1');
      });
      await first.close();
      await waiting;
      await second.close();
      await waitFor('both closing lines', () => scene.matching(PATTERNS.clientClosed.pgbouncer)[1]);
      expect(scene.matching(/ DEBUG C-0x.* logged in$/).length > 0).toBe(isDebug);
      expect(scene.matching(/ NOISE .*client wait ended/).length > 0).toBe(isNoise);
    });
  });
});

describe('logfile', () => {
  it('gets every line that standard error gets', async () => {
    await withLog('pgbouncer', { settings: { logfile: 'log.txt' } }, async (scene) => {
      await scene.visit();
      await scene.waitFor(PATTERNS.clientClosed.pgbouncer);
      const file = path.join(scene.pooler.directory, 'log.txt');
      await waitFor(
        'the same lines',
        () => fs.readFileSync(file, 'utf8') === scene.lines.map((line) => `${line}\n`).join(''),
      );
    });
  });

  it('loses no line when it is rotated under load by RELOAD and SIGHUP', async () => {
    await withLog('json', { settings: { logfile: 'log.txt' } }, async (scene) => {
      const file = path.join(scene.pooler.directory, 'log.txt');
      for (const turn of [1, 2]) {
        const visits = Array.from({ length: 20 }, () => scene.visit());
        fs.renameSync(file, `${file}.${String(turn)}`);
        if (turn === 1) {
          await scene.console('RELOAD');
        } else {
          scene.pooler.signal('SIGHUP');
        }
        await Promise.all(visits);
        await waitFor('the new file', () => fs.existsSync(file));
        await scene.visit();
      }
      const read = (): string =>
        [`${file}.1`, `${file}.2`, file].map((name) => fs.readFileSync(name, 'utf8')).join('');
      await waitFor(
        '42 logins in the files',
        () => read().split('"client_disconnected"').length > 42,
      );
      await waitFor(
        'the same lines',
        () => read() === scene.lines.map((line) => `${line}\n`).join(''),
      );
    });
  });

  it('that cannot be opened ends the start with code 1', async () => {
    const pooler = PoolerFixture.spawn({
      config: { maitred: { logfile: 'missing/log.txt' }, databases: {} },
      args: ['-q'],
    });
    expect(await pooler.exited).toEqual({ code: 1, signal: null });
    const text = "maitred: Cannot open logfile: 'missing/log.txt': No such file or directory";
    expect(pooler.logs).toEqual([{ raw: text }]);
    await pooler.kill();
  });

  it('that cannot be opened at RELOAD is told, and the log goes on', async () => {
    await withLog('pgbouncer', { settings: { logfile: 'log.txt' } }, async (scene) => {
      const file = path.join(scene.pooler.directory, 'log.txt');
      fs.renameSync(file, `${file}.1`);
      fs.mkdirSync(file);
      await scene.console('RELOAD');
      await scene.waitFor(
        / ERROR Cannot open logfile: 'log\.txt': Is a directory/,
      );
      await scene.visit();
      await scene.waitFor(PATTERNS.clientClosed.pgbouncer);
      expect(fs.readFileSync(`${file}.1`, 'utf8')).toMatch(/app\/bob.* closing because/);
    });
  });

  it('is all there is with -q', async () => {
    const pooler = PoolerFixture.spawn({
      config: { maitred: { logfile: 'log.txt' }, databases: {} },
      args: ['-q'],
    });
    const file = path.join(pooler.directory, 'log.txt');
    try {
      await waitFor('the log file', () => fs.existsSync(file) && read(file).includes('process_up'));
      await pooler.stop();
      expect(pooler.logs).toEqual([]);
    } finally {
      await pooler.kill();
    }
  });
});

function read(file: string): string {
  return fs.readFileSync(file, 'utf8');
}

/** Where standard error leads that a test does not read: what a test can do with its other end. */
interface Plug {
  readonly stdio: StdioOptions;
  readonly readAll: (child: ChildProcess) => string;
}

function socketPlug(): Plug {
  return {
    stdio: ['ignore', 'ignore', 'pipe'],
    readAll: ({ stderr }) => {
      const chunk: unknown = stderr?.read();
      return Buffer.isBuffer(chunk) ? chunk.toString('utf8') : '';
    },
  };
}

function pipePlug(directory: string): Plug {
  const fifo = path.join(directory, 'fifo');
  execFileSync('mkfifo', [fifo]);
  const { O_RDONLY, O_NONBLOCK } = fs.constants;
  const reader = fs.openSync(fifo, O_RDONLY | O_NONBLOCK);
  const buffer = Buffer.alloc(1 << 20);
  return {
    stdio: ['ignore', 'ignore', fs.openSync(fifo, 'w')],
    readAll: () => {
      try {
        return buffer.toString('utf8', 0, fs.readSync(reader, buffer));
      } catch {
        // Empty for now.
        return '';
      }
    },
  };
}

describe('standard error that nobody reads', () => {
  it.each(['socket', 'pipe'])(
    'does not stop the pooler, and lost lines are counted (%s)',
    async (kind) => {
      // The fixture serves for its directory and configuration only.
      const pooler = await PoolerFixture.start({
        config: { maitred: { logfile: 'log.txt' }, databases: {} },
      });
      const file = path.join(pooler.directory, 'plugged.txt');
      const plug = kind === 'socket' ? socketPlug() : pipePlug(pooler.directory);
      const env = { ...process.env, MAITRED_LOGFILE: file, MAITRED_UNIX_SOCKET_DIR: '' };
      const child = spawn(process.execPath, [CLI_FILE, pooler.configFile], {
        stdio: plug.stdio,
        env,
      });
      child.stderr?.pause();
      const exited = new Promise((resolve) => child.once('exit', resolve));
      try {
        await waitFor('the start', () => fs.existsSync(file) && read(file).includes('process_up'));
        const target = { host: '127.0.0.1', port: Number(LISTENING.exec(read(file))?.[2]) };
        const visit = async (): Promise<void> => {
          const client = await RawClient.login(target, { user: 'postgres', database: 'pgbouncer' });
          await client.close();
        };
        let seen = '';
        while (fs.statSync(file).size < 400_000) {
          await Promise.all(Array.from({ length: 50 }, visit));
        }
        await waitFor('word of the lost lines', async () => {
          seen += plug.readAll(child);
          await visit();
          return seen.includes('"event":"log_lines_lost"');
        });
        const lost = seen.split('\n').find((line) => line.includes('log_lines_lost')) ?? '';
        expect(JSON.parse(lost)).toMatchObject({ destination: 'standard error' });
        expect((JSON.parse(lost) as { lines: number }).lines).toBeGreaterThan(100);
        for (const line of seen.split('\n').slice(0, -1)) {
          expect(JSON.parse(line)).toHaveProperty('event');
        }
      } finally {
        child.kill('SIGKILL');
        await exited;
        await pooler.stop();
      }
    },
  );
});

describe('what peers send', () => {
  const FORGED = '2026-01-01 00:00:00.000 UTC [1] FATAL forged';
  const NAMES: readonly (readonly [string, Buffer])[] = [
    ['a line feed', Buffer.from(`x\n${FORGED}`)],
    ['a carriage return', Buffer.from(`x\r${FORGED}`)],
    ['an escape sequence', Buffer.from('x\x1b[2J\x1b]0;t\x07')],
    ['quotes and braces', Buffer.from(`x"}\\'{"level":"fatal"`)],
    ['invalid UTF-8', Buffer.from([0x78, 0xff, 0xfe, 0xc3, 0x28, 0xed, 0xa0, 0x80, 0x9b, 0x0a])],
    ['Unicode line ends', Buffer.from('x\u2028\u2029\u0085\u202e')],
  ];

  it.each(FORMATS)('cannot break or forge a line (%s)', async (format) => {
    const settings = { logfile: 'log.txt', verbose: 2 };
    await withLog(format, { settings }, async (scene) => {
      for (const [, name] of NAMES) {
        const client = await scene.connect();
        client.send(startup(name));
        await client.readToEnd();
      }
      await scene.visit();
      await scene.waitFor(PATTERNS.clientClosed[format]);
      const bytes = fs.readFileSync(path.join(scene.pooler.directory, 'log.txt'));
      const text = bytes.toString('utf8');
      expect(Buffer.from(text).equals(bytes)).toBe(true);
      // eslint-disable-next-line no-control-regex -- control characters must not be there
      expect(text).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e]/);
      const lines = text.split('\n').slice(0, -1);
      for (const line of lines) {
        if (format === 'json') {
          expect(JSON.parse(line)).toMatchObject({ pid: scene.pooler.pid });
        } else {
          expect(line).toMatch(TEXT_LINE);
        }
      }
      expect(lines.filter((line) => line.includes('forged')).length).toBeGreaterThan(0);
      expect(lines.filter((line) => line.startsWith(FORGED))).toEqual([]);
    });
  });

  /** A startup packet whose user and database are the bytes given. */
  function startup(name: Buffer): Buffer {
    const zero = Buffer.alloc(1);
    const pairs = [Buffer.from('user\0'), name, zero, Buffer.from('database\0'), name, zero, zero];
    const body = Buffer.concat(pairs);
    const head = Buffer.alloc(8);
    head.writeInt32BE(body.length + 8, 0);
    head.writeInt32BE(196_608, 4);
    return Buffer.concat([head, body]);
  }
});

describe('secrets', () => {
  const postgres = sharedPostgres();
  const PASSWORD = 'Open5esame,now';
  const WRONG = 'Clo5esesame,now';
  const ROLES = { cleartext: 'log_cleartext', md5: 'log_md5', scram: 'log_scram' } as const;
  let verifier = '';

  beforeAll(async () => {
    await postgres.createRole(ROLES.cleartext, PASSWORD);
    await postgres.createRole(ROLES.md5, PASSWORD, 'md5');
    await postgres.createRole(ROLES.scram, PASSWORD, 'scram-sha-256');
    await postgres.query(
      `GRANT auth_password TO ${ROLES.cleartext}; GRANT auth_md5 TO ${ROLES.md5};
       GRANT auth_scram TO ${ROLES.scram}`,
    );
    const [row] = await postgres.query(
      `SELECT rolpassword FROM pg_authid WHERE rolname = '${ROLES.scram}'`,
    );
    verifier = row?.['rolpassword'] ?? '';
  });

  const cases = FORMATS.flatMap((format) =>
    ['plain', 'md5', 'scram-sha-256'].map((authType) => [authType, format] as const),
  );

  it.each(cases)('never get into the log with auth_type %s (%s)', async (authType, format) => {
    const md5 = createHash('md5').update(`${PASSWORD}${ROLES.md5}`).digest('hex');
    const target = { host: postgres.host, port: postgres.port, dbname: postgres.database };
    const options = {
      settings: { auth_type: authType, verbose: 2, server_login_retry: 0 },
      databases: {
        own: target,
        keyed: { ...target, user: ROLES.scram, password: PASSWORD },
        refused: { ...target, user: ROLES.md5, password: WRONG },
      },
      users: {
        [ROLES.cleartext]: PASSWORD,
        [ROLES.md5]: authType === 'scram-sha-256' ? PASSWORD : `md5${md5}`,
        [ROLES.scram]: authType === 'scram-sha-256' ? verifier : PASSWORD,
      },
    };
    const secrets = [PASSWORD, WRONG, md5, ...verifier.split(/[$:]/).slice(2)];
    await withLog(format, options, async (scene) => {
      for (const user of Object.values(ROLES)) {
        for (const database of ['own', 'keyed']) {
          const client = await scene.login({ user, database, password: PASSWORD });
          await client.query('SELECT 1');
          secrets.push(client.backendKey?.secretKey.toString('hex') ?? '');
          await client.close();
        }
        await scene.visit({ user, database: 'own', password: WRONG });
        await scene.visit({ user, database: 'refused', password: PASSWORD });
      }
      await scene.waitFor(/password authentication failed for user/);
      const text = scene.lines.join('\n');
      expect(text).toMatch(/ logged in$|client_logged_in/m);
      expect(secrets.length).toBeGreaterThan(5);
      for (const secret of secrets) {
        expect(secret.length).toBeGreaterThan(3);
        expect(text).not.toContain(secret);
      }
    });
  });
});
