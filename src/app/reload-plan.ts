import type { ReloadChangeSnapshot } from '../admin/snapshots.ts';
import type { Config } from '../config/config.ts';
import { listReloadChanges } from '../config/reload-changes.ts';
import type { RelayPool } from '../relay/ends.ts';
import type { Pooler } from './pooler.ts';
import { canHaveTls } from './tls-keeper.ts';
import type { PreparedTls } from './tls-keeper.ts';

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
 *
 * @param tls - What the reload would use from then on: a new setup for servers replaces all
 *   connections that could use it.
 */
export function planReload(
  pooler: Pooler,
  next: Config,
  tls: Pick<PreparedTls, 'isNewForServers'>,
): ReloadChangeSnapshot[] {
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
    for (const pool of registry.poolsOf(database)) {
      const isHit =
        fate !== 'kept' || (tls.isNewForServers && pooler.serversOf(pool).some(canHaveTls));
      if (isHit) {
        pools.push(poolChange(pool, fate === 'kept' ? 'recycled' : fate));
      }
    }
  }
  return [...entries, ...pools];
}
