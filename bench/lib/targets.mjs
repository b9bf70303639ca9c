import { medianOf, ratioOf, ratioText } from './summary.mjs';

/** @typedef {import('./poolers.mjs').Contender} Contender */
/** @typedef {import('./summary.mjs').RunResults} RunResults */

/**
 * @typedef {object} Target
 * @property {string} scenario
 * @property {string} metric
 * @property {'ratio' | 'absolute'} kind - of the value: to the baseline, or maitred's own
 * @property {'at-most' | 'at-least' | 'below'} bound
 * @property {number} machineNode - limit for the Node.js of the machine
 * @property {number} otherNode - limit for a Node.js named by `--node`, the newest
 */

const SELECTS = ['simple-20', 'simple-100', 'extended-20', 'extended-100'];

/** What maitred is meant to reach, in the order of the report. @type {readonly Target[]} */
export const TARGETS = [
  ...SELECTS.map((scenario) => ratio(scenario, 'cpuUs', 'at-most', [1.25, 1.1])),
  ...[...SELECTS, 'update-20'].map((scenario) => ratio(scenario, 'tps', 'at-least', [0.9, 1])),
  ratio('simple-100', 'p99Ms', 'at-most', [1.15, 1.15]),
  ratio('extended-100', 'p99Ms', 'at-most', [1.15, 1.15]),
  ratio('copy-out', 'mbPerSecond', 'at-least', [1.2, 1.2]),
  ratio('copy-in', 'mbPerSecond', 'at-least', [1, 1]),
  ratio('connect', 'tps', 'at-least', [0.6, 0.6]),
  absolute('scram-logins', 'loginsPerSecond', 'at-least', 490),
  absolute('scram-logins', 'p99Growth', 'below', 2),
  ratio('tls-simple-20', 'cpuUs', 'at-most', [1.3, 1.3]),
  ratio('tls-simple-100', 'cpuUs', 'at-most', [1.3, 1.3]),
  ratio('tls-connect', 'tps', 'at-least', [0.7, 0.7]),
  ratio('tls-copy-out', 'mbPerSecond', 'at-least', [1, 1]),
  absolute('idle', 'rssPerClientKb', 'at-most', 8),
  absolute('stalled', 'rssGrowthMb', 'below', 50),
];

/**
 * @typedef {object} Verdict
 * @property {string} limit - as text: "≤ 1.25"
 * @property {string | null} measured - as text, with the spread of a ratio; null: not measured
 * @property {boolean} isMet - false for what was not measured
 */

/**
 * Judges one target for one contender, by the median over the rounds.
 *
 * @param {Target} target
 * @param {RunResults} results
 * @param {Contender} contender - one of maitred's
 * @returns {Verdict}
 */
export function judge(target, results, contender) {
  const limit = contender.role === 'other-node' ? target.otherNode : target.machineNode;
  const limitText = `${BOUND_SIGNS[target.bound]} ${String(limit)}`;
  const value = measuredValue(target, results, contender);
  return {
    limit: limitText,
    measured: value?.text ?? null,
    isMet: value !== null && isWithin(value.number, target.bound, limit),
  };
}

const BOUND_SIGNS = { 'at-most': '≤', 'at-least': '≥', below: '<' };

/**
 * @param {Target} target
 * @param {RunResults} results
 * @param {Contender} contender
 * @returns {{ number: number, text: string } | null}
 */
function measuredValue(target, results, contender) {
  const scenario = results.scenarios.find(({ name }) => name === target.scenario);
  // A scenario that broke off may have samples of the rounds before: they prove nothing.
  if (scenario === undefined || scenario.failure !== null) {
    return null;
  }
  if (target.kind === 'absolute') {
    const number = medianOf(scenario, contender, target.metric);
    return number === null ? null : { number, text: number.toFixed(1) };
  }
  const baseline = results.contenders.find(({ role }) => role === 'baseline');
  const found = baseline ? ratioOf(scenario, contender, baseline, target.metric) : null;
  return found === null ? null : { number: found.median, text: ratioText(found) };
}

/**
 * @param {number} value
 * @param {Target['bound']} bound
 * @param {number} limit
 */
function isWithin(value, bound, limit) {
  switch (bound) {
    case 'at-most':
      return value <= limit;
    case 'at-least':
      return value >= limit;
    case 'below':
      return value < limit;
  }
}

/**
 * @param {string} scenario
 * @param {string} metric
 * @param {Target['bound']} bound
 * @param {readonly [number, number]} limits - Node.js of the machine, newest
 * @returns {Target}
 */
function ratio(scenario, metric, bound, [machineNode, otherNode]) {
  return { scenario, metric, kind: 'ratio', bound, machineNode, otherNode };
}

/**
 * @param {string} scenario
 * @param {string} metric
 * @param {Target['bound']} bound
 * @param {number} limit
 * @returns {Target}
 */
function absolute(scenario, metric, bound, limit) {
  return { scenario, metric, kind: 'absolute', bound, machineNode: limit, otherNode: limit };
}
