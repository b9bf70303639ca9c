import type { ServerCredential } from '../auth/credentials.ts';
import { NO_SECRET, type Secret } from '../auth/secret.ts';
import { splitCommand } from '../config/command-words.ts';
import type { DatabaseConfig, Settings } from '../config/config.ts';
import type { Logger } from '../log/logger.ts';
import type { PasswordOutcome, PasswordReader } from './password-reader.ts';

/** What {@link ServerPasswords} needs from around it. */
export interface ServerPasswordsHost {
  readonly reader: PasswordReader;
  readonly logger: Logger;
  /** The settings now. */
  settings(): Pick<Settings, 'passwordRefreshIntervalMs'>;
  nowMs(): number;
  /** Whether anybody is connected to the database, or through it. */
  isInUse(database: string): boolean;
}

/** Where the password of a forced user is, when it is not in the configuration itself. */
export interface PasswordSource {
  readonly kind: 'password_command' | 'password_file';
  readonly config: DatabaseConfig;
}

/** A credential, or why there is none. */
export type CredentialOutcome = ServerCredential | { readonly problem: string };

/** Commands that run at once; the others wait. */
const MAX_COMMANDS = 4;
/**
 * Time between two attempts at a source that fails, in ms; a password that is refused without ever
 * having been accepted is not fetched again for the same attempt unless it is older than this.
 */
export const RETRY_INTERVAL_MS = 1000;
/** Time between two attempts at a scheduled refresh that fails, in ms. */
export const REFRESH_RETRY_MS = 10_000;

type Waiter = (outcome: CredentialOutcome) => void;

/** What is known of one source. */
interface Entry {
  readonly source: PasswordSource;
  current: ServerCredential | null;
  /** When it was fetched, in clock ms. */
  fetchedAtMs: number;
  /** The server has refused it, or its time is over. */
  isStale: boolean;
  /** The server has accepted it since it was fetched. */
  isProved: boolean;
  isRunning: boolean;
  /** When the last attempt that failed ended, in clock ms, and why. */
  failedAtMs: number;
  problem: string;
  waiters: Waiter[];
}

/** Finds the source of a database's password; null when it is in the configuration, or nowhere. */
export function passwordSourceOf(config: DatabaseConfig): PasswordSource | null {
  if (config.passwordCommand !== null) {
    return { kind: 'password_command', config };
  }
  return config.passwordFile === null ? null : { kind: 'password_file', config };
}

/**
 * The passwords that come from a program or a file. Each is fetched when it is needed first, again
 * when the server has refused it, and on a schedule; who needs it meanwhile has the old one or waits.
 */
export class ServerPasswords {
  readonly #host: ServerPasswordsHost;
  readonly #entries = new Map<string, Entry>();
  #running = 0;
  readonly #queue: Entry[] = [];

  constructor(host: ServerPasswordsHost) {
    this.#host = host;
  }

  /** What is known by now, however old. */
  known(source: PasswordSource): ServerCredential {
    return this.#entryOf(source).current ?? { secret: NO_SECRET, keys: null };
  }

  /** Hands out the password, at once or when it has been fetched. */
  get(source: PasswordSource, done: Waiter): void {
    const entry = this.#entryOf(source);
    if (entry.current !== null && !entry.isStale) {
      done(entry.current);
    } else if (!entry.isRunning && this.#hasJustFailed(entry)) {
      done({ problem: entry.problem });
    } else {
      entry.waiters.push(done);
      this.#fetch(entry);
    }
  }

  /**
   * The server has refused a password.
   *
   * @param secret - The one that was used.
   * @returns whether another attempt may fare better at once.
   */
  onRefused(source: PasswordSource, secret: Secret): boolean {
    const entry = this.#entryOf(source);
    if (entry.current?.secret !== secret) {
      return entry.current !== null;
    }
    const isOld = this.#host.nowMs() - entry.fetchedAtMs >= RETRY_INTERVAL_MS;
    const isWorthIt = entry.isProved || isOld;
    entry.isStale = true;
    entry.isProved = false;
    return isWorthIt;
  }

  /** The server has accepted a password: what was refused later was right once. */
  onAccepted(source: PasswordSource, secret: Secret): void {
    const entry = this.#entryOf(source);
    entry.isProved ||= entry.current?.secret === secret;
  }

