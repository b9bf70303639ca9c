import { runPoolerToBaseline } from './pooler-fixture.ts';
import type { PoolerFixture } from './pooler-fixture.ts';
import type { PostgresHandle } from './postgres-fixture.ts';
import { quoteIdentifier, quoteLiteral } from './postgres-fixture.ts';
import { waitFor } from './wait-for.ts';

/** Superuser that runs `auth_query`, trusted by the server. */
export const AUTH_USER = 'aq_auth';
/** Password of the console. */
export const CONSOLE_PASSWORD = 'console & chips';

type Settings = Readonly<Record<string, unknown>>;

/** What a test with `auth_query` changes. */
export interface AuthQueryOptions {
  readonly settings?: Settings;
  /** Added to the database `app`. */
  readonly database?: Settings;
  readonly databases?: Readonly<Record<string, Settings>>;
  /** Lines of auth_file besides the console's user. */
  readonly users?: Readonly<Record<string, string>>;
}

/** The configuration of {@link withAuthQuery}, for a reload as well. */
export function authQueryConfig(
  server: { readonly host: string; readonly port: number; readonly database: string },
  options: AuthQueryOptions,
): { readonly maitred: Settings; readonly databases: Readonly<Record<string, Settings>> } {
  const target = { host: server.host, port: server.port, dbname: server.database };
  return {
    maitred: {
      auth_type: 'scram-sha-256',
      pool_mode: 'transaction',
      server_login_retry: 0,
      auth_user: AUTH_USER,
      ...options.settings,
    },
    databases: { app: { ...target, ...options.database }, ...options.databases },
  };
}

/** Runs a pooler that asks `server` for its users; pools must be at their baseline in the end. */
export async function withAuthQuery(
  server: { readonly host: string; readonly port: number; readonly database: string },
  options: AuthQueryOptions,
  body: (pooler: PoolerFixture) => Promise<void>,
): Promise<void> {
  await runPoolerToBaseline(
    {
      consolePassword: CONSOLE_PASSWORD,
      config: authQueryConfig(server, options),
      users: { postgres: CONSOLE_PASSWORD, ...options.users },
    },
    body,
  );
}

/** Makes the user of `auth_query`. */
export async function createAuthUser(postgres: PostgresHandle): Promise<void> {
  await postgres.createRole(AUTH_USER);
  await postgres.query(`ALTER ROLE ${AUTH_USER} SUPERUSER PASSWORD NULL`);
}

/** How often the server has run a query whose text holds `marker`; needs {@link countQueries}. */
export class QueryCounter {
  readonly #postgres: PostgresHandle;
  readonly #table: string;

  constructor(postgres: PostgresHandle, table: string) {
    this.#postgres = postgres;
    this.#table = table;
  }

  /** A function that does what the default `auth_query` does, and counts. */
  async create(): Promise<void> {
    await this.#postgres.query(
      `CREATE SCHEMA IF NOT EXISTS ${this.#table};
       DROP FUNCTION IF EXISTS ${this.#table}.find(text);
       DROP TABLE IF EXISTS ${this.#table}.asked;
       CREATE TABLE ${this.#table}.asked (name text, at timestamptz DEFAULT clock_timestamp());
       CREATE FUNCTION ${this.#table}.find(who text, OUT name text, OUT secret text)
       RETURNS SETOF record LANGUAGE plpgsql SECURITY DEFINER AS $$
       BEGIN
         INSERT INTO ${this.#table}.asked VALUES (who);
         RETURN QUERY SELECT rolname::text, rolpassword FROM pg_authid
           WHERE rolname = who AND rolcanlogin;
       END $$`,
    );
  }

  /** The query to configure. */
  get query(): string {
    return `SELECT name, secret FROM ${this.#table}.find($1)`;
  }

  /** How often a name has been asked for. */
  async count(name: string): Promise<number> {
    const rows = await this.#postgres.query(
      `SELECT count(*) AS n FROM ${this.#table}.asked WHERE name = ${quoteLiteral(name)}`,
    );
    return Number(rows[0]?.['n']);
  }

  /** Lets every question wait. @returns a function that lets them go on. */
  async holdUp(): Promise<() => Promise<void>> {
    const holder = await this.#postgres.login();
    await holder.query('BEGIN');
    await holder.query(`LOCK TABLE ${this.#table}.asked IN EXCLUSIVE MODE`);
    return () => holder.close();
  }

  /** Waits until a name has been asked for so often. */
  async waitForCount(name: string, expected: number): Promise<void> {
    await waitFor(
      `${String(expected)} questions for ${name}`,
      async () => (await this.count(name)) >= expected,
    );
  }
}

/** Sets the password of a role. */
export async function setPassword(
  postgres: PostgresHandle,
  role: string,
  password: string,
  encryption: 'scram-sha-256' | 'md5' = 'scram-sha-256',
): Promise<void> {
  await postgres.query(
    `SET password_encryption = '${encryption}';
     ALTER ROLE ${quoteIdentifier(role)} PASSWORD ${quoteLiteral(password)};
     RESET password_encryption`,
  );
}
