import { createLoginUsers } from './login-users.mjs';
import {
  measureCopy,
  measureIdleClients,
  measureLogins,
  measurePgbench,
  measureStalledClients,
} from './measure.mjs';
import { execute } from './postgres.mjs';

/** Server connections of a pooler, where the scenario does not need more. */
const POOL_SIZE = 20;

/** New logins of the scenario about them. */
const LOGINS_PER_SECOND = 500;

/** Users who are looked up: so many that no answer is used twice, or few enough that answers are kept. */
const MANY_USERS = 4000;
const FEW_USERS = 20;

/** What COPY IN fills: an unlogged table, so that PostgreSQL's log does not set the pace. */
const COPY_TABLE = 'copy_in_target';

/** @typedef {import('./poolers.mjs').Pooler} Pooler */
/** @typedef {import('./measure.mjs').Sample} Sample */

/**
 * @typedef {object} Sizes
 * @property {number} seconds - of one pgbench measurement
 * @property {number} copyMegabytes
 * @property {number} idleClients
 * @property {number} tlsIdleClients
 * @property {number} stalledClients
 * @property {number} stalledRows - 1 kB each, of each stalled client's result
 */

/** @type {Sizes} */
export const FULL_SIZES = {
  seconds: 10,
  copyMegabytes: 600,
  idleClients: 8000,
  tlsIdleClients: 1000,
  stalledClients: 100,
  stalledRows: 30_000,
};

/** For a smoke test: the numbers mean little. @type {Sizes} */
export const QUICK_SIZES = {
  seconds: 1,
  copyMegabytes: 60,
  idleClients: 500,
  tlsIdleClients: 200,
  stalledClients: 20,
  stalledRows: 20_000,
};

/** @typedef {'trust' | 'scram' | 'auth-query'} Auth - with `auth-query`, by SCRAM as well */

/**
 * @typedef {object} Scenario
 * @property {string} name - for `--only`
 * @property {string} title
 * @property {number} poolSize - server connections of each pooler
 * @property {Auth} auth - how clients log in
 * @property {number} files - open files that a pooler needs
 * @property {boolean} hasTls - whether clients come through TLS
 * @property {boolean} needsFreshPooler - whether each measurement gets a pooler just started
 * @property {(pooler: Pooler) => Promise<void>} warmUp - before a pooler's first measurement
 * @property {(pooler: Pooler) => Promise<Sample>} measure
 */

/**
 * Lists all scenarios.
 *
 * @param {Sizes} sizes
 * @returns {Scenario[]}
 */
export function listScenarios(sizes) {
  return [
    pgbenchScenario('simple-20', sizes, { script: 'select', protocol: 'simple', clients: 20 }),
    pgbenchScenario('simple-100', sizes, { script: 'select', protocol: 'simple', clients: 100 }),
    pgbenchScenario('extended-20', sizes, { script: 'select', protocol: 'extended', clients: 20 }),
    pgbenchScenario('extended-100', sizes, {
      script: 'select',
      protocol: 'extended',
      clients: 100,
    }),
    pgbenchScenario('update-20', sizes, {
      script: 'simple-update',
      protocol: 'simple',
      clients: 20,
    }),
    pgbenchScenario('connect', sizes, {
      script: 'select',
      protocol: 'simple',
      clients: 20,
      reconnects: true,
    }),
    loginScenario(sizes),
    authQueryScenario('auth-query-cold', sizes, MANY_USERS),
    authQueryScenario('auth-query-kept', sizes, FEW_USERS),
    copyScenario('copy-out', sizes),
    copyScenario('copy-in', sizes),
    idleScenario(sizes),
    stalledScenario(sizes),
    overTls(
      pgbenchScenario('simple-20', sizes, {
        script: 'select',
        protocol: 'simple',
        clients: 20,
      }),
    ),
    overTls(
      pgbenchScenario('simple-100', sizes, {
        script: 'select',
        protocol: 'simple',
        clients: 100,
      }),
    ),
    overTls(
      pgbenchScenario('connect', sizes, {
        script: 'select',
        protocol: 'simple',
        clients: 20,
        reconnects: true,
      }),
    ),
    overTls(copyScenario('copy-out', sizes)),
    overTls(idleScenario({ ...sizes, idleClients: sizes.tlsIdleClients })),
  ];
}

/**
 * @param {string} name
 * @param {Sizes} sizes
 * @param {Omit<import('./pgbench.mjs').PgbenchLoad, 'reconnects'> & { reconnects?: boolean }} load
 * @returns {Scenario}
 */
