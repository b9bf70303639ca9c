import { int, oneOf, str, time } from './setting.ts';
import { POOL_MODES } from './settings-pooling.ts';
import {
  checkAuthDatabase,
  checkAuthQuery,
  checkCommand,
  checkHost,
  checkNotEmpty,
} from './text-checks.ts';

/** The keys of one entry of `databases`. A `null` value inherits from the global settings. */
export const DATABASE_KEYS = {
  host: str({
    default: null,
    group: 'essential',
    check: checkHost,
    allowed: 'names, IPv4 or IPv6 addresses, or directories starting with /, with commas between',
    doc: 'Name, IPv4 or IPv6 address of the server, or the directory of its Unix socket; several with commas between, see load_balance_hosts. Without it, the Unix socket in unix_socket_dir.',
  }),
  port: int({
    default: 5432,
    min: 1,
    max: 65_535,
    group: 'essential',
    doc: 'Port of the server.',
  }),
  dbname: str({
    default: null,
    group: 'essential',
    check: checkNotEmpty,
    allowed: 'a text with at least one character',
    doc: 'Database on the server. Without it, the name of the entry, or for `*` the name the client asks for.',
  }),
  user: str({
    default: null,
    group: 'frequent',
    check: checkNotEmpty,
    allowed: 'a text with at least one character',
    doc: 'Log in to the server as this user whoever the client is: all clients share one pool.',
  }),
  password: str({
    default: '',
    group: 'frequent',
    secret: true,
    doc: 'Password for user. Without it, the one of that user in auth_file.',
  }),
  password_file: str({
    default: null,
    check: checkNotEmpty,
    allowed: 'a text with at least one character',
    doc: 'File whose content is the password for user, one line end at its end apart; up to 64 kB. Read when a server connection needs it, again when the server refuses the password, and every password_refresh_interval.',
  }),
  password_command: str({
    default: null,
    check: checkCommand,
    allowed:
      'a program and its arguments, with blanks between and double quotes around what has blanks',
    doc: 'Program that prints the password for user, such as a token of a cloud. Run without a shell, when password_file would be read.',
  }),
  password_refresh_interval: time({
    default: null,
    inherit: 'negative',
    doc: 'Replaces the global password_refresh_interval. 0 is never, a negative number inherits.',
  }),
  pool_size: int({
    default: null,
    inherit: 'negative',
    group: 'essential',
    doc: 'Replaces default_pool_size. 0 is no limit, a negative number inherits.',
  }),
  min_pool_size: int({
    default: null,
    inherit: 'negative',
    group: 'frequent',
    doc: 'Replaces the global min_pool_size. A negative number inherits.',
  }),
  reserve_pool_size: int({
    default: null,
    inherit: 'negative',
    aliases: ['reserve_pool'],
    group: 'frequent',
    doc: 'Replaces the global reserve_pool_size. A negative number inherits.',
  }),
  max_db_connections: int({
    default: null,
    inherit: 'zero-or-less',
    group: 'frequent',
    doc: 'Replaces the global max_db_connections. 0 inherits.',
  }),
  max_db_client_connections: int({
    default: null,
    inherit: 'zero-or-less',
    doc: 'Replaces the global max_db_client_connections. 0 inherits.',
  }),
  server_lifetime: time({
    default: null,
    inherit: 'zero-or-less',
    doc: 'Replaces the global server_lifetime. 0 inherits.',
  }),
  query_wait_timeout: time({
    default: null,
    inherit: 'negative',
    doc: 'Replaces the global query_wait_timeout. 0 is no limit, a negative number inherits.',
  }),
  pool_mode: oneOf(POOL_MODES, {
    default: null,
    group: 'essential',
    doc: 'Replaces the global pool_mode.',
  }),
  connect_query: str({
    default: null,
    doc: 'Query sent once on each new server connection before its first use, those of replication clients apart. Its errors are logged and do no harm.',
  }),
  client_encoding: str({
    default: null,
    doc: 'client_encoding asked for when logging in to the server.',
  }),
  datestyle: str({
    default: null,
    doc: 'DateStyle asked for when logging in to the server.',
  }),
  timezone: str({
    default: null,
    doc: 'TimeZone asked for when logging in to the server.',
  }),
  application_name: str({
    default: null,
    doc: 'application_name given when logging in to the server.',
  }),
  auth_user: str({
    default: null,
    doc: 'Replaces the global auth_user.',
  }),
  auth_query: str({
    default: null,
    check: checkAuthQuery,
    allowed: 'a query that holds $1',
    doc: 'Replaces the global auth_query.',
  }),
  auth_dbname: str({
    default: null,
    check: checkAuthDatabase,
    allowed: 'the name of a database that clients can ask for',
    doc: 'Replaces the global auth_dbname.',
  }),
  load_balance_hosts: oneOf(['round-robin', 'disable'], {
    default: 'round-robin',
    doc: 'How one of several hosts is chosen: `round-robin` takes the next one for each connection, `disable` only after a connection that failed.',
  }),
} as const;
