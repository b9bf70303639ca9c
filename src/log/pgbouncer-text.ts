import type { LogEvent } from './events.ts';

type Fields = Readonly<Record<string, unknown>>;

/** How an event is told. */
interface Wording {
  /** Whether the connection stands before the text: `C-0x2a: db/user@host:port`. */
  readonly hasPrefix: boolean;
  readonly text: (fields: Fields, message: string | undefined) => string;
}

/** Fields that the prefix says already. */
const PREFIX_FIELDS: readonly string[] = [
  'client',
  'server',
  'database',
  'user',
  'address',
  'port',
  'process',
  'peer',
  'peerProcess',
];

/** What PgBouncer says when it gets a signal. */
const SIGNAL_TEXTS: Readonly<Record<string, string>> = {
  SIGHUP: 'got SIGHUP, re-reading config',
  SIGTERM: 'got SIGTERM, shutting down, waiting for all clients disconnect',
  SIGINT: 'got SIGINT, shutting down, waiting for all servers connections to be released',
  SIGQUIT: 'got SIGQUIT, fast exit',
  SIGUSR1: 'got SIGUSR1, pausing all activity',
  SIGUSR2: 'got SIGUSR2, continuing from PAUSE',
};

/** What PgBouncer says when a shutdown that waited has come to its end. */
const DRAINED_TEXTS: Readonly<Record<string, string>> = {
  wait_for_clients: 'client connections dropped, exiting',
  wait_for_servers: 'server connections dropped, exiting',
};

/**
 * PgBouncer's texts by event. An event without a row gets its own name and its fields, behind the
 * prefix if it is about a connection.
 *
 * @source PgBouncer's log of version 1.25.2.
 */
