import type { ClientEnd, RelayPool } from '../relay/ends.ts';
import type { TrackedParameters } from '../relay/parameter-cache.ts';

type Pair = readonly [name: string, value: string];

/** What a server connection of the pool asks for: what the entry of the database says. */
function pooledParameters({ database }: RelayPool): Pair[] {
  const { config } = database;
  const optional: readonly (readonly [string, string | null])[] = [
    ['client_encoding', config.clientEncoding],
    ['datestyle', config.datestyle],
    ['timezone', config.timezone],
    ['application_name', config.applicationName],
  ];
  return optional.flatMap(([name, value]) => (value === null ? [] : [[name, value] as const]));
}

/** What a replication client has asked for, as it stands: nothing is set on the connection later. */
function ownParameters(owner: ClientEnd, pool: RelayPool, tracked: TrackedParameters): Pair[] {
  const given = tracked.names.flatMap((name, index) => {
    const value = owner.parameters[index] ?? null;
    return value === null ? [] : [[name, value] as const];
  });
  const names = new Set(given.map(([name]) => name.toLowerCase()));
  const others = pooledParameters(pool).filter(([name]) => !names.has(name));
  const { kind, options } = owner.replication ?? { kind: 'logical', options: null };
  return [
    ...given,
    ...others,
    ...(options === null ? [] : [['options', options] as const]),
    ['replication', kind === 'logical' ? 'database' : 'yes'],
  ];
}

/**
 * The parameters of the StartupMessage to a server.
 *
 * @param owner - the replication client that the connection is opened for; null for the pool's own.
 */
export function serverStartupParameters(
  pool: RelayPool,
  tracked: TrackedParameters,
  owner: ClientEnd | null,
): readonly Pair[] {
  return [
    ['user', pool.user.name],
    ['database', pool.database.config.dbname ?? pool.database.name],
    ...(owner === null ? pooledParameters(pool) : ownParameters(owner, pool, tracked)),
  ];
}
