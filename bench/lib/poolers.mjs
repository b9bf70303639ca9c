import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { benchCertificate } from './certificate.mjs';
import { serverIdentity } from '../../test/support/postgres-binaries.mjs';
import {
  makeTempDirectory,
  removeTempDirectory,
  startChild,
  stopChild,
  waitFor,
} from './lifetime.mjs';
import { AUTH_USER } from './login-users.mjs';
import { freePort } from './postgres.mjs';
import { PASSWORD, scramSecret } from './scram.mjs';
import { WireClient } from './wire-client.mjs';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const MAITRED_CLI = path.join(ROOT, 'dist', 'cli.js');
const BARE_RELAY = path.join(ROOT, 'bench', 'lib', 'bare-relay.mjs');
const MAX_CLIENT_CONNECTIONS = 9000;
const START_TIMEOUT_MS = 15_000;
const LOG_TAIL_CHARACTERS = 4000;

/**
 * @typedef {'baseline' | 'machine-node' | 'other-node' | 'floor'} Role
 * `baseline`: what the others are compared with; `machine-node`: maitred on the Node.js that runs
 * the benchmark; `other-node`: maitred on a Node.js named by `--node`; `floor`: no pooler, but what any
 * on Node.js costs at least.
 */

/**
 * @typedef {object} Contender
 * @property {string} name - unique in a run
 * @property {Role} role
 * @property {string} version - of the pooler and, for maitred, of Node.js
 * @property {string | null} nodePath - the Node.js that runs it; null for PgBouncer
 * @property {string} [script] - what that runs
 */

/**
 * @typedef {object} Pooler
 * @property {number} pid
 * @property {import('./wire-client.mjs').Target} target - where its clients connect
 * @property {import('./wire-client.mjs').Target} postgres - what it connects to
 * @property {() => string | null} ending - exit code or signal; null while it runs
 * @property {() => string} logTail - the end of what it wrote
 * @property {() => Promise<void>} stop
 */

/**
 * Finds PgBouncer.
 *
 * @returns {string | null} its version; null when it is not installed
 */
export function pgbouncerVersion() {
  const result = spawnSync('pgbouncer', ['--version'], { encoding: 'utf8' });
  return result.status === 0 ? (result.stdout.split('\n', 1)[0] ?? null) : null;
}

/**
 * Describes maitred as built in `dist/`, on a given Node.js.
 *
 * @param {string} nodePath
 * @param {Role} role
 * @returns {Contender}
 * @throws {Error} when the build or that Node.js is missing
 */
export function maitredContender(nodePath, role) {
  if (!existsSync(MAITRED_CLI)) {
    throw new Error(`${path.relative(ROOT, MAITRED_CLI)} is missing: run "npm run build" first`);
  }
  const result = spawnSync(nodePath, ['--version'], { encoding: 'utf8' });
  if (result.status !== 0) {
    throw new Error(`${nodePath} --version does not run`, { cause: result.error });
  }
  const node = result.stdout.trim();
  /** @type {{ version: string }} */
  const manifest = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  return {
    name: `maitred (Node.js ${node.slice(1)})`,
    role,
    version: `maitred ${manifest.version} on Node.js ${node.slice(1)}`,
    nodePath,
    script: MAITRED_CLI,
  };
}

/**
 * Describes the bare relay, on the Node.js that runs the benchmark.
 *
 * @returns {Contender}
 */
export function bareRelayContender() {
  return {
    name: 'bare relay',
    role: 'floor',
    version: `bare relay on Node.js ${process.versions.node}`,
    nodePath: process.execPath,
    script: BARE_RELAY,
  };
}

/**
 * Starts a pooler in front of a PostgreSQL and waits until clients can log in.
 *
 * @param {Contender} contender
 * @param {import('./wire-client.mjs').Target} postgres
 * @param {{ poolSize: number, auth: import('./scenarios.mjs').Auth, hasTls: boolean }} options - server
 *   connections; how clients log in; whether they come through TLS
 * @returns {Promise<Pooler>}
 */
