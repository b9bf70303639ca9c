/**
 * Which test shows what a setting does: the file below `test/`, and the title as it stands there,
 * placeholders included. Add a line for each setting that becomes supported.
 */
export type Effects = Readonly<Record<string, readonly [file: string, title: string]>>;

const AUTH = 'integration/auth.test.ts';
const AUTH_QUERY = 'integration/auth-query.test.ts';
const EFFECTS = 'integration/setting-effects.test.ts';
const GUARD = 'integration/login-guard.test.ts';
const HBA = 'integration/hba.test.ts';
const HOSTS = 'integration/hosts.test.ts';
const LIMITS = 'integration/limits.test.ts';
const LOG = 'integration/log.test.ts';
const METRICS = 'integration/metrics.test.ts';
const OPERATIONS = 'integration/operations.test.ts';
const PASSWORDS = 'integration/server-password.test.ts';
const PEERING = 'integration/peering.test.ts';
const POOLING = 'integration/pooling.test.ts';
const PROCESS = 'integration/process.test.ts';
const SOCKETS = 'integration/socket-options.test.ts';
const STARTUP = 'integration/startup.test.ts';
const STREAMING = 'integration/streaming.test.ts';
const SYSLOG = 'integration/syslog.test.ts';
const TIMEOUTS = 'integration/timeouts.test.ts';
const TLS_CLIENT = 'integration/tls-client.test.ts';
const TLS_FILES = 'integration/tls-files.test.ts';
const TLS_SERVER = 'integration/tls-server.test.ts';

const CERTIFICATES = '%s wants a certificate that the authority vouches for';
const NEW_FILES = 'takes new files, and keeps everything as it was when they cannot be used';
const SWITCHES = '%s turns its lines on and off (%s)';
const PROBED = 'is run on a server connection that idled for server_check_delay';
const RESERVE = 'is used when a client has waited for reserve_pool_timeout, and no further';
const ROLES = 'of stats_users may not %s';

