import { Counter, Gauge, Registry } from 'prom-client';
import { EXPORTER_FAMILIES } from './exporter-families.ts';
import { labelText } from './label-text.ts';
import { LOGIN_FAMILIES } from './login-families.ts';
import type { MetricFamily, Sample } from './metric-family.ts';
import type { MetricsSnapshot } from './metrics-snapshot.ts';
import { EVENT_LOOP_FAMILIES, PROCESS_FAMILIES } from './process-families.ts';
import { TLS_FAMILIES } from './tls-families.ts';

/** Every metric there is, in the order in which they are shown. */
export const METRIC_FAMILIES: readonly MetricFamily[] = [
  ...EXPORTER_FAMILIES,
  ...PROCESS_FAMILIES,
  ...EVENT_LOOP_FAMILIES,
  ...LOGIN_FAMILIES,
  ...TLS_FAMILIES,
];

interface Value {
  readonly labels: Record<string, string>;
  value: number;
}

type ReadValues = () => Value[];

/**
 * A gauge whose values are read at each scrape.
 *
 * `get` is replaced rather than fed by `collect`: prom-client keys series by label texts glued
 * together with `:` and `,`, so that values with such characters could pass for one another.
 */
class SnapshotGauge extends Gauge {
  readonly #read: ReadValues;

  constructor(family: MetricFamily, registry: Registry, read: ReadValues) {
    super(configuration(family, registry));
    this.#read = read;
  }

  override async get(): ReturnType<Gauge['get']> {
    return { ...(await super.get()), values: this.#read() };
  }
}

/** A counter whose values are read at each scrape; see {@link SnapshotGauge}. */
class SnapshotCounter extends Counter {
  readonly #read: ReadValues;

  constructor(family: MetricFamily, registry: Registry, read: ReadValues) {
    super(configuration(family, registry));
    this.#read = read;
  }

  override async get(): ReturnType<Counter['get']> {
    return { ...(await super.get()), values: this.#read() };
  }
}

/** Writes snapshots in the text format of Prometheus. */
export class MetricsRegistry {
  /** Takes the snapshot of a scrape. */
  readonly #takeSnapshot: () => Promise<MetricsSnapshot>;
  readonly #registry = new Registry();
  #snapshot: MetricsSnapshot | null = null;
  #scrape: Promise<string> | null = null;

  constructor(takeSnapshot: () => Promise<MetricsSnapshot>) {
    this.#takeSnapshot = takeSnapshot;
    for (const family of METRIC_FAMILIES) {
      const read = (): Value[] =>
        this.#snapshot === null ? [] : toValues(family.samples(this.#snapshot));
      if (family.type === 'counter') {
        new SnapshotCounter(family, this.#registry, read);
      } else {
        new SnapshotGauge(family, this.#registry, read);
      }
    }
  }

  /** Media type of what {@link MetricsRegistry.scrape} returns. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /**
   * Takes one snapshot and writes it. Callers that come while a scrape is under way share it, so
   * that many scrapers cost no more than one.
   *
   * @throws what taking the snapshot throws.
   */
  scrape(): Promise<string> {
    this.#scrape ??= this.#write().finally(() => {
      this.#scrape = null;
    });
    return this.#scrape;
  }

  async #write(): Promise<string> {
    this.#snapshot = await this.#takeSnapshot();
    try {
      return await this.#registry.metrics();
    } finally {
      // It may be large, and the next scrape is far.
      this.#snapshot = null;
    }
  }
}

function configuration(
  { name, help, labelNames }: MetricFamily,
  registry: Registry,
): { name: string; help: string; labelNames: string[]; registers: Registry[] } {
  return { name, help, labelNames: [...labelNames], registers: [registry] };
}

/**
 * Makes samples fit for the format, which allows each label set once: those that are alike after
 * unsafe characters were replaced are summed. Numbers that are none are left out.
 */
function toValues(samples: readonly Sample[]): Value[] {
  const values = new Map<string, Value>();
  for (const { labels, value } of samples) {
    if (!Number.isFinite(value)) {
      continue;
    }
    const safe = Object.entries(labels).map(([name, text]) => [name, labelText(text)] as const);
    const key = JSON.stringify(safe);
    const known = values.get(key);
    if (known === undefined) {
      values.set(key, { labels: Object.fromEntries(safe), value });
    } else {
      known.value += value;
    }
  }
  return [...values.values()];
}
