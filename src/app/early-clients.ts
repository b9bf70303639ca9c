import type { ClientSnapshot } from '../admin/snapshots.ts';
import type { ClientConnection } from '../client/client-connection.ts';
import type { RelayPool } from '../relay/ends.ts';
import type { Pooler } from './pooler.ts';

/** A client that has not logged in, and is shown with a pool all the same. */
export interface EarlyClient {
  readonly client: ClientConnection;
  readonly state: ClientSnapshot['state'];
  /** Null for a cancel request of which no pool is known. */
  readonly pool: RelayPool | null;
  /** `id` of the connection that works for it; null for none. */
  readonly linkId: number | null;
}

/**
 * Lists the cancel requests, and the logins that wait for a server connection to ask `auth_query`
 * on. As in PgBouncer, a login whose question is on its way is not among them.
 *
 * @returns oldest first.
 */
export function findEarlyClients(pooler: Pooler): readonly EarlyClient[] {
  const found: EarlyClient[] = [];
  const { admissions, authQueries, logins } = pooler;
  const queued = authQueries.queued();
  for (let end = logins.head; end !== null; end = end.listNext) {
    const client = admissions.clientOf(end);
    if (client === null) {
      continue;
    }
    const progress = client.cancelProgress;
    if (progress !== null) {
      const { state, pool, carrierId } = progress;
      found.push({ client, state, pool, linkId: carrierId });
      continue;
    }
    const question = admissions.waitingLogins.questionOf(client);
    const pool = question === null ? undefined : queued.get(question);
    if (pool !== undefined) {
      found.push({ client, state: 'waiting', pool, linkId: null });
    }
  }
  return found;
}