const WORDINGS: Readonly<Partial<Record<LogEvent, Wording>>> = {
  // Process
  process_up: plain(
    ({ speaks, version, node }) =>
      `process up: PgBouncer ${show(speaks)} (maitred ${show(version)}), Node.js ${show(node)}`,
  ),
  file_limit_known: plain(
    ({ soft, hard, maxClientConn, expected }) =>
      `kernel file descriptor limit: ${show(soft)} (hard: ${show(hard)}); max_client_conn: ${show(maxClientConn)}, max expected fd use: ${show(expected)}`,
  ),
  listening: plain(({ address, port, unix }, message) => {
    const where = unix === undefined ? hostPort(address, port) : `unix:${path(unix)}`;
    return message ?? `listening on ${where}`;
  }),
  listen_failed: plain(
    ({ address, port, error }) =>
      `cannot listen on ${port === undefined ? show(address) : hostPort(address, port)}: bind(): ${show(error)}`,
  ),
  accept_failed: plain(({ error }) => `accept() failed: ${show(error)}`),
  signal_received: plain(
    ({ signal }, message) => message ?? SIGNAL_TEXTS[show(signal)] ?? `got ${show(signal)}`,
  ),
  process_stopped: plain(
    ({ code, drained }) => DRAINED_TEXTS[show(drained)] ?? `exiting with code ${show(code)}`,
  ),
  takeover_not_needed: plain(() => 'old process not found, try to continue normally'),
  takeover_started: plain(
    ({ unix, version }) => `old process found on unix:${path(unix)}, taking over: ${show(version)}`,
  ),
  takeover_done: plain(
    () => 'old process accepts no more connections, it ends when its last client has left',
  ),
  takeover_incomplete: plain(
    ({ error }) =>
      `old process does not shut down, end it by hand once its clients have left: ${show(error)}`,
  ),
  suspend_abandoned: plain(() => 'admin disappeared when suspended, doing RESUME'),
  start_failed: plain(({ error }) => show(error)),
  log_file_failed: plain(
    ({ action, file, error }) => `Cannot ${show(action)} logfile: '${show(file)}': ${show(error)}`,
  ),
  syslog_failed: plain(({ error }) => `Cannot send to syslog: ${show(error)}`),
  socket_option_failed: plain(({ error }) => `socket option could not be set: ${show(error)}`),
  stats: plain((fields) => statsText(fields, 'us')),
  // Configuration
  config_reload_failed: plain(({ problem, file }) =>
    problem === undefined ? 'config file loading failed' : withoutPlace(show(problem), show(file)),
  ),
  config_warning: plain(({ problem, database, needsRestart }) =>
    withValue(show(problem), database ?? needsRestart),
  ),
  config_reloaded: plain(({ changedSettings }) =>
    Array.isArray(changedSettings) && changedSettings.length > 0
      ? withValue('configuration reloaded, changed settings', changedSettings)
      : 'configuration reloaded, no setting has changed',
  ),
  auth_file_problem: plain(({ file, line, problem, message }) => {
    return line === undefined
      ? `could not open auth_file ${show(file)}: ${show(problem)}`
      : `${show(file)}:${show(line)}: ${show(problem ?? message)}`;
  }),
  auth_query_failed: plain(({ error }) => `S: error in auth_query: ${show(error)}`),
  hba_file_problem: plain(({ kind, file, line, problem, isSkipped }) => {
    if (line === 0) {
      return show(problem);
    }
    const place = `${show(kind)} line ${show(line)}`;
    const tail =
      isSkipped === true
        ? ` (could not parse ${show(kind)} config line ${show(line)} of ${show(file)})`
        : '';
    return `${place}: ${show(problem)}${tail}`;
  }),
  // Clients
  client_connected: prefixed(({ address, port, local }) =>
    address === 'unix'
      ? 'P: got connection: unix->unix'
      : `P: got connection: ${hostPort(address, port)} -> ${endText(local)}`,
  ),
  startup_parameter_given: prefixed(
    ({ parameter, value }) => `got var: ${show(parameter)}=${show(value)}`,
  ),
  client_logged_in: prefixed(() => 'logged in'),
  client_login_attempted: prefixed(
    ({ database, user, tls, replication }) =>
      `login attempt: db=${show(database)} user=${show(user)} tls=${show(tls)} replication=${show(replication)}`,
  ),
  client_login_failed: prefixed(({ database, user, reason }) => {
    const who = user === undefined ? '' : ` db=${show(database)} user=${show(user)}`;
    return `login failed:${who} (${show(reason)})`;
  }),
  client_disconnected: prefixed(closingText),
  user_unknown: prefixed(({ user }) => `no such user: ${show(user)}`),
  startup_parameter_refused: prefixed(({ isOption, parameter, value }) => {
    const where = isOption === true ? ' in options' : '';
    return `unsupported startup parameter${where}: ${show(parameter)}=${show(value)}`;
  }),
  database_registered: prefixed(
    ({ database }) => `registered new auto-database: ${show(database)}`,
  ),
  pooler_error_sent: prefixed(({ error }) => `pooler error: ${show(error)}`),
  tls_handshake_failed: plain(({ error }) => `TLS handshake error: ${show(error)}`),
  tls_established: prefixed(({ tls }) => `SSL established: ${show(tls)}`),
  tls_reloaded: plain(({ files }) =>
    withValue('TLS files have changed, using the new ones', files),
  ),
  tls_reload_failed: plain(({ problem }) =>
    withValue('TLS configuration could not be reloaded, keeping old configuration', problem),
  ),
  tls_certificate_expiring: plain(
    ({ setting, file, expiresAt, days }) =>
      `certificate of ${show(setting)} (${show(file)}) ${Number(days) < 0 ? 'has expired' : `expires in ${show(days)} days`}: ${show(expiresAt)}`,
  ),
  // Servers
  server_launched: prefixed(() => 'launching new connection to server'),
  server_connected: prefixed(({ localAddress, localPort }) =>
    localAddress === undefined
      ? 'new connection to server'
      : `new connection to server (from ${hostPort(localAddress, localPort)})`,
  ),
  server_logged_in: prefixed(() => 'server login ok, start accepting queries'),
  server_connect_failed: prefixed(({ error }) => `connect failed: ${show(error)}`),
  server_login_failed: plain(({ error, hint, user, database }) =>
    hint === undefined
      ? `server login failed: ${show(error)}`
      : `server login failed: user ${show(user)}, database ${show(database)}: ${show(error)} (${show(hint)})`,
  ),
  server_disconnected: prefixed(closingText),
  server_message_unexpected: prefixed(({ found, isLinked }) =>
    isLinked === true
      ? `unexpected message from server: ${show(found)}`
      : `got packet ${show(found)} from server when not linked`,
  ),
  server_query_failed: plain(({ query, error }) => {
    if (query === 'set_parameters') {
      return `varcache_apply failed: ${show(error)}`;
    }
    const what = query === 'connect_query' ? 'exec_on_query' : show(query);
    return `S: error while executing ${what}: ${show(error)}`;
  }),
  password_source_failed: plain(
    ({ database, user, source, problem }) =>
      `${show(source)} for user ${show(user)} of database ${show(database)}: it ${show(problem)}`,
  ),
  server_password_fetched: plain(
    ({ database, user, source }) =>
      `${show(source)} gave a new password for user ${show(user)} of database ${show(database)}`,
  ),
  dns_lookup_done: plain(
    ({ host, addresses }) =>
      `dns: deliver_info(${show(host)}) addr=${Array.isArray(addresses) ? addresses.map(show).join(',') : ''}`,
  ),
  dns_lookup_failed: plain(
    ({ host, error }) => `DNS lookup failed: ${show(host)}: result=${show(error)}`,
  ),
  dns_zone_changed: plain(
    ({ zone, oldSerial, newSerial }) =>
      `zone '${show(zone)}' serial changed: old=${show(oldSerial)} new=${show(newSerial)}`,
  ),
  reserve_pool_used: prefixed(() => 'taking connection from reserve_pool'),
  pool_closed: plain(
    ({ user, database, reason, ageSeconds }) =>
      `cleaning up idle pool for user ${show(user)} on db ${show(database)} because: ${show(reason)} (age= ${show(ageSeconds)}s)`,
  ),
  // Cancel requests
  cancel_forwarded: plain(({ database, process, peer, address, port }) =>
    peer === undefined
      ? `cancel request for a query on db ${show(database)} sent to server process ${show(process)}`
      : `cancel request sent to peer ${show(peer)} at ${hostPort(address, port)}`,
  ),
  cancel_failed: plain(({ database, process, peer, address, port, error }) =>
    peer === undefined
      ? `cancel request for a query on db ${show(database)} not sent to server process ${show(process)}: ${show(error)}`
      : `cancel request not sent to peer ${show(peer)} at ${hostPort(address, port)}: ${show(error)}`,
  ),
  // Console
  console_owner_admitted: prefixed(() => 'pgbouncer access from unix socket'),
  console_query_received: plain(({ text }) => `got admin query: ${show(text)}`),
  console_command_issued: plain((_fields, message) => message ?? 'command issued'),
  console_command_failed: plain(({ error }, message) => message ?? show(error)),
};

