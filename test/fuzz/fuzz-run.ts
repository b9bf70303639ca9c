import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { FakeServer } from '../support/fake-server.ts';
import { startPooler, type PoolerFixture } from '../support/pooler-fixture.ts';
import { openFileCount, residentBytes } from '../support/scene.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { makePki } from '../support/tls-scene.ts';
import { waitFor } from '../support/wait-for.ts';
import {
  FuzzClient,
  PROXY_ADDRESS,
  replayPieces,
  type ByteLog,
  type FuzzAccount,
} from './client-case.ts';
import { FuzzServerCase } from './server-case.ts';
import { findCulprit } from './shrink.ts';

/** How clients prove themselves, one round for each. */
export const FUZZ_METHODS = ['scram-sha-256', 'md5', 'plain', 'trust'] as const;

const PASSWORD = 'open sesame';
const WORKERS = 6;
/** A failed login to a server makes its pool wait: the next case takes another one. */
const DATABASES_PER_WORKER = 12;
/** Longest time for an answer to the canary, in ms: a busy machine, but not a loop that hangs. */
const CANARY_DEADLINE_MS = 8_000;
const CANARY_PAUSE_MS = 20;
/** Memory that a round may add once the pooler is warm, in bytes: the heap breathes. */
const GROWTH_BYTES = 64e6;
/** Cases kept to be told when something goes wrong. */
const KEPT_CASES = 12;
/** Poolers started to find out which bytes did it. */
const MAX_TRIALS = 30;
/** Bytes of a case that are told. */
const TOLD_BYTES = 4_096;

/** One round of the fuzz. */
export interface FuzzOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly method: (typeof FUZZ_METHODS)[number];
  /** Runs this case alone, once. */
  readonly onlyCase?: number;
  /** Sends these bytes alone, once. */
  readonly replay?: readonly Buffer[];
  /** For a test of the fuzz itself: is called when everything stands. */
  readonly sabotage?: (pooler: PoolerFixture) => void;
}

const PKI = makePki();

/** A case under way, or done. */
interface FuzzCase {
  readonly number: number;
  readonly logs: ByteLog[];
}

/** What a round has found. */
export class FuzzFailure extends Error {
  /** What clients sent of late, the last one first. */
  readonly candidates: readonly (readonly Buffer[])[];

  constructor(message: string, candidates: readonly (readonly Buffer[])[], cause: unknown) {
    super(message, { cause });
    this.candidates = candidates;
  }
}

/**
 * Runs one round; when it finds something, looks for the fewest bytes of one client that do the same.
 *
 * @throws FuzzFailure
 */
export async function fuzz(options: FuzzOptions): Promise<number> {
  try {
    return await new FuzzRound(options).run();
  } catch (error) {
    if (!(error instanceof FuzzFailure)) {
      throw error;
    }
    const fails = async (replay: readonly Buffer[]): Promise<boolean> => {
      const { seed, method } = options;
      const round = new FuzzRound({ seed, method, seconds: 1, replay });
      return round.run().then(
        () => false,
        () => true,
      );
    };
    const least = await findCulprit(error.candidates, fails, MAX_TRIALS);
    const told =
      least === null
        ? 'none of these alone does it again'
        : `this alone does it again: ${least.map((piece) => piece.toString('hex')).join(' ')}`;
    throw new FuzzFailure(`${error.message}\n${told}`, error.candidates, error.cause);
  }
}

function badDatabase(worker: number, index: number): string {
  return `bad${String(worker)}_${String(index)}`;
}

/** One round: a pooler, servers good and bad behind it, clients that misbehave, and a canary. */
export class FuzzRound {
  readonly #options: FuzzOptions;
  readonly #recent: FuzzCase[] = [];
  readonly #bad: FakeServer[] = [];
  #caseCount = 0;
  #answerCount = 0;
  /** Cases that came to messages inside of TLS, by side. */
  readonly #secureCount = { client: 0, server: 0 };
  #isOver = false;

  constructor(options: FuzzOptions) {
    this.#options = options;
  }

