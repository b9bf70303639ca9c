/**
 * Returns the value below which `fraction` of the samples lie (nearest rank).
 *
 * @param {readonly number[] | Float64Array} sorted - samples in ascending order, at least one
 * @param {number} fraction - 0 < fraction <= 1
 * @returns {number} one of the samples
 */
export function percentile(sorted, fraction) {
  const rank = Math.max(1, Math.ceil(fraction * sorted.length));
  const value = sorted[rank - 1];
  if (value === undefined) {
    throw new RangeError('percentile of no samples');
  }
  return value;
}

/**
 * Returns the median; for an even count, the mean of the middle two.
 *
 * @param {readonly number[]} samples - at least one, in any order
 * @returns {number}
 */
export function median(samples) {
  const sorted = samples.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  if (upper === undefined || lower === undefined) {
    throw new RangeError('median of no samples');
  }
  return (lower + upper) / 2;
}

/**
 * @typedef {object} RatioSummary
 * @property {number} median - median of the per-round ratios
 * @property {number} min - smallest per-round ratio
 * @property {number} max - largest per-round ratio
 */

/**
 * Summarises the ratios of two series measured side by side, paired round by round, so that a
 * disturbance of the machine that lasts longer than one measurement hits both sides of a ratio.
 *
 * @param {readonly number[]} numerators - one per round
 * @param {readonly number[]} denominators - one per round, same length
 * @returns {RatioSummary | null} null when a denominator is zero: no ratio exists
 */
export function pairedRatios(numerators, denominators) {
  if (numerators.length !== denominators.length) {
    throw new RangeError('paired series differ in length');
  }
  const ratios = numerators.map((numerator, round) => numerator / (denominators[round] ?? NaN));
  if (!ratios.every(Number.isFinite)) {
    return null;
  }
  return { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) };
}
