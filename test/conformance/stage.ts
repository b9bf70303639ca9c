import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { PostgresHandle } from '../support/postgres-fixture.ts';
import { RawClient } from '../support/raw-client.ts';
import { waitFor } from '../support/wait-for.ts';
import { normalizeLogLine } from './log-lines.ts';
import { poolerIdentity } from './pooler-process.ts';
import type { PoolerName, PoolerProcess } from './pooler-process.ts';
import { MessageRenderer } from './rendering.ts';
import { StageClient } from './stage-client.ts';
import type { Account } from './stage-client.ts';

/** Where both poolers find their files: one after the other, they run on the very same ones. */
export interface Place {
  readonly directory: string;
  readonly port: number;
  readonly postgres: PostgresHandle;
}

/** The sections of a configuration file, as lines below their headings. */
export interface IniSections {
  readonly pgbouncer?: readonly string[];
  readonly databases?: readonly string[];
  readonly users?: readonly string[];
}

/** The user of most scenarios: PostgreSQL knows it and trusts it. */
export const BOB = 'cf_bob';

/** Password of everybody who has one; with auth_type trust nobody is asked. */
export const PASSWORD = 'secret';

const CONSOLE = { user: 'admin', database: 'pgbouncer', password: PASSWORD };

/** The lines of consoles that only look. */
const LOOKING = 'pgbouncer/admin@';

/** Makes a directory and a port for both. */
export async function makePlace(postgres: PostgresHandle): Promise<Place> {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'mtc-'));
  const identity = poolerIdentity();
  if (identity !== null) {
    chownSync(directory, identity.uid, identity.gid);
  }
  return { directory, port: await freePort(), postgres };
}

/** Removes the directory. */
export function removePlace({ directory }: Place): void {
  rmSync(directory, { recursive: true, force: true });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
  });
}

/** Writes a file that the poolers may read. */
export function writePlaceFile({ directory }: Place, name: string, content: string): string {
  const file = path.join(directory, name);
  writeFileSync(file, content);
  const identity = poolerIdentity();
  if (identity !== null) {
    chownSync(file, identity.uid, identity.gid);
  }
  return file;
}