function pgbenchScenario(name, { seconds }, load) {
  const fullLoad = { reconnects: false, ...load };
  const what = load.script === 'select' ? 'SELECT' : 'simple-update';
  const connecting = fullLoad.reconnects ? ', a connection per transaction' : '';
  return {
    ...steadyDefaults(name),
    title: `pgbench ${what}, ${load.protocol} protocol, ${String(load.clients)} clients${connecting}`,
    warmUp: async (pooler) => {
      await measurePgbench(pooler, fullLoad, Math.max(1, Math.round(seconds / 4)));
    },
    measure: (pooler) => measurePgbench(pooler, fullLoad, seconds),
  };
}

/**
 * @param {Sizes} sizes
 * @returns {Scenario}
 */
function loginScenario({ seconds }) {
  return {
    ...steadyDefaults('scram-logins'),
    title: `${String(LOGINS_PER_SECOND)} new SCRAM logins a second beside 500 queries a second`,
    auth: 'scram',
    files: 4000,
    warmUp: async (pooler) => {
      await measureLogins(pooler, LOGINS_PER_SECOND / 5, 1);
    },
    measure: (pooler) => measureLogins(pooler, LOGINS_PER_SECOND, seconds),
  };
}

/**
 * @param {string} name
 * @param {Sizes} sizes
 * @param {number} users - that log in in turn, all of them looked up by auth_query
 * @returns {Scenario}
 */
function authQueryScenario(name, { seconds }, users) {
  return {
    ...steadyDefaults(name),
    title:
      `${String(LOGINS_PER_SECOND)} new SCRAM logins a second of ${String(users)} users of auth_query ` +
      'beside 500 queries a second',
    auth: 'auth-query',
    files: 4000,
    warmUp: async (pooler) => {
      await createLoginUsers(pooler.postgres, users);
      await measureLogins(pooler, LOGINS_PER_SECOND / 5, 1, users);
    },
    measure: (pooler) => measureLogins(pooler, LOGINS_PER_SECOND, seconds, users),
  };
}

/**
 * @param {'copy-out' | 'copy-in'} kind
 * @param {Sizes} sizes
 * @returns {Scenario}
 */
function copyScenario(kind, { copyMegabytes }) {
  const copy = async (/** @type {Pooler} */ pooler, /** @type {number} */ megabytes) => {
    if (kind === 'copy-in') {
      await execute(
        pooler.postgres,
        `CREATE UNLOGGED TABLE IF NOT EXISTS ${COPY_TABLE} (line text)`,
      );
      await execute(pooler.postgres, `TRUNCATE ${COPY_TABLE}`);
    }
    return measureCopy(pooler, kind, megabytes, COPY_TABLE);
  };
  const direction = kind === 'copy-out' ? 'OUT' : 'IN';
  return {
    ...steadyDefaults(kind),
    title: `COPY ${direction} of ${String(copyMegabytes)} MB in rows of 1 kB, 1 client`,
    warmUp: async (pooler) => {
      await copy(pooler, copyMegabytes / 10);
    },
    measure: (pooler) => copy(pooler, copyMegabytes),
  };
}

/**
 * @param {Sizes} sizes
 * @returns {Scenario}
 */
function idleScenario({ idleClients }) {
  return {
    ...steadyDefaults('idle'),
    title: `${String(idleClients)} idle clients, logged in`,
    files: idleClients + 500,
    needsFreshPooler: true,
    measure: (pooler) => measureIdleClients(pooler, idleClients),
  };
}

/**
 * @param {Sizes} sizes
 * @returns {Scenario}
 */
function stalledScenario({ stalledClients, stalledRows }) {
  const resultMegabytes = Math.round(stalledRows / 1000);
  return {
    ...steadyDefaults('stalled'),
    title:
      `${String(stalledClients)} clients that stop reading in the middle of ` +
      `${String(resultMegabytes)} MB results, as many server connections`,
    poolSize: stalledClients,
    needsFreshPooler: true,
    measure: (pooler) => measureStalledClients(pooler, stalledClients, stalledRows),
  };
}

/**
 * The same, with clients that come through TLS.
 *
 * @param {Scenario} scenario
 * @returns {Scenario}
 */
function overTls(scenario) {
  return {
    ...scenario,
    name: `tls-${scenario.name}`,
    title: `${scenario.title}, over TLS`,
    hasTls: true,
  };
}

/** @param {string} name */
function steadyDefaults(name) {
  return {
    name,
    poolSize: POOL_SIZE,
    auth: /** @type {const} */ ('trust'),
    files: 1000,
    hasTls: false,
    needsFreshPooler: false,
    warmUp: () => Promise.resolve(),
  };
}
