import { freePort, startEmbeddedPostgres } from '../../test/support/embedded-postgres.mjs';
import { onShutdown } from './lifetime.mjs';
import { initializePgbench } from './pgbench.mjs';
import { WireClient } from './wire-client.mjs';

export { freePort };

const DATABASE = 'bench';

/** pgbench's scale factor: 100,000 accounts each. */
const PGBENCH_SCALE = 10;

/** @typedef {import('./wire-client.mjs').Target} Target */

/**
 * @typedef {object} BenchPostgres
 * @property {Target} target - the database with pgbench's tables
 * @property {string} version
 */

/**
 * Starts a PostgreSQL of its own with pgbench's tables; it ends with the benchmark.
 *
 * @param {number} maxConnections - enough for the server connections of all poolers together
 * @returns {Promise<BenchPostgres>}
 */
export async function startPostgres(maxConnections) {
  const server = await startEmbeddedPostgres({
    settings: {
      max_connections: String(maxConnections),
      // The tables fit, so that the poolers are compared and not the disk.
      shared_buffers: '512MB',
      max_wal_size: '4GB',
      // A vacuum in the middle of one round would count against one pooler only.
      autovacuum: 'off',
    },
  });
  onShutdown(() => server.stop('immediate'));
  const target = { host: server.host, port: server.port, user: server.user };
  await execute({ ...target, database: server.database }, `CREATE DATABASE ${DATABASE}`);
  const benchTarget = { ...target, database: DATABASE };
  await initializePgbench(benchTarget, PGBENCH_SCALE);
  const version = await execute(benchTarget, 'SHOW server_version');
  return { target: benchTarget, version: version ?? 'unknown' };
}

/**
 * Runs one statement on a connection of its own.
 *
 * @param {Target} target
 * @param {string} sql
 * @returns {Promise<string | null>} the first value of the result
 */
export async function execute(target, sql) {
  const client = await WireClient.connect(target);
  try {
    return (await client.query(sql)).firstValue;
  } finally {
    client.close();
  }
}
