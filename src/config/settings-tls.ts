import { oneOf, str } from './setting.ts';

const UNSUPPORTED_MODES = ['allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;

/** Settings of TLS towards clients and servers. */
export const TLS_SETTINGS = {
  client_tls_sslmode: oneOf(['disable'], {
    default: 'disable',
    notYetValues: UNSUPPORTED_MODES,
    doc: 'Whether clients may or must use TLS.',
  }),
  client_tls_ca_file: str({
    default: '',
    support: 'not-yet',
    tolerated: { values: 'any', instead: 'connections from clients are plain' },
    doc: 'Certificates that sign those of clients.',
  }),
  client_tls_cert_file: str({
    default: '',
    support: 'not-yet',
    tolerated: { values: 'any', instead: 'connections from clients are plain' },
    doc: 'Certificate shown to clients.',
  }),
  client_tls_key_file: str({
    default: '',
    support: 'not-yet',
    tolerated: { values: 'any', instead: 'connections from clients are plain' },
    doc: 'Key of client_tls_cert_file.',
  }),
  client_tls_protocols: str({
    default: 'secure',
    support: 'not-yet',
    tolerated: { values: 'any', instead: 'connections from clients are plain' },
    doc: 'TLS versions offered to clients.',
  }),
  client_tls_ciphers: str({
    default: 'default',
    support: 'not-yet',
    tolerated: { values: 'any', instead: 'connections from clients are plain' },
    doc: 'Ciphers offered to clients up to TLS 1.2.',
  }),
  client_tls13_ciphers: str({
    default: null,
    support: 'not-yet',
    doc: 'Cipher suites offered to clients with TLS 1.3.',
  }),
  client_tls_ecdhcurve: str({
    default: 'auto',
    support: 'not-yet',
    tolerated: { values: 'any', instead: 'connections from clients are plain' },
    doc: 'Curve of the key exchange with clients.',
  }),
  client_tls_dheparams: str({
    default: 'auto',
    support: 'not-yet',
    tolerated: { values: 'any', instead: 'connections from clients are plain' },
    doc: 'Parameters of the finite-field key exchange with clients.',
  }),
  server_tls_sslmode: oneOf(['disable'], {
    default: 'disable',
    notYetValues: UNSUPPORTED_MODES,
    tolerated: { values: ['prefer', 'allow'], instead: 'connections to servers are plain' },
    doc: 'Whether connections to servers use TLS. PgBouncer starts with prefer.',
  }),
  server_tls_ca_file: str({
    default: '',
    support: 'not-yet',
    tolerated: { values: 'any', instead: 'connections to servers are plain' },
    doc: 'Certificates that sign those of servers.',
  }),
  server_tls_cert_file: str({
    default: '',
    support: 'not-yet',
    tolerated: { values: 'any', instead: 'connections to servers are plain' },
    doc: 'Certificate shown to servers.',
  }),
  server_tls_key_file: str({
    default: '',
    support: 'not-yet',
    tolerated: { values: 'any', instead: 'connections to servers are plain' },
    doc: 'Key of server_tls_cert_file.',
  }),
  server_tls_protocols: str({
    default: 'secure',
    support: 'not-yet',
    tolerated: { values: 'any', instead: 'connections to servers are plain' },
    doc: 'TLS versions offered to servers.',
  }),
  server_tls_ciphers: str({
    default: 'default',
    support: 'not-yet',
    tolerated: { values: 'any', instead: 'connections to servers are plain' },
    doc: 'Ciphers offered to servers up to TLS 1.2.',
  }),
  server_tls13_ciphers: str({
    default: null,
    support: 'not-yet',
    doc: 'Cipher suites offered to servers with TLS 1.3.',
  }),
} as const;
