import type { StatsCounters, StatsSnapshot } from '../admin/snapshots.ts';
import { PoolStats } from '../pool/pool-stats.ts';
import type { Pooler } from './pooler.ts';

/** Name under which the console's own numbers are shown. */
const CONSOLE_DATABASE = 'pgbouncer';

/** The totals of all databases at one moment. */
interface Sample {
  readonly atMs: number;
  readonly byDatabase: ReadonlyMap<string, PoolStats>;
}

/**
 * Totals and averages of SHOW STATS. Averages are over the time since the sample before last, so
 * between one and two `stats_period`, as PgBouncer has them.
 */
export class Statistics {
  readonly #pooler: Pooler;
  #previous: Sample;
  #last: Sample;

  constructor(pooler: Pooler) {
    this.#pooler = pooler;
    // One second earlier, so that nothing is divided by zero in the first moment.
    this.#previous = { atMs: pooler.nowMs() - 1000, byDatabase: new Map() };
    this.#last = this.#previous;
  }

  #totals(): Map<string, PoolStats> {
    const totals = new Map<string, PoolStats>();
    for (const pool of this.#pooler.registry.pools) {
      let sum = totals.get(pool.database.name);
      if (sum === undefined) {
        sum = new PoolStats();
        totals.set(pool.database.name, sum);
      }
      if (pool.purpose === 'clients') {
        sum.add(pool.stats);
      } else {
        addQuestions(sum, pool.stats);
      }
    }
    const own = new PoolStats();
    own.clientLoginCount = this.#pooler.admissions.consoleLoginCount;
    own.queryCount = own.clientLoginCount;
    own.xactCount = own.clientLoginCount;
    totals.set(CONSOLE_DATABASE, own);
    return totals;
  }

  /** Takes the sample of one `stats_period` and returns the averages since the one before. */
  sample(): StatsCounters {
    const now: Sample = { atMs: this.#pooler.nowMs(), byDatabase: this.#totals() };
    const before = this.#last;
    this.#previous = this.#last;
    this.#last = now;
    const sum = (sample: Sample): PoolStats => {
      const all = new PoolStats();
      for (const stats of sample.byDatabase.values()) {
        all.add(stats);
      }
      return all;
    };
    return averages(sum(now), sum(before), now.atMs - before.atMs);
  }

  /** One row for each database with a pool. */
  snapshots(): StatsSnapshot[] {
    const nowMs = this.#pooler.nowMs();
    const rows: StatsSnapshot[] = [];
    for (const [database, stats] of this.#totals()) {
      const before = this.#previous.byDatabase.get(database) ?? new PoolStats();
      rows.push({
        database,
        totals: counters(stats),
        averages: averages(stats, before, nowMs - this.#previous.atMs),
      });
    }
    return rows;
  }
}

/** Runs of `auth_query` are nobody's queries: they show as load of the server only. */
function addQuestions(sum: PoolStats, stats: PoolStats): void {
  sum.serverAssignmentCount += stats.serverAssignmentCount;
  sum.sentBytes += stats.sentBytes;
  sum.waitTimeMs += stats.waitTimeMs;
}

function counters(stats: PoolStats): StatsCounters {
  return {
    serverAssignmentCount: stats.serverAssignmentCount,
    xactCount: stats.xactCount,
    queryCount: stats.queryCount,
    receivedBytes: stats.receivedBytes,
    sentBytes: stats.sentBytes,
    xactTimeUs: Math.round(stats.xactTimeMs * 1000),
    queryTimeUs: Math.round(stats.queryTimeMs * 1000),
    waitTimeUs: Math.round(stats.waitTimeMs * 1000),
    clientParseCount: 0,
    serverParseCount: 0,
    bindCount: 0,
    clientLoginCount: stats.clientLoginCount,
  };
}

function averages(now: PoolStats, before: PoolStats, spanMs: number): StatsCounters {
  // A killed pool takes its numbers along: nothing may come out below zero.
  const difference = (a: number, b: number): number => Math.max(0, a - b);
  const seconds = Math.max(spanMs, 1) / 1000;
  const perSecond = (a: number, b: number): number => difference(a, b) / seconds;
  const perEvent = (a: number, b: number, events: number): number =>
    events === 0 ? 0 : (difference(a, b) * 1000) / events;
  return {
    serverAssignmentCount: perSecond(now.serverAssignmentCount, before.serverAssignmentCount),
    xactCount: perSecond(now.xactCount, before.xactCount),
    queryCount: perSecond(now.queryCount, before.queryCount),
    receivedBytes: perSecond(now.receivedBytes, before.receivedBytes),
    sentBytes: perSecond(now.sentBytes, before.sentBytes),
    xactTimeUs: perEvent(
      now.xactTimeMs,
      before.xactTimeMs,
      difference(now.xactCount, before.xactCount),
    ),
    queryTimeUs: perEvent(
      now.queryTimeMs,
      before.queryTimeMs,
      difference(now.queryCount, before.queryCount),
    ),
    waitTimeUs: perEvent(
      now.waitTimeMs,
      before.waitTimeMs,
      difference(now.serverAssignmentCount, before.serverAssignmentCount),
    ),
    clientParseCount: 0,
    serverParseCount: 0,
    bindCount: 0,
    clientLoginCount: perSecond(now.clientLoginCount, before.clientLoginCount),
  };
}