  /** Once per tick: renews passwords whose time is over. */
  onTick(): void {
    const nowMs = this.#host.nowMs();
    for (const entry of this.#entries.values()) {
      const { config } = entry.source;
      const intervalMs =
        config.passwordRefreshIntervalMs ?? this.#host.settings().passwordRefreshIntervalMs;
      const isDue = intervalMs > 0 && nowMs - entry.fetchedAtMs >= intervalMs;
      if (entry.current === null || !isDue || entry.isRunning) {
        continue;
      }
      if (!this.#host.isInUse(config.name)) {
        entry.isStale = true;
      } else if (nowMs - entry.failedAtMs >= REFRESH_RETRY_MS) {
        this.#fetch(entry);
      }
    }
  }

  /** Forgets what a database that is gone or has changed had. */
  retain(databases: ReadonlyMap<string, { readonly config: DatabaseConfig }>): void {
    for (const [name, entry] of this.#entries) {
      const next = databases.get(name)?.config;
      const source = next === undefined ? null : passwordSourceOf(next);
      if (source === null || !isSameSource(source, entry.source)) {
        this.#entries.delete(name);
      }
    }
  }

  #entryOf(source: PasswordSource): Entry {
    const { name } = source.config;
    let entry = this.#entries.get(name);
    if (entry === undefined || !isSameSource(source, entry.source)) {
      entry = {
        source,
        current: null,
        fetchedAtMs: 0,
        isStale: false,
        isProved: false,
        isRunning: false,
        failedAtMs: Number.NEGATIVE_INFINITY,
        problem: '',
        waiters: [],
      };
      this.#entries.set(name, entry);
    }
    return entry;
  }

  #hasJustFailed(entry: Entry): boolean {
    return this.#host.nowMs() - entry.failedAtMs < RETRY_INTERVAL_MS;
  }

  #fetch(entry: Entry): void {
    if (entry.isRunning) {
      return;
    }
    entry.isRunning = true;
    this.#queue.push(entry);
    this.#runQueued();
  }

  #runQueued(): void {
    while (this.#running < MAX_COMMANDS) {
      const entry = this.#queue.shift();
      if (entry === undefined) {
        return;
      }
      this.#running += 1;
      const read = this.#read(entry.source).catch(() => ({ problem: 'cannot be run' }));
      void read.then((outcome) => {
        this.#running -= 1;
        this.#finish(entry, outcome);
        this.#runQueued();
      });
    }
  }

  #read({ kind, config }: PasswordSource): Promise<PasswordOutcome> {
    const { reader } = this.#host;
    if (kind === 'password_file') {
      return reader.readFile(config.passwordFile ?? '');
    }
    const variables: Record<string, string> = {
      PGUSER: config.user ?? '',
      PGPORT: String(config.port),
      PGDATABASE: config.dbname ?? config.name,
    };
    if (config.host !== null) {
      variables['PGHOST'] = config.host;
    }
    return reader.runCommand(splitCommand(config.passwordCommand ?? '') ?? [], variables);
  }

  #finish(entry: Entry, outcome: PasswordOutcome): void {
    const { kind, config } = entry.source;
    const nowMs = this.#host.nowMs();
    entry.isRunning = false;
    const waiters = entry.waiters.splice(0);
    if ('problem' in outcome) {
      entry.failedAtMs = nowMs;
      entry.problem = `${kind} failed`;
      this.#host.logger.error('password_source_failed', {
        database: config.name,
        user: config.user,
        source: kind,
        problem: outcome.problem,
      });
      for (const done of waiters) {
        done({ problem: entry.problem });
      }
      return;
    }
    const { password } = outcome;
    const old = entry.current?.secret;
    const isChanged = old?.kind !== 'plain' || old.password !== password;
    entry.isStale = false;
    entry.isProved = false;
    entry.fetchedAtMs = nowMs;
    entry.failedAtMs = Number.NEGATIVE_INFINITY;
    if (isChanged) {
      entry.current = { secret: { kind: 'plain', password }, keys: null };
      this.#host.logger.info('server_password_fetched', {
        database: config.name,
        user: config.user,
        source: kind,
      });
    }
    const credential = entry.current ?? { problem: `${kind} failed` };
    for (const done of waiters) {
      done(credential);
    }
  }
}

/** What says which password is meant; the rest of the entry may change. */
function isSameSource(a: PasswordSource, b: PasswordSource): boolean {
  return (
    a.kind === b.kind &&
    a.config.passwordCommand === b.config.passwordCommand &&
    a.config.passwordFile === b.config.passwordFile &&
    a.config.user === b.config.user &&
    a.config.host === b.config.host &&
    a.config.port === b.config.port &&
    a.config.dbname === b.config.dbname
  );
}
