import type { MetricsSnapshot } from './metrics-snapshot.ts';

/** Names and values of the labels of one sample, any text. */
export type Labels = Readonly<Record<string, string>>;

/** One number of a family. */
export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

/** One metric with all its label sets, and how its samples follow from a snapshot. */
export interface MetricFamily {
  readonly name: string;
  /** A counter only grows, until the process or the thing it counts for starts anew. */
  readonly type: 'gauge' | 'counter';
  /** One sentence for people. */
  readonly help: string;
  readonly labelNames: readonly string[];
  /** Pure. No sample at all is what tells that a number is not known. */
  readonly samples: (snapshot: MetricsSnapshot) => readonly Sample[];
}

const NO_LABELS: Labels = {};

/** Describes a metric of one number without labels; `null` leaves it out of the scrape. */
export function single(
  type: MetricFamily['type'],
  name: string,
  help: string,
  value: (snapshot: MetricsSnapshot) => number | null,
): MetricFamily {
  return {
    name,
    type,
    help,
    labelNames: [],
    samples: (snapshot) => {
      const number = value(snapshot);
      return number === null ? [] : [{ labels: NO_LABELS, value: number }];
    },
  };
}

/** A table whose rows become label sets and whose columns become metrics. */
export interface LabelledTable<Row> {
  readonly type: MetricFamily['type'];
  readonly prefix: string;
  readonly rows: (snapshot: MetricsSnapshot) => readonly Row[];
  /** By label name; `null` becomes the empty text. */
  readonly labels: Readonly<Record<string, (row: Row) => string | number | null>>;
}

/** One column: end of the metric's name, help, and how its number is taken from a row. */
export type NumberColumn<Row> = readonly [
  suffix: string,
  help: string,
  value: (row: Row) => number,
];

/** Describes one metric for each column of a table, with a sample for each row. */
export function familiesOf<Row>(
  table: LabelledTable<Row>,
  columns: readonly NumberColumn<Row>[],
): readonly MetricFamily[] {
  const labelNames = Object.keys(table.labels);
  const labelsOf = (row: Row): Labels =>
    Object.fromEntries(
      Object.entries(table.labels).map(([name, read]) => [name, String(read(row) ?? '')]),
    );
  return columns.map(([suffix, help, value]) => ({
    name: `${table.prefix}_${suffix}`,
    type: table.type,
    help,
    labelNames,
    samples: (snapshot) =>
      table.rows(snapshot).map((row) => ({ labels: labelsOf(row), value: value(row) })),
  }));
}
