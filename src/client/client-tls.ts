import type { TLSSocket } from 'node:tls';
import type { Logger } from '../log/logger.ts';
import type { CertificateNames } from '../net/certificate.ts';
import type { SocketStream } from '../net/socket-stream.ts';
import {
  beginAcceptedTls,
  describeHandshakeError,
  describeTls,
  judgeAcceptedTls,
  trustedNames,
  type ClientTls,
} from '../net/tls-upgrade.ts';
import { poolerError, type PoolerError } from '../protocol/pooler-errors.ts';

/** The connection that TLS is for. */
export interface SecurityOwner {
  /** Name of the unix socket it came by; null for TCP. */
  readonly unixPath: string | null;
  readonly isClosed: boolean;
  logFields(): object;
  disconnect(error: PoolerError): void;
  close(reason: string): void;
  /** Closes the socket at once. */
  destroy(): void;
}

/** What TLS needs from around it. */
export interface SecurityHost {
  readonly logger: Logger;
  /** How TLS is spoken with clients; null when they are offered none. */
  readonly clientTls: ClientTls | null;
}

/** TLS on one client connection: none, a handshake, or what has been agreed on. */
export class ClientSecurity {
  /** What has been agreed on, as SHOW CLIENTS has it; empty without TLS. */
  text = '';
  /** The names of the certificate it has shown, verified; null without one. */
  certificate: CertificateNames | null = null;
  readonly #owner: SecurityOwner;
  readonly #host: SecurityHost;
  /** How TLS was begun; null in the clear. */
  #offer: ClientTls | null = null;
  /** Whether TLS began without being asked for. */
  #isDirect = false;

  constructor(owner: SecurityOwner, host: SecurityHost) {
    this.#owner = owner;
    this.#host = host;
  }

  /** Whether what comes is encrypted. */
  get isSecure(): boolean {
    return this.text !== '';
  }

  /** Whether TLS can begin now. */
  get isOffered(): boolean {
    return this.#host.clientTls !== null && this.#owner.unixPath === null && this.#offer === null;
  }

  /** Whether the connection may not go on in the clear, which it does. */
  get isMissing(): boolean {
    const isRequired = this.#host.clientTls?.isRequired === true;
    return isRequired && this.#owner.unixPath === null && this.text === '';
  }

  /** Data of tls-server-end-point; null without TLS, and when our certificate allows none. */
  get channelBinding(): Buffer | null {
    return this.text === '' ? null : (this.#offer?.endPointHash ?? null);
  }

  /** Begins the handshake. @param hello - as for {@link SocketStream.startTls}. */
  begin(stream: SocketStream, hello: Buffer | null): void {
    const offer = this.#host.clientTls;
    if (offer === null || stream.output.unsentBytes > 0) {
      // Who cannot take one byte cannot shake hands either.
      this.#owner.close('failed to accept SSL');
      return;
    }
    this.#offer = offer;
    this.#isDirect = hello !== null;
    stream.startTls((socket) => beginAcceptedTls(socket, offer), hello);
  }

  /** The handshake is done. */
  onSecure(socket: TLSSocket): void {
    const offer = this.#offer;
    const owner = this.#owner;
    if (owner.isClosed || offer === null) {
      return;
    }
    const { text, serverName, isAlpnChosen } = describeTls(socket);
    if (this.#isDirect && !isAlpnChosen) {
      this.#fail('handshake failed: direct TLS without ALPN protocol postgresql');
      return;
    }
    this.text = text;
    const problem = judgeAcceptedTls(socket, offer);
    if (problem !== null) {
      this.#log(`handshake failed: ${problem}`);
      owner.disconnect(poolerError('certificateRefused'));
      return;
    }
    this.certificate = trustedNames(socket, offer);
    if (this.#host.logger.isDebug) {
      const sni = serverName ?? undefined;
      this.#host.logger.debug('tls_established', { ...owner.logFields(), tls: text, sni });
    }
  }

  /** The connection is lost. */
  onLost(error: Error | null): void {
    if (this.#offer !== null && this.text === '' && !this.#owner.isClosed) {
      this.#fail(describeHandshakeError(error));
    }
  }

  #fail(error: string): void {
    this.#log(error);
    this.#owner.close('TLS handshake failed');
    this.#owner.destroy();
  }

  #log(error: string): void {
    this.#host.logger.warn('tls_handshake_failed', { ...this.#owner.logFields(), error });
  }
}