  /** @returns How many cases were run. @throws Error with the seed and the bytes of the last cases. */
  async run(): Promise<number> {
    const good = await FakeServer.start();
    for (let count = 0; count < WORKERS; count++) {
      this.#bad.push(await FakeServer.start());
    }
    const pooler = await this.#startPooler(good);
    try {
      await this.#fuzz(pooler);
      await this.#expectBaseline(pooler);
      await this.#expectDepth(pooler);
      await pooler.stop();
      return this.#caseCount;
    } catch (cause) {
      throw new FuzzFailure(this.#report(), this.#candidates(), cause);
    } finally {
      this.#isOver = true;
      await pooler.kill();
      for (const server of [good, ...this.#bad]) {
        await server.stop().catch(() => {});
      }
    }
  }

  #startPooler(good: FakeServer): Promise<PoolerFixture> {
    const target = (server: FakeServer): object => ({
      host: server.host,
      port: server.port,
      dbname: 'fake',
      user: 'postgres',
      password: PASSWORD,
    });
    const bad = this.#bad.flatMap((server, worker) =>
      Array.from(
        { length: DATABASES_PER_WORKER },
        (_, index) => [badDatabase(worker, index), target(server)] as const,
      ),
    );
    return startPooler({
      consolePassword: PASSWORD,
      users: { postgres: PASSWORD, fuzz: PASSWORD },
      files: { 'server.crt': PKI.server.cert, 'server.key': PKI.server.key },
      config: (directory) => ({
        maitred: {
          client_tls_sslmode: 'prefer',
          client_tls_cert_file: path.join(directory, 'server.crt'),
          client_tls_key_file: path.join(directory, 'server.key'),
          server_tls_sslmode: 'prefer',
          auth_type: this.#options.method,
          pool_mode: 'transaction',
          default_pool_size: 10,
          max_client_conn: 500,
          max_packet_size: '1MB',
          client_login_timeout: '2s',
          query_timeout: '1s',
          query_wait_timeout: '2s',
          server_connect_timeout: '1s',
          server_login_retry: '100ms',
          idle_transaction_timeout: '1s',
          ignore_startup_parameters: 'extra_float_digits',
          log_connections: false,
          log_disconnections: false,
          proxy_protocol: true,
          proxy_protocol_trusted: PROXY_ADDRESS,
        },
        databases: Object.fromEntries([
          ['canary', target(good)],
          ['good', target(good)],
          ...bad,
        ]) as Record<string, Record<string, unknown>>,
      }),
    });
  }

  async #fuzz(pooler: PoolerFixture): Promise<void> {
    const { seconds, onlyCase, replay, sabotage } = this.#options;
    const canary = this.#keepCanary(pooler);
    if (onlyCase !== undefined || replay !== undefined) {
      const deed =
        replay === undefined
          ? this.#runCase(pooler, 0, onlyCase ?? 0)
          : replayPieces(pooler.port, replay);
      await Promise.race([canary, deed]);
      this.#isOver = true;
      await canary;
      return;
    }
    const endMs = performance.now() + seconds * 1_000;
    let warmBytes = 0;
    const work = async (worker: number): Promise<void> => {
      while (performance.now() < endMs && !this.#isOver) {
        await this.#runCase(pooler, worker, this.#caseCount++);
        const isWarm = endMs - performance.now() < (seconds * 1_000) / 2;
        if (isWarm && warmBytes === 0) {
          warmBytes = residentBytes(pooler.pid);
        }
      }
    };
    sabotage?.(pooler);
    const workers = Promise.all(this.#bad.map((_server, worker) => work(worker)));
    await Promise.race([canary, workers]);
    this.#isOver = true;
    await canary;
    await workers;
    if (this.#answerCount === 0) {
      throw new Error('the canary was never answered');
    }
    const grownBytes = residentBytes(pooler.pid) - warmBytes;
    if (warmBytes > 0 && grownBytes > GROWTH_BYTES) {
      throw new Error(`the pooler has grown by ${String(grownBytes)} bytes`);
    }
  }

  async #runCase(pooler: PoolerFixture, worker: number, number: number): Promise<void> {
    const random = new SeededRandom(this.#options.seed * 1_000_003 + number);
    const isServerCase = random.chance(0.5);
    const database = isServerCase ? badDatabase(worker, number % DATABASES_PER_WORKER) : 'good';
    const account: FuzzAccount = { user: 'fuzz', password: PASSWORD, database };
    const current: FuzzCase = { number, logs: [] };
    this.#recent.push(current);
    this.#recent.splice(0, this.#recent.length - KEPT_CASES);
    const server = this.#bad[worker];
    let serverCase: FuzzServerCase | null = null;
    if (isServerCase && server !== undefined) {
      serverCase = new FuzzServerCase(random, PKI.server);
      current.logs.push(serverCase.log, serverCase.wireLog);
      server.script = serverCase.script;
      for (const connection of server.connections.splice(0)) {
        connection.destroy();
      }
    }
    const client = new FuzzClient(random, account, isServerCase);
    current.logs.push(client.log, client.wireLog);
    await client.run(pooler.port);
    this.#secureCount.client += client.isSecure ? 1 : 0;
    this.#secureCount.server += serverCase?.secureCount ?? 0;
    this.#checkLog(pooler);
  }

