import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { guardChild } from '../test/support/child-guard.mjs';
import { startEmbeddedPostgres } from '../test/support/embedded-postgres.mjs';

/**
 * `npm run demo`: a PostgreSQL, maitred in front of it in transaction mode, and a little load.
 * Everything lives in temporary directories and ends with Ctrl-C.
 */

const HOST = '127.0.0.1';
const PORT = Number(process.env.PORT ?? 6432);
const COMMAND = fileURLToPath(new URL('../dist/cli.js', import.meta.url));
const CLIENT_COUNT = 8;
const POOL_SIZE = 3;
const PAUSE_MS = 400;
const STATS_PERIOD_MS = 5_000;
const START_TIMEOUT_MS = 15_000;
const STOP_TIMEOUT_MS = 5_000;

const DEMO_TABLES = `
  CREATE TABLE guests (id int PRIMARY KEY, name text NOT NULL, visits int NOT NULL DEFAULT 0);
  INSERT INTO guests (id, name) SELECT n, 'guest ' || n FROM generate_series(1, 100) AS n;
`;

/** @type {(() => Promise<unknown> | void)[]} What undoes each step, last one first. */
const cleanups = [];
const stopping = new AbortController();
let transactionCount = 0;
let failureCount = 0;

function say(text = '') {
  process.stdout.write(`${text}\n`);
}

async function main() {
  if (!Number.isInteger(PORT) || PORT < 1 || PORT > 65_535) {
    throw new Error(`PORT=${process.env.PORT} is not a TCP port`);
  }
  await checkPortIsFree();
  say('Starting PostgreSQL ...');
  const postgres = await startEmbeddedPostgres();
  cleanups.push(() => postgres.stop());
  const password = randomBytes(12).toString('base64url');
  await createDemoDatabase(postgres, password);
  stopping.signal.throwIfAborted();

  say('Starting maitred ...');
  await startMaitred(postgres, password);
  printGuide(postgres, password);

  const clients = Array.from({ length: CLIENT_COUNT }, () => runClient(password));
  cleanups.push(() => Promise.all(clients));
  await printStats(password);
}

async function checkPortIsFree() {
  const server = net.createServer();
  try {
    await new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(PORT, HOST, () => resolve(undefined));
    });
  } catch (cause) {
    const why = cause.code === 'EADDRINUSE' ? 'is taken' : `cannot be used (${cause.code})`;
    throw new Error(`port ${PORT} ${why}; choose another one: PORT=6433 npm run demo`, { cause });
  }
  await new Promise((resolve) => server.close(resolve));
}

async function createDemoDatabase(postgres, password) {
  const { host, port, user } = postgres;
  const run = async (database, sql) => {
    const client = new pg.Client({ host, port, user, database });
    await client.connect();
    try {
      await client.query(sql);
    } finally {
      await client.end();
    }
  };
  await run('postgres', `CREATE ROLE demo LOGIN PASSWORD '${password}'`);
  await run('postgres', 'CREATE DATABASE demo OWNER demo');
  await run('demo', `SET ROLE demo; ${DEMO_TABLES}`);
}

async function startMaitred(postgres, password) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'maitred-demo-'));
  cleanups.push(() => fs.rmSync(directory, { recursive: true, force: true }));
  const usersFile = path.join(directory, 'userlist.txt');
  const configFile = path.join(directory, 'maitred.yaml');
  fs.writeFileSync(usersFile, `"demo" "${password}"\n`, { mode: 0o600 });
  fs.writeFileSync(configFile, configText(postgres.port, usersFile), { mode: 0o600 });

  const child = spawn(process.execPath, [COMMAND, configFile], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // Ctrl-C reaches this process alone, which then stops the others in order.
    detached: true,
  });
  const output = [];
  const keep = (chunk) => {
    output.push(String(chunk));
    output.splice(0, Math.max(0, output.length - 50));
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const exited = new Promise((resolve) => {
    child.once('error', resolve);
    child.once('exit', resolve);
  });
  let hasExited = false;
  const dismissGuard =
    child.pid === undefined ? () => {} : guardChild(child.pid, 'QUIT', directory);
  exited.then(() => {
    hasExited = true;
    dismissGuard();
    if (!stopping.signal.aborted) {
      stopping.abort(new Error(`maitred ended by itself:\n${output.join('')}`));
    }
  });
  cleanups.push(async () => {
    child.kill('SIGQUIT');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
  });
  await untilAccepting(() => hasExited, output);
}

