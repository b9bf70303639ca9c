import { time } from './setting.ts';

/** Limits on how long things may take. 0 means no limit unless the text says otherwise. */
export const TIMEOUT_SETTINGS = {
  query_wait_timeout: time({
    default: 120_000,
    group: 'essential',
    doc: 'How long a client may wait for a server connection before it is disconnected. 0 is no limit.',
  }),
  query_wait_notify: time({
    default: 5_000,
    wholeSeconds: true,
    doc: 'How long a client waits before it gets a notice that it is queued. 0 sends none.',
  }),
  query_timeout: time({
    default: 0,
    group: 'frequent',
    doc: 'Longest run of a query before its connections are closed. 0 is no limit.',
  }),
  transaction_timeout: time({
    default: 0,
    group: 'frequent',
    doc: 'Longest transaction before its connections are closed. 0 is no limit.',
  }),
  idle_transaction_timeout: time({
    default: 0,
    group: 'frequent',
    doc: 'Longest time a client may idle inside a transaction. 0 is no limit.',
  }),
  client_idle_timeout: time({
    default: 0,
    group: 'frequent',
    doc: 'Longest time a client may idle outside a transaction. 0 is no limit.',
  }),
  client_login_timeout: time({
    default: 60_000,
    doc: 'Longest time from connecting to being logged in. 0 is no limit.',
  }),
  server_connect_timeout: time({
    default: 15_000,
    doc: 'Longest time to connect and log in to a server. 0 is no limit, where PgBouncer fails at once.',
  }),
  server_login_retry: time({
    default: 15_000,
    doc: 'Pause between attempts to open a server connection after one failed.',
  }),
  server_idle_timeout: time({
    default: 600_000,
    group: 'frequent',
    doc: 'Close server connections unused for this long. 0 keeps them.',
  }),
  server_lifetime: time({
    default: 3_600_000,
    group: 'frequent',
    doc: 'Close released server connections older than this. 0 closes each after its first use.',
  }),
  cancel_wait_timeout: time({
    default: 10_000,
    doc: 'Longest time a cancel request may wait for a connection. 0 is no limit.',
  }),
  autodb_idle_timeout: time({
    default: 3_600_000,
    doc: 'Forget a database made from the `*` entry after it was unused for this long. 0 keeps it.',
  }),
  pool_idle_timeout: time({
    default: 0,
    doc: 'Forget a pool, with its statistics, after it had neither clients nor server connections for this long. 0 keeps it.',
  }),
  suspend_timeout: time({
    default: 10_000,
    doc: 'Longest time SUSPEND waits for messages under way; what is not at rest by then is closed. 0 waits for ever.',
  }),
} as const;
