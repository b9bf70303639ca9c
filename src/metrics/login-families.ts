import { familiesOf, single, type MetricFamily } from './metric-family.ts';

/** How logins fail, and how many wait: metrics that PgBouncer has no words for. */
export const LOGIN_FAMILIES: readonly MetricFamily[] = [
  ...familiesOf(
    {
      type: 'counter',
      prefix: 'maitred_client',
      rows: ({ logins }) => logins.failures,
      labels: { reason: ({ reason }) => reason },
    },
    [
      [
        'login_failures_total',
        'Logins of clients that were refused, by the true reason.',
        ({ count }) => count,
      ],
    ],
  ),
  single(
    'gauge',
    'maitred_client_logins_waiting',
    'Logins that wait for their turn or are slowed down after failures.',
    ({ logins }) => logins.waitingCount,
  ),
  single(
    'gauge',
    'maitred_client_login_buffer_bytes',
    'Bytes kept for clients that have not logged in.',
    ({ logins }) => logins.heldBytes,
  ),
];