function configText(postgresPort, usersFile) {
  return `# Written by npm run demo.
maitred:
  listen_addr: ${HOST}
  listen_port: ${PORT}
  unix_socket_dir: ''
  auth_type: scram-sha-256
  auth_file: ${JSON.stringify(usersFile)}
  admin_users: demo
  pool_mode: transaction
  default_pool_size: ${POOL_SIZE}
  metrics_listen_port: 0
databases:
  demo:
    host: ${HOST}
    port: ${postgresPort}
    dbname: demo
`;
}

async function untilAccepting(hasExited, output) {
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (!(await acceptsConnections())) {
    stopping.signal.throwIfAborted();
    if (hasExited() || performance.now() > deadline) {
      throw new Error(`maitred does not accept connections:\n${output.join('')}`);
    }
    await delay(50);
  }
}

function acceptsConnections() {
  return new Promise((resolve) => {
    const socket = net.connect(PORT, HOST);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function printGuide(postgres, password) {
  const psql = `psql -h ${HOST} -p ${PORT} -U demo`;
  say(`
maitred listens on ${HOST}:${PORT}, PostgreSQL on ${HOST}:${postgres.port}.
${CLIENT_COUNT} clients share at most ${POOL_SIZE} server connections.

In another terminal:
  export PGPASSWORD=${password}
  ${psql} demo -c 'SELECT name, visits FROM guests ORDER BY visits DESC LIMIT 5'
  ${psql} pgbouncer -c 'SHOW POOLS'
  ${psql} pgbouncer -c 'SHOW STATS'

Ctrl-C ends everything.
`);
}

function demoClient(password, database) {
  const client = new pg.Client({ host: HOST, port: PORT, user: 'demo', password, database });
  client.on('error', () => {
    // The query that runs, or the next one, reports it.
  });
  return client;
}

/** One application: a small transaction, then a pause, until the demo ends. */
async function runClient(password) {
  while (!stopping.signal.aborted) {
    const client = demoClient(password, 'demo');
    try {
      await client.connect();
      while (!stopping.signal.aborted) {
        await runTransaction(client);
        transactionCount += 1;
        await pause(PAUSE_MS * (0.5 + Math.random()));
      }
    } catch {
      failureCount += 1;
      await pause(PAUSE_MS);
    } finally {
      await client.end().catch(() => {
        // Already gone.
      });
    }
  }
}

async function runTransaction(client) {
  const id = 1 + Math.floor(Math.random() * 100);
  await client.query('BEGIN');
  await client.query('UPDATE guests SET visits = visits + 1 WHERE id = $1', [id]);
  await client.query('SELECT name, visits FROM guests WHERE id = $1', [id]);
  await client.query('COMMIT');
}

/** Prints a line every few seconds until the demo ends. */
async function printStats(password) {
  const client = demoClient(password, 'pgbouncer');
  cleanups.push(() => client.end().catch(() => undefined));
  await client.connect();
  let before = 0;
  while (!stopping.signal.aborted) {
    await pause(STATS_PERIOD_MS);
    if (stopping.signal.aborted) {
      break;
    }
    const { rows } = await client.query('SHOW POOLS');
    const pool = rows.find((row) => row.database === 'demo') ?? {};
    const perSecond = ((transactionCount - before) * 1000) / STATS_PERIOD_MS;
    before = transactionCount;
    const servers = Number(pool.sv_active ?? 0) + Number(pool.sv_idle ?? 0);
    say(
      `${perSecond.toFixed(1)} transactions/s, ${transactionCount} in all, ${failureCount} failed; ` +
        `clients: ${pool.cl_active ?? 0} active, ${pool.cl_waiting ?? 0} waiting; ` +
        `server connections: ${servers}`,
    );
  }
}

function pause(ms) {
  return delay(ms, undefined, { signal: stopping.signal }).catch(() => {
    // The demo ends.
  });
}

async function cleanUp() {
  while (cleanups.length > 0) {
    try {
      await cleanups.pop()?.();
    } catch (error) {
      say(`While stopping: ${String(error)}`);
      process.exitCode = 1;
    }
  }
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    if (!stopping.signal.aborted) {
      say('\nStopping ...');
      stopping.abort();
    }
  });
}
process.stdout.on('error', () => stopping.abort());

try {
  await main();
} catch (error) {
  if (!stopping.signal.aborted) {
    stopping.abort(error);
  }
} finally {
  const { reason } = stopping.signal;
  if (reason instanceof Error && reason.name !== 'AbortError') {
    process.stderr.write(`${reason.message}\n`);
    process.exitCode = 1;
  }
  await cleanUp();
}
