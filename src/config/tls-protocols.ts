const TLS_1_0 = 'TLSv1';
const TLS_1_1 = 'TLSv1.1';
const TLS_1_2 = 'TLSv1.2';
const TLS_1_3 = 'TLSv1.3';

/** One version of TLS, as Node.js and OpenSSL call it. */
export type TlsProtocol = typeof TLS_1_0 | typeof TLS_1_1 | typeof TLS_1_2 | typeof TLS_1_3;

const ALL: readonly TlsProtocol[] = [TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3];
const SECURE: readonly TlsProtocol[] = [TLS_1_2, TLS_1_3];

/** PgBouncer's words for versions of TLS. */
const WORDS: ReadonlyMap<string, readonly TlsProtocol[]> = new Map([
  ['all', ALL],
  ['tlsv1', ALL],
  ['secure', SECURE],
  ['default', SECURE],
  ['tlsv1.0', [TLS_1_0]],
  ['tlsv1.1', [TLS_1_1]],
  ['tlsv1.2', [TLS_1_2]],
  ['tlsv1.3', [TLS_1_3]],
]);

/** What is accepted, for messages. */
export const TLS_PROTOCOLS_ALLOWED = `${[...WORDS.keys()].join(', ')}, several with commas between, with ! before those to leave out`;

/**
 * Reads a list of TLS versions.
 *
 * @param text - Words with `,` or `:` between; one with `!` before it is taken away, from all when
 * it stands first.
 * @returns The versions, oldest first; `null` when a word is unknown or nothing is left.
 * @source PgBouncer settings: `client_tls_protocols`
 */
export function parseTlsProtocols(text: string): readonly TlsProtocol[] | null {
  const chosen = new Set<TlsProtocol>();
  for (const part of text.split(/[,:]/)) {
    const word = part.trim().toLowerCase();
    const isTaken = word.startsWith('!');
    const versions = WORDS.get(isTaken ? word.slice(1).trim() : word);
    if (versions === undefined) {
      return null;
    }
    const isFromAll = isTaken && chosen.size === 0;
    for (const version of isFromAll ? ALL : []) {
      chosen.add(version);
    }
    for (const version of versions) {
      if (isTaken) {
        chosen.delete(version);
      } else {
        chosen.add(version);
      }
    }
  }
  return chosen.size === 0 ? null : ALL.filter((version) => chosen.has(version));
}

/**
 * Checks a list of TLS versions.
 *
 * @returns What is wrong as a clause, or `null`.
 */
export function checkTlsProtocols(text: string): string | null {
  return parseTlsProtocols(text) === null ? 'not a list of TLS versions' : null;
}