/** The text of pgbouncer.ini: trust, an admin called `admin`, and the database `app`. */
export function iniText({ directory, port, postgres }: Place, sections: IniSections = {}): string {
  const server = `host=${postgres.host} port=${String(postgres.port)} dbname=${postgres.database}`;
  return [
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${String(port)}`,
    `unix_socket_dir = ${directory}`,
    `auth_file = ${directory}/userlist.txt`,
    'auth_type = trust',
    'admin_users = admin',
    'stats_users = stats',
    'server_tls_sslmode = disable',
    ...(sections.pgbouncer ?? []).map((line) => line.replace('$DIR', directory)),
    '[databases]',
    `app = ${server}`,
    ...(sections.databases ?? []).map((line) => line.replace('$SERVER', server)),
    '[users]',
    ...(sections.users ?? []),
    '',
  ].join('\n');
}

/** The text of userlist.txt. */
export function usersText(users: Readonly<Record<string, string>>): string {
  return Object.entries(users)
    .map(([name, secret]) => `"${name}" "${secret}"\n`)
    .join('');
}

/** One pooler on its files, and the transcript of what its clients see. */
export class Stage {
  readonly name: PoolerName;
  readonly place: Place;
  readonly process: PoolerProcess;
  readonly transcript: string[] = [];
  readonly #clients: StageClient[] = [];
  readonly #firstLine: number;

  constructor(name: PoolerName, place: Place, process: PoolerProcess) {
    this.name = name;
    this.place = place;
    this.process = process;
    this.#firstLine = process.lines.length;
  }

  /** Writes the configuration anew. It takes effect at RELOAD. */
  rewrite(sections: IniSections): void {
    writePlaceFile(this.place, 'pgbouncer.ini', iniText(this.place, sections));
  }

  /** Adds a line to the transcript. */
  readonly note = (line: string): void => {
    this.transcript.push(line);
  };

  /** Opens a connection that sends nothing yet. */
  async connect(name: string, isUnix = false): Promise<StageClient> {
    const { directory, port } = this.place;
    const target = isUnix ? { socketDir: directory, port } : { host: '127.0.0.1', port };
    const raw = await RawClient.connect(target);
    const renderer = new MessageRenderer(this.#isKnownPort);
    const client = new StageClient(raw, target, name, renderer, this.note);
    this.#clients.push(client);
    return client;
  }

  /** Logs in and records everything that comes, a refusal as well. */
  async login(name: string, account: Account, isUnix = false): Promise<StageClient> {
    const client = await this.connect(name, isUnix);
    await client.login(account);
    return client;
  }

  /** Logs in to `app` without recording the welcome. */
  async enter(name: string, account: Partial<Account> = {}): Promise<StageClient> {
    const client = await this.connect(name);
    await client.raw.login({ user: BOB, database: 'app', ...account });
    return client;
  }

  /** Logs in to the console without recording the welcome. */
  enterConsole(name = 'console'): Promise<StageClient> {
    return this.enter(name, CONSOLE);
  }

  /** Runs a console command on a connection of its own, unrecorded. @returns Its rows. */
  async look(sql: string): Promise<Readonly<Record<string, string | null>>[]> {
    const { port } = this.place;
    const client = await RawClient.login({ host: '127.0.0.1', port }, CONSOLE);
    try {
      return await client.query(sql);
    } finally {
      await client.close();
    }
  }

  /** Waits until columns of the pool of `database` have the values given. */
  async waitForPool(
    expected: Readonly<Record<string, number>>,
    database = 'app',
    user = BOB,
  ): Promise<void> {
    await waitFor(`the pool to show ${JSON.stringify(expected)}`, async () => {
      const rows = await this.look('SHOW POOLS');
      const row = rows.find((pool) => pool['database'] === database && pool['user'] === user);
      return Object.entries(expected).every(([name, value]) => Number(row?.[name] ?? 0) === value);
    });
  }

  /** Waits for log lines, each behind the one before, and records them. */
  async log(...patterns: readonly RegExp[]): Promise<void> {
    let from = this.#firstLine;
    for (const pattern of patterns) {
      const at = await waitFor(`log line ${String(pattern)}`, () => {
        const index = this.process.lines.findIndex((line, i) => i >= from && pattern.test(line));
        return index < 0 ? null : { index };
      });
      from = at.index + 1;
      this.note(`log ${this.#normalized(this.process.lines[at.index] ?? '')}`);
    }
  }

  /** Records every log line of this scenario that matches, once `last` is there. */
  async logAll(pattern: RegExp, last: RegExp): Promise<void> {
    const lines = (): string[] =>
      this.process.lines.slice(this.#firstLine).filter((line) => !line.includes(LOOKING));
    await waitFor(`log line ${String(last)}`, () => lines().some((line) => last.test(line)));
    for (const line of lines().filter((text) => pattern.test(text))) {
      this.note(`log ${this.#normalized(line)}`);
    }
  }

  /** Waits until the process has ended, and records how. */
  async exit(): Promise<void> {
    const end = await this.process.exited;
    this.note(`exit code ${String(end.code)}, signal ${String(end.signal)}`);
  }

  /** Drops the clients that are left, and waits until nobody but the console is there. */
  async clear(): Promise<void> {
    for (const { raw } of this.#clients.splice(0)) {
      await raw.close().catch(() => {
        raw.destroy();
      });
    }
    if (this.process.end !== null) {
      return;
    }
    await waitFor('idle pools', async () => {
      const pools = await this.look('SHOW POOLS');
      return pools.every(
        (pool) =>
          pool['database'] === 'pgbouncer' ||
          ['cl_active', 'cl_waiting', 'sv_active', 'sv_tested'].every(
            (column) => Number(pool[column]) === 0,
          ),
      );
    });
  }

  readonly #isKnownPort = (port: string): boolean =>
    port === String(this.place.port) || port === String(this.place.postgres.port);

  #normalized(line: string): string {
    const { directory } = this.place;
    return normalizeLogLine(line, { directory, isKnownPort: this.#isKnownPort });
  }
}
