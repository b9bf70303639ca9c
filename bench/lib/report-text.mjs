import { metricByName } from './metrics.mjs';
import { medianOf, metricNames, ratioOf, ratioText } from './summary.mjs';
import { judge, TARGETS } from './targets.mjs';

/** @typedef {import('./poolers.mjs').Contender} Contender */
/** @typedef {import('./runner.mjs').ScenarioResult} ScenarioResult */
/** @typedef {import('./summary.mjs').RunResults} RunResults */

/** What profiles of the pgbench scenarios say (`perf record`, `perf stat`, callgrind). */
const LIMITS = `A transaction through a pooler is two reads, two writes and its share of a poll: both poolers make
the same calls, and for both of them the kernel is the larger part, about 72 % of the CPU time of maitred.
libuv reads and writes through the file layer (\`read\`, \`write\`) where PgBouncer uses \`recv\` and \`send\`,
which costs about 0.5 µs a transaction. The rest is user time. callgrind counts 11,500 instructions for a
simple SELECT on Node.js 20: 7,200 in the C++ of Node.js and V8 between the poll and the callback and in the
two write calls, spread over some hundred functions, and 4,300 in JavaScript, 900 of them for the headers
of four replies. Over TLS there are 19,000 more: 10,700 in OpenSSL, 2,800 in its and Node’s allocations, the
rest between the two; PgBouncer shares only the first. PgBouncer’s user time is 1.0 to 1.4 µs. As long as each event passes through the callback of a stream, a ratio of 1.1 is out of reach on such
short queries; with longer ones the difference of 2 to 3 µs a transaction weighs less.

Those are the shares of a quiet core. A process of Node.js touches more memory for a transaction than
one in C, and pays for it wherever caches are shared: with neighbours, or with 100 clients instead of
20, its user time rises by 2 to 3 µs, that of PgBouncer by 0.5 µs. The best rounds, 1.2 to 1.3 for CPU
time and 0.95 and more for transactions, are those without.

How low a ratio can be at all is measured by \`npm run bench -- --floor\`: a relay that copies bytes between
the handles of two sockets and does nothing else, on Node.js 20, took 1.34 (1.28–1.42) of PgBouncer’s CPU time
in simple-20, 1.48 (1.42–1.62) in extended-20 and 1.33 (1.29–1.33) in tls-simple-20, in a run in which
maitred took 1.38, 1.77 and 1.64. Targets below that, 1.3 over TLS included, cannot be met with 20 clients.

On a machine whose cores are all busy the figures scatter, since each process that is woken displaces
another one: rounds of the same pooler differ by a third. Bulk transfers gain most there, because a stream
of bulk data is read in fewer and larger pieces.`;

/**
 * Writes the results of one run as Markdown.
 *
 * @param {RunResults} results
 * @returns {string} not yet formatted
 */
export function reportText(results) {
  return [
    '# Benchmarks',
    'This page is generated from the results of one run of `npm run bench`.',
    ...conditionsSection(results),
    ...targetsSection(results),
    '## Results',
    'Medians of the rounds; in brackets, the smallest and largest ratio of any round.',
    ...results.scenarios.flatMap((scenario) => scenarioSection(scenario, results)),
    '## What limits it',
    LIMITS,
    '## Run it yourself',
    reproduceText(results),
    '',
  ].join('\n\n');
}

/** @param {RunResults} results */
function conditionsSection({ startedAt, command, commit, machine, versions, options, ...run }) {
  const commitText = commit.hash === 'unknown' ? 'unknown' : `\`${commit.hash.slice(0, 12)}\``;
  const { cpuModel, cores, memoryGb, system } = machine;
  const items = [
    `Command: \`${command}\``,
    `Date: ${startedAt.slice(0, 10)}; commit: ${commitText}${commit.isModified ? ', with uncommitted changes' : ''}`,
    `Machine: ${cpuModel}, ${String(cores)} cores, ${String(memoryGb)} GB, ${system}`,
    ...run.contenders.map(({ version }) => version),
    ...Object.entries(versions).map(([name, version]) => `${name}: ${version}`),
    ...run.notices.map((notice) => `Left out: ${notice}`),
  ];
  return [
    '## Conditions',
    items.map((item) => `- ${item}`).join('\n'),
    'Timings are ratios measured side by side in one run: ' +
      `${String(options.rounds)} rounds, in each of which every pooler is measured once, in turn. ` +
      `One pgbench measurement lasts ${String(options.sizes.seconds)} s. ` +
      'Load, poolers and PostgreSQL share the cores of the machine, so absolute numbers tell ' +
      'little about another one.',
    'All poolers have the same settings: `pool_mode` transaction, 20 server connections, ' +
      '`max_client_conn` 9000, `auth_type` trust, no TLS, no logging of connections and statistics. ' +
      'They connect to PostgreSQL by TCP on the same machine. ' +
      'CPU time is that of the pooler’s process, user and system, all threads.',
  ];
}

