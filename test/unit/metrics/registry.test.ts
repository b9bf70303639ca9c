import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { MetricsSnapshot } from '../../../src/metrics/metrics-snapshot.ts';
import { METRIC_FAMILIES, MetricsRegistry } from '../../../src/metrics/registry.ts';
import { numberOf, parseExposition } from '../../support/exposition.ts';
import type { Scrape } from '../../support/exposition.ts';
import { EXPORTER_CONTRACT } from './exporter-contract.ts';
import { CLIENT, DATABASE, POOL, SNAPSHOT, STATS } from './samples.ts';

/** Scrapes a snapshot that differs from the usual one. */
async function scrapeOf(changes: Partial<MetricsSnapshot> = {}): Promise<Scrape> {
  const registry = new MetricsRegistry(() => Promise.resolve({ ...SNAPSHOT, ...changes }));
  return parseExposition(await registry.scrape());
}

describe('the metrics of pgbouncer_exporter', () => {
  it.each(EXPORTER_CONTRACT)('%s is a %s with its labels and value', async (...row) => {
    const [name, type, labels, value] = row;
    const family = (await scrapeOf()).get(name);
    expect(family?.type).toBe(type);
    expect(family?.samples.map((sample) => Object.keys(sample.labels))).toEqual([labels]);
    expect(family?.samples[0]?.value).toBe(value);
  });

  it('are all there is under its prefix', async () => {
    const names = [...(await scrapeOf()).keys()].filter((name) => name.startsWith('pgbouncer_'));
    expect(names.sort()).toEqual(EXPORTER_CONTRACT.map(([name]) => name).sort());
  });

  it('name databases, pools, clients and the version in their labels', async () => {
    const scrape = await scrapeOf();
    const labelsOf = (name: string): unknown => scrape.get(name)?.samples[0]?.labels;
    expect(labelsOf('pgbouncer_databases_pool_size')).toEqual({
      name: 'app',
      host: 'db.example',
      port: '5433',
      database: 'app_prod',
      force_user: 'owner',
      pool_mode: 'transaction',
    });
    expect(labelsOf('pgbouncer_stats_totals_binds_total')).toEqual({ database: 'app' });
    expect(labelsOf('pgbouncer_pools_client_maxwait_seconds')).toEqual({
      database: 'app',
      user: 'alice',
    });
    expect(labelsOf('pgbouncer_client_connections')).toEqual({
      database: 'app',
      user: 'alice',
      application_name: 'web',
      state: 'active',
    });
    expect(labelsOf('pgbouncer_version_info')).toEqual({ version: SNAPSHOT.version });
  });

  it('have empty labels for NULL', async () => {
    const databases = [{ ...DATABASE, host: null, forceUser: null, poolMode: null }];
    const labels = { host: '', force_user: '', pool_mode: '' };
    expect(numberOf(await scrapeOf({ databases }), 'pgbouncer_databases_pool_size', labels)).toBe(
      20,
    );
  });

  it('have one sample for each row, and none for no row', async () => {
    const pools = [POOL, { ...POOL, user: 'bob', clWaiting: 99 }];
    const scrape = await scrapeOf({ pools, stats: [] });
    const name = 'pgbouncer_pools_client_waiting_connections';
    expect(numberOf(scrape, name, { user: 'alice' })).toBe(2);
    expect(numberOf(scrape, name, { user: 'bob' })).toBe(99);
    expect(scrape.get('pgbouncer_stats_totals_binds_total')).toMatchObject({
      type: 'counter',
      samples: [],
    });
  });

  it('leave out a setting that is no number', async () => {
    const settings = [{ key: 'max_client_conn', value: null }];
    const scrape = await scrapeOf({ settings });
    expect(scrape.get('pgbouncer_config_max_client_connections')?.samples).toEqual([]);
  });
});

