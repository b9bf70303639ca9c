import { int, list, oneOf, onOff, str, checkQuery, time } from './setting.ts';

/** The values of `pool_mode`: when a server connection is given back to its pool. */
export const POOL_MODES = ['session', 'transaction', 'statement'] as const;

/** Settings of pools and of what happens to server connections between uses. */
export const POOLING_SETTINGS = {
  pool_mode: oneOf(POOL_MODES, {
    default: 'session',
    group: 'essential',
    doc: 'When a server connection goes back to its pool: after the client leaves, after each transaction, or after each statement.',
  }),
  default_pool_size: int({
    default: 20,
    group: 'essential',
    doc: 'Most server connections of one pool, which is one pair of database and user. 0 is no limit.',
  }),
  min_pool_size: int({
    default: 0,
    group: 'frequent',
    doc: 'Server connections that a pool in use keeps open even when it is quiet.',
  }),
  reserve_pool_size: int({
    default: 0,
    group: 'frequent',
    doc: 'Extra server connections a pool may open when a client has waited longer than reserve_pool_timeout. 0 turns the reserve off.',
  }),
  reserve_pool_timeout: time({
    default: 5_000,
    group: 'frequent',
    doc: 'How long a client waits before the reserve of its pool is used. 0 turns the reserve off.',
  }),
  max_client_conn: int({
    default: 100,
    group: 'essential',
    doc: 'Most client connections accepted in total.',
  }),
  max_db_connections: int({
    default: 0,
    group: 'frequent',
    doc: 'Most server connections to one database, over all of its users. 0 is no limit.',
  }),
  max_db_client_connections: int({
    default: 0,
    doc: 'Most client connections to one database. 0 is no limit.',
  }),
  max_user_connections: int({
    default: 0,
    group: 'frequent',
    doc: 'Most server connections of one user, over all databases. 0 is no limit.',
  }),
  max_user_client_connections: int({
    default: 0,
    doc: 'Most client connections of one user. 0 is no limit.',
  }),
  server_round_robin: onOff({
    default: false,
    doc: 'Reuse idle server connections in turn instead of taking the one used last.',
  }),
  server_check_query: checkQuery({
    default: '',
    doc: 'Query that proves an idle server connection alive before it is used again. `<empty>` sends an empty query, an empty text turns the check off.',
  }),
  server_check_delay: time({
    default: 30_000,
    doc: 'How long a server connection may be idle and still be used without a check. 0 checks after every release.',
  }),
  server_reset_query: str({
    default: 'DISCARD ALL',
    group: 'frequent',
    doc: 'Query that cleans a server connection when a client of session mode leaves it. An empty text turns it off.',
  }),
  server_reset_query_always: onOff({
    default: false,
    doc: 'Run server_reset_query in transaction and statement mode too.',
  }),
  server_fast_close: onOff({
    default: false,
    doc: 'Close outdated server connections of session mode as soon as they are outside a transaction, without waiting for the client to leave.',
  }),
  ignore_startup_parameters: list({
    default: [],
    group: 'frequent',
    doc: 'Startup parameters to accept and drop. `options` drops unknown settings inside the options parameter.',
  }),
  track_extra_parameters: list({
    default: ['IntervalStyle'],
    reloadable: false,
    doc: 'Parameters reported by the server that are kept per client besides the built-in ones.',
  }),
  max_prepared_statements: int({
    default: 0,
    group: 'frequent',
    support: 'not-yet',
    tolerated: {
      values: ['200'],
      instead: 'statement tracking is off, so prepared statements need session mode',
    },
    doc: 'Prepared statements kept per server connection so that clients can use them in transaction and statement mode. 0 turns it off. PgBouncer starts with 200.',
  }),
  disable_pqexec: onOff({
    default: false,
    reloadable: false,
    doc: 'Refuse simple queries, which can carry several statements in one text, on the console as well.',
  }),
} as const;