  #checkLog(pooler: PoolerFixture): void {
    const broken = pooler.logs.find(
      ({ event, raw }) => event === 'invariant_broken' || (raw ?? '').includes('Error'),
    );
    if (broken !== undefined) {
      throw new Error(`the pooler logged ${JSON.stringify(broken)}`);
    }
    // Kept short: only its end is ever told.
    if (pooler.logs.length > 2_000) {
      pooler.logs.splice(0, 1_000);
    }
  }

  /** A client that is served all the time, and another one that logs in all the time. */
  async #keepCanary(pooler: PoolerFixture): Promise<void> {
    const account = { user: 'postgres', password: PASSWORD, database: 'canary' };
    const canary = await pooler.login(account);
    const isOver = (): boolean => this.#isOver;
    try {
      while (!isOver()) {
        const outcome = await canary.simpleQuery('SELECT 1', CANARY_DEADLINE_MS);
        if (outcome.types !== 'TDCZ') {
          throw new Error(`the canary was answered with ${outcome.types}`);
        }
        const newcomer = await pooler.login(account);
        await newcomer.close();
        this.#answerCount++;
        await delay(CANARY_PAUSE_MS);
      }
      await canary.close();
    } finally {
      canary.destroy();
    }
  }

  /** When everybody has left, nothing of them may be left. */
  async #expectBaseline(pooler: PoolerFixture): Promise<void> {
    this.#checkLog(pooler);
    for (const server of this.#bad) {
      for (const connection of server.connections.splice(0)) {
        connection.destroy();
      }
    }
    let seen = '';
    const isCalm = async (): Promise<boolean> => {
      const lists = await pooler.console('SHOW LISTS');
      const clients = await pooler.console('SHOW CLIENTS');
      const servers = await pooler.console('SHOW SERVERS');
      const logins = lists.find(({ list }) => list === 'login_clients')?.['items'];
      const open = openFileCount(pooler.pid);
      seen = JSON.stringify({ clients: clients.length, logins, servers: servers.length, open });
      // The one client is the console; 30 is what a process has open beside its sockets.
      return (
        clients.length === 1 &&
        logins === '0' &&
        servers.every(({ state }) => state === 'idle') &&
        open < 40 + servers.length
      );
    };
    await waitFor('nothing to be left', isCalm, { timeoutMs: 20_000, intervalMs: 100 }).catch(
      (cause: unknown) => {
        throw new Error(`left behind: ${seen}`, { cause });
      },
    );
  }

  /** Rubbish that is refused at the door tests the door only: enough must have got in. */
  async #expectDepth(pooler: PoolerFixture): Promise<void> {
    if (this.#options.onlyCase !== undefined || this.#options.replay !== undefined) {
      return;
    }
    const rows = await pooler.console('SHOW STATS_TOTALS');
    const queriesOf = (start: string): number =>
      rows
        .filter(({ database }) => database?.startsWith(start) === true)
        .reduce((sum, row) => sum + Number(row['query_count']), 0);
    const [good, bad] = [queriesOf('good'), queriesOf('bad')];
    process.stdout.write(`queries in front of good servers ${String(good)}, bad ${String(bad)}\n`);
    if (good < this.#caseCount / 20 || bad < this.#caseCount / 20) {
      throw new Error(`too few queries: ${String(good)} and ${String(bad)}`);
    }
    const { client, server } = this.#secureCount;
    process.stdout.write(`inside of TLS: clients ${String(client)}, servers ${String(server)}\n`);
    if (client < this.#caseCount / 20 || server < this.#caseCount / 100) {
      throw new Error(`too little TLS: ${String(client)} and ${String(server)}`);
    }
  }

  /** What clients sent of late, the last one first. */
  #candidates(): (readonly Buffer[])[] {
    const logs = this.#recent.flatMap((current) => current.logs);
    return logs
      .filter(({ title }) => title.startsWith('client'))
      .map(({ pieces }) => pieces)
      .reverse();
  }

  /** How to run it again, and what the last cases sent. */
  #report(): string {
    const { seed, method } = this.#options;
    const lines = this.#recent.flatMap(({ number, logs }) =>
      logs.map(({ title, pieces }) => {
        const hex = pieces.map((piece) => piece.toString('hex')).join(' ');
        return `  case ${String(number)}, ${title}: ${hex.slice(0, 2 * TOLD_BYTES)}`;
      }),
    );
    const again = `npm run fuzz -- --seed ${String(seed)} --method ${method}`;
    return [
      `the fuzz has found something: ${again} (and --case N for one of these alone)`,
      ...lines,
    ].join('\n');
  }
}
