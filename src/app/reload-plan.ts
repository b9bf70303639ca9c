import type { ReloadChangeSnapshot } from '../admin/snapshots.ts';
import type { Config } from '../config/config.ts';
import { listReloadChanges } from '../config/reload-changes.ts';
import type { RelayPool } from '../relay/ends.ts';
import type { Pooler } from './pooler.ts';

function poolChange(pool: RelayPool, change: ReloadChangeSnapshot['change']): ReloadChangeSnapshot {
  return {
    kind: 'pool',
    name: `${pool.database.name}/${pool.user.name}`,
    key: null,
    change,
    old: null,
    new: null,
    needsRestart: null,
    clients: pool.clientCount,
    servers: pool.serverCount,
  };
}

/**
 * Tells what a reload would do, and does nothing: the differences between the configurations, and
 * the pools that would be closed or whose server connections would be replaced.
 */
export function planReload(pooler: Pooler, next: Config): ReloadChangeSnapshot[] {
  const { registry } = pooler;
  const entries = listReloadChanges(pooler.config, next).map(
    ({ kind, name, key, change, old, new: after, needsRestart }): ReloadChangeSnapshot => ({
      kind,
      name,
      key,
      change,
      old,
      new: after,
      needsRestart: kind === 'setting' ? needsRestart : null,
      clients: null,
      servers: null,
    }),
  );
  const pools: ReloadChangeSnapshot[] = [];
  for (const { database, fate } of registry.planConfig(next)) {
    if (fate !== 'kept') {
      pools.push(...registry.poolsOf(database).map((pool) => poolChange(pool, fate)));
    }
  }
  return [...entries, ...pools];
}
