import { column, defineTable, type ShowColumn, type ShowTable } from './show-columns.ts';
import type {
  ClientSnapshot,
  ConnectionSnapshot,
  ServerSnapshot,
  SocketSnapshot,
} from './snapshots.ts';
import { TimestampFormatter } from './timestamp.ts';

const US_PER_SECOND = 1_000_000;

interface ConnectionRow {
  readonly type: 'C' | 'S';
  readonly connection: ConnectionSnapshot;
  readonly state: string;
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
  column('state', 'text', ({ state }) => state),
  column('addr', 'text', ({ connection }) => connection.ends.addr),
  column('port', 'int4', ({ connection }) => connection.ends.port),
  column('local_addr', 'text', ({ connection }) => connection.ends.localAddr),
  column('local_port', 'int4', ({ connection }) => connection.ends.localPort),
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

function* connectionRows(
  type: 'C' | 'S',
  connections: readonly (ClientSnapshot | ServerSnapshot)[],
): Generator<ConnectionRow> {
  const timestamps = new TimestampFormatter();
  for (const connection of connections) {
    yield { type, connection, state: connection.state, timestamps };
  }
}

/** SHOW CLIENTS, in the order of the snapshot. */
export const SHOW_CLIENTS: ShowTable = defineTable(COLUMNS, (control) =>
  connectionRows('C', control.clients()),
);

/** SHOW SERVERS, in the order of the snapshot. */
export const SHOW_SERVERS: ShowTable = defineTable(COLUMNS, (control) =>
  connectionRows('S', control.servers()),
);

interface SocketRow extends ConnectionRow {
  readonly socket: SocketSnapshot;
}

/**
 * What a socket has buffered. Positions within buffers are 0: messages are forwarded from the
 * buffer that they were read into, and none is kept for a socket that has nothing pending.
 *
 * @source PgBouncer manual, "Admin console": SHOW SOCKETS
 */
const SOCKET_COLUMNS: readonly ShowColumn<SocketRow>[] = [
  ...COLUMNS,
  column('recv_pos', 'int4', () => 0),
  column('pkt_pos', 'int4', () => 0),
  column('pkt_remain', 'int4', ({ socket }) => socket.packetRemainBytes),
  column('send_pos', 'int4', () => 0),
  column('send_remain', 'int4', ({ socket }) => socket.sendRemainBytes),
  column('pkt_avail', 'int4', () => 0),
  column('send_avail', 'int4', () => 0),
];

function* socketRows(sockets: readonly SocketSnapshot[]): Generator<SocketRow> {
  const timestamps = new TimestampFormatter();
  for (const socket of sockets) {
    const { type, connection, state } = socket;
    yield { type, connection, state, timestamps, socket };
  }
}

/** SHOW SOCKETS, in the order of the snapshot. */
export const SHOW_SOCKETS: ShowTable = defineTable(SOCKET_COLUMNS, (control) =>
  socketRows(control.sockets()),
);

/** SHOW ACTIVE_SOCKETS: those in the middle of a message, or with bytes to send. */
export const SHOW_ACTIVE_SOCKETS: ShowTable = defineTable(SOCKET_COLUMNS, (control) =>
  socketRows(
    control
      .sockets()
      .filter(({ packetRemainBytes, sendRemainBytes }) => packetRemainBytes + sendRemainBytes > 0),
  ),
);

interface WaitRow {
  readonly client: ClientSnapshot;
  readonly timestamps: TimestampFormatter;
}

function waitRows(clients: readonly ClientSnapshot[]): readonly WaitRow[] {
  const timestamps = new TimestampFormatter();
  return clients
    .filter(({ state }) => state === 'waiting')
    .toSorted((a, b) => b.queuedUs - a.queuedUs)
    .map((client) => ({ client, timestamps }));
}

/** SHOW WAITS: the clients that wait for a server connection, longest first. */
export const SHOW_WAITS: ShowTable = defineTable<WaitRow>(
  [
    column('database', 'text', ({ client }) => client.database ?? '(nodb)'),
    column('user', 'text', ({ client }) => client.user ?? '(nouser)'),
    column('wait', 'int4', ({ client }) => client.queuedUs / US_PER_SECOND),
    column('wait_us', 'int4', ({ client }) => client.queuedUs % US_PER_SECOND),
    column('since', 'text', ({ client, timestamps }) => timestamps.format(client.requestTimeMs)),
    column('id', 'int4', ({ client }) => client.id),
    column('addr', 'text', ({ client }) => client.ends.addr),
    column('port', 'int4', ({ client }) => client.ends.port),
    column('application_name', 'text', ({ client }) => client.applicationName),
  ],
  (control) => waitRows(control.clients()),
);
