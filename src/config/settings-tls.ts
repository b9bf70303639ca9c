import { oneOf, str } from './setting.ts';
import { checkTlsProtocols, TLS_PROTOCOLS_ALLOWED } from './tls-protocols.ts';

/** Whether TLS is used, and what is asked of the certificate of the other side. */
const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;

/** Words for the ciphers that Node.js offers by default; PgBouncer takes all of them for that. */
export const DEFAULT_CIPHER_WORDS: readonly string[] = ['default', 'secure', 'normal', 'fast'];

/** Settings of TLS towards clients and servers. */
export const TLS_SETTINGS = {
  client_tls_sslmode: oneOf(SSL_MODES, {
    default: 'disable',
    group: 'frequent',
    doc: 'Whether clients may or must use TLS: `disable` offers none; `allow` and `prefer` leave it to the client; `require` refuses clients without TLS, on unix sockets apart; `verify-ca` and `verify-full` also refuse clients without a certificate that client_tls_ca_file vouches for.',
  }),
  client_tls_ca_file: str({
    default: '',
    doc: 'Certificates, in PEM form, of those who sign the certificates of clients. With it, clients are asked for one in every mode. Read again on reload, and when it changes.',
  }),
  client_tls_cert_file: str({
    default: '',
    group: 'frequent',
    doc: 'Certificate shown to clients, in PEM form, with those between it and the root behind it. Read again on reload, and when it changes.',
  }),
  client_tls_key_file: str({
    default: '',
    group: 'frequent',
    doc: 'Private key of client_tls_cert_file, in PEM form and without a passphrase. Read again on reload, and when it changes.',
  }),
  client_tls_protocols: str({
    default: 'secure',
    check: checkTlsProtocols,
    allowed: TLS_PROTOCOLS_ALLOWED,
    doc: 'TLS versions offered to clients; `secure` and `default` are TLS 1.2 and 1.3.',
  }),
  client_tls_ciphers: str({
    default: 'default',
    doc: 'Ciphers offered to clients up to TLS 1.2, a list of OpenSSL. `default`, `secure`, `normal` and `fast` are the default ciphers of Node.js.',
  }),
  client_tls13_ciphers: str({
    default: null,
    doc: 'Cipher suites offered to clients with TLS 1.3, with colons between. Not set, the default ones of Node.js.',
  }),
  client_tls_ecdhcurve: str({
    default: 'auto',
    doc: 'Curves of the key exchange with clients, by their names in OpenSSL with colons between; `auto` leaves the choice to OpenSSL, `none` offers no elliptic curves below TLS 1.3.',
  }),
  client_tls_dheparams: oneOf(['auto', 'none'], {
    default: 'auto',
    doc: 'Finite-field key exchange with clients below TLS 1.3: `auto` offers it with parameters that fit the key, `none` does not.',
  }),
  server_tls_sslmode: oneOf(SSL_MODES, {
    default: 'prefer',
    group: 'frequent',
    doc: 'Whether connections to servers use TLS: `disable` does not ask for it; `allow` and `prefer` use it where the server has it; `require` refuses servers without TLS; `verify-ca` refuses those whose certificate server_tls_ca_file does not vouch for; `verify-full` also those whose certificate is not made for the `host` of the database. Never on unix sockets. A change replaces the server connections.',
  }),
  server_tls_ca_file: str({
    default: '',
    doc: 'Certificates, in PEM form, of those who sign the certificates of servers. Not set, `verify-full` trusts the authorities that Node.js comes with. Read again on reload, and when it changes.',
  }),
  server_tls_cert_file: str({
    default: '',
    doc: 'Certificate shown to servers that ask for one, in PEM form. Read again on reload, and when it changes.',
  }),
  server_tls_key_file: str({
    default: '',
    doc: 'Private key of server_tls_cert_file, in PEM form and without a passphrase. Read again on reload, and when it changes.',
  }),
  server_tls_protocols: str({
    default: 'secure',
    check: checkTlsProtocols,
    allowed: TLS_PROTOCOLS_ALLOWED,
    doc: 'TLS versions offered to servers, as client_tls_protocols.',
  }),
  server_tls_ciphers: str({
    default: 'default',
    doc: 'Ciphers offered to servers up to TLS 1.2, as client_tls_ciphers.',
  }),
  server_tls13_ciphers: str({
    default: null,
    doc: 'Cipher suites offered to servers with TLS 1.3, as client_tls13_ciphers.',
  }),
} as const;

/** Settings of TLS that PgBouncer does not have. */
export const OWN_TLS_SETTINGS = {
  server_tls_sslnegotiation: oneOf(['postgres', 'direct'], {
    default: 'postgres',
    doc: 'How TLS with servers begins: `postgres` asks first, `direct` saves that round trip and needs PostgreSQL 17 and server_tls_sslmode `require` or stricter.',
  }),
} as const;
