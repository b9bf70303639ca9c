import { isIP, type Socket } from 'node:net';
import tls, { type SecureContext, type TLSSocket } from 'node:tls';
import { endPointHash, readCertificateNames, type CertificateNames } from './certificate.ts';
import { verificationErrorOf } from './raw-handle.ts';

/** The protocol name of PostgreSQL in ALPN. */
const ALPN_PROTOCOL = 'postgresql';

/** What is asked of the certificate of the other side. */
export type PeerCheck =
  /** Nothing: it is not even asked for, or whatever comes is fine. */
  | 'none'
  /** It is asked for. Who shows none, or one that cannot be trusted, has none. */
  | 'optional'
  /** There must be one that is signed by a trusted authority. */
  | 'authority'
  /** As `authority`, and made for the host that the connection was opened to. */
  | 'host';

/** How TLS is spoken on connections that come in. */
export interface AcceptedTls {
  readonly context: SecureContext;
  readonly peerCheck: Exclude<PeerCheck, 'host'>;
}

/** What clients are offered. */
export interface ClientTls extends AcceptedTls {
  /** Whether clients must use it. */
  readonly isRequired: boolean;
  /** Data of tls-server-end-point for our certificate; null when it allows no channel binding. */
  readonly endPointHash: Buffer | null;
}

/** How TLS is spoken on connections that we open, to whatever host. */
export interface ServerTls {
  readonly context: SecureContext;
  readonly peerCheck: Exclude<PeerCheck, 'optional'>;
  /** Whether a server without TLS is refused. */
  readonly isRequired: boolean;
  /** Whether TLS begins without being asked for: then ALPN must choose our protocol. */
  readonly isDirect: boolean;
}

/** How TLS is spoken on one connection that we have opened. */
export interface OpenedTls extends ServerTls {
  /** Name or numeric address that the connection was opened to, for SNI and the check. */
  readonly host: string;
}

/** Begins TLS as its server on a connection from which nothing encrypted has been read yet. */
export function beginAcceptedTls(socket: Socket, { context, peerCheck }: AcceptedTls): TLSSocket {
  return new tls.TLSSocket(socket, {
    isServer: true,
    secureContext: context,
    ALPNProtocols: [ALPN_PROTOCOL],
    requestCert: peerCheck !== 'none',
    // Without a certificate the handshake fails. Whether it can be trusted is asked afterwards.
    rejectUnauthorized: peerCheck === 'authority',
  });
}

/** Begins TLS as its client on a connection that stands. */
export function beginOpenedTls(socket: Socket, { context, host }: OpenedTls): TLSSocket {
  return tls.connect({
    socket,
    secureContext: context,
    ALPNProtocols: [ALPN_PROTOCOL],
    // SNI has no numeric addresses.
    ...(isIP(host) === 0 ? { servername: host } : {}),
    // Both are judged by `judgeOpenedTls`, also for a resumed session.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  });
}

/**
 * Judges the client's certificate once the handshake is done.
 *
 * @returns what is wrong as a clause, or null.
 */
export function judgeAcceptedTls(socket: TLSSocket, { peerCheck }: AcceptedTls): string | null {
  if (peerCheck !== 'authority') {
    return null;
  }
  if (socket.getPeerX509Certificate() === undefined) {
    return 'peer did not return a certificate';
  }
  const error = verificationErrorOf(socket);
  return error === null ? null : `certificate verify failed: ${error}`;
}

/**
 * Judges the server's certificate and the protocol once the handshake is done.
 *
 * @returns what is wrong as a clause, or null.
 */
export function judgeOpenedTls(
  socket: TLSSocket,
  { peerCheck, host, isDirect }: OpenedTls,
): string | null {
  if (isDirect && socket.alpnProtocol !== ALPN_PROTOCOL) {
    return 'direct TLS was established without ALPN protocol postgresql';
  }
  if (peerCheck === 'none') {
    return null;
  }
  const error = verificationErrorOf(socket);
  if (error !== null) {
    return `certificate verify failed: ${error}`;
  }
  return peerCheck === 'host' && !isMadeFor(socket, host)
    ? `name '${host}' not present in server certificate`
    : null;
}

function isMadeFor(socket: TLSSocket, host: string): boolean {
  const certificate = socket.getPeerCertificate();
  if (tls.checkServerIdentity(host, certificate) === undefined) {
    return true;
  }
  // As PgBouncer does: the common name of an old certificate may be a numeric address.
  return (
    isIP(host) !== 0 &&
    certificate.subjectaltname === undefined &&
    (certificate.subject as unknown as Record<string, unknown>)['CN'] === host
  );
}

/** What is known of an established TLS connection. */
export interface TlsFacts {
  /** As PgBouncer shows it: `TLSv1.3/TLS_AES_256_GCM_SHA384`. */
  readonly text: string;
  /** The host that the client named by SNI; null for none. Any text. */
  readonly serverName: string | null;
  /** Whether ALPN chose the protocol of PostgreSQL. */
  readonly isAlpnChosen: boolean;
}

/** Tells what has been agreed on. */
export function describeTls(socket: TLSSocket): TlsFacts {
  const { servername, alpnProtocol } = socket as { servername?: unknown; alpnProtocol: unknown };
  const version = socket.getProtocol() ?? 'TLS';
  const isOld = version !== 'TLSv1.3';
  return {
    text: `${version}/${socket.getCipher().name}${isOld ? curveText(socket) : ''}`,
    serverName: typeof servername === 'string' ? servername : null,
    isAlpnChosen: alpnProtocol === ALPN_PROTOCOL,
  };
}

/** COMPAT: Node tells the curve of connections that it opened only. */
function curveText(socket: TLSSocket): string {
  const info = socket.getEphemeralKeyInfo() as { type?: string; name?: string } | null;
  return info?.type === 'ECDH' && info.name !== undefined ? `/ECDH=${info.name}` : '';
}

/** The names of the client's certificate; null without one, and for one that cannot be trusted. */
export function trustedNames(
  socket: TLSSocket,
  { peerCheck }: AcceptedTls,
): CertificateNames | null {
  if (peerCheck === 'none' || verificationErrorOf(socket) !== null) {
    return null;
  }
  const certificate = socket.getPeerX509Certificate();
  return certificate === undefined ? null : readCertificateNames(certificate.raw);
}

/** The data of tls-server-end-point of the server we are connected to; null for none. */
export function peerEndPointHash(socket: TLSSocket): Buffer | null {
  const certificate = socket.getPeerX509Certificate();
  return certificate === undefined ? null : endPointHash(certificate.raw);
}

/** What went wrong in a handshake, in OpenSSL's words where it was OpenSSL that said so. */
export function describeHandshakeError(error: Error | null): string {
  if (error === null) {
    return 'handshake failed: unexpected EOF';
  }
  const { reason } = error as { reason?: unknown };
  return `handshake failed: ${typeof reason === 'string' ? reason : error.message}`;
}
