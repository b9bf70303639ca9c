import type { PasswordDeriver } from '../auth/password-derivation.ts';
import type { ServerCredential } from '../auth/credentials.ts';
import type { Secret } from '../auth/secret.ts';
import type { Settings } from '../config/config.ts';
import type { Logger } from '../log/logger.ts';
import type { AcceptedSocket } from '../net/raw-socket.ts';
import type { ServerTls } from '../net/tls-upgrade.ts';
import type { RelayPool } from '../relay/ends.ts';
import type { LinkHost } from '../relay/link-host.ts';
import type { ServerConnection } from './server-connection.ts';
import type { HostLookup, HostTurns } from './server-target.ts';

/** What server connections log in with. */
export interface CredentialPort {
  /** What is known by now to log in with to the server of `pool`. */
  of(pool: RelayPool): ServerCredential;
  /**
   * Fetches what to log in with, where it is kept outside of the process.
   *
   * @param done - Called once, at once or later.
   */
  fetch(
    pool: RelayPool,
    done: (outcome: ServerCredential | { readonly problem: string }) => void,
  ): void;
  /** The server has accepted `secret`. */
  onAccepted(pool: RelayPool, secret: Secret): void;
  /** The server has refused `secret`. @returns whether another attempt may fare better at once. */
  onRefused(pool: RelayPool, secret: Secret): boolean;
}

/** What server connections need from around them. */
export interface ServerHost {
  readonly link: LinkHost;
  readonly logger: Logger;
  readonly settings: Settings;
  readonly deriver: PasswordDeriver;
  /** Cryptographically strong random bytes. */
  randomBytes(bytes: number): Buffer;
  /** A number from 0 up to but not including 1. */
  random(): number;
  nowMs(): number;
  wallMs(): number;
  readonly hostTurns: HostTurns<RelayPool>;
  readonly lookup: HostLookup;
  /** How TLS is spoken with servers; null when they are not asked for it. */
  readonly serverTls: ServerTls | null;
  readonly serverCredentials: CredentialPort;
  /** Gives the socket of a TCP connection that stands its options. */
  tune(socket: AcceptedSocket): void;
  /** Sends a cancel request to the server process behind `server`. */
  cancel(server: ServerConnection): void;
}
