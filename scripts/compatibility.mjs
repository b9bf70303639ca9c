/**
 * The generated chapters of docs/COMPATIBILITY.md: every setting, SHOW and command of PgBouncer and
 * how maitred compares, from the tables in the code and the notes here.
 */

/** Defaults of PgBouncer 1.25.2, as SHOW CONFIG prints them; `null` where it has none. */
const PGBOUNCER_DEFAULTS = {
  admin_users: '',
  application_name_add_host: '0',
  auth_dbname: null,
  auth_file: null,
  auth_hba_file: '',
  auth_ident_file: null,
  auth_ldap_options: null,
  auth_query:
    'SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END FROM pg_authid WHERE rolname=$1 AND rolcanlogin',
  auth_type: 'md5',
  auth_user: null,
  autodb_idle_timeout: '3600',
  cancel_wait_timeout: '10',
  client_idle_timeout: '0',
  client_login_timeout: '60',
  client_tls13_ciphers: null,
  client_tls_ca_file: '',
  client_tls_cert_file: '',
  client_tls_ciphers: 'default',
  client_tls_dheparams: 'auto',
  client_tls_ecdhcurve: 'auto',
  client_tls_key_file: '',
  client_tls_protocols: 'secure',
  client_tls_sslmode: 'disable',
  conffile: null,
  default_pool_size: '20',
  disable_pqexec: '0',
  dns_max_ttl: '15',
  dns_nxdomain_ttl: '15',
  dns_zone_check_period: '0',
  idle_transaction_timeout: '0',
  ignore_startup_parameters: '',
  job_name: 'pgbouncer',
  listen_addr: '',
  listen_backlog: '128',
  listen_port: '6432',
  log_connections: '1',
  log_disconnections: '1',
  log_pooler_errors: '1',
  log_stats: '1',
  logfile: '',
  login_notify_message: '',
  max_client_conn: '100',
  max_db_client_connections: '0',
  max_db_connections: '0',
  max_packet_size: '2147483647',
  max_prepared_statements: '200',
  max_user_client_connections: '0',
  max_user_connections: '0',
  min_pool_size: '0',
  peer_id: '0',
  pidfile: '',
  pkt_buf: '4096',
  pool_mode: 'session',
  pool_idle_timeout: '0',
  query_timeout: '0',
  query_wait_notify: '5',
  query_wait_timeout: '120',
  reserve_pool_size: '0',
  reserve_pool_timeout: '5',
  resolv_conf: '',
  sbuf_loopcnt: '5',
  scram_iterations: '4096',
  server_check_delay: '30',
  server_check_query: '<empty>',
  server_connect_timeout: '15',
  server_fast_close: '0',
  server_idle_timeout: '600',
  server_lifetime: '3600',
  server_login_retry: '15',
  server_reset_query: 'DISCARD ALL',
  server_reset_query_always: '0',
  server_round_robin: '0',
  server_tls13_ciphers: null,
  server_tls_ca_file: '',
  server_tls_cert_file: '',
  server_tls_ciphers: 'default',
  server_tls_key_file: '',
  server_tls_protocols: 'secure',
  server_tls_sslmode: 'prefer',
  so_reuseport: '0',
  stats_period: '60',
  stats_users: '',
  suspend_timeout: '10',
  syslog: '0',
  syslog_facility: 'daemon',
  syslog_ident: 'pgbouncer',
  tcp_defer_accept: '1',
  tcp_keepalive: '1',
  tcp_keepcnt: '0',
  tcp_keepidle: '0',
  tcp_keepintvl: '0',
  tcp_socket_buffer: '0',
  tcp_user_timeout: '0',
  track_extra_parameters: 'IntervalStyle',
  transaction_timeout: '0',
  unix_socket_dir: '/tmp',
  unix_socket_group: '',
  unix_socket_mode: '0777',
  user: null,
  verbose: null,
};