/**
 * Puts an event into PgBouncer's words, with its prefix for events of connections. The result may
 * have any characters that the fields have: whoever writes it must escape it.
 *
 * @param fields - Sanitized.
 * @param message - The text given with the event, if any.
 */
export function pgbouncerText(
  event: LogEvent,
  fields: Fields,
  message: string | undefined,
): string {
  const wording = WORDINGS[event];
  if (wording !== undefined) {
    const text = wording.text(fields, message);
    return wording.hasPrefix ? `${connectionPrefix(fields)}${text}` : text;
  }
  const prefix = connectionPrefix(fields);
  const rest = Object.entries(fields).filter(
    ([name, value]) => value !== undefined && (prefix === '' || !PREFIX_FIELDS.includes(name)),
  );
  const words = rest.map(([name, value]) => ` ${name}=${show(value)}`).join('');
  const title = message ?? event.replaceAll('_', ' ');
  return `${prefix}${title}${words === '' ? '' : `:${words}`}`;
}

function plain(text: Wording['text']): Wording {
  return { hasPrefix: false, text };
}

function prefixed(text: Wording['text']): Wording {
  return { hasPrefix: true, text };
}

/** The connection that an event is about, as SHOW CLIENTS and SHOW SERVERS have it under `ptr`. */
function connectionPrefix(fields: Fields): string {
  const { client, server, database, user, address, port, peer, peerProcess } = fields;
  const id = client ?? server;
  if (typeof id !== 'number') {
    return '';
  }
  const kind = client === undefined ? 'S' : 'C';
  const names =
    peer === undefined
      ? `${show(database ?? '(nodb)')}/${show(user ?? '(nouser)')}`
      : `peer-${show(peer)}`;
  const host = peerProcess === undefined ? address : `${show(address)}(${show(peerProcess)})`;
  return `${kind}-0x${id.toString(16)}: ${names}@${hostPort(host, port)} `;
}

