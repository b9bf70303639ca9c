/**
 * Everything that is logged, by name: what happened, in the past tense. Log parsers and alerts hold
 * on to these names, so they are never renamed. The values say when, for the documentation.
 */
export const LOG_EVENTS = {
  // Process
  process_up: 'start-up is complete',
  file_limit_known: 'how many files the process may open, and how many it may come to need',
  listening: 'a listening socket is open',
  metrics_listening: 'the HTTP endpoint for metrics and health checks is open',
  listen_failed: 'a listening socket could not be opened',
  accept_failed: 'a connection could not be accepted',
  signal_received: 'the process got a signal it acts on',
  suspend_abandoned: 'the last console has gone during SUSPEND, so all goes on',
  shutdown_started: 'a shutdown was asked for; `mode` says which',
  takeover_not_needed: '`-R` was given, and no process runs that it could take over from',
  takeover_started: 'a process runs and can be replaced, as `-R` asks; nothing has changed yet',
  takeover_done: 'the process before has been told to shut down, and ends with its last client',
  takeover_incomplete:
    'the process before could not be told to shut down: it must be ended by hand, unless it has gone',
  start_failed: 'the process cannot start and is about to exit',
  log_file_failed: '`logfile` could not be opened or written',
  syslog_failed: 'syslog could not be reached, or does not take lines',
  log_lines_lost:
    'lines were dropped since their reader was too slow or the disk full; `lines` counts them',
  process_stopped: 'the process is about to exit',
  socket_option_failed: 'an option of a socket could not be set; each kind is told once',
  invariant_broken: 'a bug in maitred was found by its own checks',
  stats: 'the periodic statistics of `stats_period`',
  // Configuration
  config_reloaded: 'the configuration was read again and applied',
  config_reload_failed: 'the new configuration was refused, the old one stays',
  config_warning: 'a setting was accepted but is probably not what was meant',
  auth_file_problem:
    'a line of auth_file could not be used; a warning for one that was, and is probably not what was meant',
  auth_query_failed:
    'auth_query gave no answer: the server could not be reached or refused it, or its result is none',
  hba_file_problem: 'a line of auth_hba_file or auth_ident_file could not be used',
  // Clients
  client_connected: 'a connection was accepted; needs `verbose` 1',
  startup_parameter_given: 'a parameter of a startup packet; needs `verbose` 1',
  client_login_attempted: 'a startup packet was accepted, the password not yet checked',
  client_logged_in: 'a client was admitted; needs `verbose` 1',
  client_login_failed: 'a client was refused; `reason` is the true one',
  proxy_header_refused:
    'a PROXY protocol header was missing, malformed or not allowed; `reason` says which',
  user_unknown: 'a client gave the name of a user that does not exist',
  startup_parameter_refused:
    'a client gave a startup parameter that is neither tracked nor ignored',
  client_disconnected: 'a client connection has ended',
  client_wait_ended: 'a client that had to wait was given a server connection; needs `verbose` 2',
  database_registered: 'a database was made from the `*` entry',
  pooler_error_sent: 'maitred sent an error of its own to a client',
  tls_handshake_failed: 'a TLS handshake failed',
  tls_established: 'a TLS handshake succeeded; needs `verbose` 1 for clients',
  tls_reloaded: 'certificates or keys have changed on disk, and the new ones are in use',
  tls_reload_failed:
    'files of TLS have changed on disk and cannot be used; the old ones stay in use',
  tls_certificate_expiring: 'a certificate that maitred shows has expired, or will within 30 days',
  // Servers
  server_launched: 'a server connection is being opened; needs `verbose` 1',
  server_connected: 'a server connection is open, its login still to come',
  server_logged_in: 'a server connection has logged in; needs `verbose` 1',
  server_connect_failed: 'a server could not be reached',
  server_password_fetched:
    'password_command or password_file gave another password than before, or the first one',
  password_source_failed: 'password_command or password_file gave no password',
  server_login_failed: 'a server refused our login, or failed to prove itself',
  server_disconnected: 'a server connection has ended',
  server_message_unexpected: 'a server sent what it may not send at this point',
  server_query_failed: 'a query of maitred itself (connect, check, reset) failed on a server',
  dns_lookup_done: 'a host name was resolved; needs `verbose` 2',
  dns_lookup_failed: 'a host name could not be resolved',
  dns_zone_changed: 'the serial number of a DNS zone has changed, so its names are looked up again',
  reserve_pool_used: 'a client was given a connection of the reserve pool',
  pool_closed: 'an idle pool was given up',
  // Cancel requests
  cancel_forwarded: 'a cancel request was passed on to the server',
  cancel_failed: 'a cancel request could not be passed on',
  // Console and HTTP
  console_owner_admitted:
    'the system user of the pooler came in over a Unix socket as user `pgbouncer`, without a password',
  console_query_received: 'a query of a console, as it came; needs `verbose` 1',
  console_command_issued: 'a command was given on the admin console',
  console_command_failed: 'a command on the admin console was refused',
  http_request_failed: 'the HTTP endpoint could not answer',
} as const satisfies Record<string, string>;

/** Name of something logged. */
export type LogEvent = keyof typeof LOG_EVENTS;

/** Events that may come with every transaction: written at `verbose` 2 only. */
export const NOISE_EVENTS: ReadonlySet<LogEvent> = new Set([
  'client_wait_ended',
  'dns_lookup_done',
]);
