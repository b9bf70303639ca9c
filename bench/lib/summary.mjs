import { median, pairedRatios } from './statistics.mjs';

/** @typedef {import('./poolers.mjs').Contender} Contender */
/** @typedef {import('./runner.mjs').ScenarioResult} ScenarioResult */
/** @typedef {import('./statistics.mjs').RatioSummary} RatioSummary */

/**
 * @typedef {object} RunResults
 * @property {1} format - of this file
 * @property {string} startedAt - ISO 8601
 * @property {string} command - that made it
 * @property {{ hash: string, isModified: boolean }} commit - `isModified`: uncommitted changes
 * @property {{ cpuModel: string, cores: number, memoryGb: number, system: string }} machine
 * @property {Record<string, string>} versions - of PostgreSQL and pgbench
 * @property {{ rounds: number, isQuick: boolean, sizes: import('./scenarios.mjs').Sizes }} options
 * @property {Contender[]} contenders - the baseline, if any, first
 * @property {ScenarioResult[]} scenarios
 * @property {string[]} notices - what was left out and why
 */

/**
 * Lists the metrics that a scenario has measured, in the order of measuring.
 *
 * @param {ScenarioResult} scenario
 * @returns {string[]}
 */
export function metricNames(scenario) {
  return Object.keys(Object.values(scenario.samples).flat()[0] ?? {});
}

/**
 * Returns one metric of one contender in all rounds.
 *
 * @param {ScenarioResult} scenario
 * @param {Contender} contender
 * @param {string} metric
 * @returns {number[]} one value per round; empty when it was not measured
 */
export function series(scenario, contender, metric) {
  const samples = scenario.samples[contender.name] ?? [];
  return samples.flatMap((sample) => sample[metric] ?? []);
}

/**
 * Returns the median over the rounds.
 *
 * @param {ScenarioResult} scenario
 * @param {Contender} contender
 * @param {string} metric
 * @returns {number | null} null when it was not measured
 */
export function medianOf(scenario, contender, metric) {
  const values = series(scenario, contender, metric);
  return values.length === 0 ? null : median(values);
}

/**
 * Compares one contender with the baseline.
 *
 * @param {ScenarioResult} scenario
 * @param {Contender} contender
 * @param {Contender} baseline
 * @param {string} metric
 * @returns {RatioSummary | null} null without a complete series on both sides
 */
export function ratioOf(scenario, contender, baseline, metric) {
  const own = series(scenario, contender, metric);
  const other = series(scenario, baseline, metric);
  const isComplete = own.length > 0 && own.length === other.length;
  return isComplete ? pairedRatios(own, other) : null;
}

/**
 * Formats a ratio with its spread: "1.02 (0.98–1.05)".
 *
 * @param {RatioSummary} ratio
 * @returns {string}
 */
export function ratioText(ratio) {
  return `${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)}–${ratio.max.toFixed(2)})`;
}
