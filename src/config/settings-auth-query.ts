import { str, time } from './setting.ts';

/** Settings of `auth_query` and of passwords for servers that PgBouncer does not have. */
export const AUTH_QUERY_SETTINGS = {
  auth_query_cache_ttl: time({
    default: 1_000,
    group: 'frequent',
    doc: 'How long a result of auth_query is used again, whether it found the user or not. A changed password need not wait: logins by SCRAM and md5 use a kept result only while they come faster than 10 a second for a user or the server is late with a newer one, and a wrong password in clear text has it asked anew. 0 asks at every login; what is asked for the same user at the same time is asked once in any case.',
  }),
  auth_query_timeout: time({
    default: 15_000,
    doc: 'How long auth_query may take, the wait for its server connection included. A server connection that has not answered by then is closed. 0 leaves it to client_login_timeout.',
  }),
  auth_query_search_path: str({
    default: 'pg_catalog, pg_temp',
    doc: 'search_path of the connections that run auth_query. A function of your own needs its schema in auth_query, or here. Empty leaves it to the server, which is safe only where nobody else may create objects in its schemas.',
  }),
  password_refresh_interval: time({
    default: 600_000,
    doc: 'How often password_file is read and password_command is run again while their database is in use. 0 is only when a server refuses the password. Also per database.',
  }),
} as const;
