import { describe, expect, it } from 'vitest';
import type { ShowTable } from '../../../src/admin/show-columns.ts';
import { SHOW_PEER_POOLS, SHOW_PEERS } from '../../../src/admin/show-peers.ts';
import { FakeControl } from './fake-control.ts';

const columns = (table: ShowTable): string[] =>
  table.columns.map(({ name, typeOid }) => `${name} ${typeOid === 23 ? 'int4' : 'text'}`);

describe('SHOW PEERS', () => {
  it("has PgBouncer's columns and is sorted by id", () => {
    const control = new FakeControl();
    control.peerRows = [
      { id: 10, host: '/tmp', port: 7000, poolSize: 0 },
      { id: 9, host: 'h', port: 6432, poolSize: 20 },
    ];
    expect(columns(SHOW_PEERS)).toEqual([
      'peer_id int4',
      'host text',
      'port int4',
      'pool_size int4',
    ]);
    expect([...SHOW_PEERS.rows(control)]).toEqual([
      ['9', 'h', '6432', '20'],
      ['10', '/tmp', '7000', '0'],
    ]);
  });
});

describe('SHOW PEER_POOLS', () => {
  it("has PgBouncer's columns and is sorted by id", () => {
    const control = new FakeControl();
    const pool = { clActiveCancelReq: 1, clWaitingCancelReq: 2, svActiveCancel: 3, svLogin: 4 };
    control.peerPoolRows = [
      { ...pool, id: 10 },
      { ...pool, id: 9 },
    ];
    expect(columns(SHOW_PEER_POOLS)).toEqual([
      'peer_id int4',
      'cl_active_cancel_req int4',
      'cl_waiting_cancel_req int4',
      'sv_active_cancel int4',
      'sv_login int4',
    ]);
    expect([...SHOW_PEER_POOLS.rows(control)]).toEqual([
      ['9', '1', '2', '3', '4'],
      ['10', '1', '2', '3', '4'],
    ]);
  });
});