/** @param {RunResults} results */
function targetsSection(results) {
  const contenders = results.contenders.filter(({ role }) => role.endsWith('-node'));
  let metCount = 0;
  const rows = TARGETS.flatMap((target) =>
    contenders.map((contender) => {
      const { limit, measured, isMet } = judge(target, results, contender);
      metCount += isMet ? 1 : 0;
      const outcome = measured === null ? 'not measured' : isMet ? 'met' : '**missed**';
      const { label } = metricByName(target.metric);
      const what = target.kind === 'ratio' ? `${label}, ratio` : label;
      return [target.scenario, what, contender.name, limit, measured ?? '–', outcome];
    }),
  );
  const header = ['scenario', 'measure', 'pooler', 'target', 'measured', 'outcome'];
  const total = String(rows.length);
  return [
    '## Targets',
    `${String(metCount)} of ${total} are met, judged by the median. ` +
      'Ratios are maitred / PgBouncer: of CPU time and latency, less is better; of transactions ' +
      'and megabytes a second, more is better.',
    markdownTable(header, rows, ['scenario', 'measure', 'pooler', 'outcome']),
  ];
}

/**
 * @param {ScenarioResult} scenario
 * @param {RunResults} results
 */
function scenarioSection(scenario, { contenders }) {
  const heading = `### ${scenario.name}: ${scenario.title}`;
  if (scenario.failure !== null) {
    const reason = scenario.failure.split('\n', 1)[0] ?? '';
    return [heading, `This scenario failed and has no result: ${reason}`];
  }
  const metrics = metricNames(scenario);
  // Without a baseline, or where ratios tell nothing, there are no columns for them.
  const hasRatios = metrics.some((metric) => metricByName(metric).hasRatio);
  const baseline = hasRatios ? contenders.find(({ role }) => role === 'baseline') : undefined;
  const header = ['measure', ...contenders.flatMap((contender) => columnsOf(contender, baseline))];
  const rows = metrics.map((metric) => [
    metricByName(metric).label,
    ...contenders.flatMap((contender) => cellsOf(scenario, metric, contender, baseline)),
  ]);
  return [heading, markdownTable(header, rows, ['measure'])];
}

/**
 * @param {Contender} contender
 * @param {Contender | undefined} baseline
 */
function columnsOf(contender, baseline) {
  return hasRatioColumn(contender, baseline) ? [contender.name, 'ratio'] : [contender.name];
}

/**
 * @param {ScenarioResult} scenario
 * @param {string} metric
 * @param {Contender} contender
 * @param {Contender | undefined} baseline
 */
function cellsOf(scenario, metric, contender, baseline) {
  const { digits, hasRatio } = metricByName(metric);
  const cells = [medianOf(scenario, contender, metric)?.toFixed(digits) ?? '–'];
  if (baseline !== undefined && hasRatioColumn(contender, baseline)) {
    const ratio = hasRatio ? ratioOf(scenario, contender, baseline, metric) : null;
    cells.push(ratio === null ? '' : ratioText(ratio));
  }
  return cells;
}

/**
 * @param {Contender} contender
 * @param {Contender | undefined} baseline
 */
function hasRatioColumn(contender, baseline) {
  return baseline !== undefined && contender !== baseline;
}

/** @param {RunResults} results */
function reproduceText({ contenders }) {
  const hasOtherNode = contenders.some(({ role }) => role === 'other-node');
  const nodeOption = hasOtherNode ? ' -- --node /path/to/another/node' : '';
  return [
    'It needs pgbench and, for the comparison, PgBouncer on `PATH` (Debian: `postgresql-contrib`, ' +
      '`pgbouncer`); PostgreSQL itself comes with the development dependencies.',
    '',
    '```sh',
    'npm ci',
    `npm run bench${nodeOption}`,
    'node bench/report.mjs bench/results/latest.json',
    '```',
  ].join('\n');
}

/**
 * @param {readonly string[]} header
 * @param {readonly (readonly string[])[]} rows
 * @param {readonly string[]} textColumns - by header; the others hold numbers
 */
function markdownTable(header, rows, textColumns) {
  const line = (/** @type {readonly string[]} */ cells) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = header.map((name) => (textColumns.includes(name) ? '---' : '---:'));
  return [line(header), line(rule), ...rows.map(line)].join('\n');
}