describe('the metrics of the process', () => {
  it('leave out what the system does not tell', async () => {
    const { process } = SNAPSHOT;
    const scrape = await scrapeOf({ process: { ...process, openFds: null, maxFds: null } });
    expect(scrape.get('pgbouncer_process_open_fds')?.samples).toEqual([]);
    expect(scrape.get('pgbouncer_process_max_fds')?.samples).toEqual([]);
    expect(numberOf(scrape, 'pgbouncer_process_resident_memory_bytes')).toBe(82);
  });

  it('tell how busy the event loop is', async () => {
    const scrape = await scrapeOf();
    const expiry = 'maitred_tls_certificate_expiry_timestamp_seconds';
    const labels = { setting: 'client_tls_cert_file', file: '/etc/tls.crt' };
    expect(numberOf(scrape, expiry, labels)).toBe(1_800_000_000.5);
    expect(numberOf(scrape, 'maitred_event_loop_active_seconds_total')).toBe(91.5);
    expect(numberOf(scrape, 'maitred_event_loop_idle_seconds_total')).toBe(92.5);
    expect(numberOf(scrape, 'maitred_event_loop_lag_mean_seconds')).toBe(0.001);
    expect(numberOf(scrape, 'maitred_event_loop_lag_p99_seconds')).toBe(0.002);
    expect(numberOf(scrape, 'maitred_event_loop_lag_max_seconds')).toBe(0.003);
  });

  it('leave out the lag before it was measured', async () => {
    const scrape = await scrapeOf({ eventLoop: { ...SNAPSHOT.eventLoop, lag: null } });
    expect(scrape.get('maitred_event_loop_lag_max_seconds')?.samples).toEqual([]);
  });
});

describe('the metrics of logins', () => {
  it('count refused logins by reason, and tell how many wait', async () => {
    const scrape = await scrapeOf();
    const name = 'maitred_client_login_failures_total';
    expect(scrape.get(name)?.type).toBe('counter');
    expect(numberOf(scrape, name, { reason: 'wrong_password' })).toBe(111);
    expect(numberOf(scrape, name, { reason: 'backoff' })).toBe(112);
    expect(numberOf(scrape, 'maitred_client_logins_waiting')).toBe(113);
    expect(numberOf(scrape, 'maitred_client_login_buffer_bytes')).toBe(114);
  });
});

describe('hostile labels', () => {
  const LINE_BREAKS = '\u000b\f\r\u001c\u001d\u001e\u0085\u2028\u2029';

  it.each([
    ['quotes', 'a"b" 1', 'a"b" 1'],
    ['backslashes', '\\', '\\'],
    ['a backslash before n', '\\n', '\\n'],
    ['a quote that ends the labels', 'x"} 7\npgbouncer_up 0', 'x"} 7\npgbouncer_up 0'],
    ['line feeds', '\n\n# HELP a b', '\n\n# HELP a b'],
    ['other ends of lines', LINE_BREAKS, '\ufffd'.repeat(LINE_BREAKS.length)],
    ['a zero byte', '\0', '\ufffd'],
    ['lone surrogates', 'a\ud800b\udc00', 'a\ufffdb\ufffd'],
    ['a pair of surrogates', '\u{1f37d}', '\u{1f37d}'],
    ['a pair cut in two', `${'x'.repeat(255)}\u{1f37d}`, `${'x'.repeat(255)}\ufffd`],
    ['names of Object.prototype', '__proto__', '__proto__'],
    ['too much text', 'y'.repeat(10_000), 'y'.repeat(256)],
  ])('with %s stay in their label', async (_what, text, shown) => {
    const scrape = await scrapeOf({
      pools: [{ ...POOL, database: text, user: text }],
      clients: [{ ...CLIENT, applicationName: text }],
      stats: [{ ...STATS, database: text }],
      version: text,
    });
    const pool = { database: shown, user: shown };
    expect(numberOf(scrape, 'pgbouncer_pools_client_active_connections', pool)).toBe(1);
    expect(numberOf(scrape, 'pgbouncer_client_connections', { application_name: shown })).toBe(1);
    expect(numberOf(scrape, 'pgbouncer_stats_totals_binds_total', { database: shown })).toBe(40);
    expect(numberOf(scrape, 'pgbouncer_version_info', { version: shown })).toBe(1);
    expect(numberOf(scrape, 'pgbouncer_up')).toBe(1);
  });

  it('that look alike once cleaned are summed, since a label set may come once', async () => {
    const pools = [
      { ...POOL, user: '\ud800' },
      { ...POOL, user: '\udfff' },
    ];
    const scrape = await scrapeOf({ pools });
    const name = 'pgbouncer_pools_client_waiting_connections';
    expect(numberOf(scrape, name, { user: '\ufffd' })).toBe(4);
  });

  it('do not pass for others by holding names of labels', async () => {
    const pools = [
      { ...POOL, database: 'a', user: 'b,user:c', clWaiting: 3 },
      { ...POOL, database: 'a,user:b', user: 'c', clWaiting: 5 },
    ];
    const scrape = await scrapeOf({ pools });
    const name = 'pgbouncer_pools_client_waiting_connections';
    expect(numberOf(scrape, name, { database: 'a' })).toBe(3);
    expect(numberOf(scrape, name, { database: 'a,user:b' })).toBe(5);
  });
});

