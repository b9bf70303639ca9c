import { labelText } from './label-text.ts';
import type { Sample } from './metric-family.ts';
import type { ClientNumbers } from './metrics-source.ts';

/** Most label sets with a client's own application name in one scrape. */
export const MAX_CLIENT_SERIES = 1_000;

/** The application name under which the clients beyond {@link MAX_CLIENT_SERIES} are counted. */
export const OTHER_APPLICATIONS = '(other)';

/** The labels of the client counts. */
export const CLIENT_LABELS = ['database', 'user', 'application_name', 'state'] as const;

/**
 * Counts clients by database, user, application name and state.
 *
 * Clients choose their application name: each one a new name would be a new time series for ever.
 * The names with most clients are kept, those of as many by the alphabet; the rest is counted
 * under one name for each database, user and state.
 */
export function clientSamples(clients: readonly ClientNumbers[]): readonly Sample[] {
  const counts = new Map<string, Sample & { value: number }>();
  const count = (labels: Sample['labels'], value: number): void => {
    const key = JSON.stringify(CLIENT_LABELS.map((name) => labels[name]));
    const sample = counts.get(key);
    if (sample === undefined) {
      counts.set(key, { labels, value });
    } else {
      sample.value += value;
    }
  };
  for (const client of clients) {
    count(labelsOf(client), 1);
  }
  if (counts.size > MAX_CLIENT_SERIES) {
    const ranked = [...counts].sort(([keyA, a], [keyB, b]) =>
      a.value === b.value ? (keyA < keyB ? -1 : 1) : b.value - a.value,
    );
    for (const [key, { labels, value }] of ranked.slice(MAX_CLIENT_SERIES)) {
      counts.delete(key);
      count({ ...labels, application_name: OTHER_APPLICATIONS }, value);
    }
  }
  return [...counts.values()];
}

function labelsOf(client: ClientNumbers): Sample['labels'] {
  return {
    // COMPAT: what the console shows while the client has not told.
    database: labelText(client.database ?? '(nodb)'),
    user: labelText(client.user ?? '(nouser)'),
    application_name: labelText(client.applicationName),
    state: client.state,
  };
}
