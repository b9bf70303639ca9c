import { readFileSync, readdirSync } from 'node:fs';
import type { FakeConnection } from './fake-connection.ts';
import { FakeServer } from './fake-server.ts';
import { startPooler } from './pooler-fixture.ts';
import type { PoolerFixture } from './pooler-fixture.ts';
import type { PostgresHandle } from './postgres-fixture.ts';
import type { TextRow } from './query-outcome.ts';
import { RawClient } from './raw-client.ts';
import type { LoginOptions } from './raw-client.ts';
import { waitFor } from './wait-for.ts';

type Settings = Readonly<Record<string, unknown>>;

/** As many clients as were asked for: a tuple where the number is known, so none can be missing. */
export type Clients<N extends number, T extends RawClient[] = []> = number extends N
  ? RawClient[]
  : T['length'] extends N
    ? T
    : Clients<N, [...T, RawClient]>;

/** What a scene changes in the configuration. */
export interface SceneOptions {
  /** The section `maitred`. */
  readonly settings?: Settings;
  /** More keys of the database `app`, which every scene has. */
  readonly database?: Settings;
  /** More databases by name; each leads to the server of the scene unless it says otherwise. */
  readonly databases?: Readonly<Record<string, Settings>>;
  /** The section `users`. */
  readonly users?: Readonly<Record<string, Settings>>;
  /** More names that may log in. */
  readonly logins?: readonly string[];
  /** Password of everybody towards the pooler; none by default. */
  readonly password?: string;
}

/** The server behind a pooler. */
export type SceneServer = PostgresHandle | FakeServer;

/** A pooler in front of one server, with the clients that a test has opened on it. */
export class Scene {
  readonly pooler: PoolerFixture;
  readonly #clients: RawClient[] = [];
  readonly #user: string;
  readonly #password: string;

  constructor(pooler: PoolerFixture, user: string, password: string) {
    this.pooler = pooler;
    this.#user = user;
    this.#password = password;
  }

  /** Logs in to the database `app`. The scene closes the client in the end. */
  async login(options: Partial<LoginOptions> = {}): Promise<RawClient> {
    const account = { user: this.#user, password: this.#password, database: 'app' };
    const client = await this.pooler.login({ ...account, ...options });
    this.#clients.push(client);
    return client;
  }

  /** Logs in several clients, one after the other. */
  async logins<const N extends number>(
    count: N,
    options: Partial<LoginOptions> = {},
  ): Promise<Clients<N>> {
    const clients: RawClient[] = [];
    while (clients.length < count) {
      clients.push(await this.login(options));
    }
    return clients as Clients<N>;
  }

  /** Opens a connection that sends nothing yet. The scene destroys it in the end. */
  async connect(): Promise<RawClient> {
    const client = await RawClient.connect(this.pooler.target);
    this.#clients.push(client);
    return client;
  }

  /** The row of SHOW POOLS for a database, with numbers as text. */
  async pool(database = 'app', user = this.#user): Promise<TextRow> {
    const rows = await this.pooler.console('SHOW POOLS');
    return rows.find((row) => row['database'] === database && row['user'] === user) ?? {};
  }

  /** Waits until columns of the pool's row have the values given. */
  async waitForPool(expected: Readonly<Record<string, number>>, database = 'app'): Promise<void> {
    let row: TextRow = {};
    const matches = async (): Promise<boolean> => {
      row = await this.pool(database);
      return Object.entries(expected).every(([name, value]) => Number(row[name]) === value);
    };
    await waitFor(`the pool to show ${JSON.stringify(expected)}`, matches).catch(
      (cause: unknown) => {
        throw new Error(`the pool shows ${JSON.stringify(row)}`, { cause });
      },
    );
  }

  /** Drops all clients at once: for tests whose clients are stuck on purpose. */
  dropClients(): void {
    for (const client of this.#clients.splice(0)) {
      client.destroy();
    }
  }

  /** Closes all clients in good order. */
  async closeClients(): Promise<void> {
    for (const client of this.#clients.splice(0)) {
      await client.close();
    }
  }
}

/**
 * Runs `body` with a pooler in front of `server`: transaction mode, one server connection, unless
 * the options say otherwise. In the end the clients are closed, the pools must be back at their
 * baseline and the process must end in good order.
 */
export async function withPooler(
  server: SceneServer,
  options: SceneOptions,
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  const scene = await startScene(server, options);
  try {
    await playScene(scene, body);
    await scene.pooler.stop();
  } finally {
    await scene.pooler.kill();
  }
}

/**
 * Poolers that serve one test after the other, one for each set of options, in front of `server`:
 * for tests that must leave nothing behind. A pooler whose test has failed is not used again.
 */
export class KeptPoolers {
  readonly #server: SceneServer;
  readonly #scenes = new Map<string, Scene>();

  constructor(server: SceneServer) {
    this.#server = server;
  }

  /** As {@link withPooler}, with the log of this test alone. */
  async with(options: SceneOptions, body: (scene: Scene) => Promise<void>): Promise<void> {
    const key = JSON.stringify(options);
    const scene = this.#scenes.get(key) ?? (await startScene(this.#server, options));
    this.#scenes.delete(key);
    try {
      await playScene(scene, body);
      scene.pooler.forgetLogs();
    } catch (error) {
      await scene.pooler.kill();
      throw error;
    }
    this.#scenes.set(key, scene);
  }

  /** Ends all of them in good order. */
  async stop(): Promise<void> {
    for (const { pooler } of this.#scenes.values()) {
      await pooler.stop();
    }
    this.#scenes.clear();
  }
}

async function playScene(scene: Scene, body: (scene: Scene) => Promise<void>): Promise<void> {
  await body(scene);
  await scene.closeClients();
  await scene.pooler.expectBaseline();
}

async function startScene(server: SceneServer, options: SceneOptions): Promise<Scene> {
  const account = server instanceof FakeServer ? null : server.address;
  const user = account?.user ?? 'postgres';
  const target = { host: server.host, port: server.port, dbname: account?.database ?? 'fake' };
  const more = Object.entries(options.databases ?? {});
  const password = options.password ?? '';
  const pooler = await startPooler({
    consolePassword: password,
    config: {
      maitred: { pool_mode: 'transaction', default_pool_size: 1, ...options.settings },
      databases: {
        app: { ...target, ...options.database },
        ...Object.fromEntries(more.map(([name, keys]) => [name, { ...target, ...keys }])),
      },
      ...(options.users === undefined ? {} : { users: options.users }),
    },
    users: {
      ...Object.fromEntries((options.logins ?? []).map((name) => [name, password])),
      postgres: password,
      [user]: account?.password ?? password,
    },
  });
  return new Scene(pooler, user, account?.password ?? password);
}

/** The oldest connection to a fake server, once it has sent its StartupMessage. */
export async function firstConnection(server: FakeServer): Promise<FakeConnection> {
  const [connection] = await server.waitForConnections(1);
  if (connection === undefined) {
    throw new Error('the fake server has no connection');
  }
  return connection;
}

/** The process id of the server connection that runs a query of `client`. */
export async function backendPid(client: RawClient): Promise<string> {
  const [row] = await client.query('SELECT pg_backend_pid() AS pid');
  return row?.['pid'] ?? '';
}

/** Memory of a process that is in RAM, in bytes. Linux. */
export function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}

/** File descriptors that a process has open, count. Linux. */
export function openFileCount(pid: number): number {
  return readdirSync(`/proc/${String(pid)}/fd`).length;
}
