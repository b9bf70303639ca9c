import { column, defineTable, type ShowColumn, type ShowTable } from './show-columns.ts';
import type { ClientSnapshot, ConnectionSnapshot, ServerSnapshot } from './snapshots.ts';
import { TimestampFormatter } from './timestamp.ts';

const US_PER_SECOND = 1_000_000;

interface ConnectionRow {
  readonly type: 'C' | 'S';
  readonly connection: ConnectionSnapshot & { readonly state: string };
  readonly timestamps: TimestampFormatter;
}

/**
 * What stands in the column `ptr`. PgBouncer shows an address in memory there; tools use it to
 * find the partner of a link and nothing else, which an id does as well.
 */
function pointer(id: number | null): string {
  return id === null ? '' : `0x${id.toString(16)}`;
}

/** @source PgBouncer manual, "Admin console": SHOW CLIENTS / SHOW SERVERS */
const COLUMNS: readonly ShowColumn<ConnectionRow>[] = [
  column('type', 'text', ({ type }) => type),
  column('user', 'text', ({ connection }) => connection.user ?? '(nouser)'),
  column('database', 'text', ({ connection }) => connection.database ?? '(nodb)'),
  column('replication', 'text', ({ connection }) => connection.replication),
  column('state', 'text', ({ connection }) => connection.state),
  column('addr', 'text', ({ connection }) => connection.addr),
  column('port', 'int4', ({ connection }) => connection.port),
  column('local_addr', 'text', ({ connection }) => connection.localAddr),
  column('local_port', 'int4', ({ connection }) => connection.localPort),
  column('connect_time', 'text', ({ connection, timestamps }) =>
    timestamps.format(connection.connectTimeMs),
  ),
  column('request_time', 'text', ({ connection, timestamps }) =>
    timestamps.format(connection.requestTimeMs),
  ),
  column('wait', 'int4', ({ connection }) => connection.waitUs / US_PER_SECOND),
  column('wait_us', 'int4', ({ connection }) => connection.waitUs % US_PER_SECOND),
  column('close_needed', 'int4', ({ connection }) => connection.isCloseNeeded),
  column('ptr', 'text', ({ connection }) => pointer(connection.id)),
  column('link', 'text', ({ connection }) => pointer(connection.linkId)),
  column('remote_pid', 'int4', ({ connection }) => connection.remotePid),
  column('tls', 'text', ({ connection }) => connection.tls),
  column('application_name', 'text', ({ connection }) => connection.applicationName),
  column('prepared_statements', 'int4', ({ connection }) => connection.preparedStatements),
  column('id', 'int4', ({ connection }) => connection.id),
];

function connectionRows(
  type: 'C' | 'S',
  connections: readonly (ClientSnapshot | ServerSnapshot)[],
): readonly ConnectionRow[] {
  const timestamps = new TimestampFormatter();
  return connections.map((connection) => ({ type, connection, timestamps }));
}

/** SHOW CLIENTS, in the order of the snapshot. */
export const SHOW_CLIENTS: ShowTable = defineTable(COLUMNS, (control) =>
  connectionRows('C', control.clients()),
);

/** SHOW SERVERS, in the order of the snapshot. */
export const SHOW_SERVERS: ShowTable = defineTable(COLUMNS, (control) =>
  connectionRows('S', control.servers()),
);