export async function startPooler(contender, postgres, { poolSize, auth, hasTls }) {
  const directory = makeTempDirectory('pooler', 0o755);
  const port = await freePort();
  const usersFile = path.join(directory, 'users.txt');
  const isScram = auth !== 'trust';
  const users = [
    [postgres.user, isScram ? scramSecret(PASSWORD) : ''],
    [AUTH_USER, ''],
  ];
  writeFileSync(usersFile, users.map((words) => `"${words.join('" "')}"\n`).join(''));
  const settings = {
    ...commonSettings(port, usersFile, poolSize),
    auth_type: isScram ? 'scram-sha-256' : 'trust',
    ...(auth === 'auth-query' ? AUTH_QUERY_SETTINGS : {}),
    ...(hasTls ? tlsSettings(directory) : {}),
  };
  const isPgbouncer = contender.nodePath === null;
  const configFile = path.join(directory, isPgbouncer ? 'pgbouncer.ini' : 'maitred.yaml');
  writeFileSync(
    configFile,
    isPgbouncer ? iniText(settings, postgres) : yamlText(settings, postgres),
  );
  const child =
    contender.nodePath === null
      ? startChild('pgbouncer', [configFile], { ...serverIdentity(), ...CHILD_OPTIONS })
      : startChild(contender.nodePath, [contender.script ?? MAITRED_CLI, configFile], {
          ...maitredIdentity(contender.nodePath),
          ...CHILD_OPTIONS,
        });
  const logTail = collectLogTail(child);
  const target = {
    ...postgres,
    host: '127.0.0.1',
    port,
    hasTls,
    ...(isScram ? { password: PASSWORD } : {}),
  };
  try {
    await untilLoginWorks(contender.name, child, target);
  } catch (cause) {
    await stopChild(child);
    throw new Error(`${contender.name} did not start: ${logTail()}`, { cause });
  }
  return {
    pid: child.pid ?? 0,
    target,
    postgres,
    ending: () => endingOf(child),
    logTail,
    stop: async () => {
      await stopChild(child);
      removeTempDirectory(directory);
    },
  };
}

/** @type {import('node:child_process').SpawnOptions} */
const CHILD_OPTIONS = { cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] };

/**
 * Chooses who runs maitred: as PgBouncer, not root, unless the files are out of that user's reach.
 *
 * @param {string} nodePath
 * @returns {{ uid: number, gid: number } | null} null for the user who runs the benchmark
 */
function maitredIdentity(nodePath) {
  const identity = serverIdentity();
  const script = 'require("node:fs").accessSync(process.argv[1])';
  const probe = spawnSync(nodePath, ['-e', script, MAITRED_CLI], { ...identity, cwd: '/' });
  return probe.status === 0 ? identity : null;
}

/**
 * The settings that all poolers get, by PgBouncer's names.
 *
 * @param {number} port
 * @param {string} usersFile
 * @param {number} poolSize
 * @returns {Record<string, string | number>}
 */
function commonSettings(port, usersFile, poolSize) {
  return {
    listen_addr: '127.0.0.1',
    listen_port: port,
    unix_socket_dir: '',
    auth_file: usersFile,
    pool_mode: 'transaction',
    default_pool_size: poolSize,
    max_client_conn: MAX_CLIENT_CONNECTIONS,
    server_tls_sslmode: 'disable',
    log_connections: 0,
    log_disconnections: 0,
    log_stats: 0,
  };
}

/** Who is not in the users file is looked up, by the query that is PgBouncer's default. */
const AUTH_QUERY_SETTINGS = {
  auth_user: AUTH_USER,
  auth_query: 'SELECT usename, passwd FROM pg_shadow WHERE usename=$1',
};

/**
 * Writes the certificate of the benchmark and names it. Session tickets and all else stay at the
 * defaults of each pooler.
 *
 * @param {string} directory
 * @returns {Record<string, string>}
 */
