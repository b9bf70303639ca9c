/**
 * @typedef {object} Metric
 * @property {string} label - with its unit
 * @property {number} digits - decimals to print
 * @property {boolean} hasRatio - whether the ratio to the baseline tells something
 */

/**
 * What is measured, by the name used in samples. One table for the console and the report.
 *
 * @type {Readonly<Record<string, Metric>>}
 */
export const METRICS = {
  tps: { label: 'transactions/s', digits: 0, hasRatio: true },
  p50Ms: { label: 'latency p50, ms', digits: 3, hasRatio: true },
  p99Ms: { label: 'latency p99, ms', digits: 3, hasRatio: true },
  cpuUs: { label: 'CPU µs/transaction', digits: 1, hasRatio: true },
  cpuUserUs: { label: '… of it user', digits: 1, hasRatio: true },
  cpuSystemUs: { label: '… of it system', digits: 1, hasRatio: true },
  loginsPerSecond: { label: 'logins/s', digits: 0, hasRatio: true },
  loginP99Ms: { label: 'login p99, ms', digits: 2, hasRatio: true },
  quietP99Ms: { label: 'query p99 without logins, ms', digits: 3, hasRatio: true },
  busyP99Ms: { label: 'query p99 with them, ms', digits: 3, hasRatio: true },
  p99Growth: { label: 'query p99, with ÷ without', digits: 2, hasRatio: false },
  cpuPercent: { label: 'CPU, % of a core', digits: 0, hasRatio: true },
  mbPerSecond: { label: 'MB/s', digits: 0, hasRatio: true },
  cpuSeconds: { label: 'CPU s', digits: 2, hasRatio: true },
  cpuUserSeconds: { label: '… of it user', digits: 2, hasRatio: true },
  cpuSystemSeconds: { label: '… of it system', digits: 2, hasRatio: true },
  rssMb: { label: 'RSS, MB', digits: 1, hasRatio: false },
  rssGrowthMb: { label: 'RSS growth, MB', digits: 1, hasRatio: false },
  rssPerClientKb: { label: 'RSS growth per client, kB', digits: 2, hasRatio: false },
};

/**
 * Looks up a metric.
 *
 * @param {string} name
 * @returns {Metric}
 * @throws {RangeError} for an unknown name
 */
export function metricByName(name) {
  const metric = METRICS[name];
  if (metric === undefined) {
    throw new RangeError(`unknown metric: ${name}`);
  }
  return metric;
}
