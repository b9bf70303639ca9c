import { createHash } from 'node:crypto';
import { systemErrorText } from '../base/system-error-text.ts';
import { DEFAULT_CIPHER_WORDS } from '../config/settings-tls.ts';
import type { Settings } from '../config/config.ts';
import { parseTlsProtocols } from '../config/tls-protocols.ts';
import { endPointHash } from '../net/certificate.ts';
import {
  buildTlsContext,
  TlsIngredientError,
  type BuiltContext,
  type TlsIngredients,
} from '../net/tls-context.ts';
import type { ClientTls, ServerTls } from '../net/tls-upgrade.ts';

/** A file or setting of TLS that cannot be used. The message names setting, file and reason. */
export class TlsSetupError extends Error {
  override readonly name = 'TlsSetupError';
}

/** When a certificate that we show expires. */
export interface CertificateExpiry {
  /** The setting that names its file. */
  readonly setting: 'client_tls_cert_file' | 'server_tls_cert_file';
  readonly file: string;
  /** In wall clock ms. */
  readonly expiresAtMs: number;
}

/** All that TLS needs, built from one configuration and the files it names. */
export interface TlsSetup {
  /** Null when clients are offered none. */
  readonly client: ClientTls | null;
  /** Null when servers are not asked for it. */
  readonly server: ServerTls | null;
  /** Changes with anything that concerns servers: settings and contents of files. */
  readonly serverFingerprint: string;
  /** The same of clients. */
  readonly clientFingerprint: string;
  readonly expiries: readonly CertificateExpiry[];
  /** The files it was built from. */
  readonly files: readonly string[];
}

type Side = 'client' | 'server';

/** The settings of one side, in one shape. */
interface SideSettings {
  readonly mode: Settings['clientTlsSslmode'];
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly protocols: string;
  readonly ciphers: string;
  readonly tls13Ciphers: string | null;
  readonly ecdhCurve: string;
  readonly hasDheParams: boolean;
}

function sideSettings(side: Side, settings: Settings): SideSettings {
  return side === 'client'
    ? {
        mode: settings.clientTlsSslmode,
        caFile: settings.clientTlsCaFile,
        certFile: settings.clientTlsCertFile,
        keyFile: settings.clientTlsKeyFile,
        protocols: settings.clientTlsProtocols,
        ciphers: settings.clientTlsCiphers,
        tls13Ciphers: settings.clientTls13Ciphers,
        ecdhCurve: settings.clientTlsEcdhcurve,
        hasDheParams: settings.clientTlsDheparams === 'auto',
      }
    : {
        mode: settings.serverTlsSslmode,
        caFile: settings.serverTlsCaFile,
        certFile: settings.serverTlsCertFile,
        keyFile: settings.serverTlsKeyFile,
        protocols: settings.serverTlsProtocols,
        ciphers: settings.serverTlsCiphers,
        tls13Ciphers: settings.serverTls13Ciphers,
        ecdhCurve: 'auto',
        // Parameters are the server's to choose.
        hasDheParams: false,
      };
}

/** The settings that ingredients come from, and PgBouncer's word for a bad value. */
const SETTING_OF: Readonly<Record<keyof TlsIngredients, string>> = {
  ca: 'ca_file',
  trustsPublicRoots: 'ca_file',
  cert: 'cert_file',
  key: 'key_file',
  protocols: 'protocols',
  ciphers: 'ciphers',
  tls13Ciphers: '13_ciphers',
  ecdhCurve: 'ecdhcurve',
  hasDheParams: 'dheparams',
};

interface BuiltSide {
  readonly built: BuiltContext | null;
  readonly fingerprint: string;
  readonly files: readonly string[];
}

function buildSide(
  side: Side,
  settings: SideSettings,
  readText: (file: string) => string,
): BuiltSide {
  if (settings.mode === 'disable') {
    return { built: null, fingerprint: 'disable', files: [] };
  }
  const files = [settings.caFile, settings.certFile, settings.keyFile];
  const [ca, cert, key] = ['ca_file', 'cert_file', 'key_file'].map((name, index) =>
    readPem(`${side}_tls_${name}`, files[index] ?? '', readText),
  );
  const ingredients: TlsIngredients = {
    ca: ca ?? null,
    // PgBouncer too falls back to public authorities where it must trust somebody.
    trustsPublicRoots: side === 'server' && settings.mode === 'verify-full',
    cert: cert ?? null,
    key: key ?? null,
    protocols: parseTlsProtocols(settings.protocols) ?? [],
    ciphers: DEFAULT_CIPHER_WORDS.includes(settings.ciphers) ? null : settings.ciphers,
    tls13Ciphers: settings.tls13Ciphers === '' ? null : settings.tls13Ciphers,
    ecdhCurve: settings.ecdhCurve,
    hasDheParams: settings.hasDheParams,
  };
  const text = JSON.stringify([settings, ingredients]);
  return {
    built: build(side, settings, ingredients),
    // It holds a private key.
    fingerprint: createHash('sha256').update(text).digest('hex'),
    files: files.filter((file) => file !== ''),
  };
}

