import { column, defineTable, type ShowTable } from './show-columns.ts';
import type { PeerPoolSnapshot, PeerSnapshot } from './snapshots.ts';

/** SHOW PEERS, by id. @source PgBouncer manual, "Admin console": SHOW PEERS */
export const SHOW_PEERS: ShowTable = defineTable<PeerSnapshot>(
  [
    column('peer_id', 'int4', (peer) => peer.id),
    column('host', 'text', (peer) => peer.host),
    column('port', 'int4', (peer) => peer.port),
    column('pool_size', 'int4', (peer) => peer.poolSize),
  ],
  (control) => [...control.peers()].sort((a, b) => a.id - b.id),
);

/** SHOW PEER_POOLS, by id. @source PgBouncer manual, "Admin console": SHOW PEER_POOLS */
export const SHOW_PEER_POOLS: ShowTable = defineTable<PeerPoolSnapshot>(
  [
    column('peer_id', 'int4', (pool) => pool.id),
    column('cl_active_cancel_req', 'int4', (pool) => pool.clActiveCancelReq),
    column('cl_waiting_cancel_req', 'int4', (pool) => pool.clWaitingCancelReq),
    column('sv_active_cancel', 'int4', (pool) => pool.svActiveCancel),
    column('sv_login', 'int4', (pool) => pool.svLogin),
  ],
  (control) => [...control.peerPools()].sort((a, b) => a.id - b.id),
);
