import {
  column,
  type ColumnType,
  defineTable,
  type ShowColumn,
  type ShowTable,
  sortedBy,
} from './show-columns.ts';
import type { StatsCounters, StatsSnapshot } from './snapshots.ts';
import type { Control } from './control.ts';

type CounterName = keyof StatsCounters;

interface CounterNames {
  readonly counter: CounterName;
  /** After `total_` in SHOW STATS, and the column of SHOW STATS_TOTALS unless told otherwise. */
  readonly total: string;
  /** After `avg_` in SHOW STATS. */
  readonly average: string;
  /** Column of SHOW STATS_TOTALS. */
  readonly bareTotal: string;
  /** Column of SHOW STATS_AVERAGES: the newer ones have a prefix that the older ones lack. */
  readonly bareAverage: string;
  /** After `total_` and `avg_` in the rows of SHOW TOTALS. */
  readonly row: string;
}

function olderCounter(counter: CounterName, name: string): CounterNames {
  return { counter, total: name, average: name, bareTotal: name, bareAverage: name, row: name };
}

function newerCounter(counter: CounterName, name: string, row: string): CounterNames {
  return { ...olderCounter(counter, name), bareAverage: `avg_${name}`, row };
}

/**
 * The names of each counter in the four tables, in the order in which all of them show it.
 *
 * @source PgBouncer manual, "Admin console": SHOW STATS, SHOW STATS_TOTALS, SHOW STATS_AVERAGES, SHOW TOTALS
 */
const COUNTERS: readonly CounterNames[] = [
  olderCounter('serverAssignmentCount', 'server_assignment_count'),
  olderCounter('xactCount', 'xact_count'),
  olderCounter('queryCount', 'query_count'),
  {
    counter: 'receivedBytes',
    total: 'received',
    average: 'recv',
    bareTotal: 'bytes_received',
    bareAverage: 'bytes_received',
    row: 'client_bytes',
  },
  {
    counter: 'sentBytes',
    total: 'sent',
    average: 'sent',
    bareTotal: 'bytes_sent',
    bareAverage: 'bytes_sent',
    row: 'server_bytes',
  },
  olderCounter('xactTimeUs', 'xact_time'),
  olderCounter('queryTimeUs', 'query_time'),
  olderCounter('waitTimeUs', 'wait_time'),
  newerCounter('clientParseCount', 'client_parse_count', 'ps_client_parse_count'),
  newerCounter('serverParseCount', 'server_parse_count', 'ps_server_parse_count'),
  newerCounter('bindCount', 'bind_count', 'ps_bind_count'),
  newerCounter('clientLoginCount', 'client_login_count', 'client_login_count'),
];

/** For an average that is not per second: the counter whose events it is an average of. */
const WEIGHTS: ReadonlyMap<CounterName, CounterName> = new Map<CounterName, CounterName>([
  ['xactTimeUs', 'xactCount'],
  ['queryTimeUs', 'queryCount'],
  ['waitTimeUs', 'serverAssignmentCount'],
]);

const NUMERIC: ColumnType = 'numeric';

function totalColumns(name: (names: CounterNames) => string): readonly ShowColumn<StatsSnapshot>[] {
  return COUNTERS.map((names) =>
    column(name(names), NUMERIC, ({ totals }) => totals[names.counter]),
  );
}

function averageColumns(
  name: (names: CounterNames) => string,
): readonly ShowColumn<StatsSnapshot>[] {
  return COUNTERS.map((names) =>
    column(name(names), NUMERIC, ({ averages }) => averages[names.counter]),
  );
}

const DATABASE = column<StatsSnapshot>('database', 'text', ({ database }) => database);

function sortedStats(control: Control): readonly StatsSnapshot[] {
  return sortedBy(control.stats(), ({ database }) => database);
}

/** SHOW STATS: totals and averages of each database, sorted by name. */
export const SHOW_STATS: ShowTable = defineTable(
  [
    DATABASE,
    ...totalColumns(({ total }) => `total_${total}`),
    ...averageColumns(({ average }) => `avg_${average}`),
  ],
  sortedStats,
);

/** SHOW STATS_TOTALS: totals of each database, sorted by name. */
export const SHOW_STATS_TOTALS: ShowTable = defineTable(
  [DATABASE, ...totalColumns(({ bareTotal }) => bareTotal)],
  sortedStats,
);

/** SHOW STATS_AVERAGES: averages of each database, sorted by name. */
export const SHOW_STATS_AVERAGES: ShowTable = defineTable(
  [DATABASE, ...averageColumns(({ bareAverage }) => bareAverage)],
  sortedStats,
);

function sum(stats: readonly StatsSnapshot[], value: (entry: StatsSnapshot) => number): number {
  return stats.reduce((total, entry) => total + value(entry), 0);
}

/** A rate of all databases is the sum of theirs; a mean duration is weighed by its events. */
function overallAverage(stats: readonly StatsSnapshot[], counter: CounterName): number {
  const weight = WEIGHTS.get(counter);
  if (weight === undefined) {
    return sum(stats, ({ averages }) => averages[counter]);
  }
  const events = sum(stats, ({ averages }) => averages[weight]);
  const time = sum(stats, ({ averages }) => averages[counter] * averages[weight]);
  return events === 0 ? 0 : time / events;
}

interface NamedValue {
  readonly name: string;
  readonly value: number;
}

function overallRows(control: Control): readonly NamedValue[] {
  const stats = control.stats();
  return [
    ...COUNTERS.map(({ counter, row }) => ({
      name: `total_${row}`,
      value: sum(stats, ({ totals }) => totals[counter]),
    })),
    ...COUNTERS.map(({ counter, row }) => ({
      name: `avg_${row}`,
      value: overallAverage(stats, counter),
    })),
  ];
}

/** SHOW TOTALS: the statistics of all databases together, one counter a row. */
export const SHOW_TOTALS: ShowTable = defineTable<NamedValue>(
  [column('name', 'text', ({ name }) => name), column('value', NUMERIC, ({ value }) => value)],
  overallRows,
);
