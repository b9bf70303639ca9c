/** How PostgreSQL ends: waits for clients, ends their sessions, or stops like in a crash. */
export type ShutdownMode = 'smart' | 'fast' | 'immediate';

/** What to change in the server that {@link startEmbeddedPostgres} makes. */
export interface EmbeddedPostgresOptions {
  /** pg_hba.conf lines put before the last ones, which trust everybody. First match wins. */
  readonly hba?: readonly string[];
  /** Settings for postgresql.conf, by name. */
  readonly settings?: Readonly<Record<string, string>>;
  /** TCP port; a free one by default. */
  readonly port?: number;
}

/** A running PostgreSQL with its data in a temporary directory. Owned by who started it. */
export interface EmbeddedPostgres {
  readonly host: string;
  readonly port: number;
  /** Directory of the socket file `.s.PGSQL.<port>`. */
  readonly socketDir: string;
  readonly user: string;
  readonly database: string;
  readonly url: string;
  readonly logFile: string;
  /** Process id of the postmaster; `null` while halted. */
  readonly pid: number | null;
  /** Everything the server has logged since its last launch. */
  log(): string;
  /** Makes the server read its configuration again, after replacing the HBA lines if given. */
  reload(hba?: readonly string[]): void;
  /** Ends the server process and keeps its data. */
  halt(mode?: ShutdownMode): Promise<void>;
  /** Starts the server process again after `halt`, on the same port. */
  launch(): Promise<void>;
  restart(mode?: ShutdownMode): Promise<void>;
  /** Ends the server process and removes its data. */
  stop(mode?: ShutdownMode): Promise<void>;
}

/** Creates a cluster and starts PostgreSQL on it. Resolves when it accepts connections. */
export function startEmbeddedPostgres(options?: EmbeddedPostgresOptions): Promise<EmbeddedPostgres>;

/** Finds a TCP port that is free at the moment. */
export function freePort(host?: string): Promise<number>;