/** Settings of `[pgbouncer]`. */
export const GLOBAL_EFFECTS: Effects = {
  client_tls13_ciphers: [TLS_CLIENT, 'follows the suites of TLS 1.3'],
  client_tls_ca_file: [TLS_CLIENT, CERTIFICATES],
  client_tls_cert_file: [TLS_FILES, NEW_FILES],
  client_tls_ciphers: [TLS_CLIENT, 'follows protocols and ciphers of the settings'],
  client_tls_dheparams: [TLS_CLIENT, 'switches key exchanges off'],
  client_tls_ecdhcurve: [TLS_CLIENT, 'switches key exchanges off'],
  client_tls_key_file: [TLS_FILES, NEW_FILES],
  client_tls_protocols: [TLS_CLIENT, 'follows protocols and ciphers of the settings'],
  client_tls_sslmode: [
    TLS_CLIENT,
    'require refuses a startup packet in the clear, but no unix socket and no cancel',
  ],
  server_tls13_ciphers: [TLS_SERVER, 'follow the settings'],
  server_tls_ca_file: [TLS_SERVER, '%s refuses an unknown authority'],
  server_tls_cert_file: [TLS_SERVER, 'is shown to the server'],
  server_tls_ciphers: [TLS_SERVER, 'follow the settings'],
  server_tls_key_file: [TLS_SERVER, 'is shown to the server'],
  server_tls_protocols: [TLS_SERVER, 'follow the settings'],
  server_tls_sslmode: [TLS_SERVER, '%s refuses N'],
  server_tls_sslnegotiation: [TLS_SERVER, 'begins with the handshake'],
  auth_dbname: [AUTH_QUERY, 'says where to ask, for all databases or for one'],
  auth_query: [AUTH_QUERY, 'follows a changed auth_query and auth_user after RELOAD'],
  auth_query_cache_ttl: [AUTH_QUERY, 'is asked anew at each login with auth_query_cache_ttl 0'],
  auth_query_search_path: [AUTH_QUERY, 'takes a search_path that the operator names'],
  auth_query_timeout: [
    'integration/auth-query-faults.test.ts',
    'by silence is given up after auth_query_timeout, and the query is cancelled',
  ],
  auth_user: [AUTH_QUERY, 'is unknown without auth_user'],
  password_refresh_interval: [
    PASSWORDS,
    'is read on a schedule, before the server has refused anything',
  ],
  conffile: ['integration/lifetimes.test.ts', 'names the file that the next RELOAD reads'],
  disable_pqexec: ['integration/lifetimes.test.ts', 'refuses simple queries in %s mode'],
  pool_idle_timeout: [
    'integration/lifetimes.test.ts',
    'forgets a pool that nobody uses, with its statistics, and makes it anew',
  ],
  dns_zone_check_period: [
    HOSTS,
    'has names looked up again when their zone has changed, and servers replaced',
  ],
  drain_period: [
    'integration/drain.test.ts',
    'tells idle clients to leave, spread over the period, oldest first, and ends',
  ],
  login_failure_limit: [
    GUARD,
    'is refused in the words of a wrong password, and the log and a counter know why',
  ],
  login_failure_window: [
    'unit/auth/login-backoff.test.ts',
    'has forgotten all after a quiet window, the growth as well',
  ],
  login_failure_max_backoff: [GUARD, 'comes in again once the time is over'],
  login_failure_trusted: [
    GUARD,
    'may guess on where the limit is 0, or the address is trusted, or by the unix socket',
  ],
  max_logins_in_flight: [GUARD, 'lets more logins wait, and all come in'],
  max_unauthenticated_conn: [
    GUARD,
    'closes the oldest of the address with most, while others log in',
  ],
  proxy_protocol: ['integration/proxy-protocol.test.ts', 'RELOAD turns it on for new connections'],
  proxy_protocol_trusted: [
    'integration/proxy-protocol.test.ts',
    'takes headers when the list says so',
  ],
  server_scram_min_iterations: [
    'security/pgbouncer-servers.test.ts',
    'node-postgres#3655: are refused below server_scram_min_iterations',
  ],
  suspend_timeout: [
    'integration/suspend.test.ts',
    'closes what is not at rest within suspend_timeout, and nobody else',
  ],
  syslog: [
    SYSLOG,
    'gets PgBouncer’s lines, with facility and name of the settings, which RELOAD changes',
  ],
  syslog_facility: [
    SYSLOG,
    'gets PgBouncer’s lines, with facility and name of the settings, which RELOAD changes',
  ],
  syslog_ident: [
    SYSLOG,
    'gets PgBouncer’s lines, with facility and name of the settings, which RELOAD changes',
  ],
  tcp_defer_accept: [
    SOCKETS,
    'leaves a connection alone until it speaks, and lets in one that speaks late',
  ],
  tcp_keepcnt: [SOCKETS, 'are those of the settings, for clients and for servers'],
  tcp_keepintvl: [SOCKETS, 'are those of the settings, for clients and for servers'],
  tcp_socket_buffer: [SOCKETS, 'are those of the settings, for clients and for servers'],
  tcp_user_timeout: [SOCKETS, 'are those of the settings, for clients and for servers'],
  admin_users: ['integration/admin.test.ts', ROLES],
  application_name_add_host: [STARTUP, 'adds address and port of the client, once'],
  auth_file: [AUTH, 'is read again on RELOAD, not before'],
  auth_hba_file: [HBA, 'is the first that matches database, user, connection and address'],
  auth_ident_file: [HBA, 'of the ident file is reported too, and what needs its map is left out'],
  auth_ldap_options: ['integration/ldap-faults.test.ts', 'admits by the right password alone'],
  auth_type: [AUTH, '%s admits user %s by the right password alone'],
  autodb_idle_timeout: [EFFECTS, 'forgets a database made from * that nobody uses'],
  cancel_wait_timeout: [TIMEOUTS, 'gives up a cancel request that cannot be sent'],
  client_idle_timeout: [
    TIMEOUTS,
    'ends a client that idles, and spares those who work or are in a transaction',
  ],
  client_login_timeout: [
    TIMEOUTS,
    'closes 1,000 sockets that stall at any stage, while others log in',
  ],
  default_pool_size: [
    LIMITS,
    'is never passed, and clients are served in the order of their requests',
  ],
  dns_max_ttl: [HOSTS, 'servers of an address that vanished are replaced, those of others stay'],
  dns_nxdomain_ttl: [
    HOSTS,
    'a name that cannot be resolved is logged, remembered, and found later',
  ],
  idle_transaction_timeout: [TIMEOUTS, 'ends a client that idles in a transaction, and rolls back'],
  ignore_startup_parameters: [STARTUP, 'is dropped when ignore_startup_parameters names it'],
  listen_addr: [OPERATIONS, 'goes on with the addresses that work'],
  listen_backlog: [EFFECTS, 'of %i lets %i of ten connections in that nobody accepts yet'],
  listen_port: [OPERATIONS, 'on a port in use fails with code 1'],
  log_connections: [LOG, SWITCHES],
  log_disconnections: [LOG, SWITCHES],
  log_format: [LOG, 'is JSON for YAML, and changes with RELOAD'],
  log_pooler_errors: [LOG, SWITCHES],
  log_stats: [LOG, SWITCHES],
  logfile: [LOG, 'gets every line that standard error gets'],
  login_notify_message: [STARTUP, 'comes right before ReadyForQuery, to every client'],
  max_client_conn: [LIMITS, 'is the number of clients that come in'],
  max_db_client_connections: [
    LIMITS,
    'holds for each database, that of the database before the global one',
  ],
  max_db_connections: [LIMITS, 'lets it wait for one that is in use'],
  max_packet_size: [STREAMING, 'refuses %s beyond it'],
  max_user_client_connections: [
    LIMITS,
    'holds for each user over all databases, that of the user before the global one',
  ],
  max_user_connections: [LIMITS, 'holds over all databases of a user, and evicts among them'],
  metrics_listen_addr: [METRICS, 'serve nothing when the address is empty'],
  metrics_listen_port: [METRICS, 'that are taken are a warning, and clients are served'],
  min_pool_size: [POOLING, 'keeps min_pool_size of them open for a pool in use only'],
  peer_id: [PEERING, 'is any while peer_id is 0; SET switches peering on, and old keys stay good'],
  pidfile: [OPERATIONS, 'holds the process id, and is gone afterwards'],
  pool_mode: [POOLING, 'takes the mode of the user over that of the database over the global one'],
  query_timeout: [TIMEOUTS, 'ends a query that runs too long, on the server as well'],
  query_wait_notify: [TIMEOUTS, 'tells the first in the queue that it waits, once'],
  query_wait_timeout: [TIMEOUTS, 'ends a client that waits too long, and says what for'],
  reserve_pool_size: [LIMITS, RESERVE],
  reserve_pool_timeout: [LIMITS, RESERVE],
  resolv_conf: [HOSTS, 'the addresses of a name are used in turn, with one look-up'],
  scram_iterations: [EFFECTS, 'of %i is what clients are asked for'],
  server_check_delay: [TIMEOUTS, PROBED],
  server_check_query: [TIMEOUTS, PROBED],
  server_connect_timeout: [
    TIMEOUTS,
    'gives up a server that does not answer the startup packet, and tries again',
  ],
  server_fast_close: [
    EFFECTS,
    'ends the client of an outdated server connection that is between transactions',
  ],
  server_idle_timeout: [TIMEOUTS, 'closes server connections that nobody uses'],
  server_lifetime: [
    TIMEOUTS,
    'closes an old server connection once it is free, never in a transaction',
  ],
  server_login_retry: [
    'integration/hostile-server.test.ts',
    'fails known clients fast between attempts, with the cause',
  ],
  server_reset_query: [POOLING, 'runs a server_reset_query of the configuration, text and all'],
  server_reset_query_always: [POOLING, '%i in transaction mode leads to %j'],
  server_round_robin: [POOLING, 'takes them in turn with server_round_robin'],
  so_reuseport: [PROCESS, 'lets two processes listen on one port'],
  stats_period: [LOG, SWITCHES],
  stats_users: ['integration/admin.test.ts', 'of stats_users may look at everything'],
  tcp_keepalive: [EFFECTS, 'is not probed without tcp_keepalive'],
  tcp_keepidle: [EFFECTS, 'is probed after tcp_keepidle with tcp_keepalive'],
  track_extra_parameters: [STARTUP, 'that the server does not report survives a reset query'],
  transaction_timeout: [TIMEOUTS, 'ends a transaction that takes too long, however busy it is'],
  unix_socket_dir: [OPERATIONS, 'unix sockets serve on both sides'],
  unix_socket_group: [PROCESS, 'has the group given by its %s, and the mode'],
  unix_socket_mode: [PROCESS, 'has the group given by its %s, and the mode'],
  user: [PROCESS, '%s runs the process and owns its socket'],
  verbose: [LOG, 'with %j: debug %s, noise %s'],
};