function readPem(setting: string, file: string, readText: (file: string) => string): string | null {
  if (file === '') {
    return null;
  }
  try {
    return readText(file);
  } catch (cause) {
    throw new TlsSetupError(`${setting}: could not read "${file}": ${systemErrorText(cause)}`, {
      cause,
    });
  }
}

function build(side: Side, settings: SideSettings, ingredients: TlsIngredients): BuiltContext {
  try {
    return buildTlsContext(ingredients);
  } catch (error) {
    if (!(error instanceof TlsIngredientError)) {
      throw error;
    }
    const { ingredient, message } = error;
    throw new TlsSetupError(describeProblem(side, settings, ingredient, message), { cause: error });
  }
}

function describeProblem(
  side: Side,
  settings: SideSettings,
  ingredient: keyof TlsIngredients,
  problem: string,
): string {
  const gap = ingredient === 'tls13Ciphers' ? '' : '_';
  const setting = `${side}_tls${gap}${SETTING_OF[ingredient]}`;
  const files = { ca: settings.caFile, cert: settings.certFile, key: settings.keyFile };
  if (ingredient in files) {
    return `${setting}: "${files[ingredient as keyof typeof files]}" ${problem}`;
  }
  const values = {
    ciphers: settings.ciphers,
    tls13Ciphers: settings.tls13Ciphers ?? '',
    ecdhCurve: settings.ecdhCurve,
    protocols: settings.protocols,
  };
  const value = values[ingredient as keyof typeof values];
  return `invalid ${setting}: ${value} (${problem})`;
}

/**
 * Builds the TLS contexts of a configuration: one for all clients, one for all servers. Nothing is
 * kept or changed when something is wrong.
 *
 * @param readText - reads a file; may throw.
 * @throws {@link TlsSetupError} naming the setting, its file and what is wrong with it.
 */
export function setUpTls(settings: Settings, readText: (file: string) => string): TlsSetup {
  const client = buildSide('client', sideSettings('client', settings), readText);
  const server = buildSide('server', sideSettings('server', settings), readText);
  const expiries: CertificateExpiry[] = [];
  for (const [setting, file, { built }] of [
    ['client_tls_cert_file', settings.clientTlsCertFile, client],
    ['server_tls_cert_file', settings.serverTlsCertFile, server],
  ] as const) {
    const expiresAtMs = built?.expiresAtMs ?? null;
    if (expiresAtMs !== null) {
      expiries.push({ setting, file, expiresAtMs });
    }
  }
  return {
    client: client.built === null ? null : clientTls(client.built, settings),
    server: server.built === null ? null : serverTls(server.built, settings),
    clientFingerprint: client.fingerprint,
    serverFingerprint: `${settings.serverTlsSslnegotiation} ${server.fingerprint}`,
    expiries,
    files: [...client.files, ...server.files],
  };
}

/**
 * The certificates of clients are made for no host: both strict modes are one, as in PgBouncer. In
 * the others, clients may still have one for a `cert` line of the HBA file.
 */
function clientTls({ context, certificate }: BuiltContext, settings: Settings): ClientTls {
  const { clientTlsSslmode: mode, clientTlsCaFile } = settings;
  const lenient = clientTlsCaFile === '' ? 'none' : 'optional';
  const isRequired = mode !== 'allow' && mode !== 'prefer';
  return {
    context,
    peerCheck: mode.startsWith('verify') ? 'authority' : lenient,
    isRequired,
    endPointHash: certificate === null ? null : endPointHash(certificate),
  };
}

function serverTls({ context }: BuiltContext, settings: Settings): ServerTls {
  const { serverTlsSslmode: mode } = settings;
  return {
    context,
    peerCheck: mode === 'verify-full' ? 'host' : mode === 'verify-ca' ? 'authority' : 'none',
    isRequired: mode !== 'allow' && mode !== 'prefer',
    isDirect: settings.serverTlsSslnegotiation === 'direct',
  };
}
