import { constants, createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import tls, { type SecureContext } from 'node:tls';

/** The versions of TLS that can be spoken. */
export const TLS_VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;

/** One of {@link TLS_VERSIONS}. */
export type TlsVersion = (typeof TLS_VERSIONS)[number];

/** What a context is made of. Certificates and keys are the PEM text of files. */
export interface TlsIngredients {
  readonly ca: string | null;
  /** Whether the authorities that Node.js comes with are trusted when `ca` is null. */
  readonly trustsPublicRoots: boolean;
  readonly cert: string | null;
  readonly key: string | null;
  /** At least one. */
  readonly protocols: readonly TlsVersion[];
  /** A list of OpenSSL for TLS 1.2 and below; null for the default one. */
  readonly ciphers: string | null;
  /** Suites for TLS 1.3, with colons between; null for the default ones. */
  readonly tls13Ciphers: string | null;
  /** Names with colons between, `auto`, or `none` for no elliptic curves below TLS 1.3. */
  readonly ecdhCurve: string;
  /** Whether the finite-field key exchange is offered, with parameters of a fitting size. */
  readonly hasDheParams: boolean;
}

/** An ingredient that cannot be used. */
export class TlsIngredientError extends Error {
  readonly ingredient: keyof TlsIngredients;

  constructor(ingredient: keyof TlsIngredients, problem: string, cause?: unknown) {
    super(problem, { cause });
    this.ingredient = ingredient;
  }
}

/** A context, and what else is known of its certificate. */
export interface BuiltContext {
  readonly context: SecureContext;
  /** The certificate shown to peers, as DER; null without one. */
  readonly certificate: Buffer | null;
  /** When the first of the certificates shown to peers expires, in wall clock ms; null without one. */
  readonly expiresAtMs: number | null;
}

const CERTIFICATE =
  /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^]*?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;

/** Options that switch one version off. */
const NO_VERSION: Readonly<Record<TlsVersion, number>> = {
  TLSv1: constants.SSL_OP_NO_TLSv1,
  'TLSv1.1': constants.SSL_OP_NO_TLSv1_1,
  'TLSv1.2': constants.SSL_OP_NO_TLSv1_2,
  'TLSv1.3': constants.SSL_OP_NO_TLSv1_3,
};

/** Any text will do: sessions of one context are never used with another one. */
const SESSION_ID_CONTEXT = 'maitred';

/**
 * Checks all ingredients, each by itself, and makes a context of them.
 *
 * Sessions may be resumed, by tickets that only this very context can open: a context with another
 * set of trusted certificates asks for the certificate again. Renegotiation is refused.
 *
 * @throws {@link TlsIngredientError} naming the first ingredient that cannot be used.
 */