/** Keys of an entry of `[databases]`. */
export const DATABASE_EFFECTS: Effects = {
  auth_dbname: [AUTH_QUERY, 'says where to ask, for all databases or for one'],
  auth_query: [AUTH_QUERY, 'is asked for by the settings of its database'],
  auth_user: [AUTH_QUERY, 'is asked for by the settings of its database'],
  password_command: [
    PASSWORDS,
    'prints the password; it is run without a shell, and told what for',
  ],
  password_file: [PASSWORDS, 'is read again when the server refuses the password'],
  password_refresh_interval: [PASSWORDS, 'is run on a schedule while its database is in use'],
  application_name: [EFFECTS, '%s %j is what its server connections begin with'],
  client_encoding: [EFFECTS, '%s %j is what its server connections begin with'],
  connect_query: [EFFECTS, 'connect_query is run once on each server connection'],
  datestyle: [EFFECTS, '%s %j is what its server connections begin with'],
  dbname: ['integration/admin.test.ts', 'sends clients to the new address of their database'],
  host: [HOSTS, 'a list may mix addresses and unix directories'],
  load_balance_hosts: [HOSTS, 'disable stays with one host while it answers'],
  max_db_client_connections: [
    LIMITS,
    'holds for each database, that of the database before the global one',
  ],
  max_db_connections: [EFFECTS, 'max_db_connections goes before the global one'],
  min_pool_size: [EFFECTS, '%s goes before the global one'],
  password: [AUTH, 'works with user and password of the database, as %s'],
  pool_mode: [POOLING, 'takes the mode of the user over that of the database over the global one'],
  pool_size: [EFFECTS, 'pool_size goes before default_pool_size'],
  port: [EFFECTS, 'port is where the server is looked for'],
  query_wait_timeout: [EFFECTS, 'query_wait_timeout goes before the global one'],
  reserve_pool_size: [EFFECTS, 'reserve_pool_size goes before the global one'],
  server_lifetime: [EFFECTS, 'server_lifetime goes before the global one'],
  timezone: [EFFECTS, '%s %j is what its server connections begin with'],
  user: [POOLING, 'logs in to the server as the forced user of a database, in one pool'],
};

