import path from 'node:path';
import { parseArgs } from 'node:util';

/** Where results go by default, beside the benchmark and outside version control. */
const DEFAULT_RESULTS = path.join('bench', 'results', 'latest.json');
const DEFAULT_ROUNDS = 5;
const QUICK_ROUNDS = 2;

/** Where each client may have a server connection of its own. */
export const FLOOR_SCENARIOS = ['simple-20', 'extended-20', 'tls-simple-20'];

export const USAGE = `Usage: npm run bench -- [options]

Compares maitred with PgBouncer, taking turns on one machine, by means of pgbench.

  --only NAME,NAME   run these scenarios only
  --rounds N         measurements of each pooler in each scenario (${String(DEFAULT_ROUNDS)})
  --seconds N        duration of one pgbench measurement (10)
  --node PATH        also run maitred on this Node.js; may be repeated
  --json FILE        where to write the results (${DEFAULT_RESULTS})
  --no-pgbouncer     measure maitred alone
  --floor            also measure what any pooler on Node.js costs at least, in ${FLOOR_SCENARIOS.join(', ')}
  --quick            a smoke test: short, ${String(QUICK_ROUNDS)} rounds; writes results with --json only
  --list             print the names of the scenarios
  --help             print this text

"node bench/report.mjs FILE" turns results into docs/benchmarks.md.
`;

/**
 * @typedef {object} Options
 * @property {boolean} isQuick
 * @property {number} rounds
 * @property {number | null} seconds - null: by the size of the run
 * @property {readonly string[] | null} only - null: all scenarios
 * @property {string | null} json - null: write no file
 * @property {boolean} withPgbouncer
 * @property {boolean} withFloor
 * @property {boolean} isSelfCheck - PgBouncer against itself: ratios must come out near 1
 * @property {readonly string[]} nodePaths
 * @property {boolean} isList
 * @property {boolean} isHelp
 */

/**
 * Reads the command line.
 *
 * @param {readonly string[]} args
 * @returns {Options}
 * @throws {Error} for what it does not understand
 */
export function parseOptions(args) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      only: { type: 'string' },
      json: { type: 'string' },
      'no-pgbouncer': { type: 'boolean', default: false },
      floor: { type: 'boolean', default: false },
      'self-check': { type: 'boolean', default: false },
      node: { type: 'string', multiple: true, default: [] },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values['self-check'] && (values['no-pgbouncer'] || values.node.length > 0)) {
    throw new Error('--self-check compares PgBouncer with itself alone');
  }
  const writesByDefault = !values.quick && !values['self-check'];
  return {
    isQuick: values.quick,
    rounds: count('--rounds', values.rounds) ?? (values.quick ? QUICK_ROUNDS : DEFAULT_ROUNDS),
    seconds: count('--seconds', values.seconds),
    only: chosenNames(values.only, values.floor),
    json: values.json ?? (writesByDefault ? DEFAULT_RESULTS : null),
    withPgbouncer: !values['no-pgbouncer'],
    withFloor: values.floor,
    isSelfCheck: values['self-check'],
    nodePaths: values.node.map((nodePath) => path.resolve(nodePath)),
    isList: values.list,
    isHelp: values.help,
  };
}

/**
 * @param {string | undefined} text
 * @param {boolean} withFloor
 * @returns {string[] | null}
 */
function chosenNames(text, withFloor) {
  const names = text?.split(',').map((name) => name.trim()) ?? (withFloor ? FLOOR_SCENARIOS : null);
  const other = withFloor ? names?.find((name) => !FLOOR_SCENARIOS.includes(name)) : undefined;
  if (other !== undefined) {
    throw new Error(`--floor takes part in ${FLOOR_SCENARIOS.join(', ')}, not in ${other}`);
  }
  return names;
}

/**
 * @param {string} name
 * @param {string | undefined} text
 * @returns {number | null}
 */
function count(name, text) {
  if (text === undefined) {
    return null;
  }
  if (!/^[1-9]\d{0,5}$/.test(text)) {
    throw new Error(`${name} takes a whole number above 0, not "${text}"`);
  }
  return Number(text);
}