export function buildTlsContext(ingredients: TlsIngredients): BuiltContext {
  const { ca, cert, key } = ingredients;
  const own = cert === null ? [] : readCertificates('cert', cert);
  const [leaf] = own;
  if (key !== null) {
    const privateKey = readKey(key);
    if (leaf !== undefined && !leaf.checkPrivateKey(privateKey)) {
      throw new TlsIngredientError('key', 'is not the key of the certificate');
    }
  }
  if (ca !== null) {
    readCertificates('ca', ca);
  }
  const choices = { ...chooseVersions(ingredients), ...chooseCiphers(ingredients) };
  const context = attempt('cert', {
    ...choices,
    // Without an empty list Node loads its authorities, which takes time and memory.
    ...(ca === null && ingredients.trustsPublicRoots ? {} : { ca: ca ?? [] }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
    ...(ingredients.hasDheParams ? { dhparam: 'auto' } : {}),
    honorCipherOrder: true,
    sessionIdContext: SESSION_ID_CONTEXT,
  });
  return {
    context,
    certificate: leaf?.raw ?? null,
    expiresAtMs: leaf === undefined ? null : Math.min(...own.map(expiryMs)),
  };
}

function attempt(
  ingredient: keyof TlsIngredients,
  options: tls.SecureContextOptions,
): SecureContext {
  try {
    return tls.createSecureContext(options);
  } catch (cause) {
    throw new TlsIngredientError(ingredient, problemOf(cause), cause);
  }
}

/** What OpenSSL has against something, without its numbers and file names. */
function problemOf(cause: unknown): string {
  const { reason, message } = cause as { reason?: unknown; message?: unknown };
  return typeof reason === 'string' ? reason : String(message);
}

function readCertificates(ingredient: 'cert' | 'ca', pem: string): X509Certificate[] {
  const texts = pem.match(CERTIFICATE) ?? [];
  if (texts.length === 0) {
    throw new TlsIngredientError(ingredient, 'holds no certificate in PEM form');
  }
  return texts.map((text, index) => {
    try {
      return new X509Certificate(text);
    } catch (cause) {
      const which = `certificate ${String(index + 1)} of ${String(texts.length)}`;
      throw new TlsIngredientError(ingredient, `${which} is broken: ${problemOf(cause)}`, cause);
    }
  });
}

function readKey(pem: string): KeyObject {
  if (pem.includes('ENCRYPTED')) {
    throw new TlsIngredientError('key', 'is encrypted, and there is no setting for its passphrase');
  }
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new TlsIngredientError('key', 'holds no private key in PEM form', cause);
  }
}

function expiryMs({ validTo }: X509Certificate): number {
  return Date.parse(validTo);
}

function chooseVersions({ protocols }: TlsIngredients): tls.SecureContextOptions {
  const wanted = TLS_VERSIONS.filter((version) => protocols.includes(version));
  const minVersion = wanted[0];
  const maxVersion = wanted.at(-1);
  if (minVersion === undefined || maxVersion === undefined) {
    throw new TlsIngredientError('protocols', 'leaves no version of TLS');
  }
  let secureOptions = constants.SSL_OP_NO_RENEGOTIATION;
  for (const version of TLS_VERSIONS) {
    if (!protocols.includes(version)) {
      secureOptions |= NO_VERSION[version];
    }
  }
  return { minVersion, maxVersion, secureOptions };
}

function chooseCiphers(ingredients: TlsIngredients): tls.SecureContextOptions {
  const { ciphers, tls13Ciphers, ecdhCurve } = ingredients;
  const suites = tls13Ciphers?.split(':').filter((name) => name !== '') ?? null;
  if (suites !== null) {
    if (suites.length === 0 || suites.some((name) => !name.startsWith('TLS_'))) {
      throw new TlsIngredientError('tls13Ciphers', 'is no list of TLS 1.3 cipher suites');
    }
    attempt('tls13Ciphers', { ciphers: suites.join(':') });
  }
  if (ciphers !== null) {
    attempt('ciphers', { ciphers: withoutSuites(ciphers) });
  }
  const noCurves = ecdhCurve === 'none';
  if (!noCurves && ecdhCurve !== 'auto') {
    attempt('ecdhCurve', { ecdhCurve });
  }
  const list = ciphers ?? tls.DEFAULT_CIPHERS;
  const all = [
    ...(suites ?? list.split(':').filter((name) => name.startsWith('TLS_'))),
    withoutSuites(list),
    ...(noCurves ? ['!kECDHE'] : []),
  ];
  return { ciphers: all.join(':'), ecdhCurve: noCurves ? 'auto' : ecdhCurve };
}

/** Node takes what begins with `TLS_` for suites of TLS 1.3 wherever it stands; OpenSSL does not. */
function withoutSuites(ciphers: string): string {
  const names = ciphers.split(':').filter((name) => !name.startsWith('TLS_'));
  if (names.every((name) => name === '')) {
    throw new TlsIngredientError('ciphers', 'has no cipher for TLS 1.2 and below');
  }
  return names.join(':');
}