/** What is worth saying about a setting, by name: the verdict, and how it compares. */
const SETTING_NOTES = {
  application_name_add_host: ['same', 'once, at login'],
  auth_file: ['same', 'a truncated secret opens no account; read again on RELOAD'],
  auth_ldap_options: ['better', 'SHOW CONFIG hides it: it may hold a password'],
  client_login_timeout: ['same', 'also while the first server connection is awaited'],
  conffile: ['same', 'SET names the file that the next RELOAD reads'],
  dns_max_ttl: ['same', 'servers on an address that vanished are replaced as they become free'],
  idle_transaction_timeout: ['better', 'the server connection is rolled back and kept'],
  listen_addr: ['same', 'an address that cannot be used is a warning while another one can'],
  log_connections: ['same', 'see the notes on the log'],
  logfile: ['better', 'SET takes effect at once'],
  max_client_conn: [
    'different',
    'counts from the startup packet on; cancel requests and consoles take no place',
  ],
  max_db_connections: ['better', 'what becomes free goes to the client that waits longest'],
  max_packet_size: ['same', 'at least 1024'],
  max_user_client_connections: ['different', 'counts every name; PgBouncer those it knows'],
  max_user_connections: ['better', 'what becomes free goes to the client that waits longest'],
  query_timeout: [
    'better',
    'the query is cancelled, the server connection kept; that of a user holds in the queue as well',
  ],
  client_idle_timeout: [
    'better',
    'counts from the end of the last query; in PgBouncer from its begin',
  ],
  query_wait_timeout: ['better', '`53300`, with the numbers of the pool in the DETAIL'],
  resolv_conf: ['better', 'name servers may have a port'],
  server_check_query: ['better', 'an answer that does not come closes the connection'],
  server_connect_timeout: ['better', '0 is no limit; in PgBouncer every connection fails'],
  server_lifetime: ['better', 'each connection lives 80 to 100 % of it by chance'],
  server_reset_query: ['better', 'an answer that does not come closes the connection'],
  so_reuseport: ['different', 'needs Node.js 22.12 or newer, refused on older ones'],
  stats_period: ['better', 'takes effect at once; in PgBouncer at a restart'],
  tcp_keepalive: ['different', 'of clients at a restart, although it may be changed before'],
  tcp_keepidle: ['different', 'of clients at a restart, although it may be changed before'],
  transaction_timeout: ['better', 'the server connection is rolled back and kept'],
  unix_socket_mode: ['same', 'SHOW CONFIG prints it in decimal, as PgBouncer does'],
  user: ['same', 'looked up in /etc/passwd, then wherever the system keeps users'],
  verbose: ['different', '1 and 2 add fewer lines than in PgBouncer'],
};

/** Keys that only maitred has. */
const OWN_KEYS = ['password_command', 'password_file', 'password_refresh_interval'];

/** @param {string} name of a key of a database, user or peer */
function judgeKey(name) {
  return OWN_KEYS.includes(name) ? ['better', 'PgBouncer has no such key'] : ['same', ''];
}

/** Topics of SHOW that PgBouncer has, and what is worth saying about each. */
const SHOW_NOTES = {
  active_sockets: ['different', 'positions within buffers are 0: there are no such buffers'],
  clients: ['same', '`ptr` and `link` are ids; KILL_CLIENT takes both'],
  config: ['same', 'settings that only maitred has stand behind the others'],
  databases: [
    'better',
    'databases made from `*` that are paused or disabled are listed although nobody uses them',
  ],
  dns_hosts: ['same', ''],
  dns_zones: ['same', ''],
  fds: ['same', ''],
  help: ['same', 'with the commands that maitred adds'],
  lists: ['same', 'free_clients and free_servers are 0: nothing is kept free'],
  mem: ['different', '`used` is true, sizes are estimates, nothing is kept free'],
  peer_pools: ['same', ''],
  peers: ['same', ''],
  pools: ['same', ''],
  servers: ['same', '`ptr` and `link` are ids'],
  sockets: ['different', 'positions within buffers are 0: there are no such buffers'],
  state: ['same', ''],
  stats: ['same', ''],
  stats_averages: ['same', ''],
  stats_totals: ['same', ''],
  totals: ['same', ''],
  users: ['same', ''],
  version: ['same', 'with the version of maitred behind that of PgBouncer'],
};

/** Topics that only maitred has. */
const OWN_SHOW_NOTES = {
  waits: 'the clients that wait, longest first',
};

/** Commands that PgBouncer has. */
const COMMAND_NOTES = {
  PAUSE: ['same', 'one that a RESUME ends is answered with an error'],
  RESUME: ['same', ''],
  DISABLE: ['same', ''],
  ENABLE: ['same', ''],
  RECONNECT: ['better', 'what is known of the server stays known, so logins do not wait'],
  KILL: ['same', ''],
  KILL_CLIENT: ['same', 'takes `id` and `ptr`'],
  SUSPEND: ['same', ''],
  SHUTDOWN: ['same', ''],
  'SHUTDOWN WAIT_FOR_SERVERS': ['same', ''],
  'SHUTDOWN WAIT_FOR_CLIENTS': ['same', ''],
  WAIT_CLOSE: ['same', ''],
  RELOAD: ['better', 'as a whole or not at all, and says what is wrong'],
  SET: ['better', 'says what is wrong; refuses what needs a restart'],
};

/** Commands that only maitred has. */
const OWN_COMMAND_NOTES = {
  KILL_SERVER: 'closes one server connection; its client gets `57P01`',
};

/** Titles of the chapters of differences, by verdict. */
const VERDICT_TITLES = {
  better: 'Better',
  different: 'Different',
  version: 'Differences to PgBouncer 1.18 that PgBouncer 1.25 has, too',
};

/**
 * Renders the chapters, by the name of their marks.
 *
 * @param {(file: string) => Promise<any>} built - imports a built module
 * @param {(head: string[], rows: string[][]) => string} table
 * @param {Record<string, { verdict: string, what: string, why: string }>} differences
 */
