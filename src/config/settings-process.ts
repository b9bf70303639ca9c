import { AUTH_QUERY_SETTINGS } from './settings-auth-query.ts';
import { GUARD_SETTINGS } from './settings-guard.ts';
import { int, onOff, oneOf, str, time } from './setting.ts';
import { OWN_TLS_SETTINGS } from './settings-tls.ts';

/** Settings of the log, the process and what clients are told about themselves. */
export const PROCESS_SETTINGS = {
  log_connections: onOff({
    default: true,
    group: 'frequent',
    doc: 'Log each login and each connection to a server.',
  }),
  log_disconnections: onOff({
    default: true,
    group: 'frequent',
    doc: 'Log each closed connection with its reason.',
  }),
  log_pooler_errors: onOff({
    default: true,
    group: 'frequent',
    doc: 'Log the errors that maitred itself sends to clients.',
  }),
  log_stats: onOff({
    default: true,
    doc: 'Log a line of totals every stats_period.',
  }),
  stats_period: time({
    default: 60_000,
    min: 1_000,
    wholeSeconds: true,
    doc: 'Time over which averages are taken, and between two lines of statistics in the log.',
  }),
  verbose: int({
    default: 0,
    hasDefault: false,
    doc: 'How much to log: 1 adds debugging, 2 and above everything.',
  }),
  logfile: str({
    default: '',
    group: 'frequent',
    doc: 'File the log is appended to, besides standard error. RELOAD and SIGHUP open it anew, after a rotation.',
  }),
  syslog: onOff({
    default: false,
    needsNative: true,
    doc: "Send the log to syslog too: PgBouncer's texts, from level LOG upwards.",
  }),
  syslog_facility: str({
    default: 'daemon',
    doc: 'Facility of the syslog lines: auth, authpriv, daemon, user, or local0 to local7; any other text stands for daemon.',
  }),
  syslog_ident: str({
    default: 'pgbouncer',
    doc: 'Program name in the syslog lines.',
  }),
  pidfile: str({
    default: '',
    group: 'frequent',
    reloadable: false,
    doc: 'File the process id is written to. Empty writes none; option -d needs it.',
  }),
  job_name: str({
    default: 'pgbouncer',
    reloadable: false,
    doc: 'A label without effect, kept for SHOW CONFIG.',
  }),
  user: str({
    default: null,
    reloadable: false,
    doc: 'System user to become at the start, before any socket is opened. Option -u goes first.',
  }),
  conffile: str({
    default: null,
    doc: 'The file that the next RELOAD reads. Not set, it is the one that was read last.',
  }),
  application_name_add_host: onOff({
    default: false,
    doc: 'Add address and port of the client to its application_name at login.',
  }),
  login_notify_message: str({
    default: '',
    doc: 'Notice sent to each client when it has logged in. Empty sends none.',
  }),
} as const;

/** Highest TCP port. */
const PORT_MAX = 65_535;

/** Settings that PgBouncer does not have; SHOW CONFIG lists them behind PgBouncer's. */
export const OWN_SETTINGS = {
  ...AUTH_QUERY_SETTINGS,
  ...GUARD_SETTINGS,
  drain_period: time({
    default: 0,
    doc: 'Time over which clients are told to leave (`57P01`, between two transactions) while SHUTDOWN WAIT_FOR_CLIENTS (SIGTERM) or WAIT_FOR_SERVERS (SIGINT) waits, so that a rolling deploy ends. Consoles are not told, and not waited for once it is over. 0 waits until clients leave by themselves.',
  }),
  ...OWN_TLS_SETTINGS,
  log_format: oneOf(['json', 'pgbouncer'], {
    default: null,
    doc: "Form of the lines of the log: `json`, or `pgbouncer` for PgBouncer's lines and texts. Not set, it follows the configuration file: `json` for YAML, `pgbouncer` for an ini file.",
  }),
  metrics_listen_addr: str({
    default: '127.0.0.1',
    group: 'frequent',
    reloadable: false,
    doc: 'Address on which metrics and health checks are served over HTTP; `*` is every address, empty serves none. There is no login: whoever reaches it may read it. An address or port that cannot be used is only a warning.',
  }),
  metrics_listen_port: int({
    default: 9127,
    max: PORT_MAX,
    group: 'frequent',
    reloadable: false,
    doc: 'Port of metrics_listen_addr. 0 takes any free one.',
  }),
} as const;
