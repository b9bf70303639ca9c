import { int, list, oneOf, str } from './setting.ts';
import { checkLdapOptions } from './ldap-options.ts';
import { checkAuthDatabase, checkAuthQuery } from './text-checks.ts';

/** What `auth_query` is when the file names none. */
const DEFAULT_AUTH_QUERY =
  'SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END FROM pg_authid WHERE rolname=$1 AND rolcanlogin';

/** Settings of who may connect and who may use the console. */
export const AUTH_SETTINGS = {
  auth_type: oneOf(
    ['any', 'trust', 'plain', 'md5', 'scram-sha-256', 'cert', 'hba', 'ldap', 'peer', 'pam'],
    {
      default: 'md5',
      nativeValues: ['peer', 'pam'],
      group: 'essential',
      doc: 'How clients prove who they are. `any` and `trust` ask for no password, `any` even forgets the user name. `peer` takes the system user at the other end of a Unix socket, `pam` asks the PAM service `pgbouncer`. `hba` decides by the rules of auth_hba_file.',
    },
  ),
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
    group: 'frequent',
    check: checkAuthQuery,
    allowed: 'a query that holds $1',
    doc: 'Query that finds the secret of a user who is not in auth_file: `$1` is the name, the result one row of two columns, name and secret, or none. Run by auth_user.',
  }),
  auth_user: str({
    default: null,
    group: 'frequent',
    doc: 'User that runs auth_query; its own password is that in auth_file. Without it, users who are not in auth_file are unknown.',
  }),
  auth_dbname: str({
    default: null,
    check: checkAuthDatabase,
    allowed: 'the name of a database that clients can ask for',
    doc: 'Entry of databases in which auth_query runs. Without it, the database that the client asks for.',
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
