import { column, defineTable, type ShowTable } from './show-columns.ts';
import type { MemorySnapshot } from './snapshots.ts';

/** Bytes of the buffer into which a server connection reads. */
const READ_BUFFER_BYTES = 65_536;

/** One kind of object: how many there are, and about how many bytes one of them takes. */
interface Cache {
  readonly name: string;
  readonly used: number;
  /** An estimate for 64-bit Node.js, 0 where objects of this kind are no objects of their own. */
  readonly sizeBytes: number;
}

/**
 * The rows of PgBouncer's table. JavaScript has no slabs: nothing is kept free, and the size of an
 * object is an estimate of its fields, its socket and what hangs on them.
 *
 * @source PgBouncer manual, "Admin console": SHOW MEM
 */
function caches(memory: MemorySnapshot): readonly Cache[] {
  const { users, databases, pools, outstandingRequests, servers, clients, peers, peerPools } =
    memory;
  return [
    { name: 'user_cache', used: users, sizeBytes: 512 },
    // A user's secrets hang on the user.
    { name: 'credentials_cache', used: 0, sizeBytes: 0 },
    { name: 'db_cache', used: databases, sizeBytes: 1024 },
    { name: 'peer_cache', used: peers, sizeBytes: 256 },
    { name: 'peer_pool_cache', used: peerPools, sizeBytes: 512 },
    { name: 'pool_cache', used: pools, sizeBytes: 4096 },
    { name: 'outstanding_request_cache', used: outstandingRequests, sizeBytes: 1 },
    { name: 'server_cache', used: servers, sizeBytes: 8192 },
    { name: 'client_cache', used: clients, sizeBytes: 6144 },
    { name: 'iobuf_cache', used: servers, sizeBytes: READ_BUFFER_BYTES },
    { name: 'var_list_cache', used: servers + clients, sizeBytes: 128 },
    { name: 'server_prepared_statement_cache', used: 0, sizeBytes: 0 },
  ];
}

/** SHOW MEM: true counts, estimated sizes. */
export const SHOW_MEM: ShowTable = defineTable<Cache>(
  [
    column('name', 'text', ({ name }) => name),
    column('size', 'int4', ({ sizeBytes }) => sizeBytes),
    column('used', 'int4', ({ used }) => used),
    column('free', 'int4', () => 0),
    column('memtotal', 'int4', ({ used, sizeBytes }) => used * sizeBytes),
  ],
  (control) => caches(control.memory()),
);
