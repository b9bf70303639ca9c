type Environment = Readonly<Record<string, string | undefined>>;

/** Where libldap keeps its defaults, by system. */
const LDAP_CONF_FILES = ['/etc/ldap/ldap.conf', '/etc/openldap/ldap.conf'] as const;

/**
 * Finds the certificates that those of LDAP servers must be signed by, where libldap finds them: in
 * the file named by `LDAPTLS_CACERT`, else by `TLS_CACERT` of ldap.conf.
 *
 * COMPAT: what weakens the check there (`TLS_REQCERT never`) is not looked at.
 *
 * @returns PEM, or `null` for the certificates that Node.js trusts.
 * @throws Error when the file that is named cannot be read.
 * @source ldap.conf(5)
 */
export function ldapCertificates(
  env: Environment,
  readText: (file: string) => string,
): string | null {
  const file = env['LDAPTLS_CACERT'] ?? configuredFile(readText);
  return file === null || file === '' ? null : readText(file);
}

function configuredFile(readText: (file: string) => string): string | null {
  for (const file of LDAP_CONF_FILES) {
    let text: string;
    try {
      text = readText(file);
    } catch {
      // Not there: libldap does without as well.
      continue;
    }
    const match = /^[ \t]*TLS_CACERT[ \t]+(\S+)/im.exec(text);
    if (match?.[1] !== undefined) {
      return match[1];
    }
  }
  return null;
}
