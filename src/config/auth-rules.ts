import type { Settings } from './config.ts';

/** A setting of authentication that does not go with another one. */
export interface AuthProblem {
  /** PgBouncer's name of the setting to change. */
  readonly key: string;
  /** A sentence. */
  readonly problem: string;
}

/** Finds settings of authentication that do not go together. Files are not looked into. */
export function findAuthProblems({ authType, authLdapOptions }: Settings): readonly AuthProblem[] {
  return authType === 'ldap' && (authLdapOptions ?? '') === ''
    ? [{ key: 'auth_ldap_options', problem: 'auth_type=ldap requires auth_ldap_options' }]
    : [];
}
