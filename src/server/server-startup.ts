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

/**
 * The same for a connection that runs `auth_query`: nothing of what clients are to get.
 *
 * @param searchPath - the setting `auth_query_search_path`; empty leaves it to the server.
 */
export function questionStartupParameters(pool: RelayPool, searchPath: string): readonly Pair[] {
  const { config, name } = pool.database;
  const { applicationName } = config;
  return [
    ['user', pool.user.name],
    ['database', config.dbname ?? name],
    // Names are asked for and answered in UTF-8, whatever clients are to get.
    ['client_encoding', 'UTF8'],
    ...(applicationName === null ? [] : [['application_name', applicationName] as const]),
    // Nobody else's objects may stand in for those of the query.
    ...(searchPath === '' ? [] : [['search_path', searchPath] as const]),
  ];
}
