import type { Settings } from './config.ts';

/** A setting of TLS that does not go with another one. */
export interface TlsProblem {
  /** PgBouncer's name of the setting to change. */
  readonly key: string;
  /** A sentence, in PgBouncer's words where it has some. */
  readonly problem: string;
}

function clientProblem(settings: Settings): TlsProblem | null {
  const { authType, clientTlsSslmode: mode } = settings;
  const { clientTlsCaFile, clientTlsCertFile, clientTlsKeyFile } = settings;
  if (mode !== 'disable' && (clientTlsCertFile === '' || clientTlsKeyFile === '')) {
    const key = clientTlsKeyFile === '' ? 'client_tls_key_file' : 'client_tls_cert_file';
    const names = 'client_tls_key_file and client_tls_cert_file';
    return { key, problem: `To allow TLS connections from clients, ${names} must be set.` };
  }
  if (authType === 'cert' && mode !== 'verify-full') {
    const problem = 'auth_type=cert requires client_tls_sslmode=SSLMODE_VERIFY_FULL';
    return { key: 'client_tls_sslmode', problem };
  }
  if (mode.startsWith('verify') && clientTlsCaFile === '') {
    const what = authType === 'cert' ? 'auth_type=cert' : 'client_tls_sslmode';
    return { key: 'client_tls_ca_file', problem: `${what} requires client_tls_ca_file` };
  }
  return null;
}

function serverProblem(settings: Settings): TlsProblem | null {
  const { serverTlsSslmode: mode, serverTlsSslnegotiation } = settings;
  const { serverTlsCaFile, serverTlsCertFile, serverTlsKeyFile } = settings;
  if (mode === 'disable') {
    return null;
  }
  if ((serverTlsCertFile === '') !== (serverTlsKeyFile === '')) {
    const key = serverTlsKeyFile === '' ? 'server_tls_key_file' : 'server_tls_cert_file';
    const problem = 'server_tls_cert_file and server_tls_key_file must be set both or not at all';
    return { key, problem };
  }
  if (mode === 'verify-ca' && serverTlsCaFile === '') {
    // Whoever has a certificate of any public authority would do.
    const problem = 'server_tls_sslmode=verify-ca requires server_tls_ca_file';
    return { key: 'server_tls_ca_file', problem };
  }
  const isWeak = mode === 'allow' || mode === 'prefer';
  return serverTlsSslnegotiation === 'direct' && isWeak
    ? {
        key: 'server_tls_sslnegotiation',
        problem: `server_tls_sslnegotiation=direct requires server_tls_sslmode=require or stricter, not ${mode}`,
      }
    : null;
}

/** Finds settings of TLS that do not go together. Files are not looked into. */
export function findTlsProblems(settings: Settings): readonly TlsProblem[] {
  return [clientProblem(settings), serverProblem(settings)].filter((found) => found !== null);
}
