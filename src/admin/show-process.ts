import { column, defineTable, type ShowTable } from './show-columns.ts';
import type { Control } from './control.ts';
import type { SettingRow } from './snapshots.ts';

type NamedCount = readonly [name: string, count: number];
type NamedFlag = readonly [name: string, isSet: boolean];

function yesNo(value: boolean): string {
  return value ? 'yes' : 'no';
}

function listRows(control: Control): readonly NamedCount[] {
  const lists = control.lists();
  return [
    ['databases', lists.databases],
    ['users', lists.users],
    ['peers', lists.peers],
    ['pools', lists.pools],
    ['peer_pools', lists.peerPools],
    ['free_clients', lists.freeClients],
    ['used_clients', lists.usedClients],
    ['login_clients', lists.loginClients],
    ['free_servers', lists.freeServers],
    ['used_servers', lists.usedServers],
    ['dns_names', lists.dnsNames],
    ['dns_zones', lists.dnsZones],
    ['dns_queries', lists.dnsQueries],
    // COMPAT: PgBouncer has this row for old readers; nothing counts towards it.
    ['dns_pending', 0],
  ];
}

function stateRows(control: Control): readonly NamedFlag[] {
  const { isActive, isPaused, isSuspended } = control.state();
  return [
    ['active', isActive],
    ['paused', isPaused],
    ['suspended', isSuspended],
  ];
}

/** SHOW LISTS. @source PgBouncer manual, "Admin console": SHOW LISTS */
export const SHOW_LISTS: ShowTable = defineTable<NamedCount>(
  [column('list', 'text', ([name]) => name), column('items', 'int4', ([, count]) => count)],
  listRows,
);

/** SHOW STATE. @source PgBouncer manual, "Admin console": SHOW STATE */
export const SHOW_STATE: ShowTable = defineTable<NamedFlag>(
  [column('key', 'text', ([name]) => name), column('value', 'text', ([, isSet]) => yesNo(isSet))],
  stateRows,
);

/** SHOW CONFIG, in the order of the settings table. @source PgBouncer manual, "Admin console": SHOW CONFIG */
export const SHOW_CONFIG: ShowTable = defineTable<SettingRow>(
  [
    column('key', 'text', ({ key }) => key),
    column('value', 'text', ({ value }) => value),
    column('default', 'text', (row) => row.default),
    column('changeable', 'text', ({ changeable }) => yesNo(changeable)),
  ],
  (control) => control.settings(),
);

/** SHOW VERSION. @source PgBouncer manual, "Admin console": SHOW VERSION */
export const SHOW_VERSION: ShowTable = defineTable<string>(
  [column('version', 'text', (version) => version)],
  (control) => [control.version()],
);
