import type { EventLoopUsage } from './event-loop-monitor.ts';
import type {
  CertificateNumbers,
  ClientNumbers,
  DatabaseNumbers,
  DatabaseTotals,
  ListNumbers,
  LoginNumbers,
  MetricsSource,
  PoolNumbers,
  SettingText,
} from './metrics-source.ts';
import type { ProcessUsage } from './process-usage.ts';

/** Everything that one scrape shows, taken once so that its numbers belong together. */
export interface MetricsSnapshot {
  readonly pools: readonly PoolNumbers[];
  readonly clients: readonly ClientNumbers[];
  readonly databases: readonly DatabaseNumbers[];
  readonly stats: readonly DatabaseTotals[];
  readonly lists: ListNumbers;
  readonly logins: LoginNumbers;
  readonly certificates: readonly CertificateNumbers[];
  readonly settings: readonly SettingText[];
  readonly version: string;
  readonly process: ProcessUsage;
  readonly eventLoop: EventLoopUsage;
}

/** Takes a snapshot of the pooler beside numbers of the process that were read just before. */
export function takeSnapshot(
  source: MetricsSource,
  process: ProcessUsage,
  eventLoop: EventLoopUsage,
): MetricsSnapshot {
  return {
    pools: source.pools(),
    clients: source.clients(),
    databases: source.databases(),
    stats: source.stats(),
    lists: source.lists(),
    logins: source.logins(),
    certificates: source.certificates(),
    settings: source.settings(),
    version: source.version(),
    process,
    eventLoop,
  };
}
