import { int, list, oneOf, str } from './setting.ts';
import { checkLdapOptions } from './ldap-options.ts';
import { checkAuthDatabase } from './text-checks.ts';

/** What `auth_query` is when the file names none. */
const DEFAULT_AUTH_QUERY =
  'SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END FROM pg_authid WHERE rolname=$1 AND rolcanlogin';

/** Settings of who may connect and who may use the console. */
export const AUTH_SETTINGS = {
  auth_type: oneOf(['any', 'trust', 'plain', 'md5', 'scram-sha-256', 'cert', 'hba', 'ldap'], {
    default: 'md5',
    notYetValues: ['peer', 'pam'],
    group: 'essential',
    doc: 'How clients prove who they are. `any` and `trust` ask for no password, `any` even forgets the user name. `hba` decides by the rules of auth_hba_file.',
  }),
  auth_file: str({
    default: null,
    group: 'essential',
    doc: 'File of user names and passwords or password hashes, read again on reload.',
  }),
  auth_hba_file: str({
    default: '',
    doc: 'File of host-based rules for auth_type hba, read again on reload.',
  }),
  auth_ident_file: str({
    default: null,
    doc: 'File of maps from system or certificate names to users, for auth_type hba, read again on reload.',
  }),
  auth_ldap_options: str({
    default: null,
    secret: true,
    check: checkLdapOptions,
    allowed: 'name=value with spaces between, such as ldapserver, ldapbasedn, ldapprefix',
    doc: 'How auth_type ldap finds and checks users; the options are those of PostgreSQL.',
  }),
  auth_query: str({
    default: DEFAULT_AUTH_QUERY,
    support: 'not-yet',
    tolerated: { values: 'any', instead: 'it is run with auth_user only' },
    doc: 'Query that finds the password hash of a user who is not in auth_file.',
  }),
  auth_user: str({
    default: null,
    support: 'not-yet',
    doc: 'User that runs auth_query.',
  }),
  auth_dbname: str({
    default: null,
    check: checkAuthDatabase,
    support: 'not-yet',
    tolerated: { values: 'any', instead: 'it is used with auth_user only' },
    doc: 'Database in which auth_query runs.',
  }),
  scram_iterations: int({
    default: 4096,
    min: 1,
    max: 10_000_000,
    doc: 'Iterations of SCRAM secrets made from plain passwords and of the answers to unknown users.',
  }),
  admin_users: list({
    default: [],
    group: 'essential',
    doc: 'Users who may run every command of the console.',
  }),
  stats_users: list({
    default: [],
    group: 'frequent',
    doc: 'Users who may only look in the console.',
  }),
} as const;
