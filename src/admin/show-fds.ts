import { column, defineTable, type ShowTable } from './show-columns.ts';
import type { DescriptorSnapshot } from './snapshots.ts';

/**
 * SHOW FDS, for admins only.
 *
 * COMPAT: passwords and SCRAM keys are NULL, and no descriptor is attached: in PgBouncer both are
 * there for a process that takes over, which Node.js has no means for.
 *
 * @source PgBouncer manual, "Admin console": SHOW FDS
 */
export const SHOW_FDS: ShowTable = defineTable<DescriptorSnapshot>(
  [
    column('fd', 'int4', ({ fd }) => fd),
    column('task', 'text', ({ task }) => task),
    column('user', 'text', ({ user }) => user),
    column('database', 'text', ({ database }) => database),
    column('addr', 'text', ({ addr }) => addr),
    column('port', 'int4', ({ port }) => port),
    column('cancel', 'int8', ({ cancelKey }) => cancelKey),
    column('link', 'int4', ({ linkFd }) => linkFd),
    column('client_encoding', 'text', ({ parameters }) => parameters.clientEncoding),
    column('std_strings', 'text', ({ parameters }) => parameters.standardConformingStrings),
    column('datestyle', 'text', ({ parameters }) => parameters.dateStyle),
    column('timezone', 'text', ({ parameters }) => parameters.timeZone),
    column('password', 'text', () => null),
    column('scram_client_key', 'bytea', () => null),
    column('scram_server_key', 'bytea', () => null),
  ],
  (control) => control.descriptors(),
);
