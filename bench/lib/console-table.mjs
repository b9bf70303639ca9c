import { metricByName } from './metrics.mjs';
import { medianOf, metricNames, ratioOf, ratioText } from './summary.mjs';

/**
 * Formats one scenario's results for a terminal: medians, and ratios to the baseline with the
 * smallest and largest of the rounds.
 *
 * @param {import('./runner.mjs').ScenarioResult} scenario
 * @param {readonly import('./poolers.mjs').Contender[]} contenders
 * @returns {string} lines, the last one ended
 */
export function consoleTable(scenario, contenders) {
  const baseline = contenders.find(({ role }) => role === 'baseline');
  const others = contenders.filter((contender) => contender !== baseline);
  const header = ['median', ...contenders.map(({ name }) => name)];
  if (baseline !== undefined) {
    header.push(...others.map(({ name }) => `${name} / ${baseline.name}`));
  }
  const rows = metricNames(scenario).map((metric) => {
    const { label, digits, hasRatio } = metricByName(metric);
    const medians = contenders.map(
      (contender) => medianOf(scenario, contender, metric)?.toFixed(digits) ?? '-',
    );
    const ratios = (baseline === undefined ? [] : others).map((contender) => {
      const ratio = baseline && hasRatio ? ratioOf(scenario, contender, baseline, metric) : null;
      return ratio === null || ratio === undefined ? '' : ratioText(ratio);
    });
    return [label, ...medians, ...ratios];
  });
  return align([header, ...rows]);
}

/** @param {readonly (readonly string[])[]} rows */
function align(rows) {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  const lines = rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column === 0 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('  ')
      .trimEnd(),
  );
  return `${lines.map((line) => `  ${line}`).join('\n')}\n`;
}
