import { checkNetwork, checkNetworkOrUnix } from '../base/address-list.ts';
import { int, list, onOff, time } from './setting.ts';

/** Settings, none of them PgBouncer's, of what strangers on either side may do before they are known. */
export const GUARD_SETTINGS = {
  login_failure_limit: int({
    default: 100,
    max: 1_000_000,
    doc: 'Failed logins of one address, or of one user, per login_failure_window that have no consequence. Beyond, a user is answered later and an address is refused for a growing time. 0 turns it off.',
  }),
  login_failure_window: time({
    default: 60_000,
    min: 1_000,
    doc: 'Time in which login_failure_limit failed logins are forgotten.',
  }),
  login_failure_max_backoff: time({
    default: 30_000,
    min: 1_000,
    doc: 'Longest time for which an address is refused at a time. It begins with a second and doubles with each further failure.',
  }),
  login_failure_trusted: list({
    default: ['127.0.0.0/8', '::1/128'],
    check: checkNetwork,
    allowed: 'a list of addresses and networks',
    doc: 'Addresses whose failed logins have no consequence, such as that of a proxy with many clients behind it. The Unix socket is always trusted.',
  }),
  max_logins_in_flight: int({
    default: 500,
    doc: 'Most clients that prove themselves at a time; others wait. A client that takes more than a second for it does not count any more. 0 is no limit.',
  }),
  max_unauthenticated_conn: int({
    default: 0,
    doc: 'Most connections that have not logged in. Beyond, the oldest one of the address that has most of them is closed. 0 is max_client_conn and 1000 more.',
  }),
  server_scram_min_iterations: int({
    default: 1,
    min: 1,
    max: 600_000,
    doc: 'Fewest SCRAM iterations that a server may ask for. A false server that asks for few could guess the password from the answer. PostgreSQL asks for 4096 unless its own scram_iterations says otherwise.',
  }),
  proxy_protocol: onOff({
    default: false,
    doc: 'Read the address of the client from a header of the PROXY protocol, version 1 or 2. Connections from proxy_protocol_trusted must begin with one, others must not.',
  }),
  proxy_protocol_trusted: list({
    default: [],
    check: checkNetworkOrUnix,
    allowed: 'a list of addresses and networks, and the word unix for the Unix socket',
    doc: 'Addresses of the proxies that send headers with proxy_protocol. The word `unix` stands for the Unix socket.',
  }),
} as const;
