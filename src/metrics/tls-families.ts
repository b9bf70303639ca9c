import { labelText } from './label-text.ts';
import type { MetricFamily } from './metric-family.ts';

const MS_PER_SECOND = 1000;

/** What alerts need to know of certificates before their time is over. */
export const TLS_FAMILIES: readonly MetricFamily[] = [
  {
    name: 'maitred_tls_certificate_expiry_timestamp_seconds',
    type: 'gauge',
    help: 'When the first certificate of a file that maitred shows expires, in seconds since 1970 UTC.',
    labelNames: ['setting', 'file'],
    samples: ({ certificates }) =>
      certificates.map(({ setting, file, expiresAtMs }) => ({
        labels: { setting, file: labelText(file) },
        value: expiresAtMs / MS_PER_SECOND,
      })),
  },
];