/** Keys of an entry of `[users]`. */
export const USER_EFFECTS: Effects = {
  client_idle_timeout: [EFFECTS, '%s holds for this user alone'],
  idle_transaction_timeout: [EFFECTS, '%s holds for this user alone'],
  max_user_client_connections: [
    LIMITS,
    'holds for each user over all databases, that of the user before the global one',
  ],
  max_user_connections: [LIMITS, 'holds over all databases of a user, and evicts among them'],
  pool_mode: [POOLING, 'takes the mode of the user over that of the database over the global one'],
  pool_size: [EFFECTS, '%s holds for this user alone'],
  query_timeout: [EFFECTS, '%s holds for this user alone'],
  query_wait_timeout: [EFFECTS, 'query_wait_timeout goes before that of the database'],
  reserve_pool_size: [EFFECTS, '%s holds for this user alone'],
  transaction_timeout: [EFFECTS, '%s holds for this user alone'],
};

/** Keys of an entry of `[peers]`. */
export const PEER_EFFECTS: Effects = {
  host: [PEERING, 'is passed on byte by byte, with a TTL that is one less'],
  pool_size: [PEERING, 'gets pool_size requests at a time; all end by cancel_wait_timeout'],
  port: [PEERING, 'is passed on byte by byte, with a TTL that is one less'],
};

/** Supported settings that do nothing, in PgBouncer either. */
export const WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  job_name: 'a label that SHOW CONFIG shows',
};