export async function renderCompatibility(built, table, differences) {
  const { SETTINGS_IN_SHOW_ORDER } = await built('config/global-settings.js');
  const { OWN_SETTINGS } = await built('config/settings-process.js');
  const { DATABASE_KEYS } = await built('config/database-keys.js');
  const { USER_KEYS } = await built('config/user-keys.js');
  const { PEER_KEYS } = await built('config/peer-keys.js');
  const { showValue } = await built('config/value-text.js');
  const { SHOW_TABLES, HELP_LINES } = await built('admin/show-tables.js');
  const isOwn = (name) => Object.hasOwn(OWN_SETTINGS, name);
  const global = SETTINGS_IN_SHOW_ORDER.map(([name, setting]) => [
    `\`${name}\``,
    ...judgeSetting(name, setting, isOwn(name), showValue),
  ]);
  const keys = (level, entries) =>
    Object.entries(entries).map(([name, setting]) => [
      `\`${name}\``,
      level,
      ...(setting.support === 'supported' ? judgeKey(name) : judgeSupport(setting)),
    ]);
  return {
    'every setting': table(['setting', '', 'maitred'], global),
    'every key of databases, users and peers': table(
      ['key', 'of', '', 'maitred'],
      [
        ...keys('databases', DATABASE_KEYS),
        ...keys('users', USER_KEYS),
        ...keys('peers', PEER_KEYS),
      ],
    ),
    'every SHOW and command': [
      table(['SHOW', '', 'maitred'], showRows(SHOW_TABLES)),
      table(['command', '', 'maitred'], commandRows(HELP_LINES)),
    ].join('\n\n'),
    'side by side': renderDifferences(table, differences),
  };
}

/** @returns {string[]} verdict and text */
function judgeSetting(name, setting, isOwn, showValue) {
  if (isOwn || !Object.hasOwn(PGBOUNCER_DEFAULTS, name)) {
    return ['better', 'PgBouncer has no such setting'];
  }
  if (setting.support !== 'supported') {
    return judgeSupport(setting);
  }
  const [verdict, note] = SETTING_NOTES[name] ?? ['same', ''];
  const theirs = PGBOUNCER_DEFAULTS[name];
  const ours = setting.hasDefault ? showDefault(setting, showValue) : null;
  const missing =
    setting.notYetValues.length === 0 ? '' : `not yet: ${setting.notYetValues.join(', ')}`;
  if (ours === theirs) {
    return [missing === '' ? verdict : 'not yet', join(note, missing)];
  }
  const both = `default \`${String(ours)}\`, in PgBouncer \`${String(theirs)}\``;
  return ['different', join(both, note, missing)];
}

function showDefault(setting, showValue) {
  return setting.octal ? `0${setting.default.toString(8)}` : showValue(setting.default, setting);
}

/** @returns {string[]} verdict and text of a setting that is not acted on */
function judgeSupport({ support, ignoredBecause, tolerated }) {
  if (support === 'ignored') {
    return ['different', `accepted without effect: ${ignoredBecause}`];
  }
  return [
    'not yet',
    tolerated === null
      ? 'refused unless it has its default'
      : `in pgbouncer.ini: ${tolerated.instead}`,
  ];
}

function join(...texts) {
  return texts.filter((text) => text !== '').join('; ');
}

function showRows(tables) {
  const theirs = Object.entries(SHOW_NOTES).map(([topic, [verdict, note]]) => {
    const isThere = topic === 'help' || Object.hasOwn(tables, topic);
    return [`SHOW ${topic.toUpperCase()}`, ...(isThere ? [verdict, note] : ['not yet', '`0A000`'])];
  });
  const own = Object.keys(tables)
    .filter((topic) => !Object.hasOwn(SHOW_NOTES, topic))
    .map((topic) => [`SHOW ${topic.toUpperCase()}`, 'better', OWN_SHOW_NOTES[topic] ?? '']);
  return [...theirs, ...own];
}

function commandRows(helpLines) {
  const help = helpLines.join('\n');
  const theirs = Object.entries(COMMAND_NOTES).map(([command, [verdict, note]]) => {
    const isThere = command.split(' ').every((word) => help.includes(word));
    return [command, ...(isThere ? [verdict, note] : ['not yet', '`0A000`'])];
  });
  const own = Object.entries(OWN_COMMAND_NOTES).map(([command, note]) => [command, 'better', note]);
  return [...theirs, ...own];
}

function renderDifferences(table, differences) {
  return Object.entries(VERDICT_TITLES)
    .map(([verdict, title]) => {
      const rows = Object.entries(differences)
        .filter(([, difference]) => difference.verdict === verdict)
        .map(([id, { what, why }]) => [`\`${id}\``, what, why]);
      return `### ${title}\n\n${table(['id', 'what maitred does', 'why'], rows)}`;
    })
    .join('\n\n');
}
