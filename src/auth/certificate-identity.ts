import type { IdentMap, Mapping } from './ident-map.ts';

const SLOW_MAP = 'a regular expression of the map takes too long for these names';

/** The names in a certificate that a client has shown and that was verified. */
export interface ClientCertificate {
  /** CN of its subject; `null` when it has none. */
  readonly commonName: string | null;
  /** Names of its subjectAltName extension, without their kinds. */
  readonly subjectAltNames: readonly string[];
}

/**
 * Tells whether a certificate lets its owner log in as `user`: one of its names must be that of the
 * user, letter by letter, or be mapped to it.
 *
 * @param certificate - `null` when the client has shown none.
 * @param map - `null` when the names must be equal.
 * @returns `null` when it does, else why not, as a clause for the log.
 * @source PgBouncer manual, "auth_type", cert
 */
export function refuseCertificate(
  certificate: ClientCertificate | null,
  map: IdentMap | null,
  user: string,
): string | null {
  if (certificate === null) {
    return 'the client has shown no certificate that can be trusted';
  }
  const { commonName, subjectAltNames } = certificate;
  const names = [...(commonName === null ? [] : [commonName]), ...subjectAltNames].filter(isName);
  if (names.length === 0) {
    return 'the certificate has neither a common name nor another name';
  }
  const found = judgeNames(names, map, user);
  if (found === 'mapped') {
    return null;
  }
  if (found === 'too_slow') {
    return SLOW_MAP;
  }
  const shown = names.map((name) => JSON.stringify(name)).join(', ');
  return map === null
    ? `the certificate is for ${shown}`
    : `the map has no entry from ${shown} to this user`;
}

/** An empty name, or one with a NUL, which shorter names might be taken for, is none. */
function isName(name: string): boolean {
  return name !== '' && !name.includes('\0');
}

/**
 * Tells whether the owner of the other end of a unix socket may log in as `user`.
 *
 * @param systemName - Name of the system user.
 * @param map - `null` when the names must be equal.
 * @returns `null` when it may, else why not, as a clause for the log.
 * @source PostgreSQL manual, "Peer Authentication"
 */
export function refusePeer(systemName: string, map: IdentMap | null, user: string): string | null {
  const found = judgeNames([systemName], map, user);
  if (found === 'mapped' && systemName !== '') {
    return null;
  }
  if (found === 'too_slow') {
    return SLOW_MAP;
  }
  return map === null
    ? `system user ${systemName} is not ${user}`
    : `the map has no entry from system user ${systemName} to ${user}`;
}

function judgeNames(names: readonly string[], map: IdentMap | null, user: string): Mapping {
  if (map !== null) {
    return map.find(names, user);
  }
  return names.includes(user) ? 'mapped' : 'unmapped';
}
