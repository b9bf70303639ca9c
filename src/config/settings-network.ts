import { MAX_PEER_ID } from './peer-keys.ts';
import { int, INT_MAX, UINT_MAX, list, onOff, size, str, time } from './setting.ts';
import { checkSocketDir } from './text-checks.ts';

/** Longest time of keepalive that Linux takes. @source tcp(7): MAX_TCP_KEEPIDLE */
const KEEPALIVE_MAX_MS = 32_767_000;

/** Most probes that Linux takes. @source tcp(7): MAX_TCP_KEEPCNT */
const KEEPALIVE_PROBES_MAX = 127;

/** Settings of listening, sockets, name look-up and messages on the wire. */
export const NETWORK_SETTINGS = {
  listen_addr: list({
    default: [],
    group: 'essential',
    reloadable: false,
    doc: 'Names or addresses to listen on for TCP; `*` is all of them. Empty listens on the Unix socket only.',
  }),
  listen_port: int({
    default: 6432,
    max: 65_535,
    group: 'essential',
    reloadable: false,
    doc: 'Port of the TCP and the Unix socket. 0 takes any free port.',
  }),
  listen_backlog: int({
    default: 128,
    reloadable: false,
    doc: 'Connections the system may queue before they are accepted.',
  }),
  unix_socket_dir: str({
    default: '/tmp',
    group: 'frequent',
    reloadable: false,
    check: checkSocketDir,
    allowed: 'a directory, `@` and a name, or an empty text',
    doc: 'Directory of the Unix socket, for clients and for servers without a host; with a leading `@` a name in the abstract namespace of Linux. Empty means none.',
  }),
  unix_socket_mode: int({
    default: 0o777,
    max: 0o777,
    octal: true,
    reloadable: false,
    doc: 'File mode of the Unix socket, in octal.',
  }),
  unix_socket_group: str({
    default: '',
    reloadable: false,
    doc: 'Group that owns the Unix socket, by name or number. Empty leaves that of the process.',
  }),
  so_reuseport: onOff({
    default: false,
    reloadable: false,
    doc: 'Let several processes listen on the same TCP port; the system spreads the connections. Needs Node.js 22.12 or newer. Each process needs its own unix_socket_dir and pidfile, but for one that replaces another by -R.',
  }),
  max_packet_size: size({
    default: INT_MAX,
    min: 1024,
    max: UINT_MAX,
    doc: 'Largest message accepted; a longer one ends the connection.',
  }),
  tcp_keepalive: onOff({
    default: true,
    doc: 'Let the system probe silent TCP connections.',
  }),
  tcp_keepidle: time({
    default: 0,
    max: KEEPALIVE_MAX_MS,
    wholeSeconds: true,
    doc: 'Silence before the first keepalive probe. 0 leaves it to the system.',
  }),
  tcp_keepcnt: int({
    default: 0,
    max: KEEPALIVE_PROBES_MAX,
    needsNative: true,
    doc: 'Keepalive probes without an answer before the connection is dead. 0 leaves it to the system.',
  }),
  tcp_keepintvl: time({
    default: 0,
    max: KEEPALIVE_MAX_MS,
    wholeSeconds: true,
    needsNative: true,
    doc: 'Time between keepalive probes. 0 leaves it to the system.',
  }),
  tcp_user_timeout: int({
    default: 0,
    needsNative: true,
    doc: 'How many milliseconds sent data may stay unacknowledged before the connection is dead. 0 leaves it to the system.',
  }),
  tcp_defer_accept: onOff({
    default: true,
    needsNative: true,
    doc: 'Accept a TCP connection only once its first bytes arrived, or after about a second.',
  }),
  tcp_socket_buffer: size({
    default: 0,
    needsNative: true,
    doc: 'Size of the send and receive buffers of a TCP connection. 0 leaves it to the system.',
  }),
  dns_max_ttl: time({
    default: 15_000,
    doc: 'How long the addresses of a server name are remembered, whatever the name server says.',
  }),
  dns_nxdomain_ttl: time({
    default: 15_000,
    doc: 'How long a failed look-up of a server name is remembered.',
  }),
  dns_zone_check_period: time({
    default: 0,
    doc: 'How often the serial number of the zone of a server name (what follows its first dot) is asked for; when it has changed, the names in it are looked up again. 0 turns it off.',
  }),
  resolv_conf: str({
    default: '',
    reloadable: false,
    doc: 'Resolver file to use instead of /etc/resolv.conf. A name server in it may have a port: `nameserver 127.0.0.1:5353`.',
  }),
  peer_id: int({
    default: 0,
    max: MAX_PEER_ID,
    doc: 'Number of this process among its peers, to which it passes cancel requests on that belong to them: each of several processes behind one address has its own. Part of each cancel key. 0 turns peering off.',
  }),
  pkt_buf: size({
    default: 4096,
    support: 'ignored',
    ignoredBecause: 'connections do not have a fixed buffer here',
    reloadable: false,
    doc: 'Buffer per connection in PgBouncer.',
  }),
  sbuf_loopcnt: int({
    default: 5,
    support: 'ignored',
    ignoredBecause: 'the work done per turn is bounded without it',
    doc: 'Buffers that PgBouncer handles for one connection before it turns to the next.',
  }),
} as const;