describe('a scrape', () => {
  it('leaves out numbers that are none', async () => {
    const pools = [{ ...POOL, svIdle: Number.NaN, svUsed: Number.POSITIVE_INFINITY }];
    const scrape = await scrapeOf({ pools });
    expect(scrape.get('pgbouncer_pools_server_idle_connections')?.samples).toEqual([]);
    expect(scrape.get('pgbouncer_pools_server_used_connections')?.samples).toEqual([]);
    expect(numberOf(scrape, 'pgbouncer_pools_server_active_connections')).toBe(5);
  });

  it('takes one snapshot, which those share that come meanwhile', async () => {
    let count = 0;
    const registry = new MetricsRegistry(() => {
      count += 1;
      return Promise.resolve({ ...SNAPSHOT, pools: [{ ...POOL, clActive: count }] });
    });
    const [first, second] = await Promise.all([registry.scrape(), registry.scrape()]);
    expect(second).toBe(first);
    const third = parseExposition(await registry.scrape());
    expect(numberOf(third, 'pgbouncer_pools_client_active_connections')).toBe(2);
    expect(count).toBe(2);
  });

  it('forgets the rows of the one before', async () => {
    const rows = [[POOL], [{ ...POOL, user: 'bob' }]];
    const registry = new MetricsRegistry(() =>
      Promise.resolve({ ...SNAPSHOT, pools: rows.shift() ?? [] }),
    );
    await registry.scrape();
    const scrape = parseExposition(await registry.scrape());
    const { samples } = scrape.get('pgbouncer_pools_client_active_connections') ?? {};
    expect(samples?.map(({ labels }) => labels['user'])).toEqual(['bob']);
  });

  it('fails with its snapshot, and works again with the next one', async () => {
    let isBroken = true;
    const registry = new MetricsRegistry(() =>
      isBroken ? Promise.reject(new Error('no numbers')) : Promise.resolve(SNAPSHOT),
    );
    await expect(registry.scrape()).rejects.toThrow('no numbers');
    isBroken = false;
    expect(await registry.scrape()).toContain('pgbouncer_up 1');
  });

  it('is told to be the text format of Prometheus', () => {
    const registry = new MetricsRegistry(() => Promise.resolve(SNAPSHOT));
    expect(registry.contentType).toBe('text/plain; version=0.0.4; charset=utf-8');
  });
});

describe('docs/METRICS.md', () => {
  const text = readFileSync(new URL('../../../docs/METRICS.md', import.meta.url), 'utf8');

  it('names every metric and no other', () => {
    const named = [...text.matchAll(/`((?:pgbouncer|maitred)_[a-z0-9_]+)`/g)].map(([, it]) => it);
    expect([...new Set(named)].sort()).toEqual(METRIC_FAMILIES.map(({ name }) => name).sort());
  });
});
