/** One line with a number. */
export interface ScrapedSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One metric of a scrape. */
export interface ScrapedFamily {
  readonly type: string;
  readonly help: string;
  readonly samples: ScrapedSample[];
}

/** A scrape by metric name. */
export type Scrape = ReadonlyMap<string, ScrapedFamily>;

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const HELP_LINE = new RegExp(`^# HELP (${NAME}) (.+)$`);
const TYPE_LINE = new RegExp(`^# TYPE (${NAME}) (counter|gauge)$`);
const SAMPLE_LINE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)$`);
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\\\|\\"|\\n)*)"(,|$)/y;
const NUMBER = /^[+-]?(\d+(\.\d+)?([eE][+-]?\d+)?|Inf|NaN)$/;

/**
 * Reads the text format of Prometheus, more strictly than Prometheus does.
 *
 * @throws Error at the first line that breaks a rule of the format, or that repeats a label set.
 */
export function parseExposition(text: string): Scrape {
  const families = new Map<string, ScrapedFamily>();
  const helps = new Map<string, string>();
  const seen = new Set<string>();
  if (!text.endsWith('\n')) {
    throw new Error('the last line has no end');
  }
  for (const line of text.split('\n')) {
    const help = HELP_LINE.exec(line);
    const type = TYPE_LINE.exec(line);
    if (line === '') {
      continue;
    }
    if (help !== null) {
      helps.set(help[1] ?? '', help[2] ?? '');
    } else if (type !== null) {
      addFamily(families, helps, type[1] ?? '', type[2] ?? '');
    } else {
      const { name, sample } = parseSample(line);
      const family = families.get(name);
      const key = `${name} ${JSON.stringify(Object.entries(sample.labels).sort())}`;
      if (family === undefined || seen.has(key)) {
        throw new Error(`a sample without its type, or repeated: ${line}`);
      }
      seen.add(key);
      family.samples.push(sample);
    }
  }
  return families;
}

function addFamily(
  families: Map<string, ScrapedFamily>,
  helps: ReadonlyMap<string, string>,
  name: string,
  type: string,
): void {
  const help = helps.get(name);
  if (help === undefined || families.has(name)) {
    throw new Error(`${name} has no help, or comes twice`);
  }
  families.set(name, { type, help, samples: [] });
}

function parseSample(line: string): { name: string; sample: ScrapedSample } {
  const [, name, labels, value] = SAMPLE_LINE.exec(line) ?? [];
  if (name === undefined || value === undefined || !NUMBER.test(value)) {
    throw new Error(`no sample: ${line}`);
  }
  const number = Number(value.replace('Inf', 'Infinity'));
  return { name, sample: { labels: parseLabels(labels ?? '', line), value: number } };
}

function parseLabels(text: string, line: string): Record<string, string> {
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < text.length) {
    const [, name, value] = LABEL.exec(text) ?? [];
    if (name === undefined || value === undefined || name in labels) {
      throw new Error(`bad labels: ${line}`);
    }
    labels[name] = value.replace(/\\(.)/g, (_match, letter: string) =>
      letter === 'n' ? '\n' : letter,
    );
  }
  return labels;
}

/**
 * Finds one number of a scrape.
 *
 * @param labels - those that must match; the sample may have more.
 * @throws Error unless exactly one sample matches.
 */
export function numberOf(
  scrape: Scrape,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const matches = (scrape.get(name)?.samples ?? []).filter((sample) =>
    Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  );
  const [only, ...more] = matches;
  if (only === undefined || more.length > 0) {
    throw new Error(`${name}: ${String(matches.length)} samples match ${JSON.stringify(labels)}`);
  }
  return only.value;
}
