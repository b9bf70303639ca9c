import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { consoleTable } from './lib/console-table.mjs';
import { raiseFileLimit } from './lib/file-limit.mjs';
import { runGuarded } from './lib/lifetime.mjs';
import { describeCommit, describeMachine } from './lib/machine.mjs';
import { parseOptions, USAGE } from './lib/options.mjs';
import { pgbenchVersion } from './lib/pgbench.mjs';
import { bareRelayContender, maitredContender, pgbouncerVersion } from './lib/poolers.mjs';
import { startPostgres } from './lib/postgres.mjs';
import { runScenario } from './lib/runner.mjs';
import { FULL_SIZES, listScenarios, QUICK_SIZES } from './lib/scenarios.mjs';

/** @typedef {import('./lib/options.mjs').Options} Options */
/** @typedef {import('./lib/poolers.mjs').Contender} Contender */
/** @typedef {import('./lib/scenarios.mjs').Scenario} Scenario */
/** @typedef {import('./lib/summary.mjs').RunResults} RunResults */

/** PostgreSQL connections beside those of the poolers: pgbench's set-up, truncating. */
const SPARE_CONNECTIONS = 20;

await runGuarded(main);

async function main() {
  const options = parseOptions(process.argv.slice(2));
  const sizes = chooseSizes(options);
  if (options.isHelp || options.isList) {
    const names = listScenarios(sizes).map(({ name }) => `${name}\n`);
    process.stdout.write(options.isHelp ? USAGE : names.join(''));
    return;
  }
  if (process.platform !== 'linux') {
    throw new Error('the benchmark reads CPU time and memory from /proc: it needs Linux');
  }
  /** @type {string[]} */
  const notices = [];
  const pgbench = pgbenchVersion();
  const scenarios = chooseScenarios(listScenarios(sizes), options, notices);
  const contenders = chooseContenders(options, notices);
  say(
    `PostgreSQL is starting and being filled; then ${contenders.map((c) => c.name).join(', ')}\n`,
  );
  const maxConnections = SPARE_CONNECTIONS + sizes.stalledClients + 20 * contenders.length;
  const postgres = await startPostgres(maxConnections);
  /** @type {RunResults} */
  const results = {
    format: 1,
    startedAt: new Date().toISOString(),
    command: describeCommand(process.argv.slice(2)),
    commit: describeCommit(),
    machine: describeMachine(),
    versions: { PostgreSQL: postgres.version, pgbench },
    options: { rounds: options.rounds, isQuick: options.isQuick, sizes },
    contenders,
    scenarios: [],
    notices,
  };
  notices.forEach((notice) => {
    say(`Notice: ${notice}\n`);
  });
  for (const scenario of scenarios) {
    say(`\n${scenario.name}: ${scenario.title}\n`);
    const run = { rounds: options.rounds, onProgress: showProgress };
    const result = await runScenario(scenario, contenders, postgres.target, run);
    showProgress('');
    results.scenarios.push(result);
    say(consoleTable(result, contenders));
    if (result.failure !== null) {
      say(`  FAILED: ${result.failure}\n`);
      process.exitCode = 1;
    }
    // After each scenario, so that a run broken off keeps what it has measured.
    writeResults(options.json, results);
  }
  say('\nRatios are medians of the rounds (smallest–largest), measured side by side in one run.\n');
}

/**
 * Tells how the run was started, without the directories of this machine.
 *
 * @param {readonly string[]} args
 */
function describeCommand(args) {
  const shown = args.map((arg) => arg.replace(/(^|=).*\//, '$1…/'));
  return ['npm run bench', ...(shown.length > 0 ? ['--', ...shown] : [])].join(' ');
}

/** @param {Options} options */
function chooseSizes({ isQuick, seconds }) {
  const sizes = isQuick ? QUICK_SIZES : FULL_SIZES;
  return seconds === null ? sizes : { ...sizes, seconds };
}

/**
 * @param {Options} options
 * @param {string[]} notices - added to
 * @returns {Contender[]} the baseline first
 */
function chooseContenders({ withPgbouncer, withFloor, isSelfCheck, nodePaths }, notices) {
  /** @type {Contender[]} */
  const contenders = [];
  const version = withPgbouncer ? pgbouncerVersion() : null;
  if (version !== null) {
    contenders.push({ name: 'PgBouncer', role: 'baseline', version, nodePath: null });
  } else if (withPgbouncer) {
    notices.push('PgBouncer is not installed (Debian: pgbouncer): no ratios.');
  }
  if (isSelfCheck) {
    if (version === null) {
      throw new Error('--self-check needs PgBouncer');
    }
    contenders.push({ name: 'PgBouncer again', role: 'machine-node', version, nodePath: null });
    return contenders;
  }
  contenders.push(maitredContender(process.execPath, 'machine-node'));
  for (const nodePath of nodePaths) {
    const contender = maitredContender(nodePath, 'other-node');
    if (contenders.some(({ name }) => name === contender.name)) {
      throw new Error(`--node ${nodePath}: ${contender.version} takes part already`);
    }
    contenders.push(contender);
  }
  if (withFloor) {
    contenders.push(bareRelayContender());
  }
  return contenders;
}

/**
 * @param {readonly Scenario[]} all
 * @param {Options} options
 * @param {string[]} notices - added to
 */
function chooseScenarios(all, { only }, notices) {
  const unknown = only?.filter((name) => !all.some((scenario) => scenario.name === name)) ?? [];
  if (unknown.length > 0) {
    throw new Error(`no such scenario: ${unknown.join(', ')} (see --list)`);
  }
  const chosen = all.filter(({ name }) => only?.includes(name) ?? true);
  const fileLimit = raiseFileLimit(Math.max(...chosen.map(({ files }) => files)));
  return chosen.filter(({ name, files }) => {
    if (files > fileLimit) {
      const limits = `it needs ${String(files)} open files, ${String(fileLimit)} are allowed`;
      notices.push(`Scenario ${name} is left out: ${limits} (see "ulimit -n").`);
    }
    return files <= fileLimit;
  });
}

/**
 * @param {string | null} file
 * @param {RunResults} results
 */
function writeResults(file, results) {
  if (file !== null) {
    mkdirSync(path.dirname(path.resolve(file)), { recursive: true });
    writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
  }
}

/** @param {string} text */
function say(text) {
  process.stdout.write(text);
}

/**
 * Shows what is going on in one line, on terminals only.
 *
 * @param {string} text - empty to clear the line
 */
function showProgress(text) {
  if (process.stderr.isTTY) {
    process.stderr.write(`\r\x1b[K${text === '' ? '' : `  ${text}`}`);
  }
}