function hostPort(address: unknown, port: unknown): string {
  if (address === undefined || address === '') {
    return '(bad-af):0';
  }
  const host = show(address);
  return `${host.includes(':') ? `[${host}]` : host}:${show(port ?? 0)}`;
}

/** An address and a port in one field. */
function endText(end: unknown): string {
  const { address, port } = (end ?? {}) as { readonly address?: unknown; readonly port?: unknown };
  return hostPort(address, port);
}

/** The path of a unix socket; an abstract one begins with NUL and is written with `@`. */
function path(unix: unknown): string {
  return show(unix).replace(/^\0/, '@');
}

function closingText({ reason, ageSeconds }: Fields): string {
  return `closing because: ${show(reason)} (age=${show(ageSeconds)}s)`;
}

/**
 * Puts the averages of one `stats_period` into PgBouncer's words.
 *
 * @param unit - of the times: `us` in the log, `μs` in what a service manager is told.
 * @source PgBouncer 1.25.2, the log line of `stats_period`; log parsers know this one.
 */
export function statsText(fields: Fields, unit: 'us' | 'μs'): string {
  const whole = (name: string): string => String(Math.trunc(Number(fields[name] ?? 0)));
  return [
    `stats: ${whole('xactCount')} xacts/s`,
    `${whole('queryCount')} queries/s`,
    `${whole('clientParseCount')} client parses/s`,
    `${whole('serverParseCount')} server parses/s`,
    `${whole('bindCount')} binds/s`,
    `in ${whole('receivedBytes')} B/s`,
    `out ${whole('sentBytes')} B/s`,
    `xact ${whole('xactTimeUs')} ${unit}`,
    `query ${whole('queryTimeUs')} ${unit}`,
    `wait ${whole('waitTimeUs')} ${unit}`,
  ].join(', ');
}

/**
 * Takes `FILE:LINE:COLUMN: ` away where the text says the place in PgBouncer's own words, and `FILE: `
 * where the whole file is meant.
 */
function withoutPlace(problem: string, file: string): string {
  const whole = `${file}: `;
  return problem.startsWith(whole)
    ? problem.slice(whole.length)
    : problem.replace(/^.*?:\d+:\d+: (?=.* in configuration \()/, '');
}

function withValue(sentence: string, value: unknown): string {
  const isMissing = value === undefined || (Array.isArray(value) && value.length === 0);
  return isMissing
    ? sentence
    : `${sentence}: ${Array.isArray(value) ? value.map(show).join(', ') : show(value)}`;
}

/** Texts and numbers as they are, anything else as JSON; nothing for what is missing. */
function show(value: unknown): string {
  if (typeof value === 'string') {
    return value;
  }
  return value === undefined ? '' : JSON.stringify(value);
}