function tlsSettings(directory) {
  const { certificate, key } = benchCertificate();
  const certFile = path.join(directory, 'cert.pem');
  const keyFile = path.join(directory, 'key.pem');
  writeFileSync(certFile, certificate);
  // A key for nothing but this run; PgBouncer runs as another user.
  writeFileSync(keyFile, key, { mode: 0o644 });
  return {
    client_tls_sslmode: 'require',
    client_tls_cert_file: certFile,
    client_tls_key_file: keyFile,
  };
}

/**
 * The one database. Users who are looked up share the server connections of one user.
 *
 * @param {Record<string, string | number>} settings
 * @param {Pick<import('./wire-client.mjs').Target , 'host' | 'port' | 'database' | 'user'>} postgres
 * @returns {Record<string, string | number>}
 */
function databaseEntry(settings, { host, port, database, user }) {
  const poolSize = settings['default_pool_size'] ?? 0;
  return {
    host,
    port,
    dbname: database,
    pool_size: poolSize,
    ...(settings['auth_user'] === undefined ? {} : { user }),
  };
}

/**
 * @param {Record<string, string | number>} settings
 * @param {import('./wire-client.mjs').Target} postgres
 */
function iniText(settings, postgres) {
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${String(value)}`);
  const entry = Object.entries(databaseEntry(settings, postgres));
  return [
    '[databases]',
    `${postgres.database} = ${entry.map(([name, value]) => `${name}=${String(value)}`).join(' ')}`,
    '[pgbouncer]',
    ...lines,
    '',
  ].join('\n');
}

/**
 * The text of maitred's configuration. Its metrics are off: PgBouncer has none.
 *
 * @param {Record<string, string | number>} settings
 * @param {import('./wire-client.mjs').Target} postgres
 */
function yamlText(settings, postgres) {
  const entry = databaseEntry(settings, postgres);
  // JSON scalars are YAML scalars.
  const lines = (/** @type {object} */ values, /** @type {string} */ indent) =>
    Object.entries(values).map(([name, value]) => `${indent}${name}: ${JSON.stringify(value)}`);
  return [
    'maitred:',
    ...lines({ ...settings, metrics_listen_addr: '' }, '  '),
    'databases:',
    `  ${postgres.database}:`,
    ...lines(entry, '    '),
    '',
  ].join('\n');
}

/**
 * Reads what a process writes, so that its pipes never fill, and keeps the end of it.
 *
 * @param {import('node:child_process').ChildProcess} child
 * @returns {() => string}
 */
function collectLogTail(child) {
  let tail = '';
  const append = (/** @type {string} */ text) => {
    tail = (tail + text).slice(-LOG_TAIL_CHARACTERS);
  };
  child.stdout?.setEncoding('utf8').on('data', append);
  child.stderr?.setEncoding('utf8').on('data', append);
  child.once('error', (error) => {
    append(error.message);
  });
  return () => tail.trim();
}

/**
 * @param {string} name
 * @param {import('node:child_process').ChildProcess} child
 * @param {import('./wire-client.mjs').Target} target
 */
async function untilLoginWorks(name, child, target) {
  const tryLogin = async () => {
    const ending = endingOf(child);
    if (ending !== null) {
      throw new Error(`${name} has ended: ${ending}`);
    }
    try {
      const client = await WireClient.connect(target);
      // Some server must answer through the pooler, not just the pooler itself.
      await client.query('SELECT 1');
      client.close();
      return true;
    } catch {
      // Not listening yet.
      return null;
    }
  };
  await waitFor(`${name}: first login`, tryLogin, { timeoutMs: START_TIMEOUT_MS, intervalMs: 50 });
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @returns {string | null}
 */
function endingOf(child) {
  if (child.pid === undefined) {
    return 'it could not be run';
  }
  if (child.exitCode !== null) {
    return `exit code ${String(child.exitCode)}`;
  }
  return child.signalCode;
}
