import { OWN_SETTINGS } from '../../src/config/settings-process.ts';
import type { CommonDifference, Hunk } from './comparison.ts';
import { VALUE_DIFFERENCES } from './set-differences.ts';

/** Columns of SHOW that came after PgBouncer 1.18. */
const NEWER_COLUMNS = [
  'load_balance_hosts',
  'server_lifetime',
  'max_client_connections',
  'current_client_connections',
  'replication',
  'prepared_statements',
  'id',
];

/** Settings that came after PgBouncer 1.18. */
export const NEWER_SETTINGS = [
  'auth_dbname',
  'auth_ident_file',
  'auth_ldap_options',
  'cancel_wait_timeout',
  'client_tls13_ciphers',
  'login_notify_message',
  'max_db_client_connections',
  'max_prepared_statements',
  'max_user_client_connections',
  'peer_id',
  'pool_idle_timeout',
  'query_wait_notify',
  'scram_iterations',
  'server_tls13_ciphers',
  'track_extra_parameters',
  'transaction_timeout',
];

/** Settings whose default changed after PgBouncer 1.18. */
const CHANGED_DEFAULTS = [
  'client_tls_ciphers',
  'server_tls_ciphers',
  'server_tls_sslmode',
  'server_check_query',
];

/** Statistics that came after PgBouncer 1.18. */
const NEWER_STATISTICS =
  /^(?:column (?:id|prepared_statements|replication)$|[A-Z_]+ (?:total_|avg_)?(?:ps_)?(?:server_assignment|client_parse|server_parse|bind|client_login)_count$)/;

/** Settings that only maitred has. */
const OWN_NAMES = Object.keys(OWN_SETTINGS);

/** A row of SHOW CONFIG. */
const CONFIG_ROW = /^\S+< DataRow key: "(\w+)" \| value: .* \| changeable: /;

/** Tells the setting that a row of SHOW CONFIG is about. */
function settingOf(line: string, names: readonly string[]): string | null {
  const name = CONFIG_ROW.exec(line)?.[1];
  return name !== undefined && names.includes(name) ? name : null;
}

/** `C: db/user@`, the connection that a line of the log is about. */
const LOG_PREFIX = /^(log [A-Z]+ [CS]: )[^/]+\/[^@]+@/;

type Side = 'pgbouncer' | 'maitred';

/** Takes lines of one side away. */
function drop(side: Side, matches: (line: string) => boolean, id: string): CommonDifference {
  return (hunk) => {
    const left = hunk[side].filter((line) => !matches(line));
    return left.length === hunk[side].length ? null : { rest: { ...hunk, [side]: left }, id };
  };
}

/** Takes lines of one side away. */
function dropLines(side: Side, pattern: RegExp, id: string): CommonDifference {
  return drop(side, (line) => pattern.test(line), id);
}

/** Takes away lines that become the same on both sides; `null` stays. */
function dropPairs(key: (line: string) => string | null, id: string): CommonDifference {
  return (hunk) => {
    const maitred = [...hunk.maitred];
    const pgbouncer = hunk.pgbouncer.filter((line) => {
      const wanted = key(line);
      const at = wanted === null ? -1 : maitred.findIndex((other) => key(other) === wanted);
      if (at >= 0) {
        maitred.splice(at, 1);
      }
      return at < 0;
    });
    return pgbouncer.length === hunk.pgbouncer.length
      ? null
      : { rest: { ...hunk, pgbouncer, maitred }, id };
  };
}

/** Takes away lines that match on both sides, one for one. */
function dropBoth(pattern: RegExp, id: string): CommonDifference {
  return dropPairs((line) => (pattern.test(line) ? 'match' : null), id);
}

/** Every refusal has the SQLSTATE of what happened, where PgBouncer has 08P01 for all. */
function sqlstate(hunk: Hunk): ReturnType<CommonDifference> {
  const codes = hunk.pgbouncer.filter((line) => line.endsWith('  C: 08P01'));
  const others = hunk.maitred.filter((line) => / {2}C: (?!08P01)[0-9A-Z]{5}$/.test(line));
  if (codes.length === 0 || codes.length !== others.length) {
    return null;
  }
  const rest = {
    ...hunk,
    pgbouncer: hunk.pgbouncer.filter((line) => !codes.includes(line)),
    maitred: hunk.maitred.filter((line) => !others.includes(line)),
  };
  return { rest, id: 'sqlstate' };
}

const NEWER_COLUMN = new RegExp(`^\\S+< {3}(?:column )?(?:${NEWER_COLUMNS.join('|')}): `);

/** Differences that are the same wherever they occur. */
export const COMMON_DIFFERENCES: readonly CommonDifference[] = [
  // Messages
  sqlstate,
  dropLines('maitred', /^\S+< {3}V: (?:ERROR|FATAL|NOTICE)$/, 'severity-field'),
  dropLines('maitred', /^\S+< {3}D: /, 'detail'),
  dropLines('maitred', /^\S+< Authentication 0$/, 'authentication-ok-early'),
  dropLines('pgbouncer', /^\S+< Authentication 12 v=V$/, 'sasl-final'),
  dropPairs(
    (line) => /^\S+< ErrorResponse ((?:SET|RELOAD) failed)/.exec(line)?.[1] ?? null,
    'error-says-why',
  ),
  // SHOW
  dropLines('maitred', NEWER_COLUMN, 'version-columns'),
  dropLines('maitred', NEWER_STATISTICS, 'version-columns'),
  dropLines('maitred', /DataRow list: "peer(?:_pool)?s"/, 'version-columns'),
  drop('maitred', (line) => settingOf(line, NEWER_SETTINGS) !== null, 'version-settings'),
  drop('maitred', (line) => settingOf(line, OWN_NAMES) !== null, 'own-settings'),
  dropPairs((line) => settingOf(line, CHANGED_DEFAULTS), 'version-defaults'),
  dropPairs((line) => settingOf(line, ['tcp_defer_accept']), 'tcp-defer-accept'),
  dropBoth(/ {2}state: "(?:active|idle)"$/, 'version-client-state'),
  dropBoth(/< DataRow version: "PgBouncer /, 'version-number'),
  dropBoth(/DataRow list: "free_clients"/, 'free-clients'),
  ...VALUE_DIFFERENCES,
  // The log
  dropPairs(
    (line) => (LOG_PREFIX.test(line) ? line.replace(LOG_PREFIX, '$1') : null),
    'log-prefix',
  ),
  dropLines('maitred', /^log WARNING C: \S+ login failed: /, 'log-login-failed'),
  dropLines('pgbouncer', /^log LOG C: \S+ login failed: /, 'log-login-failed'),
  dropPairs((line) => / no such user: (\S+)$/.exec(line)?.[1] ?? null, 'log-login-failed'),
  dropBoth(/^log LOG S: .* closing because: /, 'server-closing-reason'),
  dropLines('pgbouncer', /^log LOG C: pgbouncer\/\S+ login attempt: /, 'log-console-refused'),
];
